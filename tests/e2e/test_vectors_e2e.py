"""Every vector once more, the whole way: signed transactions that a real node validates, sync, PostgreSQL, the API."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import deque
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from indexer import log
from indexer.settings import Settings
from indexer.sync.service import Exit, Service, Until
from infra.local.node.mining import block_hash, build_block, subsidy
from infra.local.node.wire import Output, decode_transaction
from infra.local.traffic.keys import Kind, make_key, script_of
from infra.local.traffic.tx import Coin, Spend
from infra.local.traffic.tx import build as sign
from tests.infra.local.node.harness import NodeProcess, wire
from tests.protocol.exported import ID_BITS, Exported
from tests.protocol.harness import expected_balances
from tests.protocol.vectors import NEVER, Vector, build, load
from tests.support.indexing import exported
from tests.support.postgres import free_port
from tests.support.processes import running, simplicity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.protocol.building import BuiltBlock, BuiltVector, ExpectedRow, Outpoint
    from tests.support.postgres import Cluster

MATURITY = 100
TABLES = ("chain", "blocks", "operations", "deploys", "balances", "undo_deploys", "undo_balances")
MINER = make_key("the miner of the vectors")
ONLINE = [vector for vector in load() if not vector.offline]
# A few go through the commands themselves: what a process of its own adds is the same for all vectors.
BY_COMMAND = ONLINE[:: len(ONLINE) // 8]


@dataclass
class Mine:
    """The node's chain, and the coins that pay for what is put on it."""

    node: NodeProcess
    tip: bytes
    height: int
    time: int
    coins: deque[Coin] = field(default_factory=deque)

    @classmethod
    def open(cls, node: NodeProcess) -> Mine:
        """Mine until the first coinbase can be spent."""
        genesis = wire(node.rpc("getbestblockhash"))
        mine = cls(node, genesis, 0, int(time.time()))
        for _ in range(MATURITY + 1):
            mine.add(())
        return mine

    def add(self, transactions: Sequence[bytes], coinbase: bytes | None = None) -> None:
        """Put a block on the chain; the node must take it."""
        height, script = self.height + 1, script_of(Kind.P2WSH_TRUE, MINER)
        raw = build_block(self.tip, height, self.time + 1, coinbase or script, transactions)
        assert self.node.rpc("submitblock", raw.hex()) is None
        self.tip, self.height, self.time = block_hash(raw), height, self.time + 1
        if coinbase is None:
            paid = decode_transaction(self._coinbase(raw, transactions)).txid
            self.coins.append(Coin(paid, 0, subsidy(height), MINER, Kind.P2WSH_TRUE))

    def fund(self, outputs: Sequence[Output]) -> list[Outpoint]:
        """Make these outputs in a block of their own; return where they are."""
        if not outputs:
            return []
        raw = sign([Spend(self.coins.popleft())], outputs)
        self.add([raw])
        return [(decode_transaction(raw).txid, vout) for vout in range(len(outputs))]

    @staticmethod
    def _coinbase(raw: bytes, transactions: Sequence[bytes]) -> bytes:
        # After the header and the count of transactions, which is one byte for as few as a vector has.
        return raw[81 : len(raw) - sum(map(len, transactions))]


@dataclass(frozen=True)
class Pipeline:
    """A node, a database that is emptied for each vector, and an API on it."""

    mine: Mine
    database_url: str
    api_url: str

    def settings(self, start_height: int, marketplace_height: int) -> dict[str, str]:
        """What the operator of this pipeline would set."""
        return {
            "DATABASE_URL": self.database_url,
            "BITCOIN_NETWORK": "regtest",
            "BITCOIN_RPC_URL": f"http://127.0.0.1:{self.mine.node.port}",
            "BITCOIN_RPC_COOKIE_FILE": str(self.mine.node.directory / ".cookie"),
            "START_BLOCK_HEIGHT": str(start_height),
            "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(marketplace_height),
            "SYNC_METRICS_PORT": "0",
        }

    def put(self, vector: Vector) -> tuple[int, BuiltVector]:
        """Put a vector on the chain and empty the database; return the height of its first block."""
        built = build(vector, self.mine.fund)
        start = self.mine.height + 1
        for block in built.blocks:
            self.mine.add(block.transactions, block.coinbase)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for table in TABLES:
                connection.execute(f"TRUNCATE index.{table}")
        return start, built

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return what the API answers."""
        with urllib.request.urlopen(f"{self.api_url}{path}", timeout=10) as answer:  # noqa: S310 - our own http URL
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def pipeline(cluster: Cluster, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    directory: Path = tmp_path_factory.mktemp("vectors")
    url = cluster.new_database(migrated_template)
    port = free_port()
    node = NodeProcess(directory / "node").start()
    try:
        with running(
            "api",
            # The database is emptied for each vector, which no cache could know.
            environment={
                "DATABASE_URL": url,
                "API_PORT": str(port),
                "BITCOIN_NETWORK": "regtest",
                "API_RATE_LIMITS": "",
                "API_CACHE_BYTES": "0",
            },
            log=directory / "api.log",
        ) as api:
            api.wait_for("listening", within=20)
            yield Pipeline(Mine.open(node), url, f"http://127.0.0.1:{port}/v1/indexer")
    finally:
        node.kill()


def marketplace_height(vector: Vector, start: int) -> int:
    return NEVER if vector.marketplace_from == NEVER else start + vector.marketplace_from


@pytest.mark.parametrize("vector", ONLINE, ids=lambda vector: vector.id)
def test_the_api_and_the_export_say_what_the_vector_says(pipeline: Pipeline, vector: Vector) -> None:
    log.configure("ERROR")
    start, built = pipeline.put(vector)
    given: dict[str, Any] = dict(pipeline.settings(start, marketplace_height(vector, start)))
    settings = Settings(_env_file=None, **given)
    assert Service(settings, Event(), Until(pipeline.mine.height, patience=10)).run() is Exit.DONE

    for height, block in enumerate(built.blocks, start):
        answer = pipeline.get(f"/brc20/history-by-height/{height}/all?include_invalid=true")
        assert answer["data"] == [_shown(row, answer["data"], n, height, block) for n, row in enumerate(block.rows)]
    _assert_exported(exported(pipeline.database_url), vector, built, start)


@pytest.mark.parametrize("vector", BY_COMMAND, ids=lambda vector: vector.id)
def test_the_commands_say_what_the_vector_says(pipeline: Pipeline, vector: Vector) -> None:
    start, built = pipeline.put(vector)
    environment = pipeline.settings(start, marketplace_height(vector, start))
    done = simplicity("sync", "--until", str(pipeline.mine.height), environment=environment)
    assert done.returncode == 0, done.stderr
    export = simplicity("state", "export", environment=environment)
    assert export.returncode == 0, export.stderr
    _assert_exported(export.stdout.encode(), vector, built, start)


def _shown(row: ExpectedRow, answered: list[dict[str, Any]], number: int, height: int, block: BuiltBlock) -> Any:  # noqa: ANN401 - JSON
    """Return a row as the API must show it; what a vector does not say (hash and time of the block) is as answered."""
    raws = [decode_transaction(raw).txid[::-1].hex() for raw in block.transactions]
    unsaid = {key: answered[number][key] for key in ("block_hash", "timestamp", "is_marketplace")}
    # The API gives a deploy's maximum only; without one (or a ticker, or an amount) it gives null.
    return unsaid | {
        "id": height << ID_BITS | number,
        "tx_id": row.txid,
        "txid": row.txid,
        "op": row.op,
        "ticker": row.ticker or None,
        "amount": row.amount.partition("/")[0] or None,
        "block_height": height,
        "tx_index": raws.index(row.txid) + 1,
        "from_address": row.sender or None,
        "to_address": row.recipient or None,
        "valid": not row.error,
        "error_code": row.error or None,
        "vout": row.vout,
        "step": row.step,
    }


def _assert_exported(ndjson: bytes, vector: Vector, built: BuiltVector, start: int) -> None:
    found = Exported.read(ndjson)
    rows = {height: [row.event for row in block.rows] for height, block in enumerate(built.blocks, start)}
    assert found.events == {height: events for height, events in rows.items() if events}
    balances = expected_balances(vector)
    if balances is not None:
        assert found.balances == balances
    if vector.deploys is not None:
        assert sorted(found.deploys) == sorted(vector.deploys)
