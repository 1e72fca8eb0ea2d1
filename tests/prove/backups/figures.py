"""What the proofs found: lines of a table, each with what was wanted and whether it was so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 150


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: `wanted` says in words what it has to be."""

    what: str
    seen: str
    wanted: str
    holds: bool


@dataclass(slots=True)
class Figures:
    """The lines of one proof."""

    lines: list[Line] = field(default_factory=list)

    def add(self, what: str, seen: object, wanted: str, *, holds: bool) -> None:
        self.lines.append(Line(what, str(seen), wanted, holds))

    def count(self, what: str, good: int, of: int) -> None:
        """Note that `good` of so many came out as they have to; none at all proves nothing."""
        self.add(what, f"{good} of {of}", f"{of}, at least 1", holds=good == of > 0)

    @property
    def hold(self) -> bool:
        return bool(self.lines) and all(line.holds for line in self.lines)

    def as_dicts(self) -> list[dict[str, Any]]:
        return [asdict(line) for line in self.lines]


def show(lines: Iterable[Line]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("proof", "seen", "wanted", ""):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(line.what, line.seen, line.wanted, "[green]ok[/]" if line.holds else "[red]NOT SO[/]")
    console = Console()
    Console(width=console.width if console.is_terminal else WIDTH, highlight=False).print(table)
