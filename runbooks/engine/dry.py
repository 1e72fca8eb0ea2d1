"""A dry run: what only reads is carried out, everything else is said. Nothing is journaled, locked or recorded."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runbooks.engine import attempt
from runbooks.engine.model import Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from infra.environment import Environment
    from runbooks.engine.model import Json, Runbook, Step, Teller


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A part of a run: what was seen where it was carried out, else what would be done. `stops`: a run ends there."""

    part: Literal["diagnosis", "step", "verify"]
    name: str
    title: str
    carried_out: bool
    text: str
    stops: bool = False

    @property
    def sentence(self) -> str:
        """The part in a line."""
        return f"{self.name or self.title}: {self.text}"


def dry_run(
    book: Runbook, arguments: Mapping[str, Json], environment: Environment, teller: Teller, first: str = ""
) -> Iterator[Planned]:
    """Yield every part of a run from the step `first` on, as it is reached; ends where a run would stop."""
    facts: dict[str, Json] = {}
    with tempfile.TemporaryDirectory(prefix="simplicity-dry-run-") as folder:

        def context(step: str, within: float) -> Context:
            return Context(
                environment=environment,
                arguments=arguments,
                run="dry-run",
                folder=Path(folder),
                facts=facts,
                step=step,
                deadline=time.monotonic() + within,
                teller=teller,
            )

        for look in book.diagnosis:
            seen, stops = attempt.look(look, context("diagnosis", look.within))
            yield Planned(part="diagnosis", name="", title=look.title, carried_out=True, text=seen, stops=stops)
            if stops:
                return
        names = [step.name for step in book.steps]
        for step in book.steps[names.index(first) if first else 0 :]:
            yield _read(step, context(step.name, step.within), facts) if step.reads_only else _said(step, arguments)
    for look in book.verify:
        yield Planned(part="verify", name="", title=look.title, carried_out=False, text="would be verified")


def _read(step: Step, context: Context, facts: dict[str, Json]) -> Planned:
    try:
        facts |= attempt.act(step, context)
        text = attempt.until(step.check, context, step.within)
    except attempt.Failure as failure:
        # It may need what a step before it would have done.
        text = f"cannot be told in a dry run: {failure}"
    return Planned(part="step", name=step.name, title=step.title, carried_out=True, text=text)


def _said(step: Step, arguments: Mapping[str, Json]) -> Planned:
    destroys = " (DESTROYS)" if step.destroys_with(arguments) else ""
    text = f"would{destroys}: {step.title}; goes on only when: {step.asserts}"
    return Planned(part="step", name=step.name, title=step.title, carried_out=False, text=text)
