"""How drivers of the cloud go on with an operation: one look and at most one move a poll, by one process at a time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from runbooks.drivers.aws import BusyError, CredentialsError, forget
from runbooks.drivers.operations import claimed, own
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Json, Operation

SINCE = "since"
_looked: dict[tuple[str, str], float] = {}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has come to: `over` it is done, `failed` it cannot be done, else it waits. `result` is added."""

    detail: str
    result: Mapping[str, Json] = field(default_factory=dict)
    over: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one kind of operation goes on: `look` may make one move, and is asked again from the start in any process.

    `patience` is how many seconds it may take in all, `hint` says what to do when it took longer. Where it `moves` the
    world it does so no more when its time is over: somebody goes on the next day with what he left.
    """

    look: Callable[[Operation], Seen]
    patience: float
    hint: str
    moves: bool = True


def go_on(store: OperationStore, driver: str, key: str, way: Way, *, pause: float) -> Operation:
    """Look at an operation and return it.

    AWS that is busy and credentials that are over only delay it, any other refusal ends it.
    """
    found = own(store.get(key), driver)
    if found.over or _rests(store, key, pause):
        return found
    with claimed(store, key) as claim:
        operation = claim.operation
        if operation.over or not claim.mine:
            return operation
        if SINCE not in operation.result:
            since = round(datetime.fromisoformat(operation.began).timestamp(), 3)
            operation = store.update(operation, detail=operation.detail, result={SINCE: since})
        if way.moves and _seconds(operation) > way.patience:
            return _overdue(store, operation, way)
        try:
            seen = way.look(operation)
        except BusyError as error:
            seen = Seen(str(error))
        except CredentialsError as error:
            forget()  # the next look is made with what whoever has logged in again has got
            seen = Seen(str(error))
        except Refusal as error:
            seen = Seen(str(error), failed=True)
        return _recorded(store, key, way, seen)


def _recorded(store: OperationStore, key: str, way: Way, seen: Seen) -> Operation:
    operation = store.get(key)
    result = {**operation.result, **seen.result}
    seconds = _seconds(operation)
    if seen.over:
        return store.done(operation, detail=seen.detail, result={**result, "seconds": round(seconds, 1)})
    if seen.failed:
        return store.failed(operation, detail=seen.detail, result=result)
    updated = store.update(operation, detail=seen.detail, result=seen.result)
    return _overdue(store, updated, way) if seconds > way.patience else updated


def _overdue(store: OperationStore, operation: Operation, way: Way) -> Operation:
    detail = f"not after {_seconds(operation):.0f} s: {operation.detail}; {way.hint}"
    return store.failed(operation, detail=detail, result=operation.result)


def _seconds(operation: Operation) -> float:
    """Return how long ago it was begun."""
    return time.time() - float(str(operation.result[SINCE]))


def _rests(store: OperationStore, key: str, pause: float) -> bool:
    """Whether it was looked at a moment ago: AWS allows few calls a second, and answers all of an account's tools."""
    name, moment = (str(store.directory), key), time.monotonic()
    if moment - _looked.get(name, -pause) < pause:
        return True
    _looked[name] = moment
    return False
