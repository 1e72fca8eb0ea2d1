"""Run a playbook by ansible-runner as a child process of its own, and hear of every task.

Ansible's licence is another one than ours, so nothing of it is imported. The child is told what to do on its standard
input and ends Ansible when that closes: nothing goes on behind the back of a control process that was killed.
"""

from __future__ import annotations

import ctypes
import difflib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.layout import layout
from runbooks.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.environment import Environment

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
CHANGED_SHOWN = 12
STOP_SECONDS = 8.0
ITEMS_FAILED = "One or more items failed"
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which playbook, for which environment document, with which variables; `check` changes nothing, and shows why.

    `limit` names the hosts and `tags` the parts that it keeps to, as Ansible reads them; "" for all. `facts` is an
    absolute directory that keeps what hosts have said of themselves for the next playbook; "" for none.
    """

    playbook: str
    document: str
    variables: Mapping[str, str] = field(default_factory=dict)
    check: bool = False
    facts: str = ""
    network: str = ""
    folder: str = str(PLAYBOOKS)
    limit: str = ""
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Played:
    """How it ended: tasks that changed something (or would), by host, and why it failed; "" where it did not.

    `differences` has, of a check, the lines of files that would be other ones, by host.
    """

    changed: Mapping[str, Sequence[str]]
    failed: str
    differences: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """Return how many changes there were on all hosts."""
        return sum(len(each) for each in self.changed.values())

    @property
    def sentence(self) -> str:
        """The changes in a few lines."""
        lines = [f"{host}: {task}" for host, tasks in sorted(self.changed.items()) for task in tasks]
        more = [f"and {len(lines) - CHANGED_SHOWN} more"] if len(lines) > CHANGED_SHOWN else []
        return "; ".join([*lines[:CHANGED_SHOWN], *more]) or "nothing"


def play(request: Request, tell: Callable[[str], None] = lambda _: None) -> Played:
    """Run a playbook to its end; `tell` hears of each task. Raises DeployError where it cannot be run."""
    network = request.network
    enter = ["nsenter", f"--net={network}"] if network else []
    command = [*enter, sys.executable, "-m", "runbooks.deploy.playing"]
    changed: dict[str, list[str]] = {}
    differences: dict[str, list[str]] = {}
    failed: list[str] = []
    ended: Any = None
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings(),
        start_new_session=True,  # whoever kills our whole group leaves it alive: it has Ansible to end
    ) as child:
        try:
            if child.stdin is None or child.stdout is None or child.stderr is None:
                raise DeployError("the child of a playbook has no pipes")
            child.stdin.write(json.dumps(asdict(request)) + "\n")
            child.stdin.flush()
            for line in child.stdout:
                said = json.loads(line)
                if said["kind"] == "task":
                    tell(said["text"])
                elif said["kind"] == "changed":
                    changed.setdefault(said["host"], []).append(said["text"])
                elif said["kind"] == "difference":
                    differences.setdefault(said["host"], []).append(said["text"])
                elif said["kind"] == "failed":
                    failed.append(f"{said['host']}: {said['text']}")
                else:
                    ended = said
            errors = child.stderr.read()
        finally:
            _end(child)
    if ended is None:
        raise DeployError(f"{request.playbook}: cannot be run: {_last(errors)}")
    if ended["text"] != "successful" and not failed:
        failed.append(f"ended as {ended['text']}{': ' + _last(errors) if errors else ''}")
    return Played(changed, "; ".join(failed)[:400], differences)


def facts_of(environment: Environment) -> str:
    """Return where what the hosts of an environment have said of themselves is kept between playbooks."""
    return str(layout().home / "facts" / environment.name)


def _end(child: subprocess.Popen[str]) -> None:
    """Let the child end Ansible, and wait: what is left of it would go on changing hosts."""
    if child.stdin is not None and not child.stdin.closed:
        child.stdin.close()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def surroundings() -> dict[str, str]:
    """Return Ansible's environment: it, and the Python of its inventory, lie beside our own Python, or in PATH."""
    own = str(Path(sys.executable).parent)
    source = str(PLAYBOOKS.parent)
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}


def _last(said: str) -> str:
    lines = said.strip().splitlines()
    return lines[-1][:300] if lines else "it does not say why"


# --- the child -------------------------------------------------------------------------------------------------------


def main() -> int:
    """Do what the first line of standard input asks, and write a line for everything that happens."""
    import ansible_runner  # noqa: PLC0415 - an extra of its own

    request = json.loads(sys.stdin.readline())
    gone = threading.Event()

    def watch() -> None:
        sys.stdin.read()
        gone.set()

    threading.Thread(target=watch, daemon=True).start()
    # Ansible's workers have sessions of their own: they become ours where Ansible itself is ended.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(prefix="simplicity-play-") as private:
        done = ansible_runner.run(
            private_data_dir=private,
            project_dir=request["folder"],
            playbook=request["playbook"],
            inventory=str(Path(request["folder"]) / "inventory.py"),
            extravars=dict(request["variables"]),
            cmdline="--check --diff" if request["check"] else None,
            limit=request["limit"] or None,
            tags=request["tags"] or None,
            envvars=_variables(request),
            # The runner joins this to a directory of its own, of which an absolute path takes no notice; it sets
            # Ansible's variable itself, over one of ours.
            fact_cache=request["facts"] or "facts",
            quiet=True,
            event_handler=_heard,
            cancel_callback=gone.is_set,
            suppress_env_files=True,
            settings={"pexpect_timeout": 1},  # seconds until it is seen that whoever asked is gone
        )
        if gone.is_set():
            _end_children()
        _write("ended", "", str(done.status))
    return 0


def _end_children() -> None:
    """Kill what is left of Ansible, each with what it has begun."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text("ascii").split():
                    with suppress(ProcessLookupError):
                        os.kill(int(child), signal.SIGKILL)
            time.sleep(0.02)


def _variables(request: Mapping[str, Any]) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(Path(request["folder"]) / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(Path(request["folder"]) / "roles"),
        "SIMPLICITY_ENVIRONMENT": request["document"],
    }


def _heard(event: Mapping[str, Any]) -> bool:
    """Write what is worth a line; every other event is dropped, and none is kept on disk."""
    about = event.get("event_data") or {}
    host, task = str(about.get("host", "")), str(about.get("task", ""))
    match event.get("event"):
        case "playbook_on_task_start":
            _write("task", "", task)
        case "runner_on_ok" if (about.get("res") or {}).get("changed"):
            _write("changed", host, task)
            for line in _differences(about.get("res") or {}):
                _write("difference", host, line)
        case "runner_item_on_failed" if not about.get("ignore_errors"):
            _write("failed", host, f"{task}: {_reason(about.get('res') or {})}")
        case "runner_on_failed" if not about.get("ignore_errors"):
            reason = _reason(about.get("res") or {})
            if reason != ITEMS_FAILED:  # each was told already
                _write("failed", host, f"{task}: {reason}")
        case "runner_on_unreachable":
            _write("failed", host, f"{task}: the host cannot be reached")
        case _:
            pass
    return False


def _differences(result: Mapping[str, Any]) -> list[str]:
    """Return the lines that a task would change; one that handles a secret tells none."""
    found: list[str] = []
    for each in result.get("results") or [result]:
        pairs = each.get("diff") or []
        for pair in pairs if isinstance(pairs, list) else [pairs]:
            before, after = (str(pair.get(side) or "").splitlines() for side in ("before", "after"))
            lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]
            found += [line[:300] for line in lines if not line.startswith("@@")]
    return found


def _reason(result: Mapping[str, Any]) -> str:
    said = result.get("msg") or result.get("stderr") or result.get("censored") or "it does not say why"
    return " ".join(str(said).split())[:300]


def _write(kind: str, host: str, text: str) -> None:
    # Who asked may be gone: an error here would leave Ansible alone, its end is what the watch on stdin is for.
    with suppress(OSError):
        sys.stdout.write(json.dumps({"kind": kind, "host": host, "text": text}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
