"""What people and machines do to an envelope, and what the next command makes of it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from infra.local.components import grafana
from tests.support.envelope import Throwaway

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("envelope")


def test_a_second_up_changes_nothing(envelope: Throwaway) -> None:
    before = (envelope.supervisor(), envelope.pids(), envelope.layout.ports.read_text())
    answer = envelope.up()
    assert answer["started"] == []
    assert answer["changed"] is False
    assert (envelope.supervisor(), envelope.pids(), envelope.layout.ports.read_text()) == before
    assert "already up: nothing changed" in envelope.run("up").stdout


def test_blocks_are_indexed_and_status_shows_the_tip(envelope: Throwaway) -> None:
    envelope.wait(lambda: (envelope.status()["tip"] or {"height": 0})["height"] >= 103, within=20)
    tip = envelope.status()["tip"]
    assert len(tip["state_hash"]) == 64
    shown = envelope.run("status")
    assert shown.returncode == 0
    for word in ("postgresql", "valkey", "bitcoin-node", "sync", "api-1", "haproxy", "prometheus", "state hash"):
        assert word in shown.stdout


@pytest.mark.parametrize("component", ["postgresql", "valkey", "bitcoin-node", "sync", "api-1", "haproxy"])
def test_a_killed_component_is_back_within_10_seconds(envelope: Throwaway, component: str) -> None:
    before = envelope.pids()[component]
    os.kill(before, signal.SIGKILL)
    envelope.wait(lambda: envelope.pids().get(component) not in {0, before, None}, within=10)
    envelope.wait(envelope.is_up, within=10)


def test_a_component_is_restarted_by_its_name_and_the_others_go_on(envelope: Throwaway) -> None:
    before = envelope.pids()
    done = envelope.run("restart", "valkey")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["ready", "valkey"]]
    after = envelope.pids()
    assert {name for name in after if after[name] != before[name]} == {"valkey"}


def test_after_a_killed_supervisor_status_says_so_and_up_mends_it(envelope: Throwaway) -> None:
    before = set(envelope.processes())
    os.kill(envelope.supervisor(), signal.SIGKILL)
    status = envelope.run("status")
    assert status.returncode == 1
    assert "the supervisor is gone" in status.stdout
    envelope.up()
    assert envelope.run("status").returncode == 0
    assert not before & set(envelope.processes()), "nobody is left without a supervisor"


def test_a_port_that_a_stranger_took_meanwhile_is_replaced(envelope: Throwaway) -> None:
    def api() -> str:
        return next(str(row["url"]) for row in envelope.status()["rows"] if row["component"] == "haproxy")

    before = api()
    assert envelope.run("down").returncode == 0
    with closing(socket.create_server(("127.0.0.1", int(before.rpartition(":")[2])))):
        envelope.up()
        assert api() != before
        assert envelope.run("status").returncode == 0


def test_down_leaves_no_process_not_even_after_a_killed_supervisor(envelope: Throwaway) -> None:
    members = [psutil.Process(pid) for pid in envelope.processes()]
    frozen = psutil.Process(envelope.pids()["traffic"])
    os.kill(envelope.supervisor(), signal.SIGKILL)
    frozen.suspend()
    done = envelope.run("down")
    assert done.returncode == 0, done.stderr
    assert not [process for process in members if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert envelope.run("status").returncode == 3
    assert envelope.run("down").stdout == "nothing was running\n"


def test_a_full_port_range_is_one_clear_line(at_rest: Throwaway) -> None:
    memory = at_rest.layout.ports.rename(at_rest.layout.home / "ports.json")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        number = server.getsockname()[1]
        done = at_rest.run("up", SIMPLICITY_PORT_RANGE=f"{number}-{number}")
    memory.rename(at_rest.layout.ports)
    assert done.returncode == 1
    assert done.stderr.startswith("simplicity: no free TCP port on 127.0.0.1 for ")
    assert done.stderr.count("\n") == 1
    assert at_rest.processes() == []


def test_a_database_of_another_release_is_named_and_not_touched(at_rest: Throwaway) -> None:
    version = at_rest.layout.data / "postgresql" / "PG_VERSION"
    right = version.read_text()
    try:
        version.write_text("12\n")
        done = at_rest.run("up", "--json")
    finally:
        version.write_text(right)
    failed = json.loads(done.stdout)["failed"]
    assert done.returncode == 1
    assert "was made by PostgreSQL 12" in failed["postgresql"]
    assert failed["api-1"] == "not started: it needs postgresql"


def test_a_component_that_is_not_ready_in_time_is_named_with_its_last_words(at_rest: Throwaway) -> None:
    with (at_rest.layout.data / "bitcoin-node" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another node on the same directory holds it
        done = at_rest.run("up", "--wait", "2")
    assert done.returncode == 1
    assert "bitcoin-node is not up: not ready after 2 s" in done.stdout
    assert "  | " in done.stdout, "its last log lines"
    assert "simplicity logs bitcoin-node" in done.stdout, "what to do"
    assert "The rest goes on running" in done.stdout
    running = {row["component"]: row["state"] for row in at_rest.status()["rows"]}
    assert running["postgresql"] == "running"


def test_stale_files_of_a_crashed_machine_do_not_block_up(at_rest: Throwaway) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(at_rest.layout.socket))
    # After a reboot the old pid may belong to anybody, to us for instance.
    data = at_rest.layout.data
    (data / "postgresql" / "postmaster.pid").write_text(f"{os.getpid()}\n{data}/postgresql\n1\n15432\n\n127.0.0.1\n")
    (at_rest.layout.run / "supervisord.pid").write_text(f"{os.getpid()}\n")
    assert set(at_rest.up()["started"]) >= {"postgresql", "api-1", "haproxy"}


def test_one_command_at_a_time_and_an_interrupted_up_is_finished_by_the_next(at_rest: Throwaway) -> None:
    first = at_rest.begin("up")
    at_rest.wait((at_rest.layout.run / "supervisord.pid").exists, within=20)
    first.send_signal(signal.SIGSTOP)  # or it might be done before the other has begun
    second = at_rest.run("down")
    assert second.returncode == 1
    assert f"`simplicity up` (pid {first.pid}) is at work" in second.stderr
    first.send_signal(signal.SIGINT)
    first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "interrupted; what runs goes on" in errors
    assert psutil.pid_exists(at_rest.supervisor())
    at_rest.up()


def test_reset_asks_first_and_then_leaves_nothing(tmp_path: Path) -> None:
    other = Throwaway(tmp_path / "home")
    other.layout.create()
    refused = other.run("reset")
    assert (refused.returncode, other.layout.data.exists()) == (1, True)
    assert other.run("reset", "--yes").returncode == 0
    assert not other.layout.data.exists()


@pytest.fixture
def stranger() -> Iterator[Throwaway]:
    """An ordinary user's envelope: no HOME, and a path that is too long for a socket."""
    nobody = 65_534
    # Not pytest's own directory: that is closed to other users.
    base = Path(tempfile.mkdtemp(prefix="simplicity-test-"))
    try:
        os.chown(base, nobody, nobody)
        made = Throwaway(base / ("x" * 90), user=nobody)
        yield made
        made.run("down")
    finally:
        shutil.rmtree(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_without_a_home_gets_an_envelope_beside_ours(envelope: Throwaway, stranger: Throwaway) -> None:
    stranger.up("--no-traffic")
    assert stranger.run("status").returncode == 0
    assert {psutil.Process(pid).uids().real for pid in stranger.processes()} == {stranger.user}
    ours, theirs = (json.loads(who.layout.ports.read_text()) for who in (envelope, stranger))
    if not grafana.is_there():
        assert ours.pop(grafana.PORT) == theirs.pop(grafana.PORT), "free for whoever installs it first"
    assert not set(ours.values()) & set(theirs.values())
    assert stranger.run("down").returncode == 0
    assert stranger.processes() == []
    assert envelope.run("status").returncode == 0
