"""What the users ask about: tickers, balances, transactions and blocks of the live index, taken through its API."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx2

from loadtests.answers import PREFIX
from loadtests.errors import LoadtestError

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

# Enough that neither cache holds all of it; few enough that the sample is taken within seconds.
LIST_PAGES, LIST_ROWS = 5, 1_000
TICKERS, LOOKED_INTO, ROWS = 200, 40, 50
BALANCES, TRANSACTIONS, HEIGHTS = 1_000, 500, 200
# The newest blocks may be taken back while the test runs, and with them what the users ask for.
UNSETTLED = 12
SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """`tickers` from the most to the least held; `balances` are (address, ticker), `transactions` (ticker, txid)."""

    tip: int
    tickers: tuple[str, ...]
    addresses: tuple[str, ...]
    balances: tuple[tuple[str, str], ...]
    transactions: tuple[tuple[str, str], ...]
    heights: tuple[int, ...]

    @classmethod
    def of(cls, value: dict[str, Any]) -> Sample:
        """Return the sample that a decoded JSON object has."""
        return cls(
            tip=int(value["tip"]),
            tickers=tuple(value["tickers"]),
            addresses=tuple(value["addresses"]),
            balances=tuple((address, ticker) for address, ticker in value["balances"]),
            transactions=tuple((ticker, txid) for ticker, txid in value["transactions"]),
            heights=tuple(value["heights"]),
        )


@dataclass
class _Found:
    """What was come across so far, each once and in a fixed order."""

    balances: dict[tuple[str, str], None] = field(default_factory=dict)
    transactions: dict[tuple[str, str], None] = field(default_factory=dict)
    heights: dict[int, None] = field(default_factory=dict)


def take(host: str, *, seed: int, key: str = "") -> Sample:
    """Take a sample of an index; equal for equal seeds and an index that stands still.

    At most 86 requests. Raises LoadtestError where the API does not answer, refuses, or has nothing indexed.
    """
    headers = {"X-API-Key": key} if key else {}
    try:
        with httpx2.Client(base_url=host, headers=headers, timeout=SECONDS, trust_env=False) as client:
            # A choice that can be repeated; nothing is kept secret by it.
            return _take(client, random.Random(seed))  # noqa: S311 # nosec B311
    except (KeyError, TypeError, ValueError) as error:
        raise LoadtestError(f"{host} is not what the API answers: {type(error).__name__} {error}"[:300]) from None
    except httpx2.HTTPError as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise LoadtestError(f"{host} does not answer ({why}); is the environment up?") from None


def _take(client: httpx2.Client, rng: random.Random) -> Sample:
    status = _get(client, "/brc20/status")
    tip = int(status["last_indexed_block_main_chain"])
    listed = _listed(client)
    if not listed:
        raise LoadtestError("the index has no tickers, so there is nothing to ask for; index blocks with deploys first")
    settled = [row for row in listed if row["deploy_block_height"] <= tip - UNSETTLED] or listed
    chosen = rng.sample(settled, min(TICKERS, len(settled)))
    chosen.sort(key=lambda row: (-int(row["holders"]), row["ticker"]))
    found = _Found()
    for row in rng.sample(chosen, min(LOOKED_INTO, len(chosen))):
        _look_into(client, row["ticker"], tip, found)
    # Who deployed and holds nothing has an answer too: no balances.
    addresses = dict.fromkeys(address for address, _ in found.balances)
    addresses |= dict.fromkeys(row["creator_address"] for row in chosen)
    heights = found.heights or {min(tip, int(chosen[0]["deploy_block_height"])): None}
    return Sample(
        tip=tip,
        tickers=tuple(row["ticker"] for row in chosen),
        addresses=_some(rng, addresses, BALANCES),
        balances=_some(rng, found.balances, BALANCES),
        transactions=_some(rng, found.transactions, TRANSACTIONS),
        heights=_some(rng, heights, HEIGHTS),
    )


def _listed(client: httpx2.Client) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = []
    target: str | None = f"{PREFIX}/brc20/list?limit={LIST_ROWS}"
    for _ in range(LIST_PAGES):
        if target is None:
            break
        answer = _asked(client, target)
        listed += answer.json()
        target = answer.links.get("next", {}).get("url")
    return listed


def _look_into(client: httpx2.Client, ticker: str, tip: int, found: _Found) -> None:
    name = quote(ticker, safe="")
    for row in _get(client, f"/brc20/{name}/holders?limit={ROWS}"):
        found.balances[row["wallet"], ticker] = None
    operations = _get(client, f"/brc20/{name}/history?limit={ROWS}")
    for row in [row for row in operations if row["block_height"] <= tip - UNSETTLED] or operations:
        found.transactions[ticker, row["txid"]] = None
        found.heights[row["block_height"]] = None


def _some(rng: random.Random, values: Iterable[T], most: int) -> tuple[T, ...]:
    all_of_them = list(values)
    return tuple(rng.sample(all_of_them, min(most, len(all_of_them))))


def _get(client: httpx2.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    return _asked(client, PREFIX + path).json()


def _asked(client: httpx2.Client, target: str) -> httpx2.Response:
    answer = client.get(target)
    if answer.status_code == HTTPStatus.OK:
        return answer
    if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise LoadtestError(f"the API refuses with {answer.status_code}; give a key that may read by --key-file")
    said = f"{answer.status_code}{_detail(answer)}"
    raise LoadtestError(f"the API answers {target} with {said}, so no sample can be taken; wait until it serves")


def _detail(answer: httpx2.Response) -> str:
    try:
        return f" ({answer.json()['detail']})"
    except (ValueError, KeyError, TypeError):
        return ""
