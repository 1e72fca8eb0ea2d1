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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds: about what a failover or a restart of the database takes

logger = log.get(__name__)


def install(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(StoreUnavailableError, _unavailable)
    app.add_exception_handler(Exception, _unexpected)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem with the status's standard title."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, dict(headers or {}), MEDIA_TYPE)


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
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the database does not answer; try again shortly",
        {"Retry-After": str(RETRY_AFTER)},
    )


async def _unexpected(_request: Request, error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; it was logged")
