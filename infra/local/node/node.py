"""The node: the kernel decides, the store remembers, the mempool waits; one lock orders every change."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.node import mining
from infra.local.node.errors import Code, RpcError
from infra.local.node.kernel import Kernel
from infra.local.node.mempool import MAX_WEIGHT, Mempool, Moment
from infra.local.node.store import Store
from infra.local.node.wire import NULL_HASH, Block, Transaction, WireError, decode_block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

# After a kill -9 at most this many blocks are validated again at the next start: a few seconds.
CHECKPOINT_BLOCKS = 2000
_BATCH_BLOCKS = 500
_COINBASE_ROOM = 4_000
# Blocks of reorg() pay to OP_TRUE: nobody needs to own them.
_ANYONE = b"\x51"


@dataclass(frozen=True, slots=True)
class Reorganisation:
    """Hashes in wire order, in the order in which the blocks were taken off and put on."""

    disconnected: list[bytes]
    connected: list[bytes]


class Node:
    """A regtest node on a data directory; every method may be called from any thread."""

    def __init__(
        self, folder: Path, *, transaction_index: bool, warn: Callable[[str], None], stopping: Callable[[], bool]
    ) -> None:
        self.transaction_index = transaction_index
        self.started = time.time()
        self.lock = threading.RLock()
        self.new_tip = threading.Condition(self.lock)
        self.mempool = Mempool()
        self.closed = False
        self._since_checkpoint = 0
        self.store = Store(folder / "chain.sqlite")
        self._kernel = Kernel(folder / "kernel", warn)
        if self._replay(stopping):
            self._follow()

    def _replay(self, stopping: Callable[[], bool]) -> bool:
        """Feed the kernel the blocks it had not written to disk when it was killed; return whether all of them."""
        for block_hash in self.store.journal():
            if stopping():
                return False
            raw = None if self._kernel.knows(block_hash) else self.store.raw_block(block_hash)
            if raw is not None:
                self._kernel.submit(block_hash, raw)
        return True

    def _follow(self) -> list[Transaction]:
        """Bring the store to the kernel's tip; return the transactions of the blocks that left the chain."""
        height = self._kernel.height()
        fork = min(height, self.store.height())
        while fork >= 0 and self.store.active_hash(fork) != self._kernel.hash_at(fork):
            fork -= 1
        returned: list[list[Transaction]] = []
        with self.store.writing():
            while self.store.height() > fork:
                returned.append(list(self.store.disconnect_tip().transactions[1:]))
            self._connect_range(fork + 1, min(height, fork + _BATCH_BLOCKS))
        for start in range(fork + 1 + _BATCH_BLOCKS, height + 1, _BATCH_BLOCKS):
            with self.store.writing():
                self._connect_range(start, min(height, start + _BATCH_BLOCKS - 1))
        return [tx for transactions in reversed(returned) for tx in transactions]

    def _connect_range(self, first: int, last: int) -> None:
        for height in range(first, last + 1):
            block_hash = self._kernel.hash_at(height)
            block = decode_block(self.store.raw_block(block_hash) or self._kernel.read(block_hash))
            self.store.keep(block)
            self.store.connect(block, height)

    def close(self) -> None:
        """Write everything to disk; calls that come later fail."""
        with self.lock:
            self.closed = True
            self.new_tip.notify_all()
            self._kernel.close()
            self.store.close()

    def submit(self, raw: bytes) -> str | None:
        """Validate a block; return BIP22's answer: None when it became the tip, else a reason.

        Raise RpcError (deserialisation) when the bytes are no block.
        """
        if len(raw) > MAX_WEIGHT:
            return "bad-blk-length"
        try:
            block = decode_block(raw)
        except WireError:
            raise _undecodable() from None
        if not block.transactions or not block.transactions[0].is_coinbase:
            raise RpcError(Code.DESERIALIZATION, "Block does not start with a coinbase")
        with self.lock:
            return self._submit(block)

    def _submit(self, block: Block) -> str | None:
        block_hash = block.header.hash
        if self.store.entry(block_hash) is not None:
            return "duplicate"
        verdict = self._kernel.submit(block_hash, block.raw)
        if not verdict.accepted:
            if not verdict.checked:
                raise _undecodable()
            return verdict.reason
        with self.store.writing():
            self.store.keep(block)
        if self._kernel.hash_at(self._kernel.height()) != self.store.tip().hash:
            returned = self._follow()
            self.mempool.rebuild(returned, self.store, self.moment(), int(time.time()))
            self.new_tip.notify_all()
        self._since_checkpoint += 1
        if self._since_checkpoint >= CHECKPOINT_BLOCKS:
            self._checkpoint()
        return None if verdict.checked else "inconclusive"

    def _checkpoint(self) -> None:
        self._kernel.checkpoint()
        self._since_checkpoint = 0
        # A kernel that could not be opened again has started afresh, without a block.
        if self._kernel.height() < self.store.height():
            self._replay(lambda: False)

    def moment(self) -> Moment:
        """Return where the next block stands."""
        tip = self.store.tip()

        def median_time_before(height: int) -> int:
            block_hash = self.store.active_hash(max(height - 1, 0))
            entry = self.store.entry(block_hash) if block_hash else None
            return self.store.median_time(entry or tip)

        return Moment(tip.height + 1, self.store.median_time(tip), median_time_before)

    def accept(self, tx: Transaction, max_fee: int) -> None:
        """Take a transaction into the mempool, nothing happens to one already there; raise RpcError if refused."""
        with self.lock:
            if tx.txid not in self.mempool:
                self.mempool.accept(tx, self.store, self.moment(), int(time.time()), max_fee=max_fee)

    def generate(self, script: bytes) -> bytes:
        """Mine one block that pays `script` with what waits in the mempool; return its hash."""
        with self.lock:
            room = MAX_WEIGHT - _COINBASE_ROOM
            chosen: list[bytes] = []
            fees = 0
            for waiting in self.mempool.all():
                if waiting.tx.weight > room:
                    break
                room -= waiting.tx.weight
                chosen.append(waiting.tx.raw)
                fees += waiting.fee
            return self.mine(script, chosen, fees=fees)

    def mine(self, script: bytes, txs: Sequence[bytes], *, fees: int = 0, extra: bytes = b"") -> bytes:
        """Mine one block on the tip with exactly these transactions; return its hash, raise RpcError if refused."""
        with self.lock:
            tip = self.store.tip()
            stamp = max(int(time.time()), self.store.median_time(tip) + 1)
            raw = mining.build_block(tip.hash, tip.height + 1, stamp, script, txs, extra, fees)
            return self._take(raw)

    def _take(self, raw: bytes) -> bytes:
        answer = self._submit(decode_block(raw))
        if answer not in {None, "inconclusive"}:
            raise RpcError(Code.VERIFY, f"TestBlockValidity failed: {answer}")
        return mining.block_hash(raw)

    def reorganise(self, depth: int) -> Reorganisation:
        """Take the last `depth` blocks off the chain by mining `depth + 1` empty ones beside them."""
        with self.lock:
            tip = self.store.tip()
            if not 1 <= depth <= tip.height:
                raise RpcError(Code.INVALID_PARAMETER, f"depth must be between 1 and the chain's height, {tip.height}")
            gone = [self.store.active_hash(height) or NULL_HASH for height in range(tip.height, tip.height - depth, -1)]
            parent = self.store.entry(self.store.active_hash(tip.height - depth) or NULL_HASH) or tip
            connected: list[bytes] = []
            for _ in range(depth + 1):
                stamp = max(int(time.time()), self.store.median_time(parent) + 1)
                # The old tip's hash makes these blocks differ from those of any reorganisation before.
                raw = mining.build_block(parent.hash, parent.height + 1, stamp, _ANYONE, [], tip.hash)
                connected.append(self._take(raw))
                parent = self.store.entry(connected[-1]) or parent
            return Reorganisation(gone, connected)

    def wait_for_new_tip(self, known: bytes | None, seconds: float | None) -> None:
        """Return when the tip is not `known` (None: the present one) any more, the node closes, or the time is over."""
        with self.new_tip:
            before = known or self.store.tip().hash
            self.new_tip.wait_for(lambda: self.closed or self.store.tip().hash != before, seconds)


def _undecodable() -> RpcError:
    return RpcError(Code.DESERIALIZATION, "Block decode failed")
