"""How answers other than 200 are described in the OpenAPI document: once for all routes."""

from __future__ import annotations

from typing import Any

from indexer.api.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

# As RFC 9110 has them: those of http.HTTPStatus changed with Python 3.13, and the document must not.
TITLES = {
    304: "Not Modified",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_URI_TOO_LONG = 414


def _bare(*statuses: int) -> Responses:
    return {status: {"description": TITLES[status]} for status in statuses}


# What a route names is what it answers by itself; indexer.api.openapi fills in the rest.
ERRORS = _bare(403, 422)
MISSING = _bare(404)
UNAVAILABLE = _bare(503)

# Status: when it is given, whose headers it has, and an example of its problem.
_LIMITS = ("RateLimit", "RateLimit-Policy")
_READ = (*_LIMITS, "Cache-Status")
_PROBLEMS: dict[int, tuple[str, tuple[str, ...], dict[str, str]]] = {
    401: (
        "The credential is not accepted, or one is needed.",
        ("WWW-Authenticate", *_LIMITS),
        {"detail": "there is no such API key", "reason": "unknown"},
    ),
    403: (
        "The credential has not the scope that is needed.",
        ("WWW-Authenticate", *_LIMITS),
        {"detail": "this needs the scope operate", "scope": "operate"},
    ),
    404: ("There is no such thing.", _LIMITS, {"detail": "no such ticker"}),
    408: (
        "The body did not arrive in time.",
        _LIMITS,
        {"detail": "the request's body did not arrive in time"},
    ),
    413: (
        "The body is too large: nothing here needs one.",
        _LIMITS,
        {"detail": "the request's body is larger than 16 KiB"},
    ),
    414: ("The target is longer than 8 KiB.", (), {"detail": "the request's target is longer than 8 KiB"}),
    422: (
        "A parameter is wrong; the detail says which.",
        _READ,
        {"detail": "query.limit: Input should be less than or equal to 1000"},
    ),
    429: (
        "More requests than the limit allows.",
        (*_LIMITS, "Retry-After"),
        {"detail": "more than 600 read requests in 60 seconds; slow down or use an API key"},
    ),
    500: (
        "Unexpected; it was logged under this trace_id.",
        _LIMITS,
        {
            "detail": "an unexpected error; it was logged under this trace_id",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
        },
    ),
    503: (
        "The database does not answer, nothing is indexed yet, or maintenance: `type` is `urn:simplicity:maintenance`.",
        (*_READ, "Retry-After"),
        {"detail": "the database does not answer; try again shortly"},
    ),
}


def header_refs(*names: str) -> dict[str, dict[str, str]]:
    """Return headers of an answer by their names among the components."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def name_of(status: int) -> str:
    """Return an answer's name among the components."""
    return TITLES[status].replace(" ", "")


def problem_example(status: int) -> dict[str, Any]:
    """Return the problem that the document shows for a status."""
    return {"type": "about:blank", "title": TITLES[status], "status": status, **_PROBLEMS[status][2]}


def responses(read_headers: tuple[str, ...]) -> dict[str, Any]:
    """Return the components: an answer for each status; `read_headers` are those of a kept answer."""
    found = {name_of(status): _response(status) for status in _PROBLEMS}
    found[name_of(304)] = {
        "description": "What `If-None-Match` names is still the answer.",
        "headers": header_refs("X-Request-ID", "X-Release", "Link", *read_headers),
    }
    # Of a read this too is of a block, and kept like what is found.
    found[name_of(404)]["headers"] |= header_refs(*read_headers)
    return found


def _response(status: int) -> dict[str, Any]:
    description, headers, _ = _PROBLEMS[status]
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem_example(status)}
    # What the protocol refuses is no request yet, and has no id.
    always = () if status == _URI_TOO_LONG else ("X-Request-ID", "X-Release", "Cache-Control")
    return {
        "description": description,
        "headers": header_refs(*always, *headers),
        "content": {MEDIA_TYPE: content},
    }
