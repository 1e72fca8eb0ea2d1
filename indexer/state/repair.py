"""Bring a damaged index back: keep what is good, recompute what follows from it, index the rest anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from indexer.bitcoin.rpc import NodeError, NodeUnavailableError
from indexer.protocol.hashing import EMPTY
from indexer.state.replay import Replay, operations_of
from indexer.state.tables import digest_of_tables
from indexer.state.verify import Report, examine, require_schema, rules_of, verify
from indexer.store import rebuild
from indexer.store.chain import claim
from indexer.store.changes import insert_balances, insert_deploys
from indexer.store.connection import StoreError, connect, translated
from indexer.store.lock import give_up, try_lock
from indexer.store.replayed import chain_row, recorded
from indexer.store.writer import StaleWriterError, UndoMissingError, Writer
from indexer.sync.follower import Follower, Step, WrongNetworkError

if TYPE_CHECKING:
    from indexer.bitcoin.source import BlockSource
    from indexer.progress import Progress
    from indexer.store.chain import Identity
    from indexer.store.connection import Connection


MOVES = 5  # in a row, after which a node's chain is too unsteady to be followed here


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: keep everything up to block `good` of an index that stands at block `stood`."""

    report: Report
    good: int
    stood: int

    @classmethod
    def of(cls, report: Report, from_height: int | None) -> Self:
        """Plan by what was found, and by the block from which on everything is to be done anew."""
        good = report.last_good if from_height is None else min(report.last_good, from_height - 1)
        return cls(report, good, report.stood)

    @property
    def is_needed(self) -> bool:
        """Tell whether anything is to be done."""
        return not self.report.is_consistent or self.good < self.stood


class Deleted(NamedTuple):
    """How many rows were taken away, to be indexed anew."""

    blocks: int
    operations: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan: nothing yet without `deleted`; `problem` says why not everything was indexed anew."""

    plan: Plan
    deleted: Deleted | None = None
    after: Report | None = None
    problem: str = ""

    @property
    def is_well(self) -> bool:
        """Tell whether the index is as it should be now."""
        if self.after is None:
            return not self.plan.is_needed
        return self.after.is_consistent and not self.problem

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome for machines."""
        return {
            "well": self.is_well,
            "needed": self.plan.is_needed,
            "done": self.deleted is not None,
            "good": self.plan.good,
            "stood": self.plan.stood,
            "deleted": None if self.deleted is None else self.deleted._asdict(),
            "problem": self.problem,
            "found": self.plan.report.as_dict(),
            "after": None if self.after is None else self.after.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair of one database. Methods raise what `verify` raises.

    `source` makes the node's own blocks the measure of what is good.
    """

    database_url: str
    identity: Identity
    undo_window: int
    progress: Progress
    source: BlockSource | None = None

    def plan(self, from_height: int | None) -> Outcome:
        """Find out what is to be done, and change nothing; a sync may go on meanwhile."""
        return Outcome(Plan.of(self._verify(), from_height))

    def run(self, from_height: int | None, follow: BlockSource | None) -> Outcome:
        """Do what is to be done, index from a node what was deleted, and verify it.

        Raises StoreError while another process holds the writer's lock.
        """
        plan, deleted = self._mend(from_height, follow)
        if deleted is None:
            return Outcome(plan)
        problem = "" if follow is None or plan.good >= plan.stood else self._follow(follow, plan.stood)
        return Outcome(plan, deleted, self._verify(), problem)

    def _verify(self) -> Report:
        return verify(self.database_url, self.identity, self.progress, self.source)

    def _mend(self, from_height: int | None, follow: BlockSource | None) -> tuple[Plan, Deleted | None]:
        connection = connect(self.database_url)
        try:
            with translated():
                require_schema(connection)
                if not try_lock(connection):
                    raise StoreError("a sync writes to this database: stop every sync, then repair")
                with connection.transaction():
                    rebuild.hold_chain(connection)
                    plan = Plan.of(examine(connection, self.identity, self.progress, self.source), from_height)
                    if follow is not None and plan.good < plan.stood:
                        self._require_blocks(follow, plan)
                    return plan, self._rebuild(connection, plan.good) if plan.is_needed else None
        finally:
            give_up(connection)

    def _require_blocks(self, follow: BlockSource, plan: Plan) -> None:
        """Make sure that the node can give back what is about to be deleted: it may be down, pruned or another's."""
        tip = follow.tip()
        if tip.chain != self.identity.network or tip.height < plan.good:
            raise NodeUnavailableError(
                f"node follows {tip.chain} up to block {tip.height}, the index is good on {self.identity.network} up "
                f"to {plan.good}: nothing was changed; give it time, or repair with --no-replay and sync later"
            )
        for block_hash in follow.hashes(plan.good + 1, 1):
            follow.raw_block(block_hash)

    def _rebuild(self, connection: Connection, height: int) -> Deleted:
        start = self.identity.start_height
        if chain_row(connection) is None and rebuild.first_block(connection) not in {None, start}:
            raise StoreError(
                f"index.chain has no row and the blocks begin at {rebuild.first_block(connection)}, not at "
                f"START_BLOCK_HEIGHT={start}: set it right, or everything below it would be deleted"
            )
        claim(connection, self.identity)
        deleted = Deleted(*rebuild.drop_outside(connection, start, height))
        undo_from = max(start, height - self.undo_window + 1)
        rebuild.clear_state(connection)
        self._recompute(connection, height, undo_from)
        rebuild.set_tip(connection, height, undo_from)
        return deleted

    def _recompute(self, connection: Connection, height: int, undo_from: int) -> None:
        rules, start = rules_of(self.identity), self.identity.start_height
        replay, undo, stored = Replay(rules, start), rebuild.UndoWriter(connection), (EMPTY, EMPTY)
        with self.progress("recomputing the state", height - start + 1) as advance:
            for record in recorded(connection, up_to=height):
                if record.block is None:
                    raise StoreError(f"block {record.height} has no row although it was good: nothing was changed")
                delta = replay.apply(record.block, operations_of(record.operations, rules))
                if record.height >= undo_from:
                    undo.add(record.height, replay.undo(delta))
                replay.settle(delta)
                stored = (record.block.state_hash, record.block.state_digest)
                advance(record.height - start + 1)
        undo.flush()
        insert_deploys(connection, replay.deploys.values())
        insert_balances(connection, ((key, units, replay.heights[key]) for key, units in replay.balances.items()))
        if (replay.position.state_hash, digest_of_tables(connection)) != stored:
            raise StoreError(f"what was recomputed is not the state of block {height}: nothing was changed")

    def _follow(self, source: BlockSource, height: int) -> str:
        """Index up to a height, or the node's tip where that is lower; return why that was not possible."""
        writer = Writer.try_open(self.database_url, self.identity, undo_window=self.undo_window)
        if writer is None:
            return "a sync has taken over, and indexes the rest"
        follower = Follower(source, writer, rules_of(self.identity))
        moved = 0
        try:
            with self.progress("indexing anew", height) as advance:
                while follower.height < height and (step := follower.step(to_height=height)) is not Step.AT_TIP:
                    advance(follower.height)
                    moved = moved + 1 if step is Step.NODE_MOVED else 0
                    if moved > MOVES:
                        return f"node's chain moves; simplicity sync goes on from block {follower.height}"
        except (NodeError, WrongNetworkError, UndoMissingError, StaleWriterError) as error:
            return f"{error}; once that is mended, simplicity sync goes on from block {follower.height}"
        finally:
            follower.close()
            writer.close()
        return ""
