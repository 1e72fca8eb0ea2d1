"""Whose chain a database holds, and where it stands: the row that fences writers off."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import psycopg

from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import Position
from indexer.store.connection import StoreError

if TYPE_CHECKING:
    from indexer.settings import Settings
    from indexer.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Identity:
    """What a database was begun with, and what must not change under it."""

    cluster: str
    network: str
    start_height: int
    marketplace_height: int

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the identity that the settings ask for."""
        return cls(
            cluster=settings.CLUSTER_NAME,
            network=settings.BITCOIN_NETWORK.value,
            start_height=settings.START_BLOCK_HEIGHT,
            marketplace_height=settings.MARKETPLACE_TRANSFER_BLOCK_HEIGHT,
        )


_SETTING = {
    "cluster": "CLUSTER_NAME",
    "network": "BITCOIN_NETWORK",
    "start_height": "START_BLOCK_HEIGHT",
    "marketplace_height": "MARKETPLACE_TRANSFER_BLOCK_HEIGHT",
}


@dataclass(frozen=True, slots=True)
class Tip:
    """The last indexed block: its hash (internal order, empty before the first block) and the state there."""

    hash: bytes
    position: Position

    @property
    def height(self) -> int:
        """The height of the last indexed block; one below the start before the first."""
        return self.position.height


def claim(connection: Connection, identity: Identity) -> int:
    """Begin a database or recognise it, and return a new epoch: every earlier writer is fenced off from here on.

    Raises StoreError where the database was begun with another identity.
    """
    with connection.transaction():
        connection.execute(
            "INSERT INTO index.chain"
            " (cluster, network, start_height, marketplace_height, tip_height, tip_hash, undo_from, node_height)"
            " VALUES (%s, %s, %s, %s, %s, '', %s, 0) ON CONFLICT DO NOTHING",
            (
                identity.cluster,
                identity.network,
                identity.start_height,
                identity.marketplace_height,
                identity.start_height - 1,
                identity.start_height,
            ),
        )
        row = connection.execute(
            "UPDATE index.chain SET epoch = epoch + 1"
            " RETURNING epoch, cluster, network, start_height, marketplace_height"
        ).fetchone()
        if row is None:
            raise StoreError("index.chain has no row: the database is damaged; restore it or index anew")
        require_same(Identity(*row[1:]), identity)
    return int(row[0])


def require_same(found: Identity, wanted: Identity) -> None:
    """Raise StoreError where a database was begun with other settings than are wanted now."""
    for field in fields(Identity):
        was, now = getattr(found, field.name), getattr(wanted, field.name)
        if was != now:
            raise StoreError(
                f"database was begun with {_SETTING[field.name]}={was}, now it is {now}; "
                "set it back or index into an empty database"
            )


def read_tip(connection: Connection) -> Tip:
    """Return where the database stands."""
    try:
        row = connection.execute(
            "SELECT c.tip_hash, c.tip_height, b.state_hash, b.state_digest"
            " FROM index.chain c LEFT JOIN index.blocks b ON b.height = c.tip_height"
        ).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        row = None
    if row is None:
        raise StoreError("database holds no index yet; run: simplicity sync")
    tip_hash, height, state_hash, state_digest = row
    return Tip(bytes(tip_hash), Position(height, bytes(state_hash or EMPTY), bytes(state_digest or EMPTY)))
