"""One log line a request, in the form of indexer/log.py's lines and at a small part of their cost."""

from __future__ import annotations

import logging
import re
import secrets
import time
from itertools import count
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGER: Final = "simplicity.access"
# Asked every few seconds by machines: counted, not logged.
QUIET: Final = frozenset({"/health", "/health/ready", "/health/detailed", "/metrics", "/v1/indexer/brc20/health"})

_SERVER_ERROR = 500
_UNAVAILABLE = 503
_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Clock:
    """The time as log lines have it. Formatting a second once is what makes it cheap."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Return the time in UTC as ISO 8601 with microseconds."""
        micros = time.time_ns() // 1000
        second = micros // 1_000_000
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{micros % 1_000_000:06d}Z"


class AccessLog:
    """Writes a line for each request that is of interest at `level`, by `put`, which must not fail."""

    def __init__(self, put: Callable[[bytes], object], level: str = "INFO") -> None:
        self._put = put
        self._level = logging.getLevelNamesMapping()[level]
        self._clock = Clock()

    def write(  # noqa: PLR0913 - a line's fields
        self,
        endpoint: str | None,
        method: str,
        status: int,
        seconds: float,
        *,
        request_id: str,
        user_id: str | None = None,
    ) -> None:
        """Log an answered request; `endpoint` is the route's template, None where no route matched."""
        if status < _SERVER_ERROR:
            level, number = "INFO", logging.INFO
        elif status == _UNAVAILABLE:  # said on purpose: a dependency is down, or maintenance
            level, number = "WARNING", logging.WARNING
        else:
            level, number = "ERROR", logging.ERROR
        if number < self._level or (endpoint in QUIET and number < logging.ERROR):
            return
        self._put(
            orjson.dumps(
                {
                    "timestamp": self._clock.now(),
                    "level": level,
                    "logger": LOGGER,
                    "message": "request",
                    "user_id": user_id,
                    "request_id": request_id,
                    "endpoint": endpoint or "unmatched",
                    "method": method,
                    "status_code": status,
                    "duration_ms": round(seconds * 1000, 2),
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
        )


_PREFIX = secrets.token_hex(5)  # tells processes apart; the count tells requests apart
_numbers = count()


def request_id(header: bytes | None = None) -> str:
    """Return a trusted proxy's X-Request-ID where it is a plain word of at most 64 signs, else a new id."""
    if header is not None and _ACCEPTED.fullmatch(header):
        return header.decode("ascii")
    return f"{_PREFIX}{next(_numbers):010x}"
