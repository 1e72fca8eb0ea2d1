"""The drivers of a real envelope, and callers that are killed in the middle of what they do."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest

from infra import environment as document
from infra.local.components.api import INSTANCES
from infra.local.lock import exclusive
from infra.local.supervisor import Supervisor
from runbooks.drivers.local_secrets import WRITABLE
from runbooks.drivers.local_services import LocalServiceControl
from runbooks.drivers.operations import wait
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.drivers.select import Drivers
from tests.runbooks.drivers import killed

if TYPE_CHECKING:
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation
    from tests.support.envelope import Throwaway

pytestmark = pytest.mark.xdist_group("drivers")

# Of a restart and a stop of one service: before and after each record, and each word to the supervisor.
RESTART_MOMENTS, STOP_MOMENTS = 16, 10
LATEST = 60.0


@pytest.fixture
def control(envelope: Throwaway, store: OperationStore) -> LocalServiceControl:
    return LocalServiceControl(envelope.layout, store)


def spawned(envelope: Throwaway, name: str) -> int:
    """How many processes the supervisor has started for a service, by its own log."""
    text = (envelope.layout.log / "supervisord.log").read_text()
    return len(re.findall(rf"spawned: '{name}' with pid", text))


def call(envelope: Throwaway, store: OperationStore, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", killed.__name__, str(envelope.home), str(store.directory), *words]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=90, cwd=Path(__file__).parents[3]
    )


def finished(control: LocalServiceControl, key: str) -> Operation:
    operation = wait(control, key, LATEST)
    assert operation.over, operation
    return operation


def restart_with_a_kill(control: LocalServiceControl, envelope: Throwaway, name: str, moment: int) -> None:
    store, before, count = control.store, envelope.pids()[name], spawned(envelope, name)
    done = call(envelope, store, "k", "restart", name, str(moment))
    assert done.returncode == -signal.SIGKILL, done.stderr
    if store.find("k") is None:
        with pytest.raises(Refusal, match="the key k has begun no operation here"):
            control.poll("k")
        control.restart("k", name)
    operation = finished(control, "k")
    after = envelope.pids()[name]
    assert operation.phase is Phase.DONE, operation
    assert operation.result == {"before": {name: before}, "after": {name: after}, "changed": [name]}
    assert control.restart("k", name) == operation, "the same key again has no effect"
    assert (spawned(envelope, name), envelope.pids()[name]) == (count + 1, after), "exactly one restart"
    assert after != before
    assert not psutil.pid_exists(before)


@pytest.mark.parametrize("moment", [1, 2, 4, 7, 8, 10, 12, 14, 15])
def test_a_restart_whose_caller_is_killed_is_finished_by_the_next_one_and_happens_once(
    control: LocalServiceControl, envelope: Throwaway, moment: int
) -> None:
    restart_with_a_kill(control, envelope, "valkey", moment)


@pytest.mark.proof
@pytest.mark.parametrize("moment", range(1, RESTART_MOMENTS + 1))
@pytest.mark.parametrize("name", ["valkey", "sync", "api-1", "postgresql"])
def test_a_restart_happens_once_whenever_its_caller_is_killed(
    control: LocalServiceControl, envelope: Throwaway, name: str, moment: int
) -> None:
    restart_with_a_kill(control, envelope, name, moment)


def test_these_are_all_the_moments_at_which_a_caller_can_be_killed(envelope: Throwaway, store: OperationStore) -> None:
    for action, moments in (("restart", RESTART_MOMENTS), ("stop", STOP_MOMENTS), ("start", STOP_MOMENTS)):
        done = call(envelope, store, action, action, "valkey", "0")
        assert int(done.stdout) == moments, done.stderr


def test_a_restart_outlasts_one_caller_after_the_other(control: LocalServiceControl, envelope: Throwaway) -> None:
    count, killed_ones = spawned(envelope, "valkey"), 0
    for moment in itertools.islice(itertools.cycle((1, 3, 4, 5, 6)), 40):
        done = call(envelope, control.store, "k", "restart", "valkey", str(moment))
        if done.returncode == 0:
            break
        killed_ones += 1
    assert killed_ones >= 5
    assert finished(control, "k").phase is Phase.DONE
    assert spawned(envelope, "valkey") == count + 1


@pytest.mark.parametrize("moment", range(1, STOP_MOMENTS + 1))
def test_a_stopped_service_stays_stopped_whenever_its_caller_is_killed_and_can_be_started(
    control: LocalServiceControl, envelope: Throwaway, moment: int
) -> None:
    assert call(envelope, control.store, "k", "stop", "valkey", str(moment)).returncode == -signal.SIGKILL
    control.stop("k", "valkey")
    operation = finished(control, "k")
    assert operation.phase is Phase.DONE
    count = spawned(envelope, "valkey")
    assert operation.result["after"] == {"valkey": 0}
    assert call(envelope, control.store, "s", "start", "valkey", str(moment)).returncode == -signal.SIGKILL
    assert control.stop("k", "valkey") == operation
    control.start("s", "valkey")
    assert finished(control, "s").phase is Phase.DONE
    assert spawned(envelope, "valkey") == count + 1


def test_a_group_is_restarted_in_turn_though_its_caller_is_killed_between_them(
    control: LocalServiceControl, envelope: Throwaway
) -> None:
    before, counts = envelope.pids(), {name: spawned(envelope, name) for name in INSTANCES}
    # Sixteen are the first one's turn.
    assert call(envelope, control.store, "k", "restart", "api", "20").returncode == -signal.SIGKILL
    halfway = control.store.get("k").result
    assert halfway["after"] == {"api-1": envelope.pids()["api-1"]}
    operation = finished(control, "k")
    after = envelope.pids()
    assert operation.phase is Phase.DONE
    assert operation.result["changed"] == list(INSTANCES)
    assert {name: spawned(envelope, name) for name in INSTANCES} == {n: c + 1 for n, c in counts.items()}
    assert {name for name in after if after[name] != before[name]} == set(INSTANCES)


def test_two_callers_of_the_same_restart_do_it_once(control: LocalServiceControl, envelope: Throwaway) -> None:
    count = spawned(envelope, "valkey")
    words = [sys.executable, "-m", killed.__name__, str(envelope.home), str(control.store.directory)]
    callers = [
        subprocess.Popen([*words, "k", "restart", "valkey", "0"], cwd=Path(__file__).parents[3]) for _ in range(3)
    ]
    assert [caller.wait(timeout=90) for caller in callers] == [0, 0, 0]
    assert control.poll("k").phase is Phase.DONE
    assert spawned(envelope, "valkey") == count + 1


def test_services_are_seen_as_they_are(control: LocalServiceControl, envelope: Throwaway) -> None:
    pids = envelope.pids()
    seen = {service.name: service for service in control.services()}
    assert {name: service.pid for name, service in seen.items()} == pids
    assert {service.state for service in seen.values()} == {"running"}
    assert {name for name, service in seen.items() if service.group == "api"} == set(INSTANCES)
    control.stop("k", "valkey")
    assert finished(control, "k").phase is Phase.DONE
    (stopped,) = [service for service in control.services() if service.name == "valkey"]
    assert (stopped.state, stopped.pid) == ("stopped", 0)


def test_a_stop_says_who_goes_on_without_the_service(control: LocalServiceControl) -> None:
    control.stop("k", "bitcoin-node")
    operation = finished(control, "k")
    assert operation.result["needed_by"] == ["sync", "traffic"]
    assert "sync, traffic cannot do without it" in operation.detail
    control.start("s", "bitcoin-node")
    assert finished(control, "s").phase is Phase.DONE


def test_a_started_service_that_runs_already_is_left_alone(control: LocalServiceControl, envelope: Throwaway) -> None:
    before = envelope.pids()
    control.start("k", "api")
    operation = finished(control, "k")
    assert (operation.phase, operation.result["changed"]) == (Phase.DONE, [])
    assert envelope.pids() == before


def test_a_service_that_hangs_is_replaced_too(control: LocalServiceControl, envelope: Throwaway) -> None:
    hung = psutil.Process(envelope.pids()["valkey"])
    os.kill(hung.pid, signal.SIGSTOP)
    control.restart("k", "valkey")
    assert finished(control, "k").phase is Phase.DONE
    assert envelope.pids()["valkey"] != hung.pid
    assert not hung.is_running()


def test_while_another_command_is_at_work_an_operation_waits_and_says_for_whom(
    control: LocalServiceControl, envelope: Throwaway
) -> None:
    before = envelope.pids()["valkey"]
    with exclusive(envelope.layout.lock, "up"):
        operation = control.restart("k", "valkey")
        assert "`simplicity up` (pid" in operation.detail
        assert not operation.over
        assert wait(control, "k", 0.3).phase is Phase.RUNNING
        assert envelope.pids()["valkey"] == before
    assert finished(control, "k").phase is Phase.DONE


def test_an_operation_goes_on_when_the_envelope_is_up_again(control: LocalServiceControl, envelope: Throwaway) -> None:
    control.stop("k", "valkey")
    with exclusive(envelope.layout.lock, "up"):
        control.restart("r", "sync")
    pid = Supervisor(envelope.layout).pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    envelope.wait(lambda: Supervisor(envelope.layout).pid() is None, within=5)
    operation = control.poll("r")
    assert operation.detail == "has to wait: the envelope is not up; `simplicity up` starts it, and this goes on"
    with pytest.raises(Refusal, match="the envelope is not up; `simplicity up` starts it"):
        control.restart("other", "sync")
    envelope.up()
    assert finished(control, "r").phase is Phase.DONE


@pytest.mark.parametrize("name", ["", "nginx", "api-3", "../sync", "sync;reboot", "sync\n", "-rf", "all", "x" * 5_000])
def test_a_name_that_no_service_has_is_refused_and_nothing_is_recorded(control: LocalServiceControl, name: str) -> None:
    for begin in (control.start, control.stop, control.restart):
        with pytest.raises(Refusal, match=r"there is no service .*; there are .*api, api-1") as caught:
            begin("k", name)
        assert len(str(caught.value)) < 400
    assert control.store.find("k") is None


def test_a_key_is_for_one_operation_only(control: LocalServiceControl, envelope: Throwaway) -> None:
    control.start("k", "valkey")
    before = envelope.pids()
    for begin, name in ((control.restart, "valkey"), (control.start, "sync"), (control.stop, "valkey")):
        with pytest.raises(Refusal, match="the key k has begun start of valkey"):
            begin("k", name)
    assert envelope.pids() == before


def test_new_passwords_are_taken_by_the_next_up(
    envelope: Throwaway, store: OperationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(envelope.home))
    described = document.load(envelope.layout.environment)
    secrets = Drivers.for_environment(described, store.directory).secret_store
    new = {name: f"new-{name}" for name in WRITABLE & set(secrets.names())}
    assert len(new) >= 3
    for name, value in new.items():
        operation = secrets.write(name, name, value)
        assert operation.phase is Phase.DONE
        assert "`simplicity up` brings it into effect" in operation.detail
    assert {name: secrets.read(name) for name in new} == new
    envelope.up()
    assert envelope.is_up()
    database = described.endpoints.database
    with psycopg.connect(
        host=database.host,
        port=database.port,
        dbname=database.name,
        user=database.writer_role,
        password=new["database_writer_password"],
    ) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_operation_takes_no_longer_than_the_service(control: LocalServiceControl) -> None:
    began = time.monotonic()
    control.restart("k", "valkey")
    assert finished(control, "k").phase is Phase.DONE
    assert time.monotonic() - began < 10
