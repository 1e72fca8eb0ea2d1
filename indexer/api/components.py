"""What the OpenAPI document says once for all routes: headers, credentials, examples of parameters."""

from __future__ import annotations

from typing import Any

_BLOCK = "0bec6310e5db1dc4ab8e93cc0a48edf98171ac5d3e64f88a1a371a3665f4d1e8"
_STATE = "141af1b67403cccdba755cb883af7c2035e3b0ba17fa8ab45f9a4fab6806bd7d"
_ALICE = "bc1qh5cxgfwcw0wra8732g8xjw256mtqt69dkwcsy7"
_TRANSFER = "2558f6eb8009463522029176ac6cf2e540f4eec18c8a6e2514b63b460dd47a0e"

TIP = f"{900_001}:{_BLOCK}"
STREAM = (
    f"retry: 1000\n\nid: {TIP}\nevent: tip\n"
    f'data: {{"height":900001,"block_hash":"{_BLOCK}","state_hash":"{_STATE}"}}\n\n'
)

LIMITED = ("RateLimit", "RateLimit-Policy")
SNAPSHOT = ("Simplicity-Height", "Simplicity-Block-Hash", "Simplicity-State-Hash")
READ = ("ETag", "Cache-Control", *SNAPSHOT, "Cache-Status", "Age", "Warning", *LIMITED)

DESCRIPTION = """\
Balances, tickers, operations and state hashes of Universal BRC-20.

Amounts are exact decimal strings. Lists go on by the cursor of their `Link` header. Every answer to a read names the
block that it is of, and has an `ETag`. Errors are problems (RFC 9457). What is no request of HTTP/1.1 in bounds is
answered before a route is looked for: 400, 408, 414, 431. Other methods than those here are 405; HEAD goes wherever
GET does.
"""

TAGS = [
    {"name": "BRC-20", "description": "Tickers, their holders and operations, and blocks."},
    {"name": "Addresses", "description": "What addresses hold, sent and received."},
    {"name": "Whole lists", "description": "All of a list at once, counted and bounded by `max_results`."},
    {"name": "Events", "description": "New blocks and reorgs as they come."},
    {"name": "auth", "description": "Tokens for API keys."},
    {"name": "Service", "description": "What answers here, and how it is."},
]


def _header(description: str, example: str | int, *, always: bool = False) -> dict[str, Any]:
    kind = "integer" if isinstance(example, int) else "string"
    header = {"description": description, "schema": {"type": kind}, "example": example}
    return header | ({"required": True} if always else {})


HEADERS: dict[str, dict[str, Any]] = {
    "Age": _header("Seconds since the answer was made, where it is a stale one.", 12),
    "Cache-Control": _header(
        "A second at the tip, a day for a block out of any reorg's reach; no-store for what is no read.",
        "public, max-age=1, must-revalidate",
    ),
    "Cache-Status": _header("Whether the answer was kept (RFC 9211); why, where it is stale.", "simplicity; hit"),
    "ETag": _header("For `If-None-Match`: equal for equal bytes, at any process.", '"3510ff4eff0f70cc1b6e8ede"'),
    "Link": _header(
        "Where a full page goes on (RFC 8288); stays right while blocks come.",
        '</v1/indexer/brc20/ordi/history?limit=1&cursor=Wzk0MzcxOTQ0ODU3Nl0>; rel="next"',
    ),
    "RateLimit": _header("What is left of the limit, and for how many seconds.", '"read";r=599;t=41'),
    "RateLimit-Policy": _header("The limit: requests and the window in seconds.", '"read";q=600;w=60'),
    "Retry-After": _header("Seconds after which to ask again.", 5),
    "Simplicity-Block-Hash": _header("The block that the answer is of.", _BLOCK),
    "Simplicity-Height": _header("Its height.", 900_001),
    "Simplicity-State-Hash": _header("The hash of all history up to it.", _STATE),
    "WWW-Authenticate": _header("Why, as RFC 6750 has it.", 'Bearer error="invalid_token"'),
    "Warning": _header("110 where the database is down and this is the last answer.", '110 - "Response is Stale"'),
    "X-Release": _header("Which release answers, where the process was told.", "0.1.0-3f9c2a1b7d60"),
    "X-Request-ID": _header("What the answer is called in logs.", "c17d2ff96b0000000000", always=True),
}

SECURITY_SCHEMES: dict[str, dict[str, str]] = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a token."},
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}

# By name; on the examples' chain each list then holds one entry. Only what a path needs is filled in by /docs.
PARAMETERS: dict[str, str | int | bool] = {
    "ticker": "ordi",
    "address": _ALICE,
    "txid": _TRANSFER,
    "height": 900_001,
    "skip": 0,
    "limit": 1,
    "max_results": 1,
    "op_type": "transfer",
    "include_invalid": False,
    "Last-Event-ID": TIP,
    "last_event_id": TIP,
}
# By operation: where its example goes on; what is not here is a list of operations.
CURSORS = {
    "tickers": "WzkwMDAwMCwiT1JESSIsIiJd",
    "holders": "WyI3NDkuNTAwMDAwMDAiLCJiYzFxaDVjeGdmd2N3MHdyYTg3MzJnOHhqdzI1Nm10cXQ2OWRrd2NzeTciXQ",
    "address_tickers": "WyI3NDkuNTAwMDAwMDAiLCJPUkRJIiwiIl0",
}
OPERATIONS_CURSOR = "Wzk0MzcxOTQ0ODU3Nl0"
