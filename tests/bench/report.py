"""The figures beside their targets, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tests.bench.task import Figures

MEGABYTE = 1_000_000
LONG_CHAIN = 2_000  # blocks: the tenths of a shorter one hold too few transactions to be compared


@dataclass(frozen=True, slots=True)
class Line:
    """A figure, its target (as text), and whether it is met; `met` is None where there is none."""

    stage: str
    figure: str
    value: str
    target: str = ""
    met: bool | None = None


def lines(results: Figures) -> list[Line]:
    """Return all lines of the stages that were run."""
    return [line for make in (_chain, _memory_only, _pipelines, _mainnet, _live) for line in make(results)]


def missed(results: Figures) -> list[Line]:
    return [line for line in lines(results) if line.met is False]


def show(results: Figures, console: Console) -> None:
    machine = results["machine"]
    console.print(
        f"{machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB; Python {machine['python']};"
        f" load {machine['load']:.1f} at the start",
        highlight=False,
    )
    for name, settings in _settings(results):
        console.print(f"{name}: {', '.join(f'{key}={value}' for key, value in settings.items())}", highlight=False)
    table = Table("stage", "figure", "value", "target", "")
    stage = ""
    for line in lines(results):
        if line.stage != stage and stage:
            table.add_section()
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[line.met]
        table.add_row(line.stage if line.stage != stage else "", line.figure, line.value, line.target, verdict)
        stage = line.stage
    console.print(table)
    for index in results.get("files", {}).get("indexes", []):
        console.print(f"index present: {index}", highlight=False, markup=False, soft_wrap=True)


def _settings(results: Figures) -> Iterator[tuple[str, dict[str, str]]]:
    found = next((figures["settings"] for figures in results.values() if "settings" in figures), None)
    if found:
        yield "PostgreSQL", found


def _chain(results: Figures) -> Iterator[Line]:
    for facts in results["chains"].values():
        name = f"chain '{facts['shape']}'"
        yield Line(name, "blocks with traffic", f"{facts['blocks']:,}")
        yield Line(name, "transactions, operations a block", _per_block(facts))
        yield Line(name, "size of a block", f"{facts['size'] / facts['blocks'] / 1000:,.0f} kB")
        share = facts["first_seen"] / max(facts["addresses"], 1)
        yield Line(name, "first-seen recipients / addresses", f"{share:.1%}", *_least(share, 0.3, "30 %"))
        yield Line(name, "rejected operations", f"{facts['rejected'] / max(facts['operations'], 1):.1%}")
        yield Line(name, "digest", facts["digest"][:16])


def _per_block(facts: Figures) -> str:
    return f"{facts['transactions'] / facts['blocks']:,.0f}, {facts['operations'] / facts['blocks']:,.0f}"


def _memory_only(results: Figures) -> Iterator[Line]:
    if decoded := results.get("decode"):
        speed = f"{decoded['blocks'] / decoded['seconds']:,.0f} blocks/s"
        yield Line("decode only", "speed", f"{speed}, {decoded['bytes'] / MEGABYTE / decoded['seconds']:,.0f} MB/s")
        yield Line("decode only", "CPU, peak memory", _cost(decoded))
    if applied := results.get("apply"):
        yield Line("apply only", "speed", _speed(applied))
        yield Line("apply only", "CPU, peak memory", _cost(applied))
        yield Line("apply only", "preparing the same beforehand", f"{applied['prepare_cpu']:.1f} s CPU")


def _pipelines(results: Figures) -> Iterator[Line]:
    named = (
        ("files", "files", 200, 10_000),
        ("rpc", "JSON-RPC", 60, 0),
        ("rpc_without_index", "JSON-RPC, no txindex", 60, 0),
        ("rest", "REST, no txindex", 60, 0),
    )
    for key, name, blocks, operations in named:
        if figures := results.get(key):
            yield from _pipeline(f"pipeline: {name}", figures, blocks, operations)


def _pipeline(name: str, figures: Figures, least_blocks: int, least_operations: int) -> Iterator[Line]:
    blocks, seconds = figures["blocks"], figures["seconds"]
    goal = _least(blocks / seconds, least_blocks, f"{least_blocks}") if least_blocks else ("", None)
    yield Line(name, "blocks/s", f"{blocks / seconds:,.0f}", *goal)
    goal = _least(figures["operations"] / seconds, least_operations, f"{least_operations:,}")
    yield Line(name, "operations/s", f"{figures['operations'] / seconds:,.0f}", *(goal if least_operations else ("",)))
    if figures["interface"] != "files":
        trips = figures["round_trips"] / blocks
        yield Line(name, "round trips a block", f"{trips:.2f}", *_most(trips, 3, "3"))
        yield Line(name, "CPU: node", f"{figures['node_cpu']:.1f} s")
    transactions = figures["transactions"] / blocks
    yield Line(name, "SQL statements a block", f"{figures['statements'] / blocks:.2f}")
    yield Line(name, "transactions a block", f"{transactions:.2f}", *_most(transactions, 1, "1"))
    yield Line(name, "CPU: indexer, PostgreSQL", f"{figures['cpu']:.1f} s, {figures['server_cpu']:.1f} s")
    memory = figures["memory"] / MEGABYTE
    workers = f"{figures['workers']} worker(s) included"
    yield Line(name, f"peak memory, {workers}", f"{memory:.0f} MB", *_most(memory, 400, "400 MB"))
    yield Line(name, "database, balances", f"{figures['size'] / MEGABYTE:.0f} MB, {figures['balances']:,}")
    yield Line(name, "working-set cap", f"{figures['working_set']:,} balances")
    yield Line(
        name, "state hash as apply only", "equal" if figures["agrees"] else "DIFFERS", "equal", figures["agrees"]
    )
    yield from _flatness(name, figures)


def _flatness(name: str, figures: Figures) -> Iterator[Line]:
    first, last = figures["first_tenth"], figures["last_tenth"]
    if not first or not last or figures["blocks"] < LONG_CHAIN:
        return
    first["both"], last["both"] = (each["cpu"] + each["server_cpu"] for each in (first, last))
    for key, what, is_judged in (
        ("cpu", "CPU of the indexer", True),
        ("main_cpu", "CPU of its main process", False),
        ("server_cpu", "CPU of PostgreSQL", False),
        ("both", "CPU of both", True),
        ("statements", "statements", True),
    ):
        ratio = last[key] / first[key] if first[key] else 0.0
        goal = _most(ratio, 1.1, "1.10") if is_judged else ("",)
        shown = f"{ratio:.2f}  ({first[key]:.4g} to {last[key]:.4g} a block)"
        yield Line(name, f"last tenth / first: {what}", shown, *goal)


def _mainnet(results: Figures) -> Iterator[Line]:
    if figures := results.get("mainnet"):
        for key, name in (("rpc", "JSON-RPC"), ("rest", "REST")):
            read, indexed = figures[f"{key}_read"], figures[f"{key}_index"]
            stage = f"mainnet-shaped: {name}"
            for what, unit in (("seconds", "wall"), ("cpu", "CPU")):
                ratio = indexed[what] / read[what]
                # Of the two, the wall is what an operator waits for.
                goal = _most(ratio, 1.5, "1.5") if (what, key) == ("seconds", "rpc") else ("",)
                shown = f"{ratio:.2f}  ({indexed[what]:.2f} s to {read[what]:.2f} s)"
                yield Line(stage, f"indexing / reading, {unit}", shown, *goal)


def _live(results: Figures) -> Iterator[Line]:
    if figures := results.get("tip"):
        p95 = figures["p95"] * 1000
        yield Line("at the tip", "block seen to visible, p50", f"{figures['p50'] * 1000:.0f} ms")
        yield Line("at the tip", "block seen to visible, p95", f"{p95:.0f} ms", *_most(p95, 250, "250 ms"))
        yield Line("at the tip", "worst of", f"{figures['worst'] * 1000:.0f} ms of {figures['blocks']} blocks")
    if figures := results.get("undo"):
        worst = figures["worst"]
        goal = _most(worst, 2, "2 s")
        yield Line("reorg", f"{figures['depth']} blocks taken back, p50", f"{figures['p50']:.2f} s")
        yield Line("reorg", f"worst of {figures['rounds']}", f"{worst:.2f} s", *goal)


def _speed(figures: Figures) -> str:
    seconds = figures["seconds"]
    return f"{figures['blocks'] / seconds:,.0f} blocks/s, {figures['operations'] / seconds:,.0f} operations/s"


def _cost(figures: Figures) -> str:
    return f"{figures['cpu']:.1f} s, {figures['memory'] / MEGABYTE:.0f} MB"


def _least(value: float, target: float, shown: str) -> tuple[str, Any]:
    return f"≥ {shown}", value >= target


def _most(value: float, target: float, shown: str) -> tuple[str, Any]:
    return f"≤ {shown}", value <= target
