"""What a rehearsal saw, as lines of figures that hold or do not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One figure: what was looked at, what came of it, and whether that is as it has to be."""

    what: str
    figure: str
    holds: bool


@dataclass
class Report:
    """All lines of one stack, in order."""

    stack: str
    driver: str
    lines: list[Line] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, what: str, figure: object, *, holds: bool) -> None:
        """Write a line down."""
        self.lines.append(Line(what, str(figure), holds))

    @property
    def holds(self) -> bool:
        """Whether every line does."""
        return all(line.holds for line in self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self) | {"holds": self.holds}
