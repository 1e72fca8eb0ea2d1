"""Whose chain a database holds, and where it stands: the row that fences writers off."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple, Self

import psycopg

from indexer.bitcoin.block import display
from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import Position
from indexer.store.connection import StoreError

if TYPE_CHECKING:
    from indexer.settings import Settings
    from indexer.store.connection import Connection

TIP_CHANNEL = "simplicity_tip"  # NOTIFY: "<height> <hash>", the hash as people write it, empty before the first block

_MOVE_TIP = """
    UPDATE index.chain SET tip_height = %(height)s, tip_hash = %(hash)s, undo_from = %(undo_from)s,
        node_height = coalesce(%(node_height)s, node_height)
    WHERE tip_height = coalesce(%(from_height)s, tip_height) AND tip_hash = coalesce(%(from_hash)s, tip_hash)
        AND epoch = coalesce(%(epoch)s, epoch)
    RETURNING pg_notify(%(channel)s, %(told)s)"""


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


class Move(NamedTuple):
    """Where the chain's row comes to stand; the node's height stays as it is with None."""

    height: int
    hash: bytes
    undo_from: int
    node_height: int | None = None


def move_tip(connection: Connection, to: Move, fence: tuple[Tip, int] | None = None) -> bool:
    """Let the chain's row stand elsewhere, and tell who listens on TIP_CHANNEL when the transaction commits.

    With a fence only where it still stands at that tip in that epoch. Return whether it moved.
    """
    tip, epoch = fence or (None, None)
    given = to._asdict() | {
        "from_height": tip and tip.height,
        "from_hash": tip and tip.hash,
        "epoch": epoch,
        "channel": TIP_CHANNEL,
        "told": f"{to.height} {display(to.hash)}",
    }
    return connection.execute(_MOVE_TIP, given).rowcount == 1


def hash_at(connection: Connection, height: int) -> bytes | None:
    """Return the hash (internal order) of the block indexed at a height, None where there is none."""
    row = connection.execute("SELECT hash FROM index.blocks WHERE height = %s", (height,)).fetchone()
    return None if row is None else bytes(row[0])


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
