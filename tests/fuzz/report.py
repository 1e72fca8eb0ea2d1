"""What a run of the fuzzer tells: for people, and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from indexer.protocol.errors import ErrorCode
from tests.fuzz.case import Depth

if TYPE_CHECKING:
    from tests.fuzz.engine import Outcome

WIDTH = 120  # where the output is no terminal
COLUMNS = {
    Depth.REFUSED: "inputs",
    Depth.DECODED: "decoded",
    Depth.CANDIDATE: "candidate",
    Depth.OPERATION: "operation",
    Depth.VALID: "valid",
}
# How far inputs of a target must have come: a fuzzer that never gets past a decoder proves nothing about the rest.
DEEPEST = {
    "block-bytes": Depth.VALID,
    "block-sealed": Depth.VALID,
    "block-bent": Depth.VALID,
    "payload": Depth.VALID,
    "transaction": Depth.CANDIDATE,
    "spent": Depth.DECODED,
    "script": Depth.CANDIDATE,
    "node": Depth.VALID,
    "giant": Depth.OPERATION,
}


def shallow(outcome: Outcome) -> list[str]:
    """Return the targets of which no input came as far as it can."""
    return [name for name, tally in outcome.tallies.items() if not tally.reached(DEEPEST[name])]


def unmet(outcome: Outcome) -> list[str]:
    """Return the verdicts that no input met."""
    return [code for code in ErrorCode if code not in outcome.met]


def show(outcome: Outcome, seed: int, seconds: float) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    table = Table("target", *(f"{title}" for title in COLUMNS.values()))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, tally in outcome.tallies.items():
        table.add_row(name, *(f"{tally.reached(depth):,}" if depth <= DEEPEST[name] else "" for depth in COLUMNS))
    console.print(table)
    console.print(f"{outcome.inputs:,} inputs in {seconds:.0f} s ({outcome.inputs / seconds:,.0f}/s), seed {seed}")
    missing = unmet(outcome)
    told = f"; not {', '.join(missing)}" if missing else ""
    console.print(f"error codes met: {len(ErrorCode) - len(missing)} of {len(ErrorCode)}{told}")
    repeated = f", met {outcome.repeated} times more" if outcome.repeated else ""
    console.print(f"findings: {len(outcome.findings)}{repeated}")


def figures(outcome: Outcome, seed: int, seconds: float) -> dict[str, Any]:
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "inputs": outcome.inputs,
        "targets": {
            name: {title: tally.reached(depth) for depth, title in COLUMNS.items()}
            for name, tally in outcome.tallies.items()
        },
        "met": dict(sorted(outcome.met.items())),
        "shallow": shallow(outcome),
        "findings": [
            {"target": each.target, "number": each.number, "error": each.error, "bytes": len(each.case.data)}
            for each in outcome.findings.values()
        ],
    }
