"""A second database server on restored files: its owner alone reaches it, it archives nothing and touches nothing."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from infra.local.components.postgresql import SUPERUSER, binary, unprivileged
from runbooks.backup.errors import BackupError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POLL_SECONDS = 0.05
STOP_SECONDS = 60
_PORT = 5432
# Only the socket, in a directory that nobody else may enter, so no password is asked for: those of the time that is
# restored may have been changed since.
_HBA = "local all all trust\n"
_REASONS = {
    "recovery ended before configured recovery target was reached": "the archive ends before the target",
    "could not locate required checkpoint record": "WAL that the backup needs is missing",
    "requested recovery stop point is before consistent recovery point": "the target is older than the backup",
}


class Scratch:
    """A running server on a data directory; `socket` is the directory of its socket."""

    def __init__(self, data: Path, socket: Path, log: Path) -> None:
        self.data = data
        self.socket = socket
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, *, role: str = "") -> str:
        """Return a connection URL as the superuser, or as him in a role, whose all that is made belongs to then."""
        acting = f"&options=-c%20role%3D{role}" if role else ""
        return f"postgresql://{SUPERUSER}@/{database}?host={self.socket}&port={_PORT}{acting}"

    def start(self, settings: Mapping[str, str], *, within: float) -> None:
        """Start it and wait until it takes writes. Raises RefusedError where it cannot recover, BackupError."""
        hba = self.socket / "pg_hba.conf"
        hba.write_text(_HBA, encoding="ascii")
        own = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket),
            "port": str(_PORT),
            "hba_file": str(hba),
            # Nothing is archived from here, and nothing of the new timeline is lost: should these files become the live
            # ones, their server archives what waits.
            "archive_mode": "on",
            "archive_command": "",
            "hot_standby": "off",  # nobody reads before the end, so the size of the old server does not matter
            "logging_collector": "off",
            "log_min_messages": "log",
            "summarize_wal": "off",
            "timezone": "UTC",
        }
        flags = [part for name, value in (own | dict(settings)).items() for part in ("-c", f"{name}={value}")]
        command = [*unprivileged(), binary("postgres"), "-D", str(self.data), *flags]
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": str(self.data)},
                start_new_session=True,
            )
        deadline = time.monotonic() + within
        while not self._is_writable():
            if self.process.poll() is not None:
                raise self._failure()
            if time.monotonic() > deadline:
                self.stop()
                raise BackupError(f"the restored server has not come up within {within:.0f} s; its log is {self.log}")
            time.sleep(POLL_SECONDS)

    def _is_writable(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2) as connection:
                row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and row[0] is False

    def _failure(self) -> BackupError:
        lines = self.log.read_text("utf-8", "replace").splitlines()
        said = [line.partition("FATAL:")[2].strip() or line.partition("PANIC:")[2].strip() for line in lines]
        # What those were told who asked whether it is up, ourselves among them, is not why it is down.
        said = [line for line in said if line and not line.startswith("the database system is")]
        last = said[-1] if said else lines[-1] if lines else "no word"
        for words, reason in _REASONS.items():
            if words in last:
                return RefusedError(f"{reason} (PostgreSQL: {last}); choose another target or backup")
        return RefusedError(f"the restored files do not start: {last}; its log is {self.log}")

    def stop(self) -> None:
        """Stop it, with everything on disk."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


@contextmanager
def scratch(data: Path, log: Path) -> Iterator[Scratch]:
    """Provide a server on a data directory for the time of a `with`; it is stopped whatever happens there."""
    stop_leftover(data)
    # Not below the data: a socket's path ends at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="simplicity-restore-") as socket:
        server = Scratch(data, Path(socket), log)
        try:
            yield server
        finally:
            server.stop()


def stop_leftover(data: Path) -> None:
    """End a server that a killed restore has left behind on a data directory."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return
    told, deadline = False, time.monotonic() + STOP_SECONDS
    while _works_in(pid, data) and time.monotonic() < deadline:
        if not told:
            os.kill(pid, signal.SIGINT)
            told = True
        time.sleep(POLL_SECONDS)


def _works_in(pid: int, data: Path) -> bool:
    """Tell whether a process lives that runs in a directory: the number may have become somebody else's."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False


def restore_command(wal: Path) -> str:
    """Return what PostgreSQL runs to get a file of WAL that was fetched and checked before."""
    return f"cp {shlex.quote(str(wal)).replace('%', '%%')}/%f %p"
