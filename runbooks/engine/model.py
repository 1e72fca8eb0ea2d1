"""A runbook as one typed object: what is looked at, done, asserted and taken back.

Whoever writes one keeps three promises: an act may begin again after its process died in the middle of it, an undo may
begin again too and also takes back half an act, and a `see` or `check` changes nothing.
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from infra.environment import Environment

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

# A key for a driver is RUN-STEP-undo-99, of at most 100 characters: a run's id takes 22 besides the runbook's name.
NAME_LIMIT, STEP_LIMIT, TARGET_LIMIT = 40, 28, 63
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
# The target that is all of an environment: nothing else runs there meanwhile.
WHOLE = "environment"


class Halt(Exception):  # noqa: N818 - an act says it to stop the run; the name reads so
    """Why a step cannot go on, and what to do: one line."""


class Unmet(Exception):  # noqa: N818 - an assertion that does not hold yet is no error
    """What an assertion still misses: one line. It is asked again until the step's time is over."""


class Teller(Protocol):
    """Where a run says how it goes."""

    def say(self, text: str) -> None:
        """Show a line."""
        ...

    def progress(self, done: float, total: float, what: str) -> None:
        """Show how far a long act is; `done` and `total` in the same unit."""
        ...


class Scribe(Protocol):
    """What writes an act's own entries to the audit trail."""

    def __call__(self, action: str, target: str, before: Json, after: Json) -> None:
        """Record what was done; never raises for a database that is away."""
        ...


class Silent:
    """A teller that says nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def progress(self, done: float, total: float, what: str) -> None:
        """Show nothing."""


def _unrecorded(action: str, target: str, before: Json, after: Json) -> None:
    """Record nothing: what a dry run and a test of a single act do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What acts, checks and looks are given. `folder` is this run's own directory, 0700; `deadline` is monotonic.

    `facts` holds what earlier acts returned. `again`: this act (or undo) had begun before, and its process died or it
    failed. `attempt` counts from 1 and goes up when the step failed, not when its process died.
    """

    environment: Environment
    arguments: Mapping[str, Json]
    run: str
    folder: Path
    facts: Mapping[str, Json] = field(default_factory=dict)
    step: str = ""
    undoing: bool = False
    again: bool = False
    attempt: int = 1
    deadline: float = math.inf
    teller: Teller = field(default_factory=Silent)
    scribe: Scribe = _unrecorded

    @property
    def key(self) -> str:
        """The idempotency key for drivers: the same in every process that works on this attempt of the step."""
        undo = "-undo" if self.undoing else ""
        return f"{self.run}-{self.step}{undo}" + (f"-{self.attempt}" if self.attempt > 1 else "")

    def say(self, text: str) -> None:
        """Show a line to whoever watches the run."""
        self.teller.say(text)

    def progress(self, done: float, total: float, what: str) -> None:
        """Show how far a long act is; `done` and `total` in the same unit."""
        self.teller.progress(done, total, what)

    def remaining(self) -> float:
        """Return the seconds left of this step, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def record(self, action: str, target: str, *, before: Json = None, after: Json = None) -> None:
        """Write an entry of the act's own to the audit trail, as part of this run."""
        self.scribe(action, target, before, after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument of a runbook. `parse` turns the text into a value or raises ValueError with one line.

    `default` is text that `parse` takes; None: the argument is required. Values are journaled and shown: a secret is no
    argument, an act reads it by `context.environment.secret(NAME)`.
    """

    name: str
    help: str
    parse: Callable[[str], Json]
    example: str
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Something looked at, read only: a part of the diagnosis, or of what is verified at the end.

    `see` returns what was seen. In `verify` it raises Unmet where that is no good, and is asked again for `within`
    seconds; in a diagnosis Halt stops the run before anything is done.
    """

    title: str
    see: Callable[[Context], str]
    by_hand: str = ""
    within: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One act and the assertion that follows it; `within` seconds for both, and for the undo.

    `act` returns facts for the journal and for later steps, or raises Halt. `check` returns what was seen, or raises
    Unmet to be asked again. `title` says what is done, `asserts` what holds afterwards, `by_hand` how a person does it.
    `destroys`: asked for before, but where `spares` says that with these arguments nothing is destroyed after all.
    `reads_only`: a dry run carries it out too.
    """

    name: str
    title: str
    asserts: str
    act: Callable[[Context], Mapping[str, Json] | None]
    check: Callable[[Context], str]
    within: float
    by_hand: str = ""
    undo: Callable[[Context], None] | None = None
    undo_title: str = ""
    destroys: bool = False
    spares: Callable[[Mapping[str, Json]], bool] | None = None
    reads_only: bool = False

    def destroys_with(self, arguments: Mapping[str, Json]) -> bool:
        """Whether it destroys something where it is carried out with these arguments."""
        return self.destroys and not (self.spares is not None and self.spares(arguments))


def whole_environment(arguments: Mapping[str, Json]) -> str:  # noqa: ARG001 - a target may depend on them
    """Return the target of a runbook that wants an environment for itself."""
    return WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A runbook. `undo` says in prose how it is taken back.

    `target` names what the run has for itself (a slug), by default the whole environment. `on_failure`: stop and leave
    it to a person, or undo every step that had begun. `before` is what a person has to know who follows the page by
    hand: it leads the page, as Markdown. Raises ValueError where a part is missing or named twice.
    """

    name: str
    title: str
    meaning: str
    impact: str
    diagnosis: tuple[Look, ...]
    steps: tuple[Step, ...]
    verify: tuple[Look, ...]
    undo: str
    parameters: tuple[Parameter, ...] = ()
    target: Callable[[Mapping[str, Json]], str] = whole_environment
    on_failure: Literal["stop", "undo"] = "stop"
    before: str = ""

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise ValueError(f"runbook {self.name!r}: {problem}")

    @property
    def destroys(self) -> bool:
        """Whether any step destroys something."""
        return any(step.destroys for step in self.steps)

    def destroys_with(self, arguments: Mapping[str, Json]) -> bool:
        """Whether any step destroys something with these arguments."""
        return any(step.destroys_with(arguments) for step in self.steps)


def is_slug(text: str, limit: int = NAME_LIMIT) -> bool:
    """Say whether a text is of small letters, digits and single hyphens, and not longer than `limit`."""
    return len(text) <= limit and SLUG.fullmatch(text) is not None


def _problems(book: Runbook) -> list[str]:
    texts = {name: getattr(book, name) for name in ("title", "meaning", "impact", "undo")}
    return [
        *_unnamed("its name", [book.name], NAME_LIMIT),
        *(f"{name} is empty" for name, text in texts.items() if not text.strip()),
        *(f"it has no {name}" for name in ("diagnosis", "steps", "verify") if not getattr(book, name)),
        *_unnamed("step", [step.name for step in book.steps], STEP_LIMIT),
        *_unnamed("parameter", [parameter.name for parameter in book.parameters], NAME_LIMIT),
        *(f"step {step.name}: {problem}" for step in book.steps for problem in _problems_of(step)),
        *(
            f"a look without a title or with no time: {look.title!r}"
            for look in (*book.diagnosis, *book.verify)
            if not look.title.strip() or not 0 < look.within < math.inf
        ),
        *(
            f"parameter {each.name}: help or example is empty"
            for each in book.parameters
            if not each.help.strip() or not each.example.strip()
        ),
    ]


def _unnamed(kind: str, names: Sequence[str], limit: int) -> list[str]:
    bad = [name for name in names if not is_slug(name, limit)]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        *(f"{kind} {name!r} is no slug of at most {limit} characters, like restart-service" for name in bad),
        *(f"{kind} {name} is there twice" for name in twice),
    ]


def _problems_of(step: Step) -> list[str]:
    problems = [f"{name} is empty" for name in ("title", "asserts") if not getattr(step, name).strip()]
    if not 0 < step.within < math.inf:
        problems.append("its time has to be more than 0 seconds, and to end")
    if (step.undo is None) != (not step.undo_title.strip()):
        problems.append("undo and undo_title go together")
    if step.reads_only and (step.destroys or step.undo):
        problems.append("what only reads destroys nothing and needs no undo")
    if step.spares is not None and not step.destroys:
        problems.append("spares says when nothing is destroyed: it goes with destroys")
    return problems
