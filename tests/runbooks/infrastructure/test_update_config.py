"""Settings are rolled out host by host, and go back where a host does not bear them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from infra import overrides
from infra.environment import Driver, Host
from infra.overrides import Overrides
from runbooks.deploy import acting, smoke
from runbooks.deploy.playing import Played
from runbooks.drivers import patroni_parameters
from runbooks.drivers.patroni_parameters import ParameterError
from runbooks.drivers.protocols import Refusal
from runbooks.drivers.select import Drivers
from runbooks.engine.arguments import parse_arguments
from runbooks.engine.run import RunError, start
from runbooks.engine.state import Standing
from runbooks.infrastructure import hosts, updating
from runbooks.infrastructure.books import database_failover, scale_api, update_config
from tests.runbooks.engine.support import place, trail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbooks.engine.model import Context
    from runbooks.engine.run import Place
    from runbooks.engine.state import Run

LIVE = {"live": "blue", "release": "1-a"}


@dataclass
class World:
    """Two hosts and a database: what was done to them, in order, and what each host does not bear."""

    file: Path
    done: list[str] = field(default_factory=list)
    unbearable: str = ""
    wrong: str = ""

    def play(self, context: Context, playbook: str, _: object, *, check: bool = False, limit: str = "") -> Played:
        found = overrides.read(_path(context))
        if check:
            return Played({}, "", {"app1": [f"+{name}={value}" for name, value in found.service.items()]})
        self.done.append(f"{playbook} {limit} {json.dumps(dict(found.service))}")
        bad = limit == "app2" and self.unbearable in found.service.values()
        return Played({}, "app2: Those are ready: 503" if bad else "")

    def drain(self, _: Context, host: str) -> str:
        self.done.append(f"drain {host}")
        return f"{host} has answered all"

    def undrain(self, _: Context, host: str) -> None:
        self.done.append(f"undrain {host}")

    def check(self, wanted: Mapping[str, str]) -> None:
        if self.wrong in wanted:
            raise ParameterError(f"{self.wrong}: invalid value")


def _path(context: Context) -> Path:
    return updating._file(context)  # noqa: SLF001 - whichever document the playbook is given


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "overrides.yaml")
    monkeypatch.setattr(acting, "run_playbook", made.play)
    monkeypatch.setattr(acting, "live_colour", lambda _: ("blue", "green"))
    monkeypatch.setattr(acting, "hosts", lambda _: {})
    monkeypatch.setattr(acting, "one_release", lambda *_: "1-a")
    monkeypatch.setattr(hosts, "drain", made.drain)
    monkeypatch.setattr(hosts, "undrain", made.undrain)
    monkeypatch.setattr(hosts, "serve", lambda *_: "all serve")
    monkeypatch.setattr(smoke, "readiness", lambda *_: "")
    monkeypatch.setattr(smoke, "smoke", lambda *_: None)
    monkeypatch.setattr(updating, "_otherwise", lambda *_: "")
    monkeypatch.setattr(patroni_parameters.Parameters, "check", lambda _, wanted: made.check(wanted))
    return made


@pytest.fixture
def here(tmp_path: Path, world: World) -> Place:
    made = place(tmp_path / "runs")
    both = (Host(name="app1", address="10.0.0.1"), Host(name="app2", address="10.0.0.2"))
    changed: dict[str, Any] = {
        "hosts": {"api": both},
        "drivers": {"overrides": Driver(kind="file", settings={"file": str(world.file)})},
    }
    return replace(made, environment=made.environment.model_copy(update=changed))


def _run(here: Place, **changes: str | None) -> Run:
    given = [f"changes={json.dumps(changes)}"]
    return start(update_config.RUNBOOK, parse_arguments(update_config.RUNBOOK.parameters, given), here)


def test_each_host_is_out_of_the_traffic_while_it_gets_the_settings(here: Place, world: World) -> None:
    ended = _run(here, API_CACHE_TTL="300")
    assert ended.standing is Standing.DONE, ended.sentence
    assert world.done == [
        "drain app1", 'indexer.yaml app1 {"API_CACHE_TTL": "300"}', "undrain app1",
        "drain app2", 'indexer.yaml app2 {"API_CACHE_TTL": "300"}', "undrain app2",
    ]  # fmt: skip
    assert overrides.read(world.file) == Overrides({"API_CACHE_TTL": "300"})
    (entry,) = [each for each in trail(here).all if each.action == "config.update"]
    assert (entry.target, entry.before, entry.after) == ("API_CACHE_TTL", {}, {"API_CACHE_TTL": "300"})


def test_a_host_that_does_not_bear_them_lets_all_go_back_and_no_host_is_left_out(here: Place, world: World) -> None:
    overrides.write(world.file, Overrides({"API_CACHE_TTL": "5"}))
    world.unbearable = "300"
    ended = _run(here, API_CACHE_TTL="300")
    assert ended.standing is Standing.UNDONE, ended.sentence
    assert "app2: Those are ready: 503" in ended.why
    assert overrides.read(world.file) == Overrides({"API_CACHE_TTL": "5"})
    last = {host: [each for each in world.done if host in each][-2:] for host in ("app1", "app2")}
    for host, done in last.items():
        assert done == [f'indexer.yaml {host} {{"API_CACHE_TTL": "5"}}', f"undrain {host}"]


@pytest.mark.parametrize("changes", [{"API_CACHE_TTL": "5"}, {"work_mem": None}])
def test_what_is_set_so_already_changes_nothing(here: Place, world: World, changes: dict[str, str | None]) -> None:
    overrides.write(world.file, Overrides({"API_CACHE_TTL": "5"}))
    ended = _run(here, **changes)
    assert "all of it is set so already" in ended.why
    assert world.done == []


def test_a_value_that_postgresql_does_not_take_is_known_before_anything_is_done(here: Place, world: World) -> None:
    world.wrong = "work_mem"
    ended = _run(here, work_mem="abc", API_CACHE_TTL="300")
    assert "work_mem: invalid value" in ended.why
    assert world.done == []
    assert not world.file.exists()


def test_an_environment_without_such_a_file_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="simplicity restart api"):
        _run(place(tmp_path / "runs"), API_CACHE_TTL="300")


def test_the_local_envelope_is_neither_scaled_nor_failed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Drivers:
        raise Refusal("the place local has none")

    monkeypatch.setattr(Drivers, "for_environment", refuse)
    for book, given in ((scale_api.RUNBOOK, ["size=3"]), (database_failover.RUNBOOK, [])):
        with pytest.raises(RunError, match="the place local has none"):
            start(book, parse_arguments(book.parameters, given), place(tmp_path / book.name))
