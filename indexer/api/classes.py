"""Which class a route belongs to: what limits, access and maintenance are decided by, before a route is looked for."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache


class RouteClass(StrEnum):
    """What a request asks for, as far as who may and how often depends on it."""

    PROBE = "probe"  # a balancer's questions: always answered
    INTERNAL = "internal"  # what the inside of the service looks like: for operators and inner networks
    READ = "read"
    BULK = "bulk"  # `/all`: thousands of rows
    STREAM = "stream"
    AUTH = "auth"
    DOCS = "docs"
    OTHER = "other"  # there is no such route


NEED_READ = frozenset({RouteClass.READ, RouteClass.BULK, RouteClass.STREAM})
MAINTAINED = frozenset({*NEED_READ, RouteClass.AUTH})

_PROBES = frozenset({"/health", "/health/ready", "/v1/indexer/brc20/health"})
_INTERNAL = frozenset({"/metrics", "/health/detailed"})
_DOCS = frozenset({"/", "/docs", "/openapi.json"})


@lru_cache(maxsize=8_192)
def route_class(path: str) -> RouteClass:
    """Return the class of a decoded path."""
    if path in _PROBES:
        return RouteClass.PROBE
    if path in _INTERNAL:
        return RouteClass.INTERNAL
    if path in _DOCS or path.startswith("/docs/"):
        return RouteClass.DOCS
    if path == "/v1/indexer/events":
        return RouteClass.STREAM
    if path.startswith("/v1/indexer/"):
        return RouteClass.BULK if path.endswith("/all") else RouteClass.READ
    return RouteClass.AUTH if path.startswith("/v1/auth/") else RouteClass.OTHER
