"""Whole lists (`/all`): counted and written while they are read, bounded by `max_results`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.api import models, shapes
from indexer.api.answers import everything
from indexer.api.errors import MISSING
from indexer.api.parameters import (
    Address,
    FromReader,
    Height,
    IncludeInvalid,
    MaxResults,
    OpType,
    Ticker,
    TickerFilter,
    operations,
)
from indexer.protocol.ticker import stored_name

router = APIRouter(prefix="/v1/indexer", tags=["Whole lists"])

USUAL = 10_000  # results where a client does not say


@router.get("/brc20/list/all", response_model=models.AllTickers)
async def all_tickers(request: Request, reader: FromReader, max_results: MaxResults = USUAL) -> Response:
    """Return all deployed tickers, the latest first."""
    return await everything(request, reader.all_tickers(max_results), max_results, shapes.ticker_info)


@router.get("/brc20/history-by-height/{height}/all", response_model=models.AllOps)
async def all_block_history(
    request: Request,
    reader: FromReader,
    height: Height,
    *,
    max_results: MaxResults = USUAL,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return all operations of a block in order of application."""
    reading = reader.whole_block_history(height, include_invalid=include_invalid, limit=max_results)
    return await everything(request, reading, max_results, shapes.operation)


@router.get("/brc20/{ticker:any}/holders/all", response_model=models.AllBalances, responses=MISSING)
async def all_holders(
    request: Request, reader: FromReader, ticker: Ticker, max_results: MaxResults = USUAL
) -> Response:
    """Return all holders of a ticker, the largest first."""
    reading = reader.all_holders(ticker, max_results)
    return await everything(request, reading, max_results, shapes.balance)


@router.get("/brc20/{ticker:any}/history/all", response_model=models.AllOps, responses=MISSING)
async def all_ticker_history(
    request: Request,
    reader: FromReader,
    ticker: Ticker,
    *,
    op_type: OpType = None,
    max_results: MaxResults = USUAL,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return all operations of a ticker, the latest first."""
    only = operations(op_type, None, include_invalid=include_invalid)
    reading = reader.whole_ticker_history(ticker, only, max_results)
    return await everything(request, reading, max_results, shapes.operation)


@router.get("/address/{address}/brc20/{ticker:any}/history/all", response_model=models.AllOps, responses=MISSING)
async def all_address_ticker_history(
    request: Request,
    reader: FromReader,
    address: Address,
    ticker: Ticker,
    *,
    op_type: OpType = None,
    max_results: MaxResults = USUAL,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return all operations of an address on a ticker, the latest first."""
    only = operations(op_type, None, include_invalid=include_invalid)
    reading = reader.whole_address_history(address, ticker, only, max_results)
    return await everything(request, reading, max_results, shapes.operation)


@router.get("/address/{address}/history/all", response_model=models.AllOps)
async def all_address_history(
    request: Request,
    reader: FromReader,
    address: Address,
    *,
    ticker: TickerFilter = None,
    op_type: OpType = None,
    max_results: MaxResults = USUAL,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return all operations that an address sent or received, the latest first."""
    only = operations(op_type, None, include_invalid=include_invalid)
    named = None if ticker is None else stored_name(ticker)
    reading = reader.whole_address_history(address, named, only, max_results)
    return await everything(request, reading, max_results, shapes.operation)
