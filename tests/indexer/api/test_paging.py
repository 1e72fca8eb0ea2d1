"""Pages: by number or by cursor they tile a list, and a cursor stays right while blocks come and go."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.bitcoin.script import Network, address_of
from indexer.store.connection import connect
from tests.support.api import App, Chain, chained, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster

pytestmark = pytest.mark.xdist_group("paging")  # one worker has the chain

API = "/v1/indexer"
NOBODY = address_of(b"\x00\x14" + bytes(20), Network.REGTEST)


@pytest.fixture(scope="module")
def rich(cluster: Cluster, migrated_template: str) -> Chain:
    """A chain with many tickers, holders and operations, that no test moves."""
    with chained(cluster.new_database(migrated_template), 41, blocks=30, operations=10) as made:
        return made


def lists_of(url: str) -> dict[str, str]:
    """The paths of lists with enough rows, by what they list."""
    with connect(url) as connection:

        def one(query: str) -> str:
            row = connection.execute(query).fetchone()
            assert row is not None
            return str(row[0])

        ticker = quote(
            one(
                "SELECT ticker FROM index.operations WHERE ticker IS NOT NULL AND error IS NULL"
                " GROUP BY ticker ORDER BY count(*) DESC LIMIT 1"
            ),
            safe="",
        )
        held = quote(
            one("SELECT ticker FROM index.balances WHERE amount > 0 GROUP BY ticker ORDER BY count(*) DESC LIMIT 1"),
            safe="",
        )
        sender = one(
            "SELECT sender FROM index.operations WHERE sender <> '' GROUP BY sender ORDER BY count(*) DESC LIMIT 1"
        )
        holder = one(
            "SELECT address FROM index.balances WHERE amount > 0 GROUP BY address ORDER BY count(*) DESC LIMIT 1"
        )
        height = one("SELECT op_id >> 20 FROM index.operations GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    return {
        "tickers": "/brc20/list",
        "holders": f"/brc20/{held}/holders",
        "ticker history": f"/brc20/{ticker}/history?include_invalid=true",
        "valid ticker history": f"/brc20/{ticker}/history",
        "mints": f"/brc20/{ticker}/history?op_type=mint",
        "address history": f"/address/{sender}/history?include_invalid=true",
        "address and ticker": f"/address/{sender}/history?include_invalid=true&ticker={ticker}",
        "address ticker history": f"/address/{sender}/brc20/{ticker}/history?include_invalid=true",
        "balances": f"/brc20/address/{holder}/tickers",
        "block": f"/brc20/history-by-height/{height}?include_invalid=true",
    }


NAMES = list(
    {
        "tickers": 0,
        "holders": 0,
        "ticker history": 0,
        "valid ticker history": 0,
        "mints": 0,
        "address history": 0,
        "address and ticker": 0,
        "address ticker history": 0,
        "balances": 0,
        "block": 0,
    }
)


def page(path: str, **parameters: int | str) -> str:
    joined = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"{API}{path}{'&' if '?' in path else '?'}{joined}"


async def by_cursor(app: App, target: str) -> list[Any]:
    """Every row, page by page as the links lead."""
    rows: list[Any] = []
    following: str | None = target
    while following is not None:
        answer = await app.ask(following)
        assert answer.status == 200, (following, answer.body)
        rows += answer.json()
        following = answer.next
        assert len(rows) <= 10_000, "the links lead in circles"
    return rows


@pytest.mark.parametrize("name", NAMES)
async def test_pages_tile_a_list_by_number_and_by_cursor(rich: Chain, name: str) -> None:
    limit = 2
    path = lists_of(rich.url)[name]
    async with running(rich.url) as app:
        everything = (await app.ask(page(path, limit=1000))).json()
        assert len(everything) > limit, "a list that has pages"
        numbered: list[Any] = []
        for skip in range(0, len(everything) + limit, limit):
            numbered += (await app.ask(page(path, limit=limit, skip=skip))).json()
        assert numbered == everything
        assert await by_cursor(app, page(path, limit=limit)) == everything
        rows = {json.dumps(row) for row in everything}
        assert len(rows) == len(everything)


async def test_a_link_keeps_the_filters_and_leaves_out_what_is_done(rich: Chain) -> None:
    async with running(rich.url) as app:
        for path in lists_of(rich.url).values():
            everything = (await app.ask(page(path, limit=1000))).json()
            answer = await app.ask(page(path, skip=1, limit=1))
            assert answer.next is not None
            assert answer.next.startswith(f"{API}{path.partition('?')[0]}?")
            assert "skip=" not in answer.next
            assert answer.next.count("cursor=") == 1
            assert (answer.header("link") or "").endswith('>; rel="next"')
            assert (await app.ask(answer.next)).json() == everything[2:3]
            whole = await app.ask(page(path, limit=1000))
            assert whole.next is None, "a page that is not full is the last"


async def test_a_cursor_and_a_skip_go_together(rich: Chain) -> None:
    async with running(rich.url) as app:
        everything = await app.read("/brc20/list?limit=1000")
        first = await app.ask(f"{API}/brc20/list?limit=2")
        assert first.next is not None
        assert (await app.ask(f"{first.next}&skip=1")).json() == everything[3:5]


async def test_a_cursor_stays_right_while_blocks_come(database_url: str) -> None:
    with chained(database_url, 41, blocks=12, operations=10) as chain:
        lists = lists_of(chain.url)
        come = 0
        async with running(chain.url) as app:
            for name in ("tickers", "ticker history", "address history", "address ticker history"):
                path = lists[name]
                before = (await app.ask(page(path, limit=1000))).json()
                rows: list[Any] = []
                following: str | None = page(path, limit=2)
                while following is not None:
                    answer = await app.ask(following)
                    rows += answer.json()
                    following = answer.next
                    if len(rows) < 20:
                        chain.extend(1, 8)
                        await app.at(chain.height)
                if name == "tickers":
                    # Holders and supplies are of each page's own moment; which tickers there are is not.
                    assert [row["ticker"] for row in rows] == [row["ticker"] for row in before]
                else:
                    assert rows == before
                newest = (await app.ask(page(path, limit=1000))).json()
                come += len(newest) - len(before)
        assert come > 10, "new rows came meanwhile"


async def test_a_cursor_outlasts_a_reorg_of_what_it_stood_at(database_url: str) -> None:
    with chained(database_url, 41, blocks=12, operations=10) as chain:
        path = lists_of(chain.url)["ticker history"]
        async with running(chain.url) as app:
            first = await app.ask(page(path, limit=3))
            chain.fork(5, 6, 10)
            await app.at(chain.height)
            assert first.next is not None
            rest = await by_cursor(app, first.next)
            now = (await app.ask(page(path, limit=1000))).json()
            assert rest == [row for row in now if row["id"] < first.json()[-1]["id"]]


async def test_what_follows_a_row_that_a_reorg_took_is_not_lost(database_url: str) -> None:
    with chained(database_url) as chain:
        with connect(chain.url) as connection:
            for name in ("AAAA", "BBBB", "CCCC"):
                connection.execute(
                    "INSERT INTO index.deploys (ticker, max_supply, limit_per_mint, minted, height, txid, deployer)"
                    " SELECT %s, max_supply, limit_per_mint, 0, %s, txid, deployer FROM index.deploys LIMIT 1",
                    (name, chain.height),
                )
                connection.execute(
                    "INSERT INTO index.balances (ticker, address, amount, height) VALUES (%s, %s, 5, %s)",
                    (name, NOBODY, chain.height),
                )
        async with running(chain.url) as app:
            tickers = await app.ask(f"{API}/brc20/list?limit=1")
            balances = await app.ask(f"{API}/brc20/address/{NOBODY}/tickers?limit=1")
            assert [row["ticker"] for row in [*tickers.json(), *balances.json()]] == ["AAAA", "AAAA"]
            with connect(chain.url) as connection:
                connection.execute("DELETE FROM index.deploys WHERE ticker = 'AAAA'")
                connection.execute("DELETE FROM index.balances WHERE ticker = 'AAAA'")
            for page_before in (tickers, balances):
                assert page_before.next is not None
                rest = await by_cursor(app, page_before.next)
                assert {"BBBB", "CCCC"} <= {row["ticker"] for row in rest}


def cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


FOREIGN = [
    cursor(None),
    cursor(5),
    cursor([]),
    cursor({}),
    cursor([None]),
    cursor([1.5]),
    cursor([True]),
    cursor(["1"]),
    cursor([2**63]),
    cursor([2**70]),
    cursor([-2]),
    cursor([1, 2, 3]),
    cursor(["x", "y"]),
    cursor(["1e5", "y"]),
    cursor(["-1", "y"]),
    cursor(["1" * 400, "y"]),
    cursor(["1", "a\x00b"]),
    cursor([1, "a\x00b"]),
    cursor([[[[[]]]]]),
    "A",
    "AAAA",
    "____",
    "W" * 6_000,
    base64.urlsafe_b64encode(b"[" * 4_000).rstrip(b"=").decode(),
    base64.urlsafe_b64encode(b'["\xff","y"]').rstrip(b"=").decode(),
    base64.urlsafe_b64encode(b'["1","\\ud800"]').rstrip(b"=").decode(),
]


@pytest.mark.parametrize("name", ["tickers", "holders", "ticker history", "address history", "balances", "block"])
async def test_a_foreign_cursor_is_refused(rich: Chain, name: str) -> None:
    kinds: dict[str, list[list[object]]] = {
        "tickers": [[5, "ORDI", ""], [5, "", "00ff"]],
        "holders": [["1", "x"], ["1", "00ff"]],
        "balances": [["1", "ORDI", ""], ["1", "", "00ff"]],
    }
    own = kinds.get(name, [[5]])
    path = lists_of(rich.url)[name]
    async with running(rich.url) as app:
        for foreign in FOREIGN:
            answer = await app.ask(page(path, cursor=foreign))
            assert (answer.status, answer.json()["detail"][:12]) == (422, "query.cursor"), foreign
        for value in own:
            assert (await app.ask(page(path, cursor=cursor(value)))).status == 200
        everybodys: list[list[object]] = [[5, "00ff"], [5, "ORDI", ""], ["1", "x"], ["1", "", "00ff"], [5]]
        for others in everybodys:
            if others not in own:
                assert (await app.ask(page(path, cursor=cursor(others)))).status == 422


@pytest.mark.parametrize("text", ["a b", "a=b", "ü", "a.b", "a/b", "'", "A" * 6_001])
async def test_what_is_no_cursor_at_all_is_refused(rich: Chain, text: str) -> None:
    async with running(rich.url) as app:
        assert (await app.ask(f"{API}/brc20/list?cursor={quote(text)}")).status == 422


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 200), sign=st.characters(codec="ascii"), names=st.sampled_from(NAMES))
async def test_a_damaged_cursor_is_refused_or_leads_somewhere_and_is_never_an_error_of_ours(
    rich: Chain, place: int, sign: str, names: str
) -> None:
    path = lists_of(rich.url)[names]
    async with running(rich.url) as app:
        following = (await app.ask(page(path, limit=1))).next
        assert following is not None
        head, _, good = following.partition("cursor=")
        place %= len(good)
        damaged = good[:place] + quote(sign, safe="") + good[place + 1 :]
        answer = await app.ask(f"{head}cursor={damaged}")
        assert answer.status in {200, 422}


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("limit=1000", 200),
        ("limit=1001", 422),
        ("limit=0", 422),
        ("limit=-1", 422),
        ("limit=x", 422),
        ("limit=1.5", 422),
        ("limit=", 422),
        ("skip=100000", 200),
        ("skip=100001", 422),
        ("skip=-1", 422),
        ("skip=99999999999999999999", 422),
        ("limit=1&limit=2", 200),
    ],
)
async def test_the_size_of_a_page_is_bounded(rich: Chain, parameters: str, status: int) -> None:
    async with running(rich.url) as app:
        for path in ("/brc20/list", "/brc20/A/history", "/brc20/history-by-height/1"):
            assert (await app.ask(f"{API}{path}?{parameters}")).status == status


LONGEST = "\u0390" * 960  # of two bytes each, within what a payload holds; in capitals three times as many


@pytest.fixture
def hostile(cluster: Cluster, migrated_template: str) -> Iterator[Chain]:
    """A chain on which somebody deployed the longest tickers that there can be."""
    with chained(cluster.new_database(migrated_template)) as chain:
        with connect(chain.url) as connection:
            for number, ticker in enumerate(["\u0399\u0308\u0301" * 960, "Z" * 1_950, '"' * 950]):
                connection.execute(
                    "INSERT INTO index.deploys (ticker, max_supply, limit_per_mint, minted, height, txid, deployer)"
                    " SELECT %s, max_supply, limit_per_mint, 0, 2, txid, deployer FROM index.deploys LIMIT 1",
                    (f"{ticker}{number}",),
                )
        yield chain


async def test_the_longest_tickers_break_no_paging(hostile: Chain) -> None:
    async with running(hostile.url) as app:
        everything = await app.read("/brc20/list?limit=1000")
        assert max(len(row["ticker"]) for row in everything) > 2_000
        assert await by_cursor(app, f"{API}/brc20/list?limit=1") == everything


async def test_the_longest_ticker_can_be_asked_for_as_it_is_typed(hostile: Chain) -> None:
    async with running(hostile.url) as app:
        answer = await app.ask(f"{API}/brc20/{quote(LONGEST + '0')}/info")
        assert answer.status == 200
