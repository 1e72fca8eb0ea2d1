"""What is asked: endpoints with their targets, and the addresses of each from the most to the least popular."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.api.data import Shape

PAGE = 100  # rows of a list: the API's own default
PREFIX = "/v1/indexer"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`paths` lists addresses by popularity; `warm` and `cold` are requests a second that are promised, 0 for none."""

    name: str
    paths: Callable[[Shape], Iterator[str]]
    warm: int = 0
    cold: int = 0
    bare_share: float = 0.0  # of what a bare endpoint answers

    @property
    def title(self) -> str:
        return self.name.replace("-", " ")

    def all_paths(self, shape: Shape) -> list[str]:
        return list(self.paths(shape))


def _info(shape: Shape) -> Iterator[str]:
    return (f"{PREFIX}/brc20/{shape.name(ticker)}/info" for ticker in range(shape.tickers))


def _list(shape: Shape) -> Iterator[str]:
    yield f"{PREFIX}/brc20/list"
    yield from (f"{PREFIX}/brc20/list?skip={skip}" for skip in range(1, shape.tickers - PAGE))


def _holders(shape: Shape) -> Iterator[str]:
    return (f"{PREFIX}/brc20/{shape.name(ticker)}/holders" for ticker in range(shape.tickers))


def _history(shape: Shape) -> Iterator[str]:
    return (f"{PREFIX}/brc20/{shape.name(ticker)}/history" for ticker in range(shape.tickers))


def _balance(shape: Shape) -> Iterator[str]:
    for ticker in range(shape.tickers):
        address = shape.address(shape.holder(ticker, ticker % shape.floor))
        yield f"{PREFIX}/address/{address}/brc20/{shape.name(ticker)}/info"


def _address_history(shape: Shape) -> Iterator[str]:
    return (f"{PREFIX}/address/{shape.address(trader)}/history" for trader in range(shape.traders))


def _status(_shape: Shape) -> Iterator[str]:
    yield f"{PREFIX}/brc20/status"


def _block_history(shape: Shape) -> Iterator[str]:
    # The last block is not full.
    return (f"{PREFIX}/brc20/history-by-height/{height}" for height in range(shape.tip - 1, shape.first - 1, -1))


ENDPOINTS = (
    Endpoint("ticker-info", _info, warm=2_500, cold=800, bare_share=0.3),
    Endpoint("list", _list, warm=1_500, cold=800),
    Endpoint("holders", _holders, warm=1_500, cold=800),
    Endpoint("history", _history, warm=1_500, cold=800),
    Endpoint("address-balance", _balance),
    Endpoint("address-history", _address_history),
    Endpoint("status", _status),
    Endpoint("block-history", _block_history),
)


def never_asked(shape: Shape, number: int) -> list[str]:
    """Return addresses of pages that nothing else asks for."""
    pages = (PAGE - 1 - place // shape.tickers for place in range(number))
    return [
        f"{PREFIX}/brc20/{shape.name(place % shape.tickers)}/{('holders', 'history')[place % 2]}?limit={limit}"
        for place, limit in enumerate(pages)
    ]
