from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from infra.environment import Host
from infra.fleet.document import document_of
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from runbooks.drivers.operations import wait
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.drivers.remote import Remote, RemoteError, UnreachableError
from runbooks.drivers.ssh_services import AGAIN_SECONDS, TURN_SECONDS, UNITS, Seen, SystemdServiceControl, Turn, decide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runbooks.drivers.operations import OperationStore

API = next(unit for unit in UNITS if unit.name == "api-blue")
HOST = Host(name="app1", address="10.0.0.1")


@dataclass
class Hosts(Remote):
    """Systemd of the hosts, in memory: a pid a unit, 0 for one that is stopped."""

    pids: dict[tuple[str, str], int] = field(default_factory=dict)
    failing: set[tuple[str, str]] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    deaf: int = 0
    told: list[tuple[str, str, str]] = field(default_factory=list)
    roles: Any = None

    def hosts(self, role: str) -> tuple[Host, ...]:
        found: tuple[Host, ...] = self.roles[role]
        return found

    def run(self, host: str, argv: Sequence[str], stdin: str | None = None, within: float = 60) -> str:
        assert stdin is None
        assert within > 0
        if host in self.silent:
            raise UnreachableError(f"{host} does not answer")
        words = list(argv[argv.index("--") + 1 :]) if argv[0] == "sudo" else list(argv)
        if words[0] == "curl":
            return ""
        if words[1] == "show":
            return "\n\n".join(self._shown(host, unit) for unit in words[3:])
        action, unit = words[2:]
        self.told.append((action, host, unit))
        if self.deaf:
            self.deaf -= 1
            raise RemoteError("the connection broke")
        self.pids[host, unit] = 0 if action == "stop" else max(self.pids.values()) + 1
        return ""

    def _shown(self, host: str, unit: str) -> str:
        pid = self.pids.get((host, unit))
        state = "failed" if (host, unit) in self.failing else "active" if pid else "inactive"
        loaded = "not-found" if pid is None else "loaded"
        return (
            f"Id={unit}\nLoadState={loaded}\nActiveState={state}\nSubState=x\nMainPID={pid or 0}\nResult=success\nJob=0"
        )


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    roles = document_of(Plan(), Storage(tmp_path)).hosts
    made = Hosts(roles=roles)
    for unit in UNITS:
        for host in roles[unit.role]:
            made.pids[host.name, unit.unit] = 0 if unit.name == "api-green" else len(made.pids) + 100
    return made


@pytest.fixture
def control(hosts: Hosts, store: OperationStore) -> SystemdServiceControl:
    return SystemdServiceControl(hosts, store)


def test_it_names_every_service_of_every_host_and_those_first_that_others_need(control: SystemdServiceControl) -> None:
    names = [each.name for each in control.services()]
    assert {"db1/postgresql", "db2/pooler", "mon1/valkey", "app2/sync", "app1/api-blue", "lb2/haproxy"} <= set(names)
    assert (
        names.index("db1/etcd") < names.index("db1/postgresql") < names.index("app1/sync") < names.index("lb1/haproxy")
    )


def test_a_service_that_is_not_installed_is_none(control: SystemdServiceControl, hosts: Hosts) -> None:
    del hosts.pids["mon1", "prometheus.service"]
    assert "mon1/prometheus" not in {each.name for each in control.services()}


def test_a_host_that_does_not_answer_is_said_to_be_so(control: SystemdServiceControl, hosts: Hosts) -> None:
    hosts.silent.add("app1")
    states = {each.name: each.state for each in control.services()}
    assert states["app1/sync"] == "unreachable"
    assert states["app2/sync"] == "running"


def test_a_group_is_restarted_one_host_after_the_other(control: SystemdServiceControl, hosts: Hosts) -> None:
    done = control.restart("key", "sync")
    assert done.phase is Phase.DONE
    assert hosts.told == [("restart", f"app{number}", "simplicity-sync.service") for number in (1, 2)]
    assert done.result["changed"] == ["app1/sync", "app2/sync"]


def test_a_restart_of_the_api_leaves_the_colour_alone_that_is_not_used(
    control: SystemdServiceControl, hosts: Hosts
) -> None:
    control.restart("key", "api")
    assert {unit for _, _, unit in hosts.told} == {"simplicity-api@blue.service"}


def test_the_same_key_restarts_once(control: SystemdServiceControl, hosts: Hosts) -> None:
    control.restart("key", "app1/sync")
    control.restart("key", "app1/sync")
    assert len(hosts.told) == 1


def test_a_stop_says_what_goes_on_without_it(control: SystemdServiceControl) -> None:
    done = control.stop("key", "postgresql")
    needed_by: Any = done.result["needed_by"]
    assert {"app1/sync", "app1/api-blue", "db1/pooler"} <= set(needed_by)
    assert "lb1/haproxy" not in needed_by


def test_what_failed_stops_the_group_and_says_where_to_look(control: SystemdServiceControl, hosts: Hosts) -> None:
    hosts.failing.add(("app1", "simplicity-sync.service"))
    done = control.restart("key", "sync")
    assert done.phase is Phase.FAILED
    assert "journalctl -u simplicity-sync.service` on app1" in done.detail
    assert done.result["left"] == ["app2/sync"]


def test_another_process_goes_on_with_what_a_killed_one_has_begun(
    control: SystemdServiceControl, hosts: Hosts, store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.deaf = 1  # told, and nobody knows whether it was heard
    assert control.restart("key", "app1/sync").phase is Phase.RUNNING
    monkeypatch.setattr("runbooks.drivers.ssh_services.AGAIN_SECONDS", 0)
    assert wait(SystemdServiceControl(hosts, store), "key", 5).phase is Phase.DONE
    assert len(hosts.told) == 2


def test_what_is_no_service_is_refused_and_changes_nothing(control: SystemdServiceControl, hosts: Hosts) -> None:
    for name in ("moon", "", "app9/sync"):
        with pytest.raises(Refusal, match="there is no service"):
            control.restart(f"key{len(name)}", name)
    assert not hosts.told


def turn(**changed: Any) -> Turn:  # noqa: ANN401 - the fields of a Turn
    fields = {"members": ("app1/api-blue",), "at": 0, "since": 0.0, "told": 1.0, "before": {"app1/api-blue": 5}}
    return Turn(**{**fields, "after": {}, **changed})


@pytest.mark.parametrize(
    ("action", "state", "pid", "busy", "answers", "moment", "move"),
    [
        ("restart", "running", 6, False, True, 2, "next"),
        ("restart", "running", 5, False, True, 2, "wait"),
        ("restart", "running", 6, False, False, 2, "wait"),
        ("restart", "running", 6, True, True, 2, "wait"),
        ("restart", "running", 5, False, True, 2 + AGAIN_SECONDS, "tell"),
        ("restart", "failed", 0, False, True, 2, "fail"),
        ("restart", "not ready", 6, False, True, TURN_SECONDS + 1, "fail"),
        ("start", "running", 5, False, True, 2, "next"),
        ("start", "stopped", 0, False, True, 2 + AGAIN_SECONDS, "tell"),
        ("stop", "running", 5, False, True, 2, "wait"),
        ("stop", "stopped", 0, False, True, 2, "next"),
        ("stop", "failed", 0, False, True, 2, "next"),
        ("stop", "unreachable", 0, False, True, 2, "wait"),
    ],
)
def test_what_is_next(  # noqa: PLR0917 - a row of the table
    action: Any,  # noqa: ANN401 - one of three words
    state: str,
    pid: int,
    busy: bool,  # noqa: FBT001
    answers: bool,  # noqa: FBT001
    moment: float,
    move: str,
) -> None:
    seen = Seen(API, HOST, state, pid, "x", busy)
    assert decide(action, turn(), seen, moment, answers=answers)[0] == move


def test_nothing_is_waited_for_before_systemd_was_told() -> None:
    assert decide("restart", turn(told=0.0), Seen(API, HOST, "running", 5, "x"), 1, answers=True)[0] == "tell"
