"""A real supervisor with small programs of ours: what `up` and `down` do with well- and ill-behaved ones."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from infra.local import supervisor as supervisor_module
from infra.local import take_down as take_down_module
from infra.local.assembly import Assembled, ensure_secrets
from infra.local.bring_up import configure
from infra.local.component import Component, Envelope, Options, Probe
from infra.local.layout import EnvelopeError, Layout, write_private
from infra.local.processes import envelope_processes, wait_gone
from infra.local.restart import restart
from infra.local.supervisor import CONTROL_KEY, Program, Supervisor, render
from infra.local.take_down import clear_leftovers, stop_and_wait, take_down

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEPS = ("sleep", "600")
STUBBORN = ("sh", "-c", 'trap "" TERM; while :; do sleep 0.1; done')


def wait_for(happens: Callable[[], bool], *, within: float = 10) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    made.create()
    yield made
    take_down(made, patience=0.1)
    assert envelope_processes(made.data) == []


def program(place: Layout, name: str, command: tuple[str, ...] = SLEEPS, **environment: str) -> Program:
    return Program(name, command, place.data, environment, "TERM", 1)


def have(place: Layout, *programs: Program) -> Supervisor:
    """Bring these programs before a supervisor as `up` does, and start them."""
    supervisor = Supervisor(place)
    assembled = Assembled(Envelope(place, {}, Options(), {}), programs, {})
    configure(place, supervisor, assembled)
    for one in programs:
        supervisor.start(one.name)
    wait_for(lambda: all(state.pid for state in supervisor.states().values()))
    return supervisor


def test_a_changed_program_is_replaced_and_an_unchanged_one_goes_on(place: Layout) -> None:
    before = {n: s.pid for n, s in have(place, program(place, "same"), program(place, "other", A="1")).states().items()}
    supervisor = have(place, program(place, "same"), program(place, "other", A="2"), program(place, "new"))
    after = {name: state.pid for name, state in supervisor.states().items()}
    assert set(after) == {"same", "other", "new"}
    assert after["same"] == before["same"]
    assert after["other"] != before["other"]
    assert not psutil.pid_exists(before["other"])
    assert set(have(place, program(place, "same")).states()) == {"same"}


def test_starting_what_runs_and_stopping_what_does_not_are_no_errors(place: Layout) -> None:
    supervisor = have(place, program(place, "one"))
    pid = supervisor.states()["one"].pid
    supervisor.start("one")
    assert supervisor.states()["one"].pid == pid
    stop_and_wait(supervisor, {"one"})
    supervisor.stop("one")
    supervisor.stop("unheard of")
    supervisor.signal("one", "TERM")
    supervisor.signal("unheard of", "TERM")
    with pytest.raises(EnvelopeError, match="supervisor cannot start unheard of: BAD_NAME"):
        supervisor.start("unheard of")


class Silent:
    """A report to nobody."""

    def note(self, text: str) -> None: ...

    def waiting(self, name: str, detail: str) -> None: ...

    def ready(self, name: str, seconds: float, detail: str) -> None: ...

    def failed(self, name: str, reason: str) -> None: ...


def component(name: str, probe: Callable[[], bool]) -> Component:
    return Component(
        name=name,
        needs=("what is up already",),
        command=lambda _: SLEEPS,
        probe=lambda _: Probe(ready=probe(), detail=""),
        url=lambda _: "",
        hint="",
    )


def test_components_are_restarted_in_turn_and_the_next_is_stopped_only_when_the_one_before_is_ready(
    place: Layout,
) -> None:
    supervisor = have(place, program(place, "one"), program(place, "two"))
    before = {name: state.pid for name, state in supervisor.states().items()}
    looks: list[bool] = []

    def second_look() -> bool:
        looks.append(supervisor.states()["two"].pid == before["two"])
        return len(looks) > 1

    wanted = [component("one", second_look), component("two", lambda: True)]
    assert restart(Envelope(place, {}, Options(), {}), wanted, Silent()) is None
    after = {name: state.pid for name, state in supervisor.states().items()}
    assert looks == [True, True]
    assert not set(before.values()) & set(after.values())


def test_one_that_does_not_become_ready_again_is_named_and_those_after_it_are_left_alone(place: Layout) -> None:
    supervisor = have(place, program(place, "lame"), program(place, "two"))
    two = supervisor.states()["two"].pid
    wanted = [component("lame", lambda: False), component("two", lambda: True)]
    assert restart(Envelope(place, {}, Options(), {}), wanted, Silent(), patience=0.2) == "lame"
    assert supervisor.states()["two"].pid == two


def test_a_program_that_does_not_stop_is_named_and_down_ends_it_by_force(place: Layout) -> None:
    supervisor = have(place, program(place, "stubborn", STUBBORN))
    stubborn = psutil.Process(supervisor.states()["stubborn"].pid)
    # The shell sets its trap a moment after it was started.
    wait_for(lambda: bool(stubborn.children()))
    with pytest.raises(EnvelopeError, match="stubborn does not stop; `simplicity down` ends it by force"):
        stop_and_wait(supervisor, {"stubborn"}, patience=0.1)
    assert take_down(place, patience=0.2) >= 2
    assert wait_gone([stubborn], within=1) == []
    assert take_down(place) == 0


def test_what_a_killed_supervisor_left_behind_is_stopped_with_a_word_about_it(place: Layout) -> None:
    supervisor = have(place, program(place, "one"))
    orphan = psutil.Process(supervisor.states()["one"].pid)
    notes: list[str] = []
    clear_leftovers(place, supervisor, notes.append)
    assert (notes, orphan.is_running()) == ([], True), "what is looked after is no leftover"
    pid = supervisor.pid()
    assert pid is not None
    psutil.Process(pid).kill()
    wait_for(lambda: supervisor.pid() is None)
    clear_leftovers(place, supervisor, notes.append)
    assert notes == ["stopping 1 processes that an earlier supervisor has left behind"]
    assert wait_gone([orphan], within=1) == []


def test_a_supervisor_that_dies_while_down_is_at_work_is_no_obstacle(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = have(place, program(place, "one"))
    pid, child = supervisor.pid(), psutil.Process(supervisor.states()["one"].pid)
    assert pid is not None

    def killed_under_our_hands(self: Supervisor, name: str) -> None:
        psutil.Process(pid).kill()
        wait_for(lambda: self.pid() is None)
        raise ConnectionError(f"nobody stops {name}")

    monkeypatch.setattr(Supervisor, "stop", killed_under_our_hands)
    assert take_down(place) == 2
    assert wait_gone([child], within=1) == []


def test_down_ends_the_drain_of_a_program_since_nobody_is_left_to_serve(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = place.data / "told"
    drains = (
        "sh",
        "-c",
        f'trap "echo >> {told}" TERM; while :; do [ $(cat {told} | wc -l) -gt 1 ] && exit; sleep 0.05; done',
    )
    told.touch()
    have(place, replace(program(place, "api", drains), stop_seconds=20))
    monkeypatch.setattr(
        take_down_module, "components", lambda: (replace(component("api", lambda: True), needs=(), drains=True),)
    )
    began = time.monotonic()
    assert take_down(place) >= 2
    assert time.monotonic() - began < 5


def test_what_a_process_starts_while_it_is_stopped_is_stopped_too(place: Layout) -> None:
    supervisor = have(
        place, program(place, "heir", ("sh", "-c", 'trap "sleep 600 & exit" TERM; while :; do sleep 0.1; done'))
    )
    heir = psutil.Process(supervisor.states()["heir"].pid)
    wait_for(lambda: bool(heir.children()))
    pid = supervisor.pid()
    assert pid is not None
    psutil.Process(pid).kill()
    wait_for(lambda: supervisor.pid() is None)
    take_down(place)
    assert envelope_processes(place.data) == []


def test_a_supervisor_that_is_ending_counts_as_none(place: Layout) -> None:
    supervisor = have(place, program(place, "stubborn", STUBBORN))
    wait_for(lambda: bool(psutil.Process(supervisor.states()["stubborn"].pid).children()))
    supervisor.shutdown()
    assert (supervisor.pid(), supervisor.states()) == (None, {})
    wait_for(lambda: not envelope_processes(place.data))


def test_a_wrong_password_on_the_control_socket_counts_as_no_supervisor(place: Layout) -> None:
    supervisor = have(place, program(place, "one"))
    right = (place.secrets / CONTROL_KEY).read_text()
    write_private(place.secrets / CONTROL_KEY, "another")
    assert supervisor.pid() is None
    assert supervisor.states() == {}
    with pytest.raises(EnvelopeError, match="the supervisor is gone; run `simplicity up` again"):
        supervisor.start("one")
    write_private(place.secrets / CONTROL_KEY, right)


def test_a_configuration_that_supervisor_cannot_read_is_told_in_its_words(place: Layout) -> None:
    supervisor = have(place, program(place, "one"))
    broken = program(place, "one", ("sleep", "'"))
    text = render(place, [broken], ensure_secrets(place, [CONTROL_KEY])[CONTROL_KEY])
    write_private(place.supervisor_config, text.replace("autorestart=true", "autorestart=perhaps"))
    with pytest.raises(EnvelopeError, match=r"supervisor refuses its configuration: .*perhaps"):
        supervisor.reload()


def test_a_supervisor_that_does_not_start_says_why(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write_private(place.supervisor_config, "[supervisord]\nloglevel=shouting\n")
    with pytest.raises(EnvelopeError, match=r"supervisor does not start: .*shouting"):
        Supervisor(place).launch()
    monkeypatch.setattr(supervisor_module, "LAUNCH_SECONDS", 0.001)
    with pytest.raises(EnvelopeError, match=r"supervisor has not started within 0\.001 s"):
        Supervisor(place).launch()
