"""A second database server on a host, on files that pgBackRest restored there: on a socket only, as a unit of its own.

A control node that dies leaves no server for ever: the unit's time ends it.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbooks.backup.errors import BackupError, RefusedError
from runbooks.drivers.relay import NAME
from runbooks.drivers.remote import RemoteError, UnreachableError, as_user

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runbooks.drivers.remote import Remote

USER = "postgres"
ROOT = "/var/lib/postgresql/restored"
LIVES_SECONDS = 6 * 3600
STOP_SECONDS, POLL_SECONDS = 90.0, 0.5
_VERSION = re.compile(r"[0-9]{2}")
_REASONS = {
    "recovery ended before configured recovery target was reached": "the archive ends before the target",
    "could not locate required checkpoint record": "WAL that the backup needs is missing",
    "requested recovery stop point is before consistent recovery point": "the target is older than the backup",
}
# Its own, not those of the files: what lies there makes the live server listen, archive and ask for passwords.
_HBA = "local all all trust\n"


@dataclass(frozen=True, slots=True)
class RemoteScratch:
    """One restored database on a host, by a key of its own."""

    remote: Remote
    host: str
    stanza: str
    key: str
    relay: Path | None = field(default=None, compare=False)

    @property
    def folder(self) -> str:
        """Where its files are on the host."""
        return f"{ROOT}/{self.key}"

    @property
    def unit(self) -> str:
        """The unit that is its server, and the directory of its socket below /run."""
        # A socket's path ends at 107 bytes, and keys are long.
        return f"simplicity-restored-{hashlib.sha256(self.key.encode()).hexdigest()[:12]}"

    @property
    def socket(self) -> str:
        """The socket of its server on the host."""
        return f"/run/{self.unit}/{NAME}"

    def url(self, database: str, *, role: str = "") -> str:
        """Return a connection URL as the superuser by the socket's relay on this machine."""
        acting = f"&options=-c%20role%3D{role}" if role else ""
        return f"postgresql://{USER}@/{database}?host={self.relay}&port=5432{acting}"

    def fetch(self, options: Sequence[str], *, within: float) -> None:
        """Restore the files anew; `options` say which backup and how far. Raises BackupError."""
        data = f"{self.folder}/data"
        get = f'pgbackrest --stanza={self.stanza} --pg1-path={data} --no-archive-async archive-get %f "%p"'
        self.remove()
        self._run("mkdir", "--mode=0700", self.folder, data)
        self._run(
            "pgbackrest",
            f"--stanza={self.stanza}",
            f"--pg1-path={data}",
            f"--tablespace-map-all={self.folder}/tablespaces",
            # The live server's WAL waits in the spool: two must not take from it.
            f"--recovery-option=restore_command={get}",
            "--archive-mode=off",
            *options,
            "restore",
            within=within,
        )

    def start(self, *, within: float) -> None:
        """Start its server and wait until it takes writes. Raises RefusedError where it cannot recover."""
        data = f"{self.folder}/data"
        version = self._run("cat", f"{data}/PG_VERSION").strip()
        if not _VERSION.fullmatch(version):
            raise RefusedError(f"{self.host}:{data} holds no database")
        self._run("tee", f"{self.folder}/pg_hba.conf", stdin=_HBA)
        self._run("tee", f"{self.folder}/postgresql.conf", stdin=self._settings())
        properties = {
            "User": USER,
            "RuntimeDirectory": self.unit,
            "RuntimeDirectoryMode": "0700",
            "TimeoutStartSec": f"{within:.0f}",
            "RuntimeMaxSec": str(LIVES_SECONDS),
            "TimeoutStopSec": "60",
            "KillSignal": "SIGINT",
            "KillMode": "mixed",
            "Nice": "10",
            "NoNewPrivileges": "yes",
            "PrivateTmp": "yes",
            "ProtectSystem": "strict",
            "ReadWritePaths": f"{ROOT} /var/log/pgbackrest",
        }
        words = [
            *("systemd-run", "--quiet", "--collect", f"--unit={self.unit}", "--service-type=notify"),
            *(f"--property={name}={value}" for name, value in properties.items()),
            f"/usr/lib/postgresql/{version}/bin/postgres",
            *("-D", data, "-c", f"config_file={self.folder}/postgresql.conf"),
        ]
        ends = time.monotonic() + within
        try:
            self.remote.run(self.host, as_user("root", *words), within=within + STOP_SECONDS)
            # Systemd has it for ready as soon as it recovers.
            while not self._takes_writes():
                self.remote.run(self.host, as_user("root", "systemctl", "is-active", "--quiet", f"{self.unit}.service"))
                if time.monotonic() > ends:
                    raise BackupError(f"the restored server has not come up within {within:.0f} s")
                time.sleep(POLL_SECONDS)
        except RemoteError as error:
            raise self._failure(error) from None

    def stop(self) -> None:
        """Stop its server, if there is one."""
        # A unit that is gone already is no failure.
        self.remote.run(
            self.host, as_user("root", "systemctl", "stop", "--", f"{self.unit}*.service"), within=STOP_SECONDS
        )

    def remove(self) -> None:
        """Stop its server and delete its files, if there are any."""
        self.stop()
        self._run("rm", "-rf", "--one-file-system", "--", self.folder, within=STOP_SECONDS)

    def _takes_writes(self) -> bool:
        asked = (
            "psql",
            "-XAtq",
            f"--host=/run/{self.unit}",
            "--dbname=postgres",
            "--command=SELECT pg_is_in_recovery()",
        )
        try:
            return self.remote.run(self.host, as_user(USER, *asked)).strip() == "f"
        except UnreachableError:
            raise
        except RemoteError:
            return False

    def _settings(self) -> str:
        own = {
            "listen_addresses": "",
            "unix_socket_directories": f"/run/{self.unit}",
            "hba_file": f"{self.folder}/pg_hba.conf",
            "ssl": "off",
            "archive_mode": "off",
            "hot_standby": "off",  # nobody reads before the end, so the size of the live server does not matter
            "logging_collector": "off",
            "timezone": "UTC",
        }
        return "".join(f"{name} = '{value}'\n" for name, value in own.items())

    def _run(self, *argv: str, stdin: str | None = None, within: float = 60.0) -> str:
        try:
            return self.remote.run(self.host, as_user(USER, *argv), stdin, within)
        except RemoteError as error:
            raise BackupError(str(error)) from None

    def _failure(self, error: RemoteError) -> BackupError:
        """Return why the server did not come up, by its own words."""
        try:
            words = as_user("root", "journalctl", f"--unit={self.unit}", "--output=cat", "--lines=60", "--no-pager")
            lines = self.remote.run(self.host, words).splitlines()
        except RemoteError:
            return BackupError(str(error))
        said = [line.partition(mark)[2].strip() for line in lines for mark in ("FATAL:", "PANIC:") if mark in line]
        last = said[-1] if said else str(error)
        for words_, reason in _REASONS.items():
            if words_ in last:
                return RefusedError(f"{reason} (PostgreSQL: {last}); choose another target or backup")
        return RefusedError(f"the restored files do not start: {last}")
