"""Tickers, their holders and operations, and blocks."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response

from indexer.api import models, shapes
from indexer.api.answers import found, rows, settled, whole
from indexer.api.call import call_of
from indexer.api.errors import MISSING
from indexer.api.parameters import (
    Cursor,
    FromReader,
    Height,
    IncludeInvalid,
    OfPage,
    OpType,
    Ticker,
    Txid,
    after_holder,
    after_operation,
    after_ticker,
    holder_seen,
    operations,
    place,
    ticker_seen,
)

router = APIRouter(prefix="/v1/indexer", tags=["BRC-20"])

NODE_SECONDS = 1.0
NO_TICKER = "no such ticker"


@router.get("/brc20/status", response_model=models.Status)
async def status(request: Request, reader: FromReader) -> Response:
    """Return the heights of the node and the index, and the state hash at the index's tip."""
    answer = await reader.status()
    node_height = await request.app.state.node.height()
    call_of(request).ttl = NODE_SECONDS  # the node's height moves without the index
    return whole(request, answer.at, shapes.status(answer.at, answer.rows[0], node_height))


@router.get("/state/{height}", response_model=models.State, responses=MISSING)
async def state(request: Request, reader: FromReader, height: Height) -> Response:
    """Return what two indexers compare at a height: its block, the events in it, the history and the state up to it."""
    answer = await reader.state(height)
    response = whole(request, answer.at, shapes.state(found(request, answer, shapes.NOT_INDEXED)))
    settled(request, height)
    return response


@router.get("/brc20/list", response_model=list[models.TickerInfo])
async def tickers(request: Request, reader: FromReader, page: OfPage, cursor: Cursor = None) -> Response:
    """Return deployed tickers, the latest first."""
    answer = await reader.tickers(page, ticker_seen(cursor))
    return rows(
        request,
        answer,
        page,
        shapes.ticker_info,
        lambda row: after_ticker(request, row),
    )


@router.get("/brc20/history-by-height/{height}", response_model=list[models.Op])
async def block_history(
    request: Request,
    reader: FromReader,
    height: Height,
    page: OfPage,
    cursor: Cursor = None,
    *,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return a block's operations in order of application."""
    after = -1 if cursor is None else place(cursor, int)[0]
    answer = await reader.block_history(height, include_invalid=include_invalid, page=page, after=after)
    response = rows(request, answer, page, shapes.operation, lambda row: after_operation(request, row))
    settled(request, height)
    return response


@router.get("/brc20/{ticker:any}/info", response_model=models.TickerInfo, responses=MISSING)
async def ticker_info(request: Request, reader: FromReader, ticker: Ticker) -> Response:
    """Return a ticker's supply and deployment."""
    answer = await reader.ticker(ticker)
    return whole(request, answer.at, shapes.ticker_info(found(request, answer, NO_TICKER)))


@router.get("/brc20/{ticker:any}/holders", response_model=list[models.AddressBalance], responses=MISSING)
async def holders(
    request: Request, reader: FromReader, ticker: Ticker, page: OfPage, cursor: Cursor = None
) -> Response:
    """Return a ticker's holders, the largest first."""
    answer = await reader.holders(ticker, page, holder_seen(cursor))
    if not answer.exists:
        call_of(request).at = answer.at
        raise HTTPException(404, NO_TICKER)
    return rows(request, answer, page, shapes.balance, lambda row: after_holder(request, row))


@router.get("/brc20/{ticker:any}/tx/{txid}/history", response_model=list[models.Op], responses=MISSING)
async def transaction_history(request: Request, reader: FromReader, ticker: Ticker, txid: Txid) -> Response:
    """Return what a transaction did to a ticker, invalid operations too."""
    answer = await reader.ticker_transaction(ticker, bytes.fromhex(txid)[::-1])
    return whole(request, answer.at, [shapes.operation(row) for row in answer.rows])


@router.get("/brc20/{ticker:any}/history", response_model=list[models.Op], responses=MISSING)
async def ticker_history(
    request: Request,
    reader: FromReader,
    ticker: Ticker,
    page: OfPage,
    op_type: OpType = None,
    cursor: Cursor = None,
    *,
    include_invalid: IncludeInvalid = False,
) -> Response:
    """Return a ticker's operations, the latest first."""
    only = operations(op_type, cursor, include_invalid=include_invalid)
    answer = await reader.ticker_history(ticker, only, page)
    return rows(request, answer, page, shapes.operation, lambda row: after_operation(request, row))
