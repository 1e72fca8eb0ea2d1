"""The stages in their order: what each is given, and where its figures go."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.bench import live, processes
from tests.bench.chain import chain
from tests.bench.files import START_HEIGHT, facts
from tests.bench.laboratory import Laboratory, address, feed
from tests.bench.runner import run
from tests.bench.task import Figures, Task

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.local.node.harness import NodeProcess

SEED = 1
SHARE = 10  # the working set holds this part of the balances
INTERFACES = {"rpc": (), "rpc_without_index": ("--no-txindex",), "rest": ("--rest", "--no-txindex")}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long each chain is, in blocks with traffic; how often the noisy measurements are repeated."""

    blocks: int = 5_000
    rpc_blocks: int = 600
    mainnet_blocks: int = 150
    tip_blocks: int = 40
    undo_depth: int = 100
    rounds: int = 3

    def quick(self) -> Sizes:
        return Sizes(blocks=400, rpc_blocks=40, mainnet_blocks=4, tip_blocks=3, undo_depth=20, rounds=1)


@dataclass
class Bench:
    """One run: its sizes, where it works, and what it found so far."""

    lab: Laboratory
    sizes: Sizes
    workers: int
    profile_to: Path | None
    results: Figures = field(default_factory=dict)

    def chain(self, shape: str, blocks: int) -> Path:
        folder = chain(shape, SEED, blocks, cache=self.lab.cache)
        self.results["chains"][shape] = asdict(facts(folder))
        return folder

    def decode(self) -> None:
        folder = self.chain("default", self.sizes.blocks)
        self.results["decode"] = self._run(Task("decode", str(folder), facts(folder).height), "decode only")

    def apply(self) -> None:
        folder = self.chain("default", self.sizes.blocks)
        self.results["apply"] = self._applied(folder, facts(folder).height)

    def files(self) -> None:
        folder = self.chain("default", self.sizes.blocks)
        height = facts(folder).height
        applied = self.results.get("apply") or self._applied(folder, height)
        task = Task("pipeline", str(folder), height)
        self.results["files"] = self._pipeline(task, applied, "pipeline from files")
        if self.profile_to:
            prefix = str(self.profile_to / "files")
            self._pipeline(replace(task, profile=prefix), applied, "pipeline from files, profiled")

    def rpc(self) -> None:
        folder = self.chain("default", self.sizes.blocks)
        height = START_HEIGHT - 1 + min(self.sizes.rpc_blocks, self.sizes.blocks)
        applied = self._applied(folder, height)
        for number, (name, options) in enumerate(INTERFACES.items()):
            with self.lab.node("rpc", *options) as node:
                if number == 0:
                    feed(node, folder, 1, height)
                task = Task("pipeline", str(folder), height, node=address(node, name.partition("_")[0]))
                assert node.process is not None
                before = processes.cpu(node.process.pid)
                figures = self._pipeline(task, applied, f"pipeline by {name.replace('_', ' ')}")
                self.results[name] = figures | {"node_cpu": processes.cpu(node.process.pid) - before}

    def mainnet(self) -> None:
        folder = self.chain("mainnet", self.sizes.mainnet_blocks)
        height = facts(folder).height
        applied = self._applied(folder, height)
        with self.lab.node("mainnet", "--rest") as node:
            feed(node, folder, 1, height)
            self.results["mainnet"] = {
                f"{interface}_{what}": figures
                for interface in ("rpc", "rest")
                for what, figures in self._alternate(Task("", str(folder), height), applied, node, interface).items()
            }

    def _alternate(self, task: Task, applied: Figures, node: NodeProcess, interface: str) -> dict[str, Figures]:
        """Read and index by turns, so that a noisy neighbour meets both; return the medians."""
        reads, indexings = [], []
        for number in range(1, self.sizes.rounds + 1):
            there = address(node, interface)
            what = f"mainnet-shaped by {interface}, round {number}"
            reads.append(self._run(Task("read", task.chain, task.height, node=there), f"{what}: read"))
            indexing = Task("pipeline", task.chain, task.height, node=there)
            indexings.append(self._pipeline(indexing, applied, f"{what}: index"))
        return {"read": _medians(reads), "index": _medians(indexings)}

    def tip(self) -> None:
        self.results["tip"] = live.tip(self.lab, self.chain("tip", self.sizes.tip_blocks + live.WARM_UP))

    def undo(self) -> None:
        depth, rounds = self.sizes.undo_depth, self.sizes.rounds
        folder = self.chain("default", self.sizes.blocks)
        self.results["undo"] = live.undo(self.lab, folder, depth, rounds)

    def _applied(self, folder: Path, height: int) -> Figures:
        return self._run(Task("apply", str(folder), height), f"apply only, to height {height}")

    def _pipeline(self, task: Task, applied: Figures, what: str) -> Figures:
        cap = max(applied["balances"] // SHARE, 1)
        whole = replace(task, database=self.lab.database(), working_set=cap, workers=self.workers)
        figures = self._run(whole, what)
        return figures | {"agrees": figures["state_hash"] == applied["state_hash"]}

    def _run(self, task: Task, what: str) -> Figures:
        return run(task, what, self.lab.log(what))


def _medians(several: list[Figures]) -> Figures:
    return several[0] | {key: statistics.median(each[key] for each in several) for key in ("seconds", "cpu")}
