"""The read API: paths and fields as clients of the public reference know them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.convertors import Convertor, register_url_convertor

from indexer.api import problems, shapes
from indexer.api.telemetry import Telemetry, TelemetryMiddleware
from indexer.protocol.rules import BUILT_IN
from indexer.protocol.ticker import stored_name
from indexer.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from indexer.settings import Settings

MAX_LIMIT = 1_000
MAX_RESULTS = 100_000
HIGHEST = 2**31 - 1

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": shapes.Problem, "content": {problems.MEDIA_TYPE: {}}} for status in (404, 422, 503)
}


class _AnyText(Convertor[str]):
    """A path parameter with slashes and line feeds: tickers have both."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("any", _AnyText())

router = APIRouter(prefix="/v1/indexer", responses=_ERRORS)


def _reader(request: Request) -> Reader:
    reader: Reader = request.app.state.reader
    return reader


def _ticker(ticker: Annotated[str, Path(min_length=1, max_length=2_000)]) -> str:
    # PostgreSQL cannot hold NUL in text, so no ticker has one; asked for it would raise.
    if "\x00" in ticker:
        raise HTTPException(404, "no such ticker")
    return stored_name(ticker)


FromReader = Annotated[Reader, Depends(_reader)]
Ticker = Annotated[str, Depends(_ticker)]
Address = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z]+$")]
Height = Annotated[int, Path(ge=0, le=HIGHEST)]
Skip = Annotated[int, Query(ge=0, le=HIGHEST, description="How many to leave out from the start.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
MaxResults = Annotated[int, Query(ge=1, le=MAX_RESULTS, description="How many at most.")]
OpType = Annotated[str | None, Query(max_length=100, pattern=r"^[^\x00]*$", description="Only this operation.")]
IncludeInvalid = Annotated[bool, Query(description="Invalid operations too, with their error code.")]


@router.get("/brc20/health")
async def health() -> dict[str, str]:
    """Tell that the API answers."""
    return {"status": "healthy", "message": "the BRC-20 API answers"}


@router.get("/brc20/status", response_model=shapes.Status)
async def status(reader: FromReader) -> Response:
    """Return the heights of the node and the index, and the state hash at the index's tip."""
    row = await reader.status()
    if row is None:
        raise HTTPException(503, "nothing is indexed yet", {"Retry-After": str(problems.RETRY_AFTER)})
    return _json(shapes.status(row))


@router.get("/state/{height}", response_model=shapes.State)
async def state(reader: FromReader, height: Height) -> Response:
    """Return what two indexers compare at a height: its block, the events in it, the history and the state up to it."""
    row = await reader.state(height)
    if row is None:
        raise HTTPException(404, shapes.NOT_INDEXED)
    return _json(shapes.state(row))


@router.get("/brc20/list", response_model=list[shapes.TickerInfo])
async def tickers(reader: FromReader, skip: Skip = 0, limit: Limit = 100) -> Response:
    """Return deployed tickers, the latest first."""
    return _json([shapes.ticker_info(row) for row in await reader.tickers(skip, limit)])


@router.get("/brc20/history-by-height/{height}", response_model=list[shapes.Op])
async def block_history(
    reader: FromReader, height: Height, *, skip: Skip = 0, limit: Limit = 100, include_invalid: IncludeInvalid = False
) -> Response:
    """Return a block's operations in order of application."""
    rows = await reader.block_history(height, include_invalid=include_invalid, skip=skip, limit=limit)
    return _json([shapes.operation(row) for row in rows])


@router.get("/brc20/history-by-height/{height}/all", response_model=shapes.AllOps)
async def whole_block_history(
    reader: FromReader, height: Height, *, max_results: MaxResults = 10_000, include_invalid: IncludeInvalid = False
) -> Response:
    """Return all operations of a block, with whether there are more than `max_results`."""
    rows = await reader.block_history(height, include_invalid=include_invalid, skip=0, limit=max_results + 1)
    data = [shapes.operation(row) for row in rows[:max_results]]
    has_more = len(rows) > max_results
    count = rows[0]["found"] if rows else 0
    return _json({"total_count": count, "returned_count": len(data), "has_more": has_more, "data": data})


@router.get("/brc20/{ticker:any}/info", response_model=shapes.TickerInfo)
async def info(reader: FromReader, ticker: Ticker) -> Response:
    """Return a ticker's supply and deployment."""
    return _json(shapes.ticker_info(await _deployed(reader, ticker)))


@router.get("/brc20/{ticker:any}/holders", response_model=list[shapes.AddressBalance])
async def holders(reader: FromReader, ticker: Ticker, skip: Skip = 0, limit: Limit = 100) -> Response:
    """Return a ticker's holders, the largest first."""
    rows = await reader.holders(ticker, skip, limit)
    if not rows:
        await _deployed(reader, ticker)
    return _json([shapes.address_balance(row["ticker"], row["address"], row) for row in rows])


@router.get("/brc20/{ticker:any}/history", response_model=list[shapes.Op])
async def history(
    reader: FromReader,
    ticker: Ticker,
    *,
    op_type: OpType = None,
    skip: Skip = 0,
    limit: Limit = 100,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return a ticker's operations, the latest first."""
    if op_type is not None and op_type not in BUILT_IN:
        return _json([])  # no ticker has others, and finding none would read its whole history
    rows = await reader.ticker_history(ticker, op=op_type, include_invalid=include_invalid, skip=skip, limit=limit)
    return _json([shapes.operation(row) for row in rows])


@router.get("/address/{address}/brc20/{ticker:any}/info", response_model=shapes.AddressBalance)
async def balance(reader: FromReader, address: Address, ticker: Ticker) -> Response:
    """Return an address's balance of a ticker, zeros where it has none."""
    return _json(shapes.address_balance(ticker, address, await reader.balance(ticker, address)))


def create_app(settings: Settings) -> FastAPI:
    """Return the application; it connects to the database when it starts."""
    reader = Reader.from_settings(settings)
    telemetry = Telemetry(reader)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await reader.open()
        yield
        await reader.close()

    release = version("simplicity")
    app = FastAPI(title="Simplicity", version=release, lifespan=lifespan, redirect_slashes=False)
    app.state.reader = reader
    problems.install(app)

    @app.get("/")
    async def root() -> dict[str, str]:
        """Say what answers here."""
        return {"message": "Universal BRC-20 indexer", "version": release}

    @app.get("/health")
    async def alive() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(router)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    return app


async def _deployed(reader: Reader, ticker: str) -> shapes.Row:
    row = await reader.ticker(ticker)
    if row is None:
        raise HTTPException(404, "no such ticker")
    return row


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
