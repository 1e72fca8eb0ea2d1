"""What the engine's tests share: an environment, a place without a database, a runbook of made-up steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.environment import Database, Endpoints, Environment, MetricSource
from runbooks.engine.journal import event
from runbooks.engine.model import Look, Runbook, Step
from runbooks.engine.run import Place
from runbooks.engine.state import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from audit.entry import Entry
    from runbooks.engine.model import Context, Json
    from runbooks.engine.state import Event

NOBODY = "http://127.0.0.1:9"


def environment(name: str = "made-up") -> Environment:
    """An environment of which nothing is there."""
    return Environment(
        name=name,
        place="local",
        network="regtest",
        start_height=102,
        endpoints=Endpoints(
            api=NOBODY,
            sync_metrics=NOBODY,
            node_rpc=NOBODY,
            prometheus=NOBODY,
            database=Database(host="127.0.0.1", port=9, name="d", writer_role="w", reader_role="r"),
        ),
        hosts={},
        secrets={},
        metrics=MetricSource(kind="prometheus", url=NOBODY),
        drivers={},
    )


@dataclass
class Entries:
    """A trail in memory."""

    all: list[Entry] = field(default_factory=list)

    def record(self, entry: Entry) -> bool:
        self.all.append(entry)
        return True

    def of(self, action: str) -> list[tuple[Any, str]]:
        """The step (or what began the run) and the result of each entry of an action."""
        return [(entry.arguments.get("step"), entry.result) for entry in self.all if entry.action == action]


@dataclass
class Said:
    """A teller that remembers."""

    lines: list[str] = field(default_factory=list)
    progressed: list[tuple[float, float, str]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: float, total: float, what: str) -> None:
        self.progressed.append((done, total, what))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def place(runs: Path, *, name: str = "made-up", recorder: Any = None) -> Place:  # noqa: ANN401 - any recorder
    """A place whose trail and words are remembered."""
    document = runs.parent / "environment.json"
    return Place(
        environment=environment(name),
        document=document,
        runs=runs,
        recorder=Entries() if recorder is None else recorder,
        teller=Said(),
    )


def trail(where: Place) -> Entries:
    """What was recorded."""
    assert isinstance(where.recorder, Entries)
    return where.recorder


def said(where: Place) -> Said:
    """What was said."""
    assert isinstance(where.teller, Said)
    return where.teller


def opened(**data: Json) -> Event:
    """The first line of a journal."""
    usual: dict[str, Json] = {
        "runbook": "made-up",
        "environment": "local",
        "document": "environment.json",
        "target": "api-1",
        "arguments": {"service": "api-1"},
        "first": "",
    }
    return event(Kind.OPENED, "", **(usual | data))


def step(name: str, **parts: Any) -> Step:  # noqa: ANN401 - any part of a step
    """A step that does nothing and holds, but for the parts given."""
    usual: dict[str, Any] = {
        "title": f"Do {name}",
        "asserts": f"{name} holds",
        "act": lambda _: None,
        "check": lambda _: "it holds",
        "within": 5.0,
    }
    return Step(name=name, **(usual | parts))


def sees(text: str = "as it should be") -> Look:
    """A look that sees nothing amiss."""

    def see(_: Context) -> str:
        return text

    return Look(title="How it is", see=see)


def book(*steps: Step, **parts: Any) -> Runbook:  # noqa: ANN401 - any part of a runbook
    """A runbook of these steps."""
    usual: dict[str, Any] = {
        "name": "made-up",
        "title": "Do what is made up",
        "meaning": "It is a test.",
        "impact": "None.",
        "diagnosis": (sees(),),
        "verify": (sees(),),
        "undo": "Nothing is left of it.",
    }
    return Runbook(steps=steps or (step("only"),), **(usual | parts))
