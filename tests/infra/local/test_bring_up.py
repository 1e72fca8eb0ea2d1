"""The order in which components are started, and what becomes of one that does not get ready."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.local import bring_up
from infra.local.assembly import Assembled, assemble
from infra.local.bring_up import Outcome, Starter, configure, judged
from infra.local.component import Component, Envelope, Options, Probe
from infra.local.layout import EnvelopeError, Layout
from infra.local.ports import Port
from infra.local.supervisor import State, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pretended(Supervisor):
    """A supervisor whose programs run as soon as they are started; `gone` from a moment on."""

    def __init__(self, layout: Layout, states: dict[str, State] | None = None) -> None:
        super().__init__(layout)
        self.known = states or {}
        self.started: list[str] = []

    def states(self) -> dict[str, State]:
        return dict(self.known)

    def start(self, name: str) -> None:
        self.started.append(name)
        self.known[name] = State(name, "RUNNING", os.getpid(), "")


class Heard:
    """A report that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def note(self, text: str) -> None:
        self.lines.append(("", text))

    def waiting(self, name: str, detail: str) -> None:
        self.lines.append((name, detail))

    def ready(self, name: str, seconds: float, detail: str) -> None:
        assert seconds >= 0
        self.lines.append((name, f"ready: {detail}"))

    def failed(self, name: str, reason: str) -> None:
        self.lines.append((name, f"failed: {reason}"))


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    place = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    place.create()
    return Envelope(place, {}, Options(), {})


def component(name: str, *needs: str, **parts: Any) -> Component:  # noqa: ANN401 - a component's own fields
    made = Component(
        name=name,
        needs=needs,
        command=lambda _: ("true",),
        probe=lambda _: Probe(ready=True, detail="answers"),
        url=lambda _: "",
        hint="",
    )
    return replace(made, **parts)


def stopped(*names: str) -> dict[str, State]:
    return {name: State(name, "STOPPED", 0, "Not started") for name in names}


def start(envelope: Envelope, supervisor: Supervisor, *wanted: Component, patience: float = 5) -> tuple[Outcome, Heard]:
    outcome, heard = Outcome(envelope), Heard()
    Starter(supervisor, heard, outcome, patience).run(wanted)
    return outcome, heard


def test_each_component_is_started_after_what_it_needs_and_one_that_runs_is_left_alone(envelope: Envelope) -> None:
    states = stopped("api", "database") | {"node": State("node", "RUNNING", os.getpid(), "")}
    supervisor = Pretended(envelope.layout, states)
    outcome, heard = start(envelope, supervisor, component("api", "database"), component("database"), component("node"))
    assert supervisor.started == outcome.started == ["database", "api"]
    assert set(outcome.ready) == {"api", "database", "node"}
    assert heard.lines.index(("database", "ready: answers")) < heard.lines.index(("api", "starting"))


def test_what_a_component_is_at_is_told_once_and_at_the_end_of_its_time_it_has_failed(envelope: Envelope) -> None:
    lame = component("lame", probe=lambda _: Probe(ready=False, detail="reads its index"))
    outcome, heard = start(envelope, Pretended(envelope.layout, stopped("lame")), lame, patience=0.3)
    assert outcome.failed == {"lame": "not ready after 0 s: reads its index"}
    assert heard.lines.count(("lame", "reads its index")) == 1


def test_one_that_supervisor_has_given_up_fails_at_once_with_its_words(envelope: Envelope) -> None:
    class Dies(Pretended):
        def start(self, name: str) -> None:
            self.known[name] = State(name, "FATAL", 0, "Exited too quickly")

    outcome, _ = start(envelope, Dies(envelope.layout, stopped("api")), component("api"))
    assert outcome.failed == {"api": "not ready after 0 s: fatal (Exited too quickly)"}


def test_a_supervisor_that_is_gone_fails_what_is_left(envelope: Envelope) -> None:
    outcome, _ = start(envelope, Pretended(envelope.layout), component("api"), component("web", "api"))
    assert outcome.failed == {
        "api": "the supervisor is gone; run `simplicity up` again",
        "web": "not started: it needs api",
    }


def test_one_that_answers_and_cannot_be_settled_has_failed(envelope: Envelope) -> None:
    def full(_: Envelope) -> None:
        raise EnvelopeError("cannot make the database's roles: no space")

    outcome, _ = start(envelope, Pretended(envelope.layout, stopped("db")), component("db", settle=full))
    assert (outcome.failed, outcome.ready) == ({"db": "cannot make the database's roles: no space"}, {})


@pytest.fixture
def other_process() -> Iterator[int]:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process.pid
        process.kill()


def test_an_answer_counts_only_when_its_own_process_listens(envelope: Envelope, other_process: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        made = replace(envelope, ports={"api": server.getsockname()[1]})
        api = component("api", ports=(Port("api", 1),))
        assert judged(api, State("api", "RUNNING", os.getpid(), ""), made).ready
        stranger = judged(api, State("api", "RUNNING", other_process, ""), made)
    assert (stranger.ready, stranger.detail) == (
        False,
        "another process answers on its port; run `simplicity up` again",
    )
    assert judged(api, State("api", "STOPPED", 0, ""), made) == Probe(ready=False, detail="stopped")


def test_a_supervisor_that_never_answers_is_told_with_its_log(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_up, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(Supervisor, "launch", lambda _: None)
    with pytest.raises(EnvelopeError, match=r"supervisor does not answer; its log is .*supervisord\.log"):
        configure(envelope.layout, Supervisor(envelope.layout), Assembled(envelope, (), {}))


def test_a_component_that_cannot_be_prepared_fails_and_the_others_are_described_all_the_same(
    envelope: Envelope,
) -> None:
    def damaged(_: Envelope) -> None:
        raise EnvelopeError("its data is damaged")

    Path(envelope.directory("linked")).symlink_to(envelope.layout.home)
    wanted = (component("old", prepare=damaged), component("linked"), component("fine", files=lambda _: {"a": "b"}))
    done = assemble(envelope, wanted, alive=lambda name: name == "nobody")
    assert [program.name for program in done.programs] == ["fine"]
    assert done.failed["old"] == "its data is damaged"
    assert "is not a directory of yours" in done.failed["linked"]
    assert (envelope.directory("fine") / "a").read_text() == "b"
