"""Whole lists over real HTTP: of one moment, in little memory, and over when the client or the database is gone."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import httpx2
import pytest

from indexer.api import shapes
from indexer.store.connection import connect
from indexer.store.reader import BATCH
from tests.support.api import App, Chain, chained, serving, until
from tests.support.postgres import free_port
from tests.support.processes import running as process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from tests.support.postgres import Cluster

pytestmark = pytest.mark.xdist_group("bulk")  # one worker has the rows

MANY = 20_000  # rows: thirteen megabytes, more than the kernel's buffers between two sockets hold
SOON = 5.0


def fill(chain: Chain, count: int) -> str:
    """Give a ticker `count` operations in the tip's block; return the path of its history."""
    with connect(chain.url) as connection:
        row = connection.execute("SELECT ticker FROM index.deploys ORDER BY height LIMIT 1").fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO index.operations (op_id, tx_index, txid, vout, op, ticker, amount, sender, recipient,"
            " is_marketplace) SELECT (%s::bigint << 20) + 500 + n, n, sha256(n::text::bytea), 0, 'transfer', %s, n,"
            " 'bcrt1qsender', 'bcrt1qrecipient', false FROM generate_series(1, %s) n",
            (chain.height, row[0], count),
        )
        connection.execute("ANALYZE index.operations")
    return f"/v1/indexer/brc20/{quote(row[0], safe='')}/history/all?max_results=100000"


@pytest.fixture(scope="module")
def large(cluster: Cluster, migrated_template: str) -> tuple[Chain, str]:
    with chained(cluster.new_database(migrated_template)) as chain:
        return chain, fill(chain, MANY)


@pytest.fixture
def shaped(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many rows were written so far."""
    count = 0
    write = shapes.operation

    def counting(row: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        count += 1
        return write(row)

    monkeypatch.setattr("indexer.api.shapes.operation", counting)
    return lambda: count


def borrowed(app: App) -> int:
    return app.api.service.reader.pools.usage()["bulk"][0]


async def returned(app: App, *, within: float = SOON) -> None:
    await until(lambda: borrowed(app) == 0, within=within, what="giving the connection back")


class Client:
    """A client that reads as it likes."""

    def __init__(self, app: App, target: str, method: str = "GET") -> None:
        self._app, self._target, self._method = app, target, method

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._app.port, limit=2**16)
        self.writer.write(f"{self._method} {self._target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        async with asyncio.timeout(SOON):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def rest(self) -> bytes:
        """The body until its end or that of the connection, as it is on the wire."""
        parts = []
        async with asyncio.timeout(30):
            while part := await self.reader.read(2**16):
                parts.append(part)
                if part.endswith(b"0\r\n\r\n"):
                    break
        return b"".join(parts)


async def whole(app: App, target: str) -> dict[str, Any]:
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.get(f"http://127.0.0.1:{app.port}{target}")
        assert answer.status_code == 200
        document: dict[str, Any] = json.loads(answer.content)
        return document


async def test_all_rows_come_in_order_and_the_connection_is_given_back(large: tuple[Chain, str]) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        document = await whole(app, target)
        assert document["total_count"] == document["returned_count"] == len(document["data"]) > MANY
        ids = [row["id"] for row in document["data"]]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == len(ids)
        await returned(app)


async def test_a_client_that_leaves_in_the_middle_ends_the_reading(
    large: tuple[Chain, str], shaped: Callable[[], int]
) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target) as client:
            await client.reader.readexactly(1000)
            assert borrowed(app) == 1
        await returned(app)
        assert shaped() < MANY / 2, "nobody reads what is left"
        (line,) = app.log.of("access")
        assert line["status_code"] in {200, 499}


async def test_a_client_that_leaves_while_it_does_not_read_ends_the_reading(
    large: tuple[Chain, str], shaped: Callable[[], int]
) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target):
            await stalls(shaped)
            assert borrowed(app) == 1
        await returned(app)
        assert shaped() < MANY


async def stalls(shaped: Callable[[], int]) -> None:
    """Wait until no more is written, since nobody reads."""
    seen = -1
    async with asyncio.timeout(SOON):
        while shaped() != seen or not seen:
            seen = shaped()
            await asyncio.sleep(0.2)
    assert seen < MANY, "all of it lies in buffers"


async def test_a_client_that_reads_slowly_gets_all_and_holds_up_nobody(
    large: tuple[Chain, str], shaped: Callable[[], int]
) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target) as client:
            await stalls(shaped)
            for _ in range(5):
                assert (await whole(app, "/v1/indexer/brc20/list/all"))["total_count"] > 0
            body = await client.rest()
            assert body.endswith(b"\r\n0\r\n\r\n")
            assert body.count(b'"id":') == json.loads(f"{MANY}") + len(await extra(app, target))
        await returned(app)


async def extra(app: App, target: str) -> list[Any]:
    """The rows that the chain itself gave the ticker."""
    document = await whole(app, target)
    return [row for row in document["data"] if row["from_address"] != "bcrt1qsender"]


async def test_a_client_that_never_reads_is_cut_off(
    large: tuple[Chain, str], shaped: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.api.protocol.BoundedHttp.send_seconds", 0.5)
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target):
            await returned(app)
            assert shaped() < MANY
        assert [line["message"] for line in app.log.of("security")] == ["slow_request"]


async def test_counts_and_rows_are_of_one_moment_whatever_happens_meanwhile(
    cluster: Cluster, migrated_template: str
) -> None:
    with chained(cluster.new_database(migrated_template)) as chain:
        target = fill(chain, MANY)
        begun = chain.height
        async with serving(chain.url) as app:
            async with Client(app, target) as client:
                await client.reader.readexactly(10)
                chain.extend(2, 8)
                chain.fork(1, 2, 8)
                with connect(chain.url) as connection:
                    connection.execute("DELETE FROM index.operations WHERE vout = 0 AND tx_index > 1000")
                body = await client.rest()
                assert f"simplicity-height: {begun}".encode() in client.head
                assert body.endswith(b"\r\n0\r\n\r\n")
                assert body.count(b'"id":') >= MANY
            now = await whole(app, target)
            assert now["total_count"] == len(now["data"]) < MANY


async def test_when_the_database_dies_in_the_middle_the_client_can_tell(
    large: tuple[Chain, str], shaped: Callable[[], int], said: list[MutableMapping[str, Any]]
) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target) as client:
            await stalls(shaped)
            with connect(chain.url) as connection:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND state = 'idle in transaction'"
                ).fetchall()
            assert len(ended) == 1
            body = await client.rest()
            assert not body.endswith(b"0\r\n\r\n"), "half a list must not look like a whole one"
        await returned(app)
        assert (await whole(app, target))["total_count"] > MANY
        assert "unexpected error" not in [line["event"] for line in said], "a database that goes is none"
        assert app.log.of("access")[0]["status_code"] >= 500


@pytest.mark.usefixtures("said")
async def test_when_we_fail_in_the_middle_the_client_can_tell(
    large: tuple[Chain, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, target = large
    left = 5 * BATCH
    write = shapes.operation

    def fails(row: dict[str, Any]) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("broken")
        return write(row)

    monkeypatch.setattr("indexer.api.shapes.operation", fails)
    async with serving(chain.url) as app:
        async with Client(app, target) as client:
            assert not (await client.rest()).endswith(b"0\r\n\r\n")
        await returned(app)
        assert app.log.of("access")[0]["status_code"] == 500


async def test_who_finds_no_connection_free_is_told_to_come_again(
    large: tuple[Chain, str], shaped: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.pools.POOL_TIMEOUT", 0.3)
    chain, target = large
    async with serving(chain.url, DB_BULK_POOL_SIZE=1) as app:
        async with Client(app, target):
            await stalls(shaped)
            begun = time.monotonic()
            answer = await app.ask(target)
            assert time.monotonic() - begun < 1.5
            assert (answer.status, answer.header("retry-after")) == (503, "5")
            assert (await app.ask("/v1/indexer/brc20/list")).status == 200, "pages have connections of their own"
        await returned(app)
        assert (await app.ask("/v1/indexer/brc20/list/all")).status == 200


async def test_head_of_a_whole_list_reads_no_more_than_its_beginning(
    large: tuple[Chain, str], shaped: Callable[[], int]
) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        async with Client(app, target, "HEAD") as client:
            assert client.head.startswith(b"HTTP/1.1 200 ")
        await returned(app)
        assert shaped() <= BATCH


async def test_a_whole_list_is_kept_by_nobody(large: tuple[Chain, str]) -> None:
    chain, target = large
    async with serving(chain.url) as app:
        answer = await app.ask(f"{target.partition('?')[0]}?max_results=3")
        assert (answer.header("cache-control"), answer.header("etag"), answer.cache) == ("no-store", None, "")
        assert app.metric("cache_bytes") == 0


async def ready(client: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)


def high_water(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture(scope="module")
def huge(cluster: Cluster, migrated_template: str) -> Iterator[tuple[Chain, str]]:
    with chained(cluster.new_database(migrated_template)) as chain:
        yield chain, fill(chain, 100_000)


@pytest.mark.proof
async def test_a_hundred_thousand_rows_for_several_clients_take_little_memory(
    huge: tuple[Chain, str], tmp_path: Path
) -> None:
    chain, target = huge
    port = free_port()
    environment = {
        "DATABASE_URL": chain.url,
        "BITCOIN_NETWORK": "regtest",
        "API_PORT": str(port),
        "API_RATE_LIMITS": "",
        "DB_BULK_POOL_SIZE": "3",
        "API_DRAIN_SECONDS": "0",
    }
    with process("api", environment=environment, log=tmp_path / "api.log") as api:
        api.wait_for("listening", within=30)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
            small = target.replace("max_results=100000", "max_results=2000")
            await ready(client)
            assert (await client.get(small)).status_code == 200
            before = high_water(api.process.pid)

            async def reads() -> int:
                size = 0
                async with client.stream("GET", target) as answer:
                    async for part in answer.aiter_raw():
                        size += len(part)
                return size

            sizes = await asyncio.gather(*(reads() for _ in range(3)))
            grown = high_water(api.process.pid) - before
            assert min(sizes) > 50_000_000
            assert grown < 30_000_000, f"{grown / 1e6:.0f} MB for {sum(sizes) / 1e6:.0f} MB"
        assert api.stop() == 0
