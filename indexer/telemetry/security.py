"""Security events: what an investigation needs, and no more than a disk can hold of it."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import orjson

from indexer.telemetry.access import Clock
from indexer.telemetry.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Counter

LOGGER: Final = "simplicity.security"
BURST: Final = 20  # lines of one kind at once: a scan's beginning is worth reading line by line
LINES_A_SECOND: Final = 2.0  # of one kind for ever: some 50 MB a day
SUM_AFTER: Final = 10.0  # seconds of events that one line then sums up
_LONGEST_NAME = 64


class Event(StrEnum):
    """What is told of: each is a line's `message` and a label of security_events_total."""

    AUTHENTICATION_FAILED = "authentication_failed"
    ACCESS_DENIED = "access_denied"
    RATE_LIMITED = "rate_limited"
    MALFORMED_REQUEST = "malformed_request"
    OVERSIZED_REQUEST = "oversized_request"
    SLOW_REQUEST = "slow_request"
    HOSTILE_INPUT = "hostile_input"
    FORGED_HEADER = "forged_header"
    TOKEN_ISSUED = "token_issued"  # noqa: S105 # nosec B105


class _Kind:
    """One kind's count, and how many lines of it there may be now."""

    __slots__ = ("due", "increase", "lines", "seen", "unlogged")

    def __init__(self, increase: Callable[[], None]) -> None:
        self.increase = increase
        self.lines = float(BURST)
        self.seen = time.monotonic()
        self.unlogged = 0
        self.due = False

    def may_log(self, now: float) -> bool:
        self.lines = min(BURST, self.lines + (now - self.seen) * LINES_A_SECOND)
        self.seen = now
        if self.lines < 1:
            return False
        self.lines -= 1
        return True


class SecurityLog:
    """Counts events in `counter` and writes them as WARNING lines by `put`. To be used from one thread."""

    def __init__(self, put: Callable[[bytes], object], counter: Counter) -> None:
        self._put = put
        self._clock = Clock()
        # Made at once, so that each series is there from the start and the first event is an increase.
        self._kinds = {kind: _Kind(counter.labels(kind.value).inc) for kind in Event}

    def event(
        self, kind: Event, *, client: str | None, request_id: str | None, detail: str, user_id: str | None = None
    ) -> None:
        """Count an event and log it while there is room, else sum it up.

        `client` is its address, `detail` a short sentence; strangers' text in them is escaped, cut, and cleared of
        what looks like a credential.
        """
        found = self._kinds[kind]
        found.increase()
        if not found.may_log(time.monotonic()):
            self._sum_up_later(kind, found)
            return
        self._write(
            kind,
            {
                "user_id": _name(user_id),
                "request_id": _name(request_id),
                "client": _name(client),
                "detail": clean(detail),
            },
        )

    def sum_up(self) -> None:
        """Log how many events had no line of their own since the last time."""
        for kind, found in self._kinds.items():
            self._sum_up(kind, found)

    def _sum_up_later(self, kind: Event, found: _Kind) -> None:
        found.unlogged += 1
        if not found.due:
            try:
                asyncio.get_running_loop().call_later(SUM_AFTER, self._sum_up, kind, found)
                found.due = True
            except RuntimeError:  # no loop runs: whoever closes the log sums it up
                return

    def _sum_up(self, kind: Event, found: _Kind) -> None:
        number, found.unlogged, found.due = found.unlogged, 0, False
        if number:
            self._write(
                kind,
                {
                    "user_id": None,
                    "request_id": None,
                    "client": None,
                    "detail": f"{number} more, too many for a line each",
                    "unlogged": number,
                },
            )

    def _write(self, kind: Event, members: dict[str, object]) -> None:
        line = {"timestamp": self._clock.now(), "level": "WARNING", "logger": LOGGER, "message": kind.value, **members}
        self._put(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _name(text: str | None) -> str | None:
    return None if text is None else clean(text, _LONGEST_NAME)
