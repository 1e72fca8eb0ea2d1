"""Errors as RFC 9457 problems whose `detail` clients of the reference already read."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from indexer import log
from indexer.store.connection import StoreUnavailableError
from indexer.store.pools import QueryTimeoutError
from indexer.store.reader import NothingIndexedError
from indexer.telemetry.traces import trace_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds: about what a failover or a restart of the database takes
DATABASE_AWAY = "the database does not answer; try again shortly"
RETRY = (b"retry-after", str(RETRY_AFTER).encode())
NO_STORE = (b"cache-control", b"no-store")
OVERLOADED = "too many questions at once; try again shortly"
NOTHING_YET = "nothing is indexed yet"

logger = log.get(__name__)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem; the front logs those that nobody expected."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(StoreUnavailableError, _unavailable)
    app.add_exception_handler(NothingIndexedError, _nothing_yet)
    app.add_exception_handler(QueryTimeoutError, _too_slow)
    app.add_exception_handler(Exception, _unexpected)


def document(status: int, detail: str, **more: str) -> bytes:
    """Return a problem with the status's standard title; `more` are members of its own."""
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return orjson.dumps(fields | more)


def prepared(status: int, detail: str, **more: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return a problem as status, headers and body."""
    body = document(status, detail, **more)
    return status, [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())], body


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem as a route's answer."""
    # A kept answer's own word on caching replaces this.
    response = Response(document(status, detail), status, dict(headers or {}), MEDIA_TYPE)
    response.raw_headers.append(NO_STORE)
    return response


def _retry(detail: str) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER)})


async def _http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, str(error.detail), error.headers)


async def _validation(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = (f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(faults))


async def _unavailable(_request: Request, error: Exception) -> Response:
    logger.warning("database unavailable", reason=str(error))
    return _retry(DATABASE_AWAY)


async def _nothing_yet(_request: Request, _error: Exception) -> Response:
    return _retry(NOTHING_YET)


async def _too_slow(_request: Request, error: Exception) -> Response:
    logger.warning("query cancelled", reason=str(error))
    return _retry(str(error))


async def _unexpected(_request: Request, _error: Exception) -> Response:
    status, headers, body = unexpected()
    response = Response(body, status)
    response.raw_headers = headers
    return response


def unexpected() -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the problem of an error that is a fault of ours, under the id that the log has it by."""
    detail = "an unexpected error; it was logged under this trace_id"
    status, headers, body = prepared(HTTPStatus.INTERNAL_SERVER_ERROR, detail, trace_id=trace_id())
    return status, [*headers, NO_STORE], body
