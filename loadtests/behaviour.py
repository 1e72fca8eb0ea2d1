"""What wallets, explorers and market bots ask, one question after the other, and what they make of the answers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from urllib.parse import quote, urlsplit

from loadtests.answers import PREFIX, Question, one, rows

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from loadtests.answers import Answer, Check
    from loadtests.sample import Sample

T = TypeVar("T")

_BALANCE = ("pkscript", "overall_balance", "available_balance", "block_height")
_OPERATION = ("op", "txid", "block_height", "valid", "timestamp")
_TICKER = ("max_supply", "minted", "holders", "deploy_tx_id")
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')

STATUS: Final = Question(
    route=f"{PREFIX}/brc20/status",
    path=f"{PREFIX}/brc20/status",
    check=one("current_block_height_network", "last_indexed_block_main_chain", "block_hash"),
)


class Behaviour(ABC):
    """One user. `think` is the least and the most seconds between two questions; `weight` their share among users."""

    name: ClassVar[str]
    about: ClassVar[str]
    weight: ClassVar[int]
    think: ClassVar[tuple[float, float]]

    def __init__(self, sample: Sample, rng: random.Random) -> None:
        self.sample = sample
        self.rng = rng
        self._coming: deque[Question] = deque()

    def next(self) -> Question:
        """Return what is asked now."""
        if not self._coming:
            self._coming.extend(self._visit())
        return self._coming.popleft()

    @abstractmethod
    def learn(self, question: Question, answer: Answer) -> None:
        """Take in a right answer: it may lead to other questions."""

    @abstractmethod
    def _visit(self) -> Sequence[Question]:
        """Return what is asked in a row, at least one question."""

    def _go_on_to(self, question: Question) -> None:
        self._coming.appendleft(question)

    def _often_the_first(self, values: Sequence[T]) -> T:
        """Choose one; the first ones by far most often, as a few tickers have most of the attention."""
        return values[int(len(values) * self.rng.random() ** 3)]


class Wallet(Behaviour):
    """Opens, shows the balances and the latest history of its address, turns a page, and polls the tip."""

    name = "wallet"
    about = "balances and history of its own address, and the tip over and over"
    weight = 6
    think = (0.5, 2.0)
    page: ClassVar[int] = 20

    def __init__(self, sample: Sample, rng: random.Random) -> None:
        super().__init__(sample, rng)
        self.address = rng.choice(sample.addresses)
        self.held = [ticker for address, ticker in sample.balances if address == self.address][:3]

    def _visit(self) -> Sequence[Question]:
        shown = [balance(self.address, ticker) for ticker in self.held]
        return (STATUS, balances(self.address), *shown, history(self.address, self.page), STATUS, STATUS)

    def learn(self, question: Question, answer: Answer) -> None:
        """Turn the page of a history once in two times."""
        target = next_page(answer)
        if target and "cursor=" not in question.path and self.rng.choice((True, False)):
            self._go_on_to(_paged(question, target))


class Explorer(Behaviour):
    """Looks round: the list, a ticker with its holders and history, a block, a transaction, a search."""

    name = "explorer"
    about = "lists and their next pages, tickers, holders, blocks, transactions, searches"
    weight = 3
    think = (0.3, 1.5)
    page: ClassVar[int] = 50
    pages: ClassVar[int] = 3  # of a list, at most

    def __init__(self, sample: Sample, rng: random.Random) -> None:
        super().__init__(sample, rng)
        self._turned = 0

    def _visit(self) -> Sequence[Question]:
        ticker = self._often_the_first(self.sample.tickers)
        looked_for = self.rng.choice(self.sample.tickers)
        height = self.rng.choice(self.sample.heights)
        visit = [info(ticker), holders(ticker, self.page), ticker_history(ticker, self.page)]
        visit += [block(height, self.page), state(height), search(looked_for)]
        if self.sample.transactions:
            visit.append(transaction(*self.rng.choice(self.sample.transactions)))
        self.rng.shuffle(visit)
        self._turned = 0
        return [listing(self.page), *visit]

    def learn(self, question: Question, answer: Answer) -> None:
        """Turn pages of a list, by the cursor that it came with."""
        target = next_page(answer)
        if target and self._turned < self.pages - 1:
            self._turned += 1
            self._go_on_to(_paged(question, target))


class MarketBot(Behaviour):
    """Watches few tickers without a pause, and asks whether an answer changed before it takes it again."""

    name = "market-bot"
    about = "a few tickers many times a second, with If-None-Match"
    weight = 1
    think = (0.05, 0.15)
    watched: ClassVar[int] = 5

    def __init__(self, sample: Sample, rng: random.Random) -> None:
        super().__init__(sample, rng)
        self.tickers = list(dict.fromkeys(self._often_the_first(sample.tickers) for _ in range(self.watched)))
        self._tags: dict[str, str] = {}

    def _visit(self) -> Sequence[Question]:
        asked = [ask for ticker in self.tickers for ask in (info(ticker), ticker_history(ticker, 10))]
        return [self._tagged(question) for question in (STATUS, *asked)]

    def learn(self, question: Question, answer: Answer) -> None:
        """Keep the tag of an answer for the next time."""
        if tag := answer.headers.get("etag"):
            self._tags[question.path] = tag

    def _tagged(self, question: Question) -> Question:
        tag = self._tags.get(question.path, "")
        return Question(route=question.route, path=question.path, check=question.check, etag=tag)


BEHAVIOURS: Final[tuple[type[Behaviour], ...]] = (Wallet, Explorer, MarketBot)


def balances(address: str) -> Question:
    """Ask for all balances of an address."""
    return _question("/brc20/address/{address}/tickers", rows(*_BALANCE, wallet=address), address=address)


def balance(address: str, ticker: str) -> Question:
    """Ask for one balance."""
    check = one(*_BALANCE, wallet=address, ticker=ticker)
    return _question("/address/{address}/brc20/{ticker}/info", check, address=address, ticker=ticker)


def history(address: str, limit: int) -> Question:
    """Ask for the latest operations of an address."""
    return _question("/address/{address}/history", rows(*_OPERATION, most=limit), limit, address=address)


def listing(limit: int) -> Question:
    """Ask for the latest tickers."""
    return _question("/brc20/list", rows("ticker", *_TICKER, most=limit), limit)


def info(ticker: str) -> Question:
    """Ask for a ticker."""
    return _question("/brc20/{ticker}/info", one(*_TICKER, ticker=ticker), ticker=ticker)


def search(ticker: str) -> Question:
    """Ask for a ticker as people write it: the API normalises it."""
    return _question("/brc20/{ticker}/info", one(*_TICKER, ticker=ticker), ticker=as_typed(ticker))


def holders(ticker: str, limit: int) -> Question:
    """Ask for the largest holders of a ticker."""
    check = rows(*_BALANCE, most=limit, ticker=ticker)
    return _question("/brc20/{ticker}/holders", check, limit, ticker=ticker)


def ticker_history(ticker: str, limit: int) -> Question:
    """Ask for the latest operations of a ticker."""
    check = rows(*_OPERATION, most=limit, ticker=ticker)
    return _question("/brc20/{ticker}/history", check, limit, ticker=ticker)


def transaction(ticker: str, txid: str) -> Question:
    """Ask what a transaction did to a ticker."""
    check = rows(*_OPERATION, ticker=ticker)
    return _question("/brc20/{ticker}/tx/{txid}/history", check, ticker=ticker, txid=txid)


def block(height: int, limit: int) -> Question:
    """Ask for the operations of a block."""
    check = rows(*_OPERATION, most=limit, block_height=height)
    return _question("/brc20/history-by-height/{height}", check, limit, height=str(height))


def state(height: int) -> Question:
    """Ask for the state hash of a block."""
    return _question("/state/{height}", one("block_hash", "state_hash", height=height), height=str(height))


def as_typed(ticker: str) -> str:
    """Return a ticker in lower case, where that is the same ticker for the API (ASCII), else as it is."""
    return ticker.lower() if ticker.isascii() else ticker


def next_page(answer: Answer) -> str:
    """Return path and query of the next page that a list came with, "" at its end."""
    found = _NEXT.search(answer.headers.get("link", ""))
    if found is None:
        return ""
    parts = urlsplit(found[1])
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _paged(question: Question, target: str) -> Question:
    return Question(route=question.route, path=target, check=question.check)


def _question(route: str, check: Check, limit: int = 0, **values: Any) -> Question:  # noqa: ANN401 - the path's own
    path = route.format(**{name: quote(value, safe="") for name, value in values.items()})
    query = f"?limit={limit}" if limit else ""
    return Question(route=PREFIX + route, path=PREFIX + path + query, check=check)
