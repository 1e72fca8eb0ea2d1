"""A playbook is run by a child that tells of every task, and that ends with whoever asked."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from runbooks.deploy import playing
from runbooks.deploy.errors import DeployError
from runbooks.deploy.playing import Played, Request, play

# What stands in for ansible-runner: it plays the events that the playbook's file holds, and waits where one says so.
RUNNER = """
import json, pathlib, subprocess, time
class Done:
    status = "successful"
def run(*, project_dir, playbook, event_handler, cancel_callback, cmdline, envvars, **rest):
    for event in json.loads(pathlib.Path(project_dir, playbook).read_text()):
        if event == "boom":
            raise SystemExit("no ansible here")
        if event == "wait":
            worker = subprocess.Popen(["sleep", "300"], start_new_session=True)
            pathlib.Path(project_dir, "worker").write_text(str(worker.pid))
            while not cancel_callback():
                time.sleep(0.02)
            Done.status = "canceled"
        elif event == "check":
            event_handler({"event": "playbook_on_task_start", "event_data": {"task": str(cmdline)}})
        else:
            event_handler(event)
    return Done
"""


def event(kind: str, task: str, host: str = "app1", **result: object) -> dict[str, object]:
    return {"event": kind, "event_data": {"task": task, "host": host, "res": result}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "ansible_runner.py").write_text(RUNNER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    # Before our own: a real one may be installed.
    usual = playing.surroundings

    def ours() -> dict[str, str]:
        made = usual()
        return made | {"PYTHONPATH": f"{tmp_path / 'lib'}:{made['PYTHONPATH']}"}

    monkeypatch.setattr(playing, "surroundings", ours)
    return tmp_path


def request(folder: Path, *events: object, check: bool = False) -> Request:
    (folder / "book.yaml").write_text(json.dumps(events))
    return Request(playbook="book.yaml", document="document", folder=str(folder), check=check)


def test_tasks_are_told_and_changes_counted(folder: Path) -> None:
    told: list[str] = []
    found = play(
        request(
            folder,
            event("playbook_on_task_start", "Settings"),
            event("runner_on_ok", "Settings", changed=True),
            event("runner_on_ok", "Settings", "app2", changed=False),
        ),
        told.append,
    )
    assert told == ["Settings"]
    assert found == Played({"app1": ["Settings"]}, "")
    assert found.sentence == "app1: Settings"


def test_what_failed_is_said_by_host(folder: Path) -> None:
    found = play(
        request(
            folder,
            event("runner_on_failed", "Start", msg="no\nroom"),
            event("runner_on_unreachable", "Start", "app2"),
            {"event": "runner_on_failed", "event_data": {"task": "Maybe", "host": "app3", "ignore_errors": True}},
        )
    )
    assert found.failed == "app1: Start: no room; app2: Start: the host cannot be reached"


def test_a_check_changes_nothing(folder: Path) -> None:
    told: list[str] = []
    play(request(folder, "check", check=True), told.append)
    assert told == ["--check --diff"]


def test_what_cannot_be_run_is_one_line(folder: Path) -> None:
    with pytest.raises(DeployError, match="no ansible here"):
        play(request(folder, "boom"))


def test_ansible_ends_with_whoever_asked_within_5_seconds(folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "runbooks.deploy.playing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=playing.surroundings(),
    )
    with child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(asdict(request(folder, "wait"))) + "\n")
        child.stdin.flush()
        ends = time.monotonic() + 10
        while not (folder / "worker").exists() and time.monotonic() < ends:
            time.sleep(0.02)
        worker = Path("/proc", (folder / "worker").read_text())
        child.stdin.close()
        assert child.wait(5) == 0
    assert not worker.exists() or "Z" in (worker / "stat").read_text().split()


INVENTORY = """#!/bin/sh
echo '{"all": {"hosts": ["here"]}, "_meta": {"hostvars": {"here": {"ansible_connection": "local"}}}}'
"""
BOOK = "- hosts: all\n  gather_subset: [min]\n  tasks:\n    - name: It acts\n      ansible.builtin.ping:\n"


def test_what_hosts_have_said_of_themselves_is_not_asked_again(tmp_path: Path) -> None:
    """By Ansible itself."""
    (tmp_path / "roles").mkdir()
    (tmp_path / "book.yaml").write_text(BOOK)
    (tmp_path / "inventory.py").write_text(INVENTORY)
    (tmp_path / "inventory.py").chmod(0o755)
    settings = (playing.PLAYBOOKS / "ansible.cfg").read_text().replace("become = True", "become = False")
    (tmp_path / "ansible.cfg").write_text(settings)
    request = Request(playbook="book.yaml", document="", folder=str(tmp_path), facts=str(tmp_path / "facts"))
    tasks: list[list[str]] = [[], []]
    assert [play(request, told.append).failed for told in tasks] == ["", ""]
    assert tasks == [["Gathering Facts", "It acts"], ["It acts"]]
