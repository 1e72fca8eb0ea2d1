"""What is known of one request while it is answered: set by the front, read and completed by routes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.api.classes import RouteClass
from indexer.auth.principal import ANONYMOUS

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import Scope

    from indexer.auth.principal import Principal
    from indexer.store.reader import Snapshot


_CONVERTOR = re.compile(r":\w+}")


@dataclass(slots=True)
class Call:
    """One request.

    `endpoint` is the route's template, `at` the block that the answer is of; `max_age` is for the caches of others and
    `ttl` for ours (None: as configured), in seconds.
    """

    request_id: str = ""
    client: str = ""
    route_class: RouteClass = RouteClass.OTHER
    endpoint: str | None = None
    principal: Principal = ANONYMOUS
    at: Snapshot | None = None
    max_age: int = 1
    ttl: float | None = None
    status: int = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()


def call_of(request: Request) -> Call:
    """Return the call that a request belongs to."""
    call: Call = request.scope["call"]
    return call


def template(path: str) -> str:
    """Return a route's path as clients know it, without the convertors of its parameters."""
    return _CONVERTOR.sub("}", path)


def template_of(scope: Scope) -> str | None:
    """Return the template of the route that a scope was given to, None where none matched."""
    path = getattr(scope.get("route"), "path", None)
    return None if path is None else template(path)
