"""The API's own documentation: the OpenAPI document, and Swagger UI from a package: no page loads from elsewhere."""

from __future__ import annotations

import asyncio
import gzip
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

import fastapi_offline  # its static files alone: Swagger UI for OpenAPI 3.1
import orjson
from fastapi import APIRouter, HTTPException, Request, Response

from indexer.api.answers import JSON
from indexer.api.cache import etag

if TYPE_CHECKING:
    from collections.abc import Callable

router = APIRouter(include_in_schema=False)

# Scripts and styles from here alone, none of them inline: what the document shows cannot run. Images inside the styles
# are data.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCUMENT_AGE, FILE_AGE = 300, 3_600  # seconds; both have an ETag after that

# Relative links: a balancer may serve the API below a path of its own.
PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simplicity: the read API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<noscript>This page needs JavaScript; <a href="openapi.json">openapi.json</a> is the document itself.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = b"""SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  validatorUrl: null,
});
"""
_OURS = {"start.js": START}
_TYPES = {
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}


class _File(NamedTuple):
    """What is given, as it is and packed."""

    plain: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> _File:
        return cls(content, gzip.compress(content, mtime=0), etag(content).decode())


@router.get("/docs")
async def docs() -> Response:
    """Return the page."""
    headers = {"Content-Security-Policy": CSP, "Cache-Control": f"public, max-age={DOCUMENT_AGE}"}
    return Response(PAGE, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/docs/{name}")
async def file(request: Request, name: str) -> Response:
    """Return a file of the page."""
    if name not in _TYPES:
        raise HTTPException(404, "no such file")
    return await _given(request, lambda: _file(name), _TYPES[name], FILE_AGE)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the document."""
    app = request.app

    def made() -> _File:
        kept: _File | None = getattr(app.state, "openapi_document", None)
        if kept is None:
            kept = app.state.openapi_document = _File.of(orjson.dumps(app.openapi()))
        return kept

    return await _given(request, made, JSON, DOCUMENT_AGE)


@lru_cache
def _file(name: str) -> _File:
    static = files(fastapi_offline) / "static"
    return _File.of(_OURS[name] if name in _OURS else (static / name).read_bytes())


async def _given(request: Request, made: Callable[[], _File], media_type: str, age: int) -> Response:
    # The first time takes long: other requests go on meanwhile.
    content = await asyncio.to_thread(made)
    headers = {"ETag": content.etag, "Cache-Control": f"public, max-age={age}", "Vary": "Accept-Encoding"}
    if request.headers.get("If-None-Match") == content.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return Response(content.plain, media_type=media_type, headers=headers)
    return Response(content.packed, media_type=media_type, headers=headers | {"Content-Encoding": "gzip"})
