"""Find and stop every process of an envelope, whatever has become of its supervisor."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

POLL_SECONDS = 0.05
# What has been sent SIGKILL is gone at once, unless it hangs in the kernel.
KILLED_SECONDS = 5.0
MARKER = "SIMPLICITY_ENVELOPE"
# What a child may know of the caller's shell. Not more: a DATABASE_URL or BITCOIN_RPC_PASSWORD of somebody's
# production shell would otherwise reach the local indexer.
INHERITED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")


@dataclass(frozen=True, slots=True)
class Seen:
    """One process as found in the process table; unreadable fields are empty."""

    pid: int
    parent: int
    name: str
    marker: str
    executable: str
    directory: str


def belonging(seen: Iterable[Seen], data: Path, *, spare: frozenset[int] = frozenset()) -> list[Seen]:
    """Return the processes of the envelope in `data`: marked ones, PostgreSQL's, and all their descendants.

    PostgreSQL overwrites its environment to show a title, so its processes are known by program and directory.
    """
    table = list(seen)
    database = str(data / "postgresql")
    members = {
        p.pid
        for p in table
        if p.marker == str(data) or (Path(p.executable).name == "postgres" and p.directory == database)
    }
    grown = True
    while grown:
        children = {p.pid for p in table if p.parent in members} - members
        members |= children
        grown = bool(children)
    return [p for p in table if p.pid in members and p.pid not in spare]


def snapshot() -> list[Seen]:
    """Return the process table of this machine as far as it may be read."""
    return [seen for process in psutil.process_iter() if (seen := _look(process)) is not None]


def _look(process: psutil.Process) -> Seen | None:
    try:
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return Seen(
                pid=process.pid,
                parent=process.ppid(),
                name=process.name(),
                marker=_readable(process.environ, dict[str, str]()).get(MARKER, ""),
                executable=_readable(process.exe, ""),
                directory=_readable(process.cwd, ""),
            )
    except psutil.Error:
        return None


def _readable(read: Callable[[], T], otherwise: T) -> T:
    """Read a field that other users' processes do not show."""
    try:
        return read()
    except (psutil.AccessDenied, OSError):
        return otherwise


def envelope_processes(data: Path) -> list[psutil.Process]:
    """Return every living process of the envelope in `data`, the caller and its ancestors left out."""
    me = psutil.Process()
    spare = frozenset({me.pid, *(parent.pid for parent in me.parents())})
    found = []
    for seen in belonging(snapshot(), data, spare=spare):
        try:
            found.append(psutil.Process(seen.pid))
        except psutil.NoSuchProcess:
            continue
    return found


def family(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def listening_ports(processes: Iterable[psutil.Process]) -> frozenset[int]:
    """Return the TCP ports on which these processes listen."""
    numbers = set()
    for process in processes:
        try:
            numbers |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except (psutil.Error, OSError):
            continue
    return frozenset(numbers)


def stop_all(processes: list[psutil.Process], *, patience: float = 15.0) -> None:
    """Stop processes: politely, after `patience` seconds by force; raises EnvelopeError if one survives that.

    A supervisor is killed first: it would start again what is stopped here.
    """
    supervisors = [p for p in processes if _is_supervisor(p)]
    for process in supervisors:
        _signal(process, signal.SIGKILL)
    wait_gone(supervisors, within=KILLED_SECONDS)
    rest = [p for p in processes if p not in supervisors]
    pids = {p.pid for p in rest}
    for process in rest:
        # Children of one that is stopped here end with it; PostgreSQL's must not be told on their own.
        if _parent(process) not in pids:
            _signal(process, signal.SIGINT if _name(process) == "postgres" else signal.SIGTERM)
            _signal(process, signal.SIGCONT)  # one that was suspended would not hear it
    alive = wait_gone(rest, within=patience)
    for process in alive:
        _signal(process, signal.SIGKILL)
    alive = wait_gone(alive, within=KILLED_SECONDS)
    if alive:
        raise EnvelopeError(f"processes {[p.pid for p in alive]} do not end even by SIGKILL; look at them with ps")


def wait_gone(processes: list[psutil.Process], *, within: float) -> list[psutil.Process]:
    """Wait until processes have ended, `within` so many seconds; return those that live on.

    A zombie has ended: an init that is slow to reap would otherwise cost seconds, one that never does everything.
    """
    deadline = time.monotonic() + within
    while alive := [process for process in processes if _lives(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return "supervisor.supervisord" in process.cmdline()
    except psutil.Error:
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def child_environment(data: Path) -> dict[str, str]:
    """Return the environment every process of the envelope starts with: little of ours, and the marker."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {"HOME": str(data), "PATH": os.defpath, "LANG": "C.UTF-8", **kept, MARKER: str(data)}


def simplicity_command(*arguments: str) -> tuple[str, ...]:
    """Return the command line that runs a sub-command of ours with this very Python."""
    script = Path(sys.executable).with_name("simplicity")
    if script.exists():
        return (str(script), *arguments)
    return (sys.executable, "-c", "from runbooks.cli import main; main()", *arguments)
