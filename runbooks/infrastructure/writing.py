"""A writer that makes API keys while the database's leader changes: what was acknowledged to it has to be there after.

It runs on a host of the service with the service's own code and settings, as the commands `simplicity auth keys …` do:
a connection for each, a key and its entry in the audit trail in one transaction. It ends when nobody listens.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from runbooks.drivers.remote import PATH, Remote, as_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infra.environment import Environment

SECONDS_AT_MOST = 240
PYTHON = "/opt/simplicity/current/venv/bin/python"
# Of sync comes the role that may write, of the API what keys are digested with.
SETTINGS = ("indexer", "api", "sync")
LIFETIME = 3600
_COMMON = r"""
import json, sys, threading, time, os
from indexer.auth import store
from indexer.auth.keys import Digester
from indexer.settings import load
settings = load()
url = settings.DATABASE_URL.get_secret_value()
url += ("&" if "?" in url else "?") + "connect_timeout=2"
def tell(**said):
    print(json.dumps(said), flush=True)
"""
_WRITE = (
    _COMMON
    + r"""
ended = threading.Event()
def listen():
    sys.stdin.read()
    ended.set()
threading.Thread(target=listen, daemon=True).start()
digester, name, lifetime = Digester(settings.AUTH_PEPPER.get_secret_value()), sys.argv[1], int(sys.argv[2])
while not ended.is_set():
    began = time.time()
    try:
        with store.opened(url) as connection:
            key, record = store.create(connection, digester, name=name, role="reader", lifetime=lifetime)
        tell(began=began, ended=time.time(), id=record.key_id, error="")
        ended.wait(0.05)
    except Exception as error:
        tell(began=began, ended=time.time(), id="", error=type(error).__name__)
        ended.wait(0.05)
"""
)
_COUNT = (
    _COMMON  # noqa: S608 # nosec B608 - no part of a query comes from outside
    + r"""
name, wanted = sys.argv[1], json.loads(sys.stdin.read())
with store.opened(url) as connection:
    keys = {each.key_id: each for each in store.listed(connection) if each.name == name}
    told = {row[0].removeprefix("key ") for row in connection.execute(
        "SELECT body::jsonb ->> 'target' FROM ops.audit WHERE body::jsonb ->> 'action' = 'auth.keys.create'")}
    for key_id, each in keys.items():
        if each.revoked_at is None:
            store.revoke(connection, key_id)
lost, untold = ([one for one in wanted if one not in there] for there in (keys, told))
tell(lost=lost, untold=untold, found=len(keys))
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write: when it began and ended, by the writer's clock; `id` is "" where it was not acknowledged."""

    began: float
    ended: float
    id: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What writers saw: `seconds` is the longest time without an acknowledgement."""

    acknowledged: int
    failed: int
    seconds: float


def pause(writes: Sequence[Write]) -> Pause:
    """Return the longest time in which no write was acknowledged; a write in flight meanwhile counts as waiting."""
    ends = [each.ended for each in writes if each.id]
    return Pause(
        acknowledged=len(ends),
        failed=sum(not each.id for each in writes),
        seconds=round(max((after - before for before, after in pairwise(ends)), default=0.0), 2),
    )


@dataclass
class Writer:
    """The running writer; `writes` grows while `listen` is asked."""

    lines: queue.SimpleQueue[str]
    writes: list[Write] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def listen(self, seconds: float) -> None:
        """Take what it says for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self.lines.get(timeout=left)
            except queue.Empty:
                return
            self._take(line)

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            self.said.append(line.strip())
            return
        if "id" in said:
            self.writes.append(Write(**said))

    def until(self, count: int, within: float, after: float = 0.0) -> bool:
        """Wait for so many acknowledged writes that began after a moment of the writer's clock."""
        deadline = time.monotonic() + within
        while sum(bool(each.id) and each.began > after for each in self.writes) < count:
            if time.monotonic() > deadline:
                return False
            self.listen(0.2)
        return True


@contextmanager
def writing(environment: Environment, host: str, name: str) -> Iterator[Writer]:
    """Let a writer run on a host until the block ends; its last words are there then."""
    command = Remote(environment).command(host, _as_service(_WRITE, name, str(LIFETIME)))
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": PATH},
    ) as child:

        def read() -> None:
            for line in child.stdout or ():
                lines.put(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        writer = Writer(lines)
        try:
            yield writer
        finally:
            if child.stdin is not None:
                child.stdin.close()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
            reader.join(5)
            writer.listen(0.1)


def count(environment: Environment, host: str, name: str, wanted: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Look which of the acknowledged keys are lost, or missing in the trail, and revoke all. Raises RemoteError."""
    command = _as_service(_COUNT, name)
    said = Remote(environment).run(host, command, json.dumps(list(wanted)), within=120)
    found: dict[str, list[str]] = json.loads(said.splitlines()[-1])
    return found


def _as_service(program: str, *words: str) -> list[str]:
    """Return the command that runs a program as the service's user: settings come by systemd, none is an argument."""
    files = [f"--property=EnvironmentFile=/etc/simplicity/{each}.env" for each in SETTINGS]
    return as_user(
        "root",
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "--collect",
        "--property=User=simplicity",
        f"--property=RuntimeMaxSec={SECONDS_AT_MOST}",
        *files,
        PYTHON,
        "-I",
        "-c",
        program,
        *words,
    )
