"""Recompute everything from the recorded operations, or from the node's blocks, and compare it with the tables."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexer.bitcoin.block import display
from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.state.examine import Examination
from indexer.state.findings import Findings
from indexer.state.node import NodeBlocks
from indexer.state.tables import compare_tables, digest_of_tables
from indexer.store import schema
from indexer.store.chain import require_same
from indexer.store.connection import StoreError, connect, translated
from indexer.store.replayed import chain_row, recorded, tolerate_damage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.bitcoin.source import BlockSource
    from indexer.progress import Progress
    from indexer.store.chain import Identity
    from indexer.store.connection import Connection
    from indexer.sync.ahead import Ahead


# Blocks for which it is worth a second to start processes that prepare them.
MANY = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, up to the last block: `state_hash` and `state_digest` are the recomputed ones after it.

    `stood` is where the chain's row says that the index stands, where that is higher.
    """

    height: int
    stood: int
    block_hash: bytes
    state_hash: bytes
    state_digest: bytes
    blocks: int
    operations: int
    from_chain: bool
    findings: Findings

    @property
    def is_consistent(self) -> bool:
        """Tell whether nothing differs."""
        return not self.findings.counts

    @property
    def last_good(self) -> int:
        """The height up to which blocks and operations are as they should be."""
        first = self.findings.first_block
        return self.height if first is None else min(self.height, first - 1)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "consistent": self.is_consistent,
            "height": self.height,
            "block_hash": display(self.block_hash),
            "state_hash": self.state_hash.hex(),
            "state_digest": self.state_digest.hex(),
            "blocks": self.blocks,
            "operations": self.operations,
            "from_chain": self.from_chain,
            "first_block": self.findings.first_block,
            "last_good": self.last_good,
            "counts": dict(self.findings.counts),
            "differences": [difference.as_dict() for difference in self.findings.differences],
            "notes": self.findings.notes,
        }


def rules_of(identity: Identity) -> Rules:
    """Return the rules that a database is indexed by."""
    return Rules(Network(identity.network), identity.marketplace_height)


def verify(
    database_url: str,
    identity: Identity,
    progress: Progress,
    source: BlockSource | None = None,
    ahead: Ahead | None = None,
) -> Report:
    """Compare everything with what the rules make of the operations, or of the node's own blocks with a `source`.

    `ahead` prepares these in processes of their own, where there are many.
    All is read of one snapshot, so a sync may go on meanwhile. Raises StoreError where there is no index or it was
    begun with other settings, StoreUnavailableError, NodeError and WrongNetworkError.
    """
    with snapshot(database_url) as connection, _uncollected():
        return examine(connection, identity, progress, source, ahead)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the state in peace: it only grows and has no cycles, and looking through it took a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def snapshot(database_url: str) -> Iterator[Connection]:
    """Open a connection in a read-only transaction that sees one state of the index."""
    with translated(), connect(database_url) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        require_schema(connection)
        yield connection


def require_schema(connection: Connection) -> None:
    """Raise StoreError where the database has not this release's schema."""
    found, wanted = schema.version(connection), schema.head()
    if found is None:
        raise StoreError("database holds no index yet; run: simplicity sync")
    if not schema.works(connection):
        raise StoreError(f"database has schema {found}, this release works with {wanted}; run this release's sync")


def examine(
    connection: Connection,
    identity: Identity,
    progress: Progress,
    source: BlockSource | None = None,
    ahead: Ahead | None = None,
) -> Report:
    """Do what `verify` does in the transaction that the connection is in."""
    tolerate_damage(connection)
    chain, highest = chain_row(connection), _highest_block(connection)
    if chain is not None:
        require_same(chain.identity, identity)
    elif highest is None:
        raise StoreError("database holds no index yet; run: simplicity sync")
    findings, rules, start = Findings(), rules_of(identity), identity.start_height
    last = start - 1 if highest is None else highest
    node = None if source is None else NodeBlocks(source, rules, start, last, ahead if last - start > MANY else None)
    examination = Examination(start, chain, rules, node, findings)
    with progress("comparing blocks", last - start + 1) as advance:
        for record in recorded(connection):
            examination.take(record)
            advance(examination.blocks)
    examination.finish()
    position, height = examination.replay.position, examination.tip[0]
    if node is not None:
        findings.notes += _notes(node, last, None if chain is None else (chain.tip_height, chain.tip_hash), examination)
    with progress("comparing deploys and balances", 1):
        _compare_state(connection, examination, findings)
    return Report(
        height=height,
        stood=height if chain is None else max(height, chain.tip_height),
        block_hash=examination.tip[1],
        state_hash=position.state_hash,
        state_digest=position.state_digest,
        blocks=examination.blocks,
        operations=examination.operations,
        from_chain=node is not None,
        findings=findings,
    )


def _notes(node: NodeBlocks, last: int, tip: tuple[int, bytes] | None, examination: Examination) -> Iterator[str]:
    if node.height < last:
        yield f"the node has blocks up to {node.height} only: later ones were recomputed from their rows"
    if tip is not None and tip[0] == node.height and tip != examination.tip:
        yield "the node has another block at the tip: after a reorg, let sync follow it and verify again"


def _compare_state(connection: Connection, examination: Examination, findings: Findings) -> None:
    digest = examination.replay.position.state_digest if examination.is_sound else examination.stored_digest
    row = f"of all rows after block {examination.tip[0]}"
    findings.compare("digest", row, ("state_digest",), (digest_of_tables(connection),), (digest,))
    if examination.is_sound:
        compare_tables(connection, examination.replay, findings)
    else:
        findings.notes.append(
            f"what block {findings.first_block} did cannot be recomputed from its rows, so deploys, balances and undo "
            "data after it were compared by their digest only; --from-chain shows which rows are wrong"
        )


def _highest_block(connection: Connection) -> int | None:
    row = connection.execute("SELECT max(height) FROM index.blocks").fetchone()
    return None if row is None else row[0]
