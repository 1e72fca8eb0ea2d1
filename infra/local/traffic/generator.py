"""Traffic on a node: follow its chain, mine blocks full of operations, reorganise now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.local.node.wire import decode_block
from infra.local.traffic.ledger import MATURITY, Ledger
from infra.local.traffic.mempool import waiting_transactions
from infra.local.traffic.rpc import METHOD_NOT_FOUND, NodeUnavailableError, Rpc, RpcError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from infra.local.traffic.producer import Produced, Producer

_SCAN_CHUNK = 50
_SCAN_REPORT = 2_000
# One bitcoin: less feeds no traffic for long.
_ENOUGH_FUNDS = 100_000_000
# Consensus lets block times run two hours ahead of the clock; a fast chain gets there (its times must grow).
_AHEAD_LIMIT = 3_600
_WARM_UP_AGE = 3_600
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_EXTRA_FORK_BLOCKS = 20
_SIDE_BRANCH = frozenset({"inconclusive", "duplicate-inconclusive"})


class CannotRunError(Exception):
    """Trying again would not help: one line for the person who started us."""


class RefusedError(Exception):
    """The node does not take a block of ours: one line for the person who started us."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the traffic flows: blocks a second (0: as fast as possible), how many, and when it reorganises."""

    rate: float
    blocks: int | None = None
    reorg_every: int = 0
    reorg_depth: int = 1


class Generator:
    """Keeps a ledger at a node's tip and adds blocks to it until told to stop."""

    def __init__(
        self,
        rpc: Rpc,
        producer: Producer,
        stop: threading.Event,
        report: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """`report(event, facts)` is told of everything that happens; `stop` ends every wait."""
        self._rpc = rpc
        self._producer = producer
        self._stop = stop
        self._report = report

    @property
    def _ledger(self) -> Ledger:
        return self._producer.ledger

    def run(self, plan: Plan) -> None:
        """Make traffic until the plan's blocks are mined or `stop` is set."""
        self._patiently(self._prepare)
        made, due = 0, time.monotonic()
        while not self._stop.is_set() and made != plan.blocks:
            self._patiently(self._advance)
            made += 1
            if plan.reorg_every and made % plan.reorg_every == 0:
                self._patiently(lambda: self._fork(min(plan.reorg_depth, self._ledger.depth)))
            # After a stall we go on at the pace asked for and do not catch up in a burst.
            due = max(due + (1 / plan.rate if plan.rate else 0), time.monotonic())
            self._stop.wait(due - time.monotonic())

    def reorganise(self, depth: int) -> None:
        """Replace the last `depth` blocks by a longer branch, once."""
        self._patiently(self._check_chain)
        self._patiently(self._follow)
        if not self._stop.is_set() and depth > self._ledger.depth:
            raise CannotRunError(
                f"cannot reorganise {depth} blocks: the chain has only {self._ledger.depth}; choose a smaller depth"
            )
        self._patiently(lambda: self._fork(depth))

    def _patiently(self, action: Callable[[], None]) -> None:
        """Do it, again and again while the node is away, until it succeeds or we are told to stop."""
        pause = _FIRST_PAUSE
        while not self._stop.is_set():
            try:
                if pause > _FIRST_PAUSE:
                    # What answers now need not be what answered before.
                    self._check_chain()
                action()
            except (NodeUnavailableError, RpcError) as error:
                # A call may well be refused because the chain changed since the one before.
                if isinstance(error, RpcError) and error.code == METHOD_NOT_FOUND:
                    raise CannotRunError(f"the node lacks a call that traffic needs: {error}") from None
                if pause == _FIRST_PAUSE:
                    self._report("waiting", {"reason": str(error)})
                self._stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                if pause > _FIRST_PAUSE:
                    self._report("back", {})
                return

    def _check_chain(self) -> None:
        chain = self._rpc.call("getblockchaininfo")["chain"]
        if chain != "regtest":
            raise CannotRunError(
                f"the node is on chain {chain!r}; traffic is only for regtest: choose another --rpc-url"
            )

    def _prepare(self) -> None:
        """Come to the node's tip with coins to spend."""
        self._check_chain()
        self._follow()
        mined = 0
        while not self._stop.is_set() and sum(coin.value for coin in self._ledger.spendable()) < _ENOUGH_FUNDS:
            if mined > MATURITY:
                raise CannotRunError(
                    "this chain's blocks no longer pay enough to start a wallet: use the seed of its earlier traffic, "
                    "or a new chain"
                )
            if self._submit(self._producer.empty(int(time.time()) - _WARM_UP_AGE)):
                mined += 1
            self._follow()
        if mined:
            self._report("warm-up", {"blocks": mined, "height": self._ledger.height})

    def _follow(self) -> None:
        """Bring the ledger to the node's tip, whoever mined it."""
        while not self._stop.is_set() and self._rpc.call("getbestblockhash") != self._ledger.tip[::-1].hex():
            count = int(self._rpc.call("getblockcount"))
            self._step_back(count)
            self._scan(count)

    def _step_back(self, count: int) -> None:
        """Undo blocks until the ledger's tip is on the node's chain; begin anew where that is too deep."""
        while self._ledger.height:
            known = self._ledger.height <= count
            if known and self._rpc.call("getblockhash", self._ledger.height) == self._ledger.tip[::-1].hex():
                return
            if self._ledger.depth:
                self._ledger.rewind()
            else:
                old = self._ledger
                self._producer.ledger = Ledger(old.wallet, marketplace_height=old.marketplace_height)

    def _scan(self, count: int) -> None:
        for start in range(self._ledger.height + 1, count + 1, _SCAN_CHUNK):
            heights = range(start, min(start + _SCAN_CHUNK, count + 1))
            hashes = self._rpc.batch("getblockhash", [(height,) for height in heights])
            for text in self._rpc.batch("getblock", [(block_hash, 0) for block_hash in hashes]):
                block = decode_block(bytes.fromhex(text))
                if block.header.prev_hash != self._ledger.tip:
                    # The node reorganised while we read: begin again from its new tip.
                    return
                self._ledger.connect(block)
            if self._stop.is_set():
                return
            if self._ledger.height % _SCAN_REPORT < _SCAN_CHUNK:
                self._report("scan", {"height": self._ledger.height, "of": count})

    def _advance(self) -> None:
        """Add one block of traffic to the node's tip."""
        while not self._stop.is_set():
            self._follow()
            self._let_the_clock_catch_up()
            foreign = waiting_transactions(self._rpc)
            produced = self._producer.next(int(time.time()), foreign=foreign)
            try:
                taken = self._submit(produced)
            except RefusedError:
                if not foreign:
                    raise
                # Somebody's transaction does not go together with ours: leave all of theirs for the next miner.
                produced = self._producer.next(int(time.time()), branch="alone")
                taken = self._submit(produced)
            if taken:
                self._report("block", _facts(produced))
                return

    def _submit(self, produced: Produced) -> bool:
        """Hand the block in; False (and undone in the ledger) where somebody was faster."""
        reason = self._rpc.call("submitblock", produced.raw.hex())
        if reason in (None, "duplicate"):
            return True
        self._ledger.rewind()
        if reason in _SIDE_BRANCH:
            return False
        raise RefusedError(f"the node refuses our block at height {produced.height}: {reason}")

    def _fork(self, depth: int) -> None:
        """Replace the last `depth` blocks of the node's chain."""
        self._follow()
        self._let_the_clock_catch_up()
        ledger, old = self._ledger, self._ledger.tip
        lost = [ledger.rewind() for _ in range(depth)]
        base, branch = ledger.height, f"fork {old.hex()[:16]}"
        again = self._producer.replacements([raw for block in reversed(lost) for raw in block], branch)
        for number in range(depth + 1 + _EXTRA_FORK_BLOCKS):
            if self._stop.is_set():
                return
            # Half of what is mined again comes first, the rest later: those that are in already no longer fit.
            part = again[: len(again) // 2] if number == 0 else again
            produced = self._producer.next(int(time.time()), again=part, branch=branch)
            reason = self._rpc.call("submitblock", produced.raw.hex())
            if reason not in (None, "duplicate", *_SIDE_BRANCH):
                raise RefusedError(f"the node refuses our fork's block at height {produced.height}: {reason}")
            if number >= depth and self._rpc.call("getbestblockhash") == produced.hash[::-1].hex():
                self._report("reorg", {"depth": depth, "fork_height": base, **_facts(produced)})
                return
        raise NodeUnavailableError("other miners are faster than our fork")

    def _let_the_clock_catch_up(self) -> None:
        while self._ledger.earliest_time > time.time() + _AHEAD_LIMIT and not self._stop.wait(1):
            pass


def _facts(produced: Produced) -> dict[str, Any]:
    return {
        "height": produced.height,
        "hash": produced.hash[::-1].hex(),
        "transactions": produced.transactions,
        "played": dict(produced.played),
    }
