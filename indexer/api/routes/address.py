"""Addresses: what they hold, sent and received."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from indexer.api import models, shapes
from indexer.api.answers import rows, whole
from indexer.api.errors import MISSING
from indexer.api.parameters import (
    Address,
    Cursor,
    FromReader,
    IncludeInvalid,
    OfPage,
    OpType,
    Ticker,
    TickerFilter,
    after_holding,
    after_operation,
    holding_seen,
    operations,
)
from indexer.protocol.ticker import stored_name

router = APIRouter(prefix="/v1/indexer", tags=["Addresses"])


@router.get("/brc20/address/{address}/tickers", response_model=list[models.AddressBalance])
async def address_tickers(
    request: Request, reader: FromReader, address: Address, page: OfPage, cursor: Cursor = None
) -> Response:
    """Return what an address holds, the largest balance first."""
    answer = await reader.address_balances(address, page, holding_seen(cursor))
    return rows(request, answer, page, shapes.balance, lambda row: after_holding(request, row))


@router.get("/address/{address}/brc20/{ticker:any}/info", response_model=models.AddressBalance, responses=MISSING)
async def address_balance(request: Request, reader: FromReader, address: Address, ticker: Ticker) -> Response:
    """Return an address's balance of a ticker, zeros where it has none."""
    answer = await reader.balance(ticker, address)
    return whole(request, answer.at, shapes.address_balance(ticker, address, answer.first))


@router.get("/address/{address}/brc20/{ticker:any}/history", response_model=list[models.Op], responses=MISSING)
async def address_ticker_history(
    request: Request,
    reader: FromReader,
    address: Address,
    ticker: Ticker,
    page: OfPage,
    op_type: OpType = None,
    cursor: Cursor = None,
    *,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return an address's operations on a ticker, the latest first."""
    only = operations(op_type, cursor, include_invalid=include_invalid)
    answer = await reader.address_history(address, ticker, only, page)
    return rows(request, answer, page, shapes.operation, lambda row: after_operation(request, row))


@router.get("/address/{address}/history", response_model=list[models.Op])
async def address_history(
    request: Request,
    reader: FromReader,
    address: Address,
    page: OfPage,
    ticker: TickerFilter = None,
    op_type: OpType = None,
    cursor: Cursor = None,
    *,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return the operations that an address sent or received, the latest first."""
    only = operations(op_type, cursor, include_invalid=include_invalid)
    named = None if ticker is None else stored_name(ticker)
    answer = await reader.address_history(address, named, only, page)
    return rows(request, answer, page, shapes.operation, lambda row: after_operation(request, row))
