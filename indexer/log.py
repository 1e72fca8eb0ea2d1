"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from typing import Protocol

    from structlog.typing import EventDict, Processor, WrappedLogger

    class Stream(Protocol):
        """Where lines go."""

        def write(self, text: str, /) -> object:
            """Take text."""

        def flush(self) -> object:
            """Let it go on."""


# The id of the request that is being answered; lines logged meanwhile carry it.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def configure(level: str, stream: Stream | None = None) -> None:
    """Send every log line, ours and the libraries', to `stream` (standard error) as JSON from `level` up."""
    shared: list[Processor] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _level_in_capitals,
        _of_request,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Each request of the RPC client at INFO would bury what an operator reads.
    for chatty in ("httpx2", "httpcore2", "alembic", "urllib3"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a component."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _level_in_capitals(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    event["level"] = str(event["level"]).upper()
    return event


def _of_request(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    found = request_id.get()
    if found is not None:
        event.setdefault("request_id", found)
    return event
