"""Bitcoin Core's own consensus code (libbitcoinkernel): it validates every block and picks the active chain."""

from __future__ import annotations

import gc
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pbk  # type: ignore[import-untyped]  # the binding ships no types
from pbk.script import PrecomputedTransactionData  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.local.node.undo import Coin

# The binding hands over only a coarse result; the reason that bitcoind answers with stands in the kernel's log.
_REFUSED = re.compile(r"AcceptBlock FAILED \((?P<reason>[^\n]*)\)|ConnectBlock [0-9a-f]{64} failed, (?P<failed>[^\n]*)")
_RESULT_REASONS = {
    pbk.BlockValidationResult.CACHED_INVALID: "duplicate-invalid",
    pbk.BlockValidationResult.INVALID_HEADER: "invalid-header",
    pbk.BlockValidationResult.MUTATED: "bad-txnmrklroot",
    pbk.BlockValidationResult.MISSING_PREV: "prev-blk-not-found",
    pbk.BlockValidationResult.INVALID_PREV: "bad-prevblk",
    pbk.BlockValidationResult.TIME_FUTURE: "time-too-new",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the kernel said of a block: `accepted` (kept, not known to be bad), `checked` in full, and the reason."""

    accepted: bool
    checked: bool
    reason: str


class Kernel:
    """One regtest chain state on disk. Not thread-safe: the caller holds the node's lock."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn = warn
        self._log: list[str] = []
        self._checked: dict[bytes, tuple[bool, pbk.BlockValidationResult]] = {}
        pbk.logging_set_options(pbk.LoggingOptions(log_timestamps=False, log_time_micros=False))
        # Held for as long as the kernel logs: the binding drops the callback with this object.
        self._connection = pbk.LoggingConnection(self._on_log)
        self._callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._on_checked)
        self._chainman: pbk.ChainstateManager | None = None
        self.open()

    def _on_log(self, message: str) -> None:
        self._log.append(message)

    def _on_checked(self, _user_data: object, block: pbk.Block, state: pbk.BlockValidationState) -> None:
        valid = state.validation_mode == pbk.ValidationMode.VALID
        self._checked[bytes(block.block_hash)] = (valid, state.block_validation_result)

    @property
    def _manager(self) -> pbk.ChainstateManager:
        if self._chainman is None:
            raise RuntimeError("the kernel is closed")
        return self._chainman

    def open(self) -> None:
        """Load the chain state; one that cannot be read is deleted: the caller feeds it its blocks again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._chainman = self._load()
        except RuntimeError:
            self._warn("kernel data unreadable: rebuilding it from the node's own blocks")
            shutil.rmtree(self._folder)
            self._folder.mkdir()
            self._chainman = self._load()
        self._log.clear()

    def _load(self) -> pbk.ChainstateManager:
        manager = pbk.load_chainman(self._folder, pbk.ChainType.REGTEST, validation_callbacks=self._callbacks)
        # A kill between storing a block and connecting it leaves a better chain unconnected: this connects it.
        manager.import_blocks([])
        return manager

    def close(self) -> None:
        """Write everything to disk and let go of it."""
        self._chainman = None
        gc.collect()
        self._log.clear()

    def checkpoint(self) -> None:
        """Write everything to disk (the binding flushes only on closing), so that a kill -9 costs less to mend."""
        self.close()
        self.open()

    def height(self) -> int:
        """Return the height of the active chain."""
        return int(self._manager.get_active_chain().height)

    def hash_at(self, height: int) -> bytes:
        """Return the hash (wire order) of the active chain's block at `height`."""
        return bytes(self._manager.get_active_chain().block_tree_entries[height].block_hash)

    def knows(self, block_hash: bytes) -> bool:
        """Return whether the block's header is in the tree."""
        return pbk.BlockHash(block_hash) in self._manager.block_tree_entries

    def read(self, block_hash: bytes) -> bytes:
        """Return the bytes of a known block."""
        manager = self._manager
        return bytes(manager.blocks[manager.block_tree_entries[pbk.BlockHash(block_hash)]])

    def submit(self, block_hash: bytes, raw: bytes) -> Verdict:
        """Validate a block in full and connect it if its chain has the most work."""
        self._log.clear()
        self._checked.clear()
        try:
            block = pbk.Block(raw)
        except RuntimeError:
            return Verdict(accepted=False, checked=False, reason="undecodable")
        try:
            self._manager.process_block(block)
            refused = False
        except pbk.ProcessBlockException:
            refused = True
        valid, result = self._checked.get(block_hash, (True, pbk.BlockValidationResult.UNSET))
        if valid and not refused:
            return Verdict(accepted=True, checked=block_hash in self._checked, reason="")
        return Verdict(accepted=False, checked=True, reason=self._reason(result))

    def _reason(self, result: pbk.BlockValidationResult) -> str:
        for message in reversed(self._log):
            if match := _REFUSED.search(message):
                # Core's own BIP22 answer is the part before the first comma; the rest is for people.
                return (match["reason"] or match["failed"]).split(", ")[0]
        return _RESULT_REASONS.get(result, "rejected")


def failing_input(raw: bytes, coins: Sequence[Coin]) -> int | None:
    """Verify every input's script against the coin it spends, by Core's code; return the first that fails."""
    transaction = pbk.Transaction(raw)
    scripts = [pbk.ScriptPubkey(coin.script) for coin in coins]
    outputs = [pbk.TransactionOutput(script, coin.value) for script, coin in zip(scripts, coins, strict=True)]
    data = PrecomputedTransactionData(transaction, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    for index, (script, coin) in enumerate(zip(scripts, coins, strict=True)):
        if not script.verify(coin.value, transaction, data, index, flags):
            return index
    return None
