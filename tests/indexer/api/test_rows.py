"""Every path answers with the rows that the chain has, whatever is filtered, compared field by field."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.indexer.api.book import Book, book_of
from tests.support.api import App, Chain, chained, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.postgres import Cluster

pytestmark = pytest.mark.xdist_group("rows")  # one worker has the chain

OPS = ("mint", "transfer", "nothing", "MINT")


@pytest.fixture(scope="module")
def told(cluster: Cluster, migrated_template: str) -> Chain:
    with chained(cluster.new_database(migrated_template), 43, blocks=24, operations=10) as made:
        return made


@pytest.fixture(scope="module")
def book(told: Chain) -> Book:
    return book_of(told.source.blocks)


@pytest.fixture
async def app(told: Chain) -> AsyncIterator[App]:
    async with running(told.url) as made:
        yield made


def path_of(text: str) -> str:
    return quote(text, safe="")


def busy_tickers(book: Book) -> list[str]:
    counts = Counter(row["ticker"] for row in book.operations if row["ticker"] in book.result.deploys)
    return [ticker for ticker, _ in counts.most_common(4)]


def addresses(book: Book) -> list[str]:
    """Those with most to tell, and those that only sent, only received, or sent to themselves."""
    sent = Counter(row["from_address"] for row in book.operations if row["from_address"])
    received = Counter(row["to_address"] for row in book.operations if row["to_address"])
    selves = [row["from_address"] for row in book.operations if row["from_address"] == row["to_address"] is not None]
    assert selves, "the chain has a transfer to oneself"
    only = [next(iter(sent.keys() - received.keys()), None), next(iter(received.keys() - sent.keys()), None)]
    found = [address for address, _ in (sent + received).most_common(5)]
    return list(dict.fromkeys([*found, selves[0], *(address for address in only if address)]))


def of_address(row: dict[str, Any], address: str) -> bool:
    return address in {row["from_address"], row["to_address"]}


async def read_both(app: App, path: str, query: str) -> list[Any]:
    """The rows of a list, which its `/all` has as well."""
    rows: list[Any] = await app.read(f"{path}?limit=1000&{query}")
    assert len(rows) < 1000
    if "include_invalid" not in query:
        whole = await app.read(f"{path}/all?{query}")
        assert whole == {"total_count": len(rows), "returned_count": len(rows), "has_more": False, "data": rows}
    return rows


def filters() -> Iterator[tuple[str, str | None, bool]]:
    """Query, op and whether invalid ones are wanted."""
    for op in (None, *OPS):
        for invalid in (False, True):
            query = ([] if op is None else [f"op_type={op}"]) + (["include_invalid=true"] if invalid else [])
            yield "&".join(query), op, invalid


async def test_the_list_of_tickers(app: App, book: Book) -> None:
    assert await read_both(app, "/brc20/list", "") == book.tickers()


async def test_each_ticker_as_it_is_written_and_in_any_case(app: App, book: Book) -> None:
    for name in book.result.deploys:
        ways = {name, name.lower(), name.swapcase()} if name.isascii() and not name.startswith("y") else {name}
        for written in ways:
            assert await app.read(f"/brc20/{path_of(written)}/info") == book.ticker(name), written


async def test_the_holders_of_each_ticker(app: App, book: Book) -> None:
    for name in book.result.deploys:
        wanted = book.balances(lambda ticker, _, name=name: ticker == name)  # type: ignore[misc]  # a default binds it
        assert await read_both(app, f"/brc20/{path_of(name)}/holders", "") == wanted


@pytest.mark.parametrize(("query", "op", "invalid"), list(filters()))
async def test_the_history_of_a_ticker(app: App, book: Book, query: str, op: str | None, *, invalid: bool) -> None:
    for name in [*busy_tickers(book), "NOSUCH"]:
        wanted = book.latest(
            lambda row, name=name: (  # type: ignore[misc]  # a default binds it
                row["ticker"] == name and (op is None or row["op"] == op) and (invalid or row["valid"])
            )
        )
        found = await read_both(app, f"/brc20/{path_of(name)}/history", query)
        assert found == wanted
        if invalid:
            whole = await app.read(f"/brc20/{path_of(name)}/history/all?{query}")
            assert whole["data"] == wanted


async def test_what_a_transaction_did_to_a_ticker(app: App, book: Book) -> None:
    for row in book.operations:
        if row["ticker"] is None:
            continue
        name, txid = row["ticker"], row["txid"]
        wanted = book.latest(lambda each, name=name, txid=txid: (each["ticker"], each["txid"]) == (name, txid))  # type: ignore[misc]  # as above
        for written in (txid, txid.upper()):
            assert await app.read(f"/brc20/{path_of(name)}/tx/{written}/history") == wanted
        assert await app.read(f"/brc20/NOSUCH/tx/{txid}/history") == []
    assert await app.read(f"/brc20/{path_of(busy_tickers(book)[0])}/tx/{'ab' * 32}/history") == []


@pytest.mark.parametrize(("query", "op", "invalid"), list(filters()))
async def test_the_history_of_an_address_with_and_without_a_ticker(
    app: App, book: Book, query: str, op: str | None, *, invalid: bool
) -> None:
    seen = 0
    for address in addresses(book):
        for name in [None, busy_tickers(book)[0], busy_tickers(book)[1].lower(), "NOSUCH"]:
            ticker = name if name is None or name in book.result.deploys else name.upper()
            wanted = book.latest(
                lambda row, address=address, ticker=ticker: (  # type: ignore[misc]  # a default binds it
                    of_address(row, address)
                    and (ticker is None or row["ticker"] == ticker)
                    and (op is None or row["op"] == op)
                    and (invalid or row["valid"])
                )
            )
            seen += len(wanted)
            of_ticker = "" if name is None else f"&ticker={path_of(name)}"
            assert await read_both(app, f"/address/{address}/history", f"{query}{of_ticker}") == wanted
            if name is not None:
                assert await read_both(app, f"/address/{address}/brc20/{path_of(name)}/history", query) == wanted
            if invalid:
                whole = await app.read(f"/address/{address}/history/all?{query}{of_ticker}")
                assert whole["data"] == wanted
    assert seen or op in {"nothing", "MINT"}


async def test_a_transfer_to_oneself_is_there_once(app: App, book: Book) -> None:
    selves = [row for row in book.operations if row["from_address"] == row["to_address"] is not None]
    for row in selves:
        found = await app.read(f"/address/{row['from_address']}/history?limit=1000&include_invalid=true")
        assert [each["id"] for each in found].count(row["id"]) == 1


async def test_the_balances_of_an_address_the_largest_first(app: App, book: Book) -> None:
    holders = Counter(address for _, address in book.result.balances)
    assert max(holders.values()) > 2
    for address in holders:
        wanted = book.balances(lambda _, holder, address=address: holder == address)  # type: ignore[misc]  # as above
        assert await app.read(f"/brc20/address/{address}/tickers?limit=1000") == wanted
        for row in wanted[:3]:
            assert await app.read(f"/address/{address}/brc20/{path_of(row['ticker'])}/info") == row


async def test_a_balance_that_came_and_went_is_zero_and_says_when(app: App, book: Book) -> None:
    gone = [key for key in book.changed if key not in book.result.balances]
    assert gone
    for ticker, address in gone:
        assert await app.read(f"/address/{address}/brc20/{path_of(ticker)}/info") == book.balance(ticker, address)
        rows = await app.read(f"/brc20/address/{address}/tickers?limit=1000")
        assert ticker not in {row["ticker"] for row in rows}


async def test_the_history_of_each_block(app: App, book: Book) -> None:
    for height in range(len(book.blocks) + 2):
        rows = [row for row in book.operations if row["block_height"] == height]
        path = f"/brc20/history-by-height/{height}"
        assert await read_both(app, path, "") == [row for row in rows if row["valid"]]
        assert await app.read(f"{path}?limit=1000&include_invalid=true") == rows
        assert (await app.read(f"{path}/all?include_invalid=true"))["data"] == rows


@pytest.mark.parametrize(
    "path",
    [
        "/brc20/list/all",
        "/brc20/{ticker}/holders/all",
        "/brc20/{ticker}/history/all?include_invalid=true",
        "/address/{address}/history/all?include_invalid=true",
        "/address/{address}/brc20/{ticker}/history/all?include_invalid=true",
        "/brc20/history-by-height/{height}/all?include_invalid=true",
    ],
)
async def test_a_whole_list_is_cut_where_it_was_asked_and_says_how_much_there_is(
    app: App, book: Book, path: str
) -> None:
    heights = Counter(row["block_height"] for row in book.operations)
    ticker, address = busy_tickers(book)[0], addresses(book)[0]
    given = path.format(ticker=path_of(ticker), address=address, height=heights.most_common(1)[0][0])
    mark = "&" if "?" in given else "?"
    whole = await app.read(given)
    count = whole["total_count"]
    assert count == whole["returned_count"] == len(whole["data"]) > 2
    for most in (1, 2, count - 1, count, count + 1, 100_000):
        cut = await app.read(f"{given}{mark}max_results={most}")
        returned = min(most, count)
        assert cut == {
            "total_count": count,
            "returned_count": returned,
            "has_more": count > most,
            "data": whole["data"][:returned],
        }
    for wrong in (0, 100_001, "x"):
        assert (await app.ask(f"/v1/indexer{given}{mark}max_results={wrong}")).status == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/brc20/NOSUCH/holders/all", 404),
        ("/brc20/NOSUCH/holders", 404),
        ("/brc20/NOSUCH/info", 404),
        ("/brc20/NOSUCH/history/all", 200),
        ("/brc20/history-by-height/999999/all", 200),
        ("/brc20/history-by-height/2147483648/all", 422),
        ("/address/nobody/history/all", 422),
        ("/address/bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq/history", 422),
        ("/brc20/A/tx/xyz/history", 422),
        ("/brc20/%00/history/all", 404),
        ("/address/bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202/history?ticker=%00", 422),
        ("/address/bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqdku202/history?ticker=", 422),
    ],
)
async def test_what_is_not_there_and_what_cannot_be(app: App, path: str, status: int) -> None:
    assert (await app.ask(f"/v1/indexer{path}")).status == status


async def test_an_address_may_be_written_in_capitals(app: App, book: Book) -> None:
    address = next(each for each in addresses(book) if each.startswith("bcrt1"))
    small = await app.read(f"/address/{address}/history")
    assert small
    assert await app.read(f"/address/{address.upper()}/history") == small
    assert (await app.ask(f"/v1/indexer/address/{address[:10].upper()}{address[10:]}/history")).status == 422
