"""The stages that only read files or memory, and the door to all of them: a task on stdin, figures on stdout."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from indexer import log
from indexer.bitcoin.block import decode
from indexer.protocol.apply import apply, touched
from indexer.protocol.hashing import EMPTY
from indexer.protocol.model import BalanceKey, Deploy, Position, State
from indexer.sync.prepare import Preparer
from tests.bench.files import START_HEIGHT
from tests.bench.opening import RULES
from tests.bench.processes import peak_memory
from tests.bench.source import FileBlockSource
from tests.bench.task import Figures, Said, Task, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.protocol.model import BlockDelta
    from indexer.sync.prepare import Prepared

CHUNK = 100  # blocks whose operations are in memory at once


def decode_only(task: Task) -> Figures:
    """Decode every block with traffic."""
    source = FileBlockSource(Path(task.chain), task.height)
    blocks = task.height - START_HEIGHT + 1
    size = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for number, raw in enumerate(source.raw_blocks(START_HEIGHT)):
        decode(raw)
        size += len(raw)
        _tell(number, blocks)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"blocks": blocks, "bytes": size, "seconds": wall, "cpu": cpu, "memory": peak_memory(os.getpid())}


def apply_only(task: Task) -> Figures:
    """Apply operations that were bound beforehand to a state in memory."""
    source = FileBlockSource(Path(task.chain), task.height)
    ledger = Ledger()
    wall = cpu = 0.0
    prepared = time.process_time()
    for chunk in _chunks(source):
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        for block in chunk:
            ledger.take(block)
        wall += time.perf_counter() - wall_before
        cpu += time.process_time() - cpu_before
        say(Said((ledger.position.height - START_HEIGHT) / (task.height - START_HEIGHT + 1)))
    return {
        "blocks": task.height - START_HEIGHT + 1,
        "operations": ledger.operations,
        "rejected": ledger.rejected,
        "balances": len(ledger.balances),
        "tickers": len(ledger.deploys),
        "state_hash": ledger.position.state_hash.hex(),
        "seconds": wall,
        "cpu": cpu,
        "prepare_cpu": time.process_time() - prepared - cpu,
        "memory": peak_memory(os.getpid()),
    }


class Ledger:
    """The whole state in memory."""

    def __init__(self) -> None:
        self.deploys: dict[str, Deploy] = {}
        self.balances: dict[BalanceKey, int] = {}
        self.position = Position(START_HEIGHT - 1, EMPTY, EMPTY)
        self.operations = self.rejected = 0

    def take(self, block: Prepared) -> None:
        tickers, keys = touched(block.operations)
        state = State(
            {ticker: self.deploys[ticker] for ticker in tickers if ticker in self.deploys},
            {key: self.balances[key] for key in keys if key in self.balances},
        )
        self._settle(apply(block, block.operations, state, self.position, RULES))

    def _settle(self, delta: BlockDelta) -> None:
        for ticker, deploy in delta.deploys.items():
            assert deploy.after is not None
            self.deploys[ticker] = deploy.after
        for key, balance in delta.balances.items():
            self.balances[key] = balance.after or 0
        self.position = delta.after
        self.operations += len(delta.rows)
        self.rejected += sum(not row.valid for row in delta.rows)


def _chunks(source: FileBlockSource) -> Iterator[list[Prepared]]:
    preparer = Preparer(source, RULES)
    for first in range(START_HEIGHT, source.height + 1, CHUNK):
        yield [preparer.prepare(*wanted) for wanted in enumerate(source.hashes(first, CHUNK), start=first)]


def _tell(number: int, blocks: int) -> None:
    if number % CHUNK == 0:
        say(Said(number / blocks))


def main() -> None:
    """Run the task of standard input."""
    from tests.bench.pipeline import pipeline, read_only  # noqa: PLC0415 - would add to the other stages' memory

    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    log.configure("INFO")  # as `simplicity sync` does by default
    stages = {"decode": decode_only, "apply": apply_only, "pipeline": pipeline, "read": read_only}
    say(Said(1.0, stages[task.stage](task)))


if __name__ == "__main__":
    main()
