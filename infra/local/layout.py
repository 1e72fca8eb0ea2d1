"""Where the envelope keeps its things: one directory, private to the person who runs it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A unix socket's path ends at 107 bytes, and supervisor first binds "PATH.PID" before it moves it into place.
SOCKET_PATH_LIMIT = 96
PRIVATE = 0o700
# Characters that supervisor's configuration file reads as syntax: comments, quotes, expansions.
UNSAFE_IN_PATHS = frozenset("\n\r\t;#%\"'`\\,")


class EnvelopeError(Exception):
    """Something a person has to know: one line that says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one envelope; `home` is absolute."""

    home: Path
    tools: Path

    @property
    def data(self) -> Path:
        """Everything that belongs to this envelope, 0700."""
        return self.home / "local"

    @property
    def lock(self) -> Path:
        """Held while `up`, `down` or `reset` runs; outside of `data`, which `reset` deletes."""
        return self.home / "local.lock"

    @property
    def run(self) -> Path:
        """Generated configuration, pid file and control socket."""
        return self.data / "run"

    @property
    def log(self) -> Path:
        """One rotated log file a component."""
        return self.data / "log"

    @property
    def backups(self) -> Path:
        """The repository of backups; outside of `data`: they outlive what `reset` deletes."""
        return self.home / "backups"

    @property
    def backup_keys(self) -> Path:
        """The keys without which no backup can be read, so not below `data` either; 0700."""
        return self.home / "backup-keys"

    @property
    def anchor(self) -> Path:
        """The audit trail's copy in a second place; this machine's disk stands in for it here."""
        return self.home / "anchor"

    @property
    def secrets(self) -> Path:
        """One file a secret, 0600."""
        return self.data / "secrets"

    @property
    def operations(self) -> Path:
        """What the operations page keeps: the alerts that were delivered to it."""
        return self.data / "operations"

    @property
    def load_targets(self) -> Path:
        """Where a load test says, by a file of Prometheus' file_sd form, that it is to be scraped."""
        return self.data / "prometheus" / "targets"

    @property
    def environment(self) -> Path:
        """The environment document that the runbooks read."""
        return self.data / "environment.json"

    @property
    def env_file(self) -> Path:
        """The indexer's settings for commands like `simplicity auth`, with passwords, so 0600."""
        return self.data / "indexer.env"

    @property
    def ports(self) -> Path:
        """The ports that were chosen, by name."""
        return self.data / "ports.json"

    @property
    def options(self) -> Path:
        """The options of the last `up`."""
        return self.data / "options.json"

    @property
    def supervisor_config(self) -> Path:
        """Holds passwords in the components' environments, so 0600."""
        return self.run / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """The control socket: in `run`, or in a private short directory when that path is too long for a socket."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        # Not the TMPDIR of the moment: the next command, from another shell, has to find the same socket. What others
        # may have put there is refused by private_directory().
        return Path("/tmp") / f"simplicity-{os.getuid()}-{digest}" / "s.sock"  # noqa: S108 # nosec B108

    def create(self) -> None:
        """Make the directories; raises EnvelopeError where that is impossible or would be unsafe."""
        unsafe = sorted(UNSAFE_IN_PATHS & set(str(self.data)))
        if unsafe:
            raise EnvelopeError(
                f"the data directory {str(self.data)!r} contains {unsafe[0]!r}; set SIMPLICITY_HOME to a plainer path"
            )
        try:
            self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            raise EnvelopeError(
                f"cannot create {self.home} ({error.strerror}); set SIMPLICITY_HOME to a directory you can write to"
            ) from None
        for directory in (self.data, self.run, self.log, self.secrets):
            private_directory(directory)


def private_directory(path: Path) -> None:
    """Make `path` a directory of mode 0700 that belongs to us; raises EnvelopeError if it belongs to someone else."""
    try:
        path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        # lstat: in a shared directory somebody else may have put a link under our name.
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EnvelopeError(f"{path} is not a directory of yours; remove it, or set SIMPLICITY_HOME elsewhere")
        if stat.S_IMODE(found.st_mode) != PRIVATE:
            path.chmod(PRIVATE)
    except OSError as error:
        raise EnvelopeError(
            f"cannot use {path} ({error.strerror}); set SIMPLICITY_HOME to a directory you can write to"
        ) from None


def layout() -> Layout:
    """Return the layout that SIMPLICITY_HOME names; without it `.simplicity` in the checkout, else here."""
    chosen = os.environ.get("SIMPLICITY_HOME")
    checkout = Path(__file__).resolve().parents[2]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    home = Path(chosen).expanduser() if chosen else base / ".simplicity"
    home = Path(os.path.abspath(home))  # noqa: PTH100 - resolve() fails on a home that has no permission to be read yet
    tools = os.environ.get("SIMPLICITY_TOOLS")
    return Layout(home=home, tools=Path(tools).absolute() if tools else home / "tools")


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file of mode 0600 with `text`."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; empty when the file is missing or damaged, as all of it can be made anew."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
