from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from indexer.api.app import create_app
from indexer.bitcoin.block import display
from indexer.bitcoin.script import Network, address_of
from indexer.protocol.amount import parse_amount
from indexer.protocol.ticker import normalise
from indexer.settings import Settings
from indexer.store.connection import connect
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode, hash_of
from tests.support.ours import Result, run
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgres import Cluster


@pytest.fixture(scope="module")
def chain() -> list[bytes]:
    chain = OfflineChain(41, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(30, 10)
    return chain.blocks


@pytest.fixture(scope="module")
def expected(chain: list[bytes]) -> Result:
    def no_earlier_output(txid: bytes, vout: int) -> bytes:
        raise AssertionError(f"{display(txid)}:{vout} is older than the chain")

    return run(chain, 1, no_earlier_output, marketplace_height=MARKETPLACE_HEIGHT)


@pytest.fixture(scope="module")
def indexed_url(cluster: Cluster, migrated_template: str, chain: list[bytes]) -> str:
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follow_to_tip(MemoryNode(chain), writer)
    writer.close()
    return url


@pytest.fixture(scope="module")
def client(indexed_url: str) -> Iterator[TestClient]:
    with TestClient(create_app(settings(indexed_url)), client=("127.0.0.1", 5)) as client:
        yield client


NOBODY = address_of(b"\x00\x14" + bytes(20), Network.REGTEST)


def settings(url: str) -> Settings:
    return Settings(_env_file=None, DATABASE_URL=url, BITCOIN_NETWORK="regtest", API_RATE_LIMITS="")


def get(client: TestClient, path: str, **parameters: str | int | bool) -> Any:  # noqa: ANN401 - JSON
    answer = client.get(f"/v1/indexer{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def busiest(expected: Result) -> str:
    """The ticker with the most recorded operations."""
    counts: dict[str, int] = {}
    for block in expected.blocks:
        for row in block.rows:
            if row.operation.ticker in expected.deploys:
                counts[row.operation.ticker] = counts.get(row.operation.ticker, 0) + 1
    return max(counts, key=counts.__getitem__)


def test_health_answers_without_a_database() -> None:
    with TestClient(create_app(settings(f"postgresql://nobody@127.0.0.1:{free_port()}/none"))) as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/v1/indexer/brc20/health").json()["status"] == "healthy"


def test_a_dead_database_is_an_honest_503_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.pools.POOL_TIMEOUT", 0.2)
    with TestClient(create_app(settings(f"postgresql://nobody@127.0.0.1:{free_port()}/none"))) as client:
        answer = client.get("/v1/indexer/brc20/list")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "database does not answer" in answer.json()["detail"]


def test_a_database_without_a_schema_is_a_503(empty_database_url: str) -> None:
    with TestClient(create_app(settings(empty_database_url))) as client:
        assert client.get("/v1/indexer/brc20/status").status_code == 503


def test_a_database_before_its_first_block_is_a_503(database_url: str) -> None:
    with TestClient(create_app(settings(database_url))) as client:
        assert client.get("/v1/indexer/brc20/status").json()["detail"] == "nothing is indexed yet"


def test_status_names_the_tip_and_its_state_hash(client: TestClient, expected: Result) -> None:
    status = get(client, "/brc20/status")
    last = expected.blocks[-1]
    assert status["last_indexed_block_main_chain"] == status["current_block_height_network"] == last.height
    assert status["state_hash"] == last.state_hash.hex()
    assert status["last_indexed_brc20_op_block"] == max(block.height for block in expected.blocks if block.rows)


def test_the_state_at_a_height_is_what_the_rules_make_of_the_chain(
    client: TestClient, expected: Result, chain: list[bytes]
) -> None:
    for block, raw in zip(expected.blocks, chain, strict=True):
        assert get(client, f"/state/{block.height}") == {
            "height": block.height,
            "block_hash": display(hash_of(raw)),
            "events_hash": block.events_hash.hex(),
            "state_hash": block.state_hash.hex(),
            "state_digest": f"{block.state_digest:064x}",
        }


def test_the_state_of_a_block_that_is_not_indexed_is_not_found(client: TestClient, expected: Result) -> None:
    for height in (0, expected.blocks[-1].height + 1):
        answer = client.get(f"/v1/indexer/state/{height}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == "no such block is indexed"


def test_list_is_every_ticker_the_latest_first_and_pages_tile_it(client: TestClient, expected: Result) -> None:
    everything = get(client, "/brc20/list", limit=1000)
    assert {info["ticker"] for info in everything} == set(expected.deploys)
    order = [(-info["deploy_block_height"], info["ticker"]) for info in everything]
    assert order == sorted(order)
    pages = [get(client, "/brc20/list", skip=skip, limit=3) for skip in range(0, len(everything), 3)]
    assert [info for page in pages for info in page] == everything


def test_info_is_exact_to_the_last_digit(client: TestClient, expected: Result) -> None:
    for ticker, deploy in expected.deploys.items():
        info = get(client, f"/brc20/{quote(ticker, safe='')}/info")
        holders = {address: units for (tick, address), units in expected.balances.items() if tick == ticker}
        assert info["ticker"] == ticker
        assert parse_amount(info["max_supply"]) == deploy.max_supply
        assert parse_amount(info["minted"]) == deploy.minted == sum(holders.values())
        assert parse_amount(info["remaining_supply"]) == deploy.max_supply - deploy.minted
        assert info["holders"] == len(holders)
        assert info["deploy_tx_id"] == info["actual_deploy_txid_for_api"] == display(deploy.txid)
        assert info["decimals"] == 8


def test_holders_are_the_balances_the_largest_first(client: TestClient, expected: Result) -> None:
    ticker = busiest(expected)
    holders = get(client, f"/brc20/{quote(ticker, safe='')}/holders", limit=1000)
    found = {holder["wallet"]: parse_amount(holder["overall_balance"]) for holder in holders}
    assert found == {address: units for (tick, address), units in expected.balances.items() if tick == ticker}
    assert list(found.values()) == sorted(found.values(), key=lambda units: -(units or 0))
    for holder in holders[:5]:
        assert get(client, f"/address/{holder['wallet']}/brc20/{quote(ticker, safe='')}/info") == holder


def test_history_is_every_recorded_operation_of_the_ticker(client: TestClient, expected: Result) -> None:
    ticker = busiest(expected)
    path = f"/brc20/{quote(ticker, safe='')}/history"
    rows = [row for block in expected.blocks for row in block.rows if row.operation.ticker == ticker]
    everything = get(client, path, limit=1000, include_invalid=True)
    assert [op["txid"] for op in reversed(everything)] == [display(row.operation.txid) for row in rows]
    assert [op["error_code"] for op in reversed(everything)] == [row.error for row in rows]
    assert any(not op["valid"] for op in everything)
    valid = get(client, path, limit=1000)
    assert valid == [op for op in everything if op["valid"]]
    for kind in ("mint", "transfer", "nothing"):
        assert get(client, path, limit=1000, op_type=kind) == [op for op in valid if op["op"] == kind]


def test_the_history_of_a_block_is_in_order_of_application(client: TestClient, expected: Result) -> None:
    for block in expected.blocks:
        path = f"/brc20/history-by-height/{block.height}"
        whole = get(client, f"{path}/all", include_invalid=True)
        assert [(op["txid"], op["vout"], op["step"]) for op in whole["data"]] == [
            (display(row.operation.txid), row.operation.vout, row.operation.step) for row in block.rows
        ]
        assert whole["total_count"] == whole["returned_count"] == len(block.rows)
        assert get(client, path, limit=1000) == [op for op in whole["data"] if op["valid"]]


def test_a_block_with_more_operations_than_asked_for_says_so(client: TestClient, expected: Result) -> None:
    block = max(expected.blocks, key=lambda block: len(block.rows))
    whole = get(client, f"/brc20/history-by-height/{block.height}/all", include_invalid=True, max_results=2)
    assert whole["has_more"] is True
    assert (whole["total_count"], whole["returned_count"], len(whole["data"])) == (len(block.rows), 2, 2)


def test_a_ticker_is_found_however_it_is_written(client: TestClient, expected: Result) -> None:
    ticker = next(ticker for ticker in expected.deploys if ticker.isascii() and ticker.lower() != ticker)
    assert get(client, f"/brc20/{quote(ticker.lower(), safe='')}/info")["ticker"] == ticker


def test_an_address_without_a_balance_has_zeros(client: TestClient, expected: Result) -> None:
    ticker = busiest(expected)
    balance = get(client, f"/address/{NOBODY}/brc20/{quote(ticker, safe='')}/info")
    assert balance["overall_balance"] == "0.00000000"
    assert balance["block_height"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/indexer/brc20/NOSUCHTICKER/info", 404),
        ("/v1/indexer/brc20/NOSUCHTICKER/holders", 404),
        ("/v1/indexer/brc20/%00/info", 404),
        ("/v1/indexer/brc20/" + "A" * 2_001 + "/info", 422),
        ("/v1/indexer/brc20/list?limit=1001", 422),
        ("/v1/indexer/brc20/list?limit=0", 422),
        ("/v1/indexer/brc20/list?skip=-1", 422),
        ("/v1/indexer/brc20/list?skip=99999999999999999999", 422),
        ("/v1/indexer/brc20/history-by-height/-1", 422),
        ("/v1/indexer/brc20/history-by-height/99999999999999999999", 422),
        ("/v1/indexer/address/';DROP TABLE x;--/brc20/ORDI/info", 422),
        ("/v1/indexer/brc20/A/history?op_type=%00", 422),
        ("/v1/indexer/state/-1", 422),
        ("/v1/indexer/state/tip", 422),
        ("/v1/indexer/state/99999999999999999999", 422),
        ("/v1/indexer/nothing", 404),
    ],
)
def test_bad_input_is_a_problem_that_says_what(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_an_unexpected_error_is_a_problem_without_its_trace(indexed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_row: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("indexer.api.shapes.ticker_info", broken)
    with TestClient(create_app(settings(indexed_url)), raise_server_exceptions=False) as client:
        answer = client.get("/v1/indexer/brc20/list")
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_requests_are_counted_by_route_and_never_by_raw_path(client: TestClient) -> None:
    client.get("/v1/indexer/brc20/SOMETHING/info")
    client.get("/v1/indexer/brc20/OTHERTHING/info")
    client.get("/robots.txt")
    text = client.get("/metrics").text
    assert 'http_requests_total{endpoint="/v1/indexer/brc20/{ticker}/info",method="GET",status="404"}' in text
    assert "SOMETHING" not in text
    assert "robots" not in text
    assert 'database_connections_max{pool="primary"} 5.0' in text
    assert "http_request_duration_seconds_bucket" in text
    assert 'database_query_duration_seconds_count{query="ticker"}' in text


def test_a_method_that_nobody_knows_makes_no_series_of_its_own(client: TestClient) -> None:
    for number in range(3):
        client.request(f"EVIL{number}", "/health")
    text = client.get("/metrics").text
    assert "EVIL" not in text
    assert 'method="other"' in text


def test_a_role_that_was_granted_nothing_yet_is_a_503(cluster: Cluster, database_url: str) -> None:
    with connect(cluster.url()) as connection:
        connection.execute("DROP ROLE IF EXISTS ungranted")
        connection.execute("CREATE ROLE ungranted LOGIN")
    with TestClient(create_app(settings(database_url.replace("postgres@", "ungranted@")))) as client:
        assert client.get("/v1/indexer/brc20/list").status_code == 503


@pytest.mark.parametrize("tick", ["A/B", "A/info", "line\nfeed", "\u1e99EN", "yield"])
def test_every_legal_ticker_can_be_asked_for_as_listed_and_as_typed(
    cluster: Cluster, migrated_template: str, tick: str
) -> None:
    url = cluster.new_database(migrated_template)
    stored = normalise(tick)
    open_writer(url).close()
    with connect(url) as connection:
        connection.execute("UPDATE index.chain SET tip_height = 1, tip_hash = '\\x01'")
        connection.execute("INSERT INTO index.blocks VALUES (1, '', '', now(), 0, '', '', '')")
        connection.execute("INSERT INTO index.deploys VALUES (%s, DEFAULT, 1, 1, 0, 1, '', NULL)", (stored,))
    with TestClient(create_app(settings(url))) as client:
        for written in (tick, stored):
            assert get(client, f"/brc20/{quote(written, safe='')}/info")["ticker"] == stored
            assert get(client, f"/brc20/{quote(written, safe='')}/holders") == []


def test_the_root_says_what_answers(client: TestClient) -> None:
    assert client.get("/").json()["message"] == "Universal BRC-20 indexer"
