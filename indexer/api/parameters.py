"""What clients may ask for: types, ranges and sizes of every parameter, checked before a route runs."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import Depends, HTTPException, Path, Query, Request
from starlette.convertors import Convertor, register_url_convertor

from indexer.bitcoin.script import is_address
from indexer.protocol.amount import format_amount, parse_amount
from indexer.protocol.rules import BUILT_IN
from indexer.protocol.ticker import stored_name
from indexer.store.reader import LAST_OP_ID, Filter, Page, Reader, Seen
from indexer.store.rows import ticker_key

if TYPE_CHECKING:
    from indexer.bitcoin.script import Network

MAX_LIMIT = 1_000
MAX_SKIP = 100_000
MAX_RESULTS = 100_000
HIGHEST = 2**31 - 1
MAX_CURSOR = 6_000
LONGEST_NAME = 200  # characters of a ticker that a cursor names outright
_NO_CURSOR = "query.cursor: is none that this API gave; begin without one"


class _AnyText(Convertor[str]):
    """A path parameter with slashes and line feeds: tickers have both."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _AnyText())


# Dependencies are coroutines throughout: FastAPI would run a plain function in a thread, which costs more than a query.
async def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


def _network(request: Request) -> Network:
    network: Network = request.app.state.network
    return network


async def _ticker(
    ticker: Annotated[str, Path(min_length=1, max_length=2_000, description="As deployed, in any case.")],
) -> str:
    # PostgreSQL cannot hold NUL in text, so no ticker has one; asked for it would raise.
    if "\x00" in ticker:
        raise HTTPException(404, "no such ticker")
    return stored_name(ticker)


async def _address(
    request: Request,
    address: Annotated[
        str,
        Path(
            min_length=1,
            max_length=100,
            pattern=r"^[0-9A-Za-z]+$",
            description="An address of the network that is indexed.",
        ),
    ],
) -> str:
    network = _network(request)
    # BIP 173 lets QR codes have capitals; what is recorded is in lower case.
    written = address.lower() if address.isupper() else address
    for text in (written, address):
        if is_address(text, network):
            return text
    raise HTTPException(422, f"path.address: is no address of the network {network.value}")


FromReader = Annotated[Reader, Depends(_reader)]
Ticker = Annotated[str, Depends(_ticker)]
Address = Annotated[str, Depends(_address)]
Txid = Annotated[str, Path(pattern=r"^[0-9a-fA-F]{64}$", description="As block explorers write it.")]
Height = Annotated[int, Path(ge=0, le=HIGHEST)]
MaxResults = Annotated[int, Query(ge=1, le=MAX_RESULTS, description="How many at most.")]
IncludeInvalid = Annotated[bool, Query(description="Invalid operations too, with their error code.")]
TickerFilter = Annotated[
    str | None,
    Query(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$", description="Only operations of this ticker."),
]
OpType = Annotated[
    str | None,
    Query(max_length=100, pattern=r"^[^\x00]*$", description="Only this operation: deploy, mint, transfer or burn."),
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=MAX_CURSOR,
        pattern=r"^[0-9A-Za-z_-]*$",
        description="Go on after the page whose `Link` header held this; stays right while blocks come.",
    ),
]


async def page(
    skip: Annotated[int, Query(ge=0, le=MAX_SKIP, description="How many to leave out; for more use the cursor.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 100,
) -> Page:
    """Return the part of a list that is asked for."""
    return Page(skip, limit)


OfPage = Annotated[Page, Depends(page)]


def operations(op_type: OpType, cursor: str | None, *, include_invalid: bool) -> Filter:
    """Return which operations are asked for, below the cursor."""
    before = LAST_OP_ID if cursor is None else place(cursor, int)[0]
    if op_type is not None and op_type not in BUILT_IN:
        before = 0  # there is none: looking for one would read a whole history
    return Filter(op_type, include_invalid, before)


def place(cursor: str, *types: type) -> list[Any]:
    """Return what a cursor holds. Raises 422 where it is none of ours."""
    try:
        found = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        found = None
    is_ours = isinstance(found, list) and [type(part) for part in found] == list(types)
    if not is_ours or any(_is_out_of_range(part) for part in found):
        raise HTTPException(422, _NO_CURSOR)
    return list(found)


def _is_out_of_range(part: object) -> bool:
    return "\x00" in part if isinstance(part, str) else not -1 <= int(str(part)) <= LAST_OP_ID


def next_link(request: Request, *after: int | str) -> tuple[bytes, bytes]:
    """Return the header that leads to the next page (RFC 8288)."""
    cursor = base64.urlsafe_b64encode(orjson.dumps(after)).rstrip(b"=").decode()
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"cursor", "skip"}]
    query = urlencode([*kept, ("cursor", cursor)])
    path = request.scope["raw_path"].decode("ascii", "ignore").partition("?")[0]
    return b"link", f'<{path}?{query}>; rel="next"'.encode("ascii", "ignore")


def after_operation(request: Request, row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the header that leads on from an operation."""
    return next_link(request, row["op_id"])


def after_ticker(request: Request, row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the header that leads on from a ticker in a list by height."""
    return next_link(request, row["height"], *_name_and_key(row["ticker"]))


def after_holder(request: Request, row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the header that leads on from a balance in a list of a ticker's holders."""
    return next_link(request, format_amount(row["amount"]), row["address"])


def after_holding(request: Request, row: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the header that leads on from a balance in a list of what an address has."""
    return next_link(request, format_amount(row["amount"]), *_name_and_key(row["ticker"]))


def ticker_seen(cursor: str | None) -> tuple[int, Seen] | None:
    """Return the height and the ticker that a cursor among tickers holds."""
    if cursor is None:
        return None
    height, name, key = place(cursor, int, str, str)
    return height, _seen(name, key)


def holder_seen(cursor: str | None) -> tuple[str, str] | None:
    """Return the amount and the address that a cursor among holders holds."""
    if cursor is None:
        return None
    amount, address = place(cursor, str, str)
    return _amount(amount), address


def holding_seen(cursor: str | None) -> tuple[str, Seen] | None:
    """Return the amount and the ticker that a cursor among an address's balances holds."""
    if cursor is None:
        return None
    amount, name, key = place(cursor, str, str, str)
    return _amount(amount), _seen(name, key)


def _name_and_key(ticker: str) -> tuple[str, str]:
    return (ticker, "") if len(ticker) <= LONGEST_NAME else ("", ticker_key(ticker).hex())


def _seen(name: str, key: str) -> Seen:
    try:
        return Seen(name or None, bytes.fromhex(key))
    except ValueError:
        raise HTTPException(422, _NO_CURSOR) from None


def _amount(text: str) -> str:
    if parse_amount(text) is None:
        raise HTTPException(422, _NO_CURSOR)
    return text
