"""Operations on disk: one record a key, so that whoever comes after a killed process knows what it was at."""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.local.layout import EnvelopeError, private_directory
from runbooks.drivers.protocols import Operation, Phase, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runbooks.drivers.protocols import Driver, Json

KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
POLL_SECONDS = 0.1
_START_TIME = 19  # of /proc/PID/stat, counted from after the program's name


def now() -> str:
    """Return this moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class OperationStore:
    """The operations of one environment; `directory` is made 0700 when the first begins.

    Records are replaced in one step. Raises Refusal for a bad key, a damaged record, a directory of somebody else's.
    """

    directory: Path

    def begin(
        self, key: str, *, driver: str, action: str, target: str, arguments: Mapping[str, Json] | None = None
    ) -> Operation:
        """Record a new operation, or return the one that this key has begun; raises Refusal if that is another one."""
        wanted = Operation(
            key=checked(key),
            driver=driver,
            action=action,
            target=target,
            arguments=json.loads(json.dumps(arguments or {})),
            phase=Phase.RUNNING,
            detail="begun",
            result={},
            began=now(),
            ended=None,
        )
        self._make()
        fresh = self._fresh(wanted)
        try:
            # A link, not a rename: of two who begin at the same moment one is told that there is a record already.
            os.link(fresh, self._path(key))
        except FileExistsError:
            return self._same(wanted)
        finally:
            fresh.unlink()
        self._settle()
        return wanted

    def _same(self, wanted: Operation) -> Operation:
        found = self.get(wanted.key)
        if _identity(found) != _identity(wanted):
            raise Refusal(
                f"the key {wanted.key} has begun {found.action} of {found.target} ({found.driver}) at {found.began};"
                " take another key for another operation"
            )
        return found

    def find(self, key: str) -> Operation | None:
        """Return the operation of this key, None when it has begun none."""
        path = self._path(checked(key))
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return Operation(**record | {"phase": Phase(record["phase"])})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refusal(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, TypeError, KeyError):
            raise Refusal(f"{path}: is no record of an operation; see what it did, then remove the file") from None

    def get(self, key: str) -> Operation:
        """Return the operation of this key; raises Refusal when it has begun none."""
        found = self.find(key)
        if found is None:
            raise Refusal(f"the key {key} has begun no operation here; begin one first")
        return found

    def all(self) -> list[Operation]:
        """Return all operations, the oldest first."""
        found = (self.find(path.name.removesuffix(".json")) for path in self.directory.glob("*.json"))
        return sorted((one for one in found if one is not None), key=lambda one: (one.began, one.key))

    def update(self, operation: Operation, *, detail: str, result: Mapping[str, Json]) -> Operation:
        """Record how far it is; `result` is added to what is known."""
        return self._write(replace(operation, detail=detail, result={**operation.result, **result}))

    def done(self, operation: Operation, *, detail: str, result: Mapping[str, Json]) -> Operation:
        """Record that it has come to its end; `result` takes the place of what was known."""
        return self._write(replace(operation, phase=Phase.DONE, detail=detail, result=dict(result), ended=now()))

    def failed(self, operation: Operation, *, detail: str, result: Mapping[str, Json]) -> Operation:
        """Record that it cannot come to its end; `detail` says why and what to do, `result` as for done()."""
        return self._write(replace(operation, phase=Phase.FAILED, detail=detail, result=dict(result), ended=now()))

    def _write(self, operation: Operation) -> Operation:
        self._fresh(operation).replace(self._path(operation.key))
        self._settle()
        return operation

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.json"

    def _fresh(self, operation: Operation) -> Path:
        # Named by the process and the moment: one that was killed here leaves a file that is in nobody's way.
        path = self.directory / f"{operation.key}.{os.getpid()}.{time.monotonic_ns()}.new"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(operation), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        return path

    def _make(self) -> None:
        try:
            private_directory(self.directory)
        except EnvelopeError as error:
            raise Refusal(str(error)) from None

    def _settle(self) -> None:
        # The name, too, outlasts a loss of power.
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def checked(key: str) -> str:
    """Return a key that can be one; raises Refusal for others."""
    if not KEY.fullmatch(key):
        raise Refusal(f"{key[:100]!r} is no key; it has 1 to 100 characters of A-Z a-z 0-9 . _ -")
    return key


def own(operation: Operation, driver: str) -> Operation:
    """Return an operation that this driver has begun; raises Refusal for another one's."""
    if operation.driver != driver:
        raise Refusal(
            f"the key {operation.key} has begun {operation.action} of {operation.target} with the driver"
            f" {operation.driver}, this is {driver}; poll it there"
        )
    return operation


def _identity(operation: Operation) -> tuple[str, str, str, Mapping[str, Json]]:
    return operation.driver, operation.action, operation.target, operation.arguments


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer of claimed(): `mine` says whether the caller is to work on it; else `holder` tells who does.

    `operation` was read after that was known.
    """

    operation: Operation
    mine: bool
    holder: str


@contextmanager
def claimed(store: OperationStore, key: str) -> Iterator[Claim]:
    """Claim an operation for as long as the block runs; raises Refusal when the key has begun none.

    One at a time has it, among processes and threads. The kernel drops the claim with its process, so what a killed
    one was at can be taken over at once; the file holds the pid and the process's start time (clock ticks after the
    machine's) to tell who it is.
    """
    store.get(key)
    path = store.directory / f"{key}.claim"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield Claim(store.get(key), mine=False, holder=_told(file.read()))
            return
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "started": _start_time()}, file)
        file.flush()
        yield Claim(store.get(key), mine=True, holder=f"pid {os.getpid()}")


def carried_out(
    store: OperationStore,
    driver: str,
    key: str,
    work: Callable[[Operation], tuple[str, Mapping[str, Json]]],
    broken: tuple[type[Exception], ...],
) -> Operation:
    """Do the work of an operation unless another process is at it, and return how it stands.

    `work` returns the detail and the result; where it raises one of `broken` the operation has failed.
    """
    found = own(store.get(key), driver)
    if found.over:
        return found
    with claimed(store, key) as claim:
        if claim.operation.over or not claim.mine:
            return claim.operation
        try:
            detail, result = work(claim.operation)
        except broken as error:
            return store.failed(claim.operation, detail=str(error), result=store.get(key).result)
        return store.done(claim.operation, detail=detail, result=result)


def _told(text: str) -> str:
    try:
        return f"pid {json.loads(text)['pid']}"
    except (ValueError, KeyError, TypeError):
        return "another process"  # it has only just claimed it


def _start_time() -> int:
    # After the last bracket: a program's name may hold brackets and spaces.
    return int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[_START_TIME])


def wait(driver: Driver, key: str, within: float, *, tell: Callable[[Operation], None] = lambda _: None) -> Operation:
    """Poll an operation until it is over, `within` seconds at the longest, and return it: still RUNNING after that.

    `tell` hears of each new detail.
    """
    deadline = time.monotonic() + within
    told = None
    while True:
        operation = driver.poll(key)
        if operation.detail != told:
            told = operation.detail
            tell(operation)
        left = deadline - time.monotonic()
        if operation.over or left <= 0:
            return operation
        time.sleep(min(POLL_SECONDS, left))
