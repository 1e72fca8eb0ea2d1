"""Hold everything that is recorded against what the rules make of it, block by block."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from indexer.protocol.hashing import EMPTY, events_hash, next_state_hash
from indexer.state.findings import Difference, Findings, Kind
from indexer.state.replay import Replay, operations_of
from indexer.state.tables import compare_undo
from indexer.store.replayed import OperationRow, Recorded, as_recorded, operation_row
from indexer.store.rows import BlockRow, block_row, first_op_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.protocol.model import BlockDelta
    from indexer.protocol.rules import Rules
    from indexer.state.node import NodeBlocks
    from indexer.store.replayed import ChainRow, Undo

_NO_UNDO: Undo = ({}, {})
_TIP = ("tip_height", "tip_hash", "undo_from")


class _NoHeader(NamedTuple):
    """The header of a block whose row is missing."""

    hash: bytes = b""
    prev_hash: bytes = b""
    time: datetime = datetime.min.replace(tzinfo=UTC)


class _Replayed(NamedTuple):
    """What a block does, and what its rows should be; `operations` is None where nothing can be said of them."""

    delta: BlockDelta
    block: BlockRow
    operations: list[OperationRow] | None


class Examination:
    """Replays what is recorded, in order of height, and notes in `findings` where it differs from the replay.

    The stored hash chain tells whether a replay is right: as long as both have the same hashes, what differs is a
    table; after a block whose operations are not those of its hash nothing can be recomputed. With `node` its blocks
    are replayed as far as it has them, and they are right.
    """

    def __init__(
        self, start_height: int, chain: ChainRow | None, rules: Rules, node: NodeBlocks | None, findings: Findings
    ) -> None:
        self.replay = Replay(rules, start_height)
        self.tip = (start_height - 1, b"")  # height and hash of the last block
        self.blocks = self.operations = 0
        self.is_sound = True  # what was recomputed is what the tables of state should hold
        self._start_height = start_height
        self._chain = chain
        self._rules = rules
        self._node = node
        self._findings = findings
        self._is_trusted = True  # the operations so far are those of the hash chain
        self._last: BlockRow | None = None

    @property
    def stored_digest(self) -> bytes:
        """The digest that the last block's row has."""
        return EMPTY if self._last is None else self._last.state_digest

    def take(self, record: Recorded) -> None:
        """Examine what is recorded of a height, and note what is missing before it."""
        following = self.replay.position.height + 1
        is_beyond = self._chain is None or record.height > self._chain.tip_height
        if record.height < following or (is_beyond and (record.block is None or record.height > following)):
            self._stray(record)
            return
        for height in range(following, record.height):
            self._examine(Recorded(height, None, [], _NO_UNDO))
        self._examine(record)

    def finish(self) -> None:
        """Compare the chain's row with the last block."""
        chain = self._chain
        undo_from = self._start_height if chain is None else max(chain.undo_from, self._start_height)
        found = None if chain is None else (chain.tip_height, chain.tip_hash, chain.undo_from)
        self._findings.compare("chain", "the one row", _TIP, found, (*self.tip, undo_from))
        if chain is not None and chain.tip_height == self.tip[0] and chain.tip_hash != self.tip[1]:
            self._doubt(chain.tip_height)

    def _doubt(self, height: int) -> None:
        """Note that a block's hash stands elsewhere as another: either is wrong, unless the node's is at hand."""
        if self._node is None or height > self._node.height:
            self._findings.blame(height)

    def _stray(self, record: Recorded) -> None:
        """Note rows outside the chain."""
        self._findings.compare("blocks", f"block {record.height}", BlockRow._fields, record.block, None)
        self._compare_operations(record, [])
        compare_undo(record.height, record.undo, _NO_UNDO, self._findings)

    def _examine(self, record: Recorded) -> None:
        if self._node is not None and record.height <= self._node.height:
            replayed = self._from_node(record.height, self._node)
        else:
            replayed = self._from_rows(record)
        is_right = self._compare_block(record, replayed.block)
        if replayed.operations is not None:
            is_right &= self._compare_operations(record, replayed.operations)
        if not is_right:
            self._findings.blame(record.height)
        self._compare_undo(record, replayed.delta)
        self.replay.settle(replayed.delta)
        self._last = record.block or self._last
        if replayed.delta.hash:
            self.tip = (record.height, replayed.delta.hash)
        self.blocks += 1
        self.operations += len(record.operations)

    def _from_node(self, height: int, node: NodeBlocks) -> _Replayed:
        block = node.block(height)
        delta = self.replay.apply(block, block.operations)
        return _Replayed(delta, block_row(delta), _operation_rows(delta))

    def _from_rows(self, record: Recorded) -> _Replayed:
        stored, rows = record.block, _counted(record)
        delta = self.replay.apply(stored or _NoHeader(), operations_of(rows, self._rules))
        was_trusted, self._is_trusted = self._is_trusted, self._confirms(stored, delta)
        self.is_sound = self._is_trusted or (stored is not None and stored.state_digest == delta.after.state_digest)
        expected = block_row(delta)
        if self._last is not None and self._last.height == record.height - 1:
            expected = expected._replace(prev_hash=self._last.hash)
            if stored is not None and stored.prev_hash != self._last.hash:
                self._doubt(record.height - 1)
        if self._is_trusted:
            return _Replayed(delta, expected, _operation_rows(delta))
        self._note_missing(record)
        known = [operation_row(row.op_id, applied) for row, applied in zip(rows, delta.rows, strict=True)]
        return _Replayed(delta, self._as_stored(expected, record), known if was_trusted else None)

    def _confirms(self, stored: BlockRow | None, delta: BlockDelta) -> bool:
        """Tell whether the stored hash chain says that what was replayed is what happened."""
        if stored is None:
            return self._is_trusted  # the next block tells
        is_same_block = stored.events_hash == delta.events_hash
        return stored.state_hash == delta.after.state_hash or (self._is_trusted and is_same_block)

    def _as_stored(self, expected: BlockRow, record: Recorded) -> BlockRow:
        """Return what a block's row should be by its own rows and the block before it, as they are stored."""
        stored, last = record.block, self._last
        if stored is None:
            return expected
        follows = last is not None and last.height == record.height - 1
        return expected._replace(
            events_hash=events_hash(map(as_recorded, record.operations)),
            state_hash=next_state_hash(last.state_hash, stored.events_hash) if last and follows else stored.state_hash,
            state_digest=stored.state_digest,
        )

    def _compare_block(self, record: Recorded, expected: BlockRow) -> bool:
        stored, row = record.block, f"block {record.height}"
        if stored is not None:
            return self._findings.compare("blocks", row, BlockRow._fields, stored, expected)
        wanted = (expected.op_count, expected.events_hash)
        return self._findings.compare("blocks", row, ("op_count", "events_hash"), None, wanted)

    def _compare_operations(self, record: Recorded, expected: Sequence[OperationRow]) -> bool:
        if record.operations == expected:
            return True
        found, wanted = ({row.op_id: row for row in rows} for rows in (record.operations, expected))
        for op_id in sorted(found.keys() | wanted.keys()):
            row = f"op_id {op_id} (block {record.height})"
            self._findings.compare("operations", row, OperationRow._fields, found.get(op_id), wanted.get(op_id))
        return False

    def _note_missing(self, record: Recorded) -> None:
        """Note how many operations are gone of a block that is not what its hash says."""
        stored, found = record.block, {row.op_id for row in record.operations}
        gone = 0 if stored is None else stored.op_count - len(found)
        if gone > 0:
            first = next(op_id for op_id in count(first_op_id(record.height)) if op_id not in found)
            row = f"op_id {first} (block {record.height})"
            self._findings.add(Difference("operations", row, Kind.MISSING), rows=gone)

    def _compare_undo(self, record: Recorded, delta: BlockDelta) -> None:
        if self._chain is None:
            return
        if record.height < self._chain.undo_from:
            compare_undo(record.height, record.undo, _NO_UNDO, self._findings)
        elif self.is_sound:
            compare_undo(record.height, record.undo, self.replay.undo(delta), self._findings)


def _operation_rows(delta: BlockDelta) -> list[OperationRow]:
    first = first_op_id(delta.after.height)
    return [operation_row(first | number, applied) for number, applied in enumerate(delta.rows)]


def _counted(record: Recorded) -> list[OperationRow]:
    """Return the operations of a block without what was added to them: the block's hash may tell."""
    stored, rows = record.block, record.operations
    if stored is not None and stored.op_count < len(rows):
        some = rows[: stored.op_count]
        if events_hash(map(as_recorded, some)) == stored.events_hash:
            return some
    return rows
