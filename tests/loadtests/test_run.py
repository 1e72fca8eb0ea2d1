"""Load tests as they are run: real processes with real users, against the real API and against one that misbehaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.loadtests.canned_api import canned_api
from tests.loadtests.test_metrics import scraped
from tests.loadtests.test_target import document
from tests.support.api import chained
from tests.support.postgres import free_port
from tests.support.processes import SIMPLICITY, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMAND = (*SIMPLICITY, "loadtest")
# This machine may be busy with much else: how fast it is then is not what these tests are about.
PATIENT = """
window: 30d
objectives:
  - {name: api-availability, title: API availability, team: api, target: 99.9, reason: r, dashboard: api, runbook: r,
     total: a, bad: b, minimum_rate: 0.1}
  - {name: api-latency, title: API latency, team: api, target: 95, limit_seconds: 5, reason: r, dashboard: api,
     runbook: r, total: a, good: b, minimum_rate: 0.1}
"""
UNLIMITED = {"API_RATE_LIMITS": "", "API_KEY_RATE_LIMITS": "", "API_DRAIN_SECONDS": "0", "API_PORT": "0"}


@pytest.fixture
def slo(tmp_path: Path) -> Path:
    path = tmp_path / "slo.yaml"
    path.write_text(PATIENT)
    return path


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a real API with a real index."""
    environment = {"DATABASE_URL": database_url, "BITCOIN_NETWORK": "regtest", **UNLIMITED}
    with (
        chained(database_url, blocks=16, operations=8),
        running("api", environment=environment, log=tmp_path / "api.log") as command,
    ):
        yield f"http://127.0.0.1:{command.wait_for('listening', within=30)['port']}"


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - subprocess's
    return subprocess.run(
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, timeout=60, env=environ(), **options
    )


def environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SIMPLICITY_")}


@contextmanager
def begun(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on; it and all that it began are gone at the end."""
    with subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env=environ()) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until(happens: Callable[[], bool], what: str, within: float = 45) -> None:
    deadline = time.monotonic() + within
    while not happens():
        assert time.monotonic() < deadline, f"{what} did not happen within {within} s"
        time.sleep(0.02)


def engines(parent: int) -> list[psutil.Process]:
    return psutil.Process(parent).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_twenty_users_on_two_workers_are_answered_well_by_the_real_api_and_dashboards_can_see_it(
    api: str, slo: Path, tmp_path: Path
) -> None:
    targets, out = tmp_path / "targets", tmp_path / "out"
    targets.mkdir()
    stale = targets / "loadtest-999999999.json"
    stale.write_text("[]")  # of a test that was killed
    settings = {"load_metrics": {"kind": "file_sd", "settings": {"directory": str(targets)}}}
    path = document(tmp_path / "e.json", endpoints={"api": api}, drivers=settings)
    options = ("--users", "20", "--time", "5s", "--workers", "2", "--slo", str(slo), "--out", str(out))
    with begun("run", "steady", *options, "--environment", str(path)) as process:
        until(lambda: not stale.exists() and len(list(targets.glob("*.json"))) == 1, "the file")
        (found,) = json.loads(next(targets.glob("*.json")).read_text())
        assert found["labels"] == {"cluster": "local", "place": "local", "instance": "loadtest", "job": "loadtest"}
        port = int(found["targets"][0].rpartition(":")[2])
        until(lambda: scraped(port).get(("loadtest_users", (("user", "wallet"),)), 0) >= 10, "users")
        assert scraped(port)["loadtest_target_users", ()] == 20
        until(lambda: any(name == "loadtest_requests_total" for name, _ in scraped(port)), "requests")
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 0, said
    assert list(targets.iterdir()) == []
    assert "    5 s     20 users" in said
    report = json.loads((out / "report.json").read_text())
    assert (report["verdict"]["met"], report["failures"], report["problems"]) == (True, [], [])
    assert report["total"]["requests"] > 100
    assert {row["user"] for row in report["by_user"]} == {"wallet", "explorer", "market-bot"}
    assert [point["at"] for point in report["points"]] == [1, 2, 3, 4, 5]
    assert "All objectives were met" in (out / "report.html").read_text()


def test_a_service_that_fails_for_a_share_of_requests_misses_its_objective(slo: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("sk-1\nsk-2\n")

    def change(number: int, target: str) -> tuple[int, Any] | None:
        if number < 20:
            return None
        if number % 10 == 0:
            return 503, {"detail": "no"}
        return (200, {"another": "thing"}) if number % 10 == 2 and "status" in target else None

    with canned_api() as api:
        api.change = change
        options = ("--users", "10", "--time", "3s", "--think", "0.2", "--key-file", str(keys), "--out", str(tmp_path))
        done = run("run", "steady", *options, "--host", api.url, "--slo", str(slo), "--json")
        assert api.keys == {"sk-1", "sk-2"}
        assert api.tags > 0
    assert done.returncode == 1, done.stderr
    assert "missed: " in done.stderr
    assert "sk-1" not in done.stderr + done.stdout
    report = json.loads(done.stdout)
    judged = {each["name"]: each["met"] for each in report["verdict"]["objectives"]}
    assert judged == {"requests": True, "api-availability": False, "api-latency": True, "right-answers": False}
    reasons = {each["reason"] for each in report["failures"]}
    assert "503" in reasons
    assert "has no current_block_height_network" in reasons


def test_a_load_that_the_rate_limit_refuses_although_every_key_has_its_share_is_not_judged(
    slo: Path, tmp_path: Path
) -> None:
    keys = [f"sk-{number}" for number in range(10)]
    (tmp_path / "keys").write_text("\n".join(keys))
    with canned_api() as api:
        api.change = lambda number, _: None if number < 20 or number % 2 else (429, {"detail": "too many"})
        options = ("--users", "10", "--time", "2s", "--think", "0.1", "--slo", str(slo), "--out", str(tmp_path))
        shared = ("--workers", "2", "--key-file", str(tmp_path / "keys"))
        done = run("run", "steady", *options, *shared, "--host", api.url)
        assert api.keys == set(keys)
    assert done.returncode == 3, done.stderr
    assert "not judged: " in done.stderr
    assert "of requests were refused by the rate limit (429)" in done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["verdict"]["met"] is False


def standing_still_for(seconds: float) -> Callable[[int, str], None]:
    """A change of an API: it answers nothing for so many seconds from now on, and then all that it was asked."""
    end = time.monotonic() + seconds

    def change(_number: int, _target: str) -> None:
        time.sleep(max(0.0, end - time.monotonic()))

    return change


@pytest.mark.parametrize(("second", "hangs"), [(2, 2.5), (5, 4.5)], ids=["in the middle", "over the end"])
def test_a_service_that_stands_still_misses_its_objective_although_users_ask_little_meanwhile(
    tmp_path: Path, second: int, hangs: float
) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text(PATIENT.replace("limit_seconds: 5", "limit_seconds: 1"))
    options = ("--users", "10", "--time", "6s", "--think", "0.2", "--slo", str(slo), "--out", str(tmp_path))
    with canned_api() as api, begun("run", "steady", *options, "--workers", "1", "--host", api.url) as process:
        for line in process.stderr or ():
            if line.startswith(f"    {second} s"):
                api.change = standing_still_for(hangs)
        assert process.wait(10) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    judged = {each["name"]: each["met"] for each in report["verdict"]["objectives"]}
    assert judged == {"requests": True, "api-availability": True, "api-latency": False, "right-answers": True}
    assert report["unasked"] > 10
    assert report["total"]["p95"] < 1  # of what was asked alone
    assert "questions were not asked while users waited for answers" in report["notes"][-1]


def test_what_has_no_answer_at_the_end_is_counted_as_unanswered(slo: Path, tmp_path: Path) -> None:
    with canned_api() as api:
        # Answers that come byte by byte: no wait for the next one is too long, and the end never comes.
        api.drips = lambda: len(api.asked) > 200
        options = ("--users", "10", "--time", "3s", "--think", "0.1", "--slo", str(slo), "--out", str(tmp_path))
        done = run("run", "steady", *options, "--host", api.url)
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["problems"] == []
    judged = {each["name"]: each["met"] for each in report["verdict"]["objectives"]}
    assert judged["api-availability"] is False
    reasons = {each["reason"] for each in report["failures"]}
    assert reasons == {"no answer: it had not come when the user had to end"}
    assert 1 <= report["total"]["failed"] <= 10


def test_ctrl_c_ends_a_test_with_its_report_and_a_killed_one_leaves_neither_processes_nor_its_file(
    tmp_path: Path,
) -> None:
    with canned_api() as api:
        path = document(tmp_path / "e.json", endpoints={"api": api.url})
        options = ("run", "soak", "--users", "4", "--time", "1h", "--environment", str(path), "--out", str(tmp_path))

        def targets() -> list[Path]:
            return list(tmp_path.glob("loadtest-*.json"))

        with begun(*options) as interrupted, begun(*options) as killed:
            until(lambda: len(targets()) == 2 and len(api.asked) > 40, "two tests")
            left = [*engines(interrupted.pid), *engines(killed.pid)]
            assert len(left) == 2
            interrupted.send_signal(signal.SIGINT)
            killed.kill()
            until(lambda: gone(left), "the end of the users", within=10)
            until(lambda: targets() == [], "the end of the files", within=5)
            said = interrupted.communicate(timeout=10)[1]
    assert interrupted.returncode == 130, said
    assert "stopping: users finish what they have asked" in said
    assert json.loads((tmp_path / "report.json").read_text())["interrupted"] is True


def test_workers_join_a_master_elsewhere_and_one_that_is_lost_makes_the_test_worth_nothing(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    keys = tmp_path / "keys"
    keys.write_text("sk-of-the-worker\n")
    join = ("worker", "--master", address, "--key-file", str(keys))
    lead = ("master", "ramp", "--listen", address, "--workers", "2", "--users", "6", "--time", "5s", "--think", "0.1")
    with canned_api() as api, begun(*join) as first, begun(*join) as second:
        with begun(*lead, "--host", api.url, "--out", str(tmp_path)) as master:
            until(lambda: "sk-of-the-worker" in api.keys, "users")
            (process,) = engines(second.pid)
            process.kill()
            said = master.communicate(timeout=40)[1]
        ready, lost = first.communicate(timeout=15)[1], second.communicate(timeout=15)[1]
        assert (first.returncode, second.returncode) == (0, 3)
        assert api.keys == {None, "sk-of-the-worker"}  # the master's sample, and the workers' users
    assert master.returncode == 3, said
    assert f"workers join with: simplicity loadtest worker --master {address}" in said
    assert "1 of 2 workers were lost, and what they had counted" in said
    assert ready in {"worker 0: ready\n", "worker 1: ready\n"}
    assert lost.splitlines()[-1] == "simplicity: the worker ended before its time"


def test_a_worker_that_waits_for_its_master_goes_when_it_is_told_to() -> None:
    with begun("worker", "--master", f"127.0.0.1:{free_port()}") as worker:
        until(lambda: bool(engines(worker.pid)), "the worker's process")
        (process,) = engines(worker.pid)
        until(lambda: bool(process.net_connections()) or process.num_threads() > 1, "its connection")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert gone([process])


def test_the_users_process_that_dies_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with canned_api() as api:
        path = document(tmp_path / "e.json", endpoints={"api": api.url})
        with begun("run", "steady", "--environment", str(path), "--out", str(tmp_path / "out")) as process:
            until(lambda: bool(list(tmp_path.glob("loadtest-*.json"))), "the file")
            (engine,) = engines(process.pid)
            engine.kill()
            said = process.communicate(timeout=10)[1]
    assert process.returncode == 3
    assert said.splitlines()[-1] == "simplicity: the process of the load test ended before its time"
    assert list(tmp_path.glob("loadtest-*")) == []
    assert not (tmp_path / "out").exists()


def test_a_process_without_a_part_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.engine"],
        check=False,
        capture_output=True,
        text=True,
        input='{"role": "alone", "course": null, "work": null, "workers": 0, "listen": ["127.0.0.1", 0], "targets": "",'
        ' "labels": [], "keys": []}',
        timeout=30,
    )
    assert done.returncode == 1
    assert "a plan without course and work" in done.stderr
