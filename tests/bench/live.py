"""The indexer as it runs: `simplicity sync` and `simplicity api` on a real node, timed from outside."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from infra.local.node import mining
from infra.local.traffic.ledger import REGTEST_GENESIS_TIME
from tests.bench.chain import BLOCK_SECONDS
from tests.bench.files import START_HEIGHT, facts
from tests.bench.laboratory import Laboratory, address, feed, submit
from tests.bench.opening import MARKETPLACE_HEIGHT
from tests.bench.progress import Progress
from tests.bench.source import FileBlockSource
from tests.support.postgres import free_port
from tests.support.processes import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.task import Figures
    from tests.infra.local.node.harness import NodeProcess

STATUS = "/v1/indexer/brc20/status"
LOOK_SECONDS = 0.002  # between looks: what the figures are exact to
WAIT_SECONDS = 60
WARM_UP = 5  # blocks before the first that is timed
BELOW = 20  # blocks with traffic that every reorg leaves alone
ANYONE = b"\x51"


def tip(lab: Laboratory, chain: Path) -> Figures:
    """Time blocks from the node's answer to submitblock until the API shows them."""
    rng = random.Random(1)
    last = facts(chain).height
    first = START_HEIGHT + WARM_UP
    seconds: list[float] = []
    with lab.node("tip") as node:
        feed(node, chain, 1, first - 1)
        blocks = FileBlockSource(chain).raw_blocks(first)
        with _service(lab, node, "tip") as api, Progress("blocks at the tip", last - first + 1) as progress:
            _until(lambda: api.height() == first - 1, "the API shows the first blocks")
            for height, raw in enumerate(blocks, start=first):
                time.sleep(rng.uniform(0, 0.3))  # blocks come at any moment between two looks at the node
                submit(node, raw)
                seen = time.perf_counter()
                _until(lambda height=height: api.height() >= height, f"block {height} is visible")  # type: ignore[misc]  # a default binds early
                seconds.append(time.perf_counter() - seen)
                progress.at(height - first)
    return {"blocks": len(seconds), **_quantiles(seconds)}


def blocks_needed(depth: int, rounds: int) -> int:
    """Return how many blocks with traffic the chain for `undo` must have."""
    return depth + BELOW + 2 * rounds + 1


def undo(lab: Laboratory, chain: Path, depth: int, rounds: int) -> Figures:
    """Time reorgs from the moment that the node shows its new tip until the blocks are taken back."""
    seconds = []
    source = FileBlockSource(chain)
    height = START_HEIGHT + depth + BELOW
    url = lab.database().url
    with (
        lab.node("undo") as node,
        psycopg.connect(url, autocommit=True) as connection,
        Progress(f"reorgs of {depth} blocks", rounds) as progress,
    ):
        feed(node, chain, 1, height)
        environment = _environment(node, url) | {"MAX_REORG_DEPTH": str(depth + 10)}
        with running("sync", environment=environment, log=lab.log("undo sync")):
            for number in range(rounds):
                here = source.hashes(height, 1)[0]
                _until(lambda here=here: _tip_of(connection) == here, "the chain is indexed")  # type: ignore[misc]  # as above
                branch = _branch(source, height - depth, depth + 1, number)
                seconds.append(_reorg(node, connection, branch, here))
                for raw in _raws(source, height + 1, 2):  # back to the chain with traffic, now the longer one
                    submit(node, raw)
                height += 2
                progress.at(number + 1)
    return {"depth": depth, "rounds": rounds, **_quantiles(seconds)}


def _reorg(node: NodeProcess, connection: Any, branch: list[bytes], old: bytes) -> float:  # noqa: ANN401 - psycopg's
    for raw in branch[:-1]:
        submit(node, raw)
    new = mining.block_hash(branch[-1])[::-1].hex()
    # The node answers only when it has looked again at all that the old blocks carried; it shows its new tip before.
    last = threading.Thread(target=submit, args=(node, branch[-1]))
    last.start()
    switched = _until(lambda: node.rpc("getbestblockhash") == new, "the node switches")
    _until(lambda: _tip_of(connection) != old, "the blocks are taken back")
    elapsed = time.perf_counter() - switched
    last.join()
    _until(lambda: _tip_of(connection) == bytes.fromhex(new)[::-1], "the new branch is indexed")
    return elapsed


def _branch(source: FileBlockSource, fork: int, blocks: int, number: int) -> list[bytes]:
    """Return empty blocks on the block at a height."""
    previous = source.hashes(fork, 1)[0]
    branch = []
    for height in range(fork + 1, fork + 1 + blocks):
        stamp = REGTEST_GENESIS_TIME + height * BLOCK_SECONDS
        raw = mining.build_block(previous, height, stamp, ANYONE, [], b"branch %d" % number)
        previous = mining.block_hash(raw)
        branch.append(raw)
    return branch


def _raws(source: FileBlockSource, first: int, count: int) -> list[bytes]:
    return [source.raw_block(block_hash) for block_hash in source.hashes(first, count)]


def _tip_of(connection: Any) -> bytes:  # noqa: ANN401 - psycopg's
    row = connection.execute("SELECT tip_hash FROM index.chain").fetchone()
    return bytes(row[0]) if row else b""


class _Api:
    """One keep-alive connection to the API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)

    def height(self) -> int:
        """Return the indexed height, -1 while there is none."""
        try:
            self._connection.request("GET", STATUS)
            answer = self._connection.getresponse()
            body = answer.read()
        except ConnectionRefusedError:
            self._connection.close()
            return -1
        return int(json.loads(body)["last_indexed_block_main_chain"]) if answer.status == http.HTTPStatus.OK else -1


@contextmanager
def _service(lab: Laboratory, node: NodeProcess, name: str) -> Iterator[_Api]:
    """Run sync and API with their default settings but for ports and places."""
    port = free_port()
    environment = _environment(node, lab.database().url) | {"API_PORT": str(port)}
    with (
        running("sync", environment=environment, log=lab.log(f"{name} sync")) as sync,
        running("api", environment=environment, log=lab.log(f"{name} api")) as api,
    ):
        yield _Api(port)
        sync.stop()
        api.stop()


def _environment(node: NodeProcess, database_url: str) -> dict[str, str]:
    there = address(node)
    return {
        "DATABASE_URL": database_url,
        "BITCOIN_NETWORK": "regtest",
        "BITCOIN_RPC_URL": there.url,
        "BITCOIN_RPC_COOKIE_FILE": there.cookie,
        "START_BLOCK_HEIGHT": str(START_HEIGHT),
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT),
        "SYNC_METRICS_PORT": "0",
    }


def _until(holds: Callable[[], bool], what: str) -> float:
    """Wait until something holds; return when the look began that found so."""
    before = looked = time.perf_counter()
    while not holds():
        assert looked - before < WAIT_SECONDS, f"waited {WAIT_SECONDS} s in vain until {what}"
        time.sleep(LOOK_SECONDS)
        looked = time.perf_counter()
    return looked


def _quantiles(seconds: list[float]) -> Figures:
    ordered = sorted(seconds)
    return {
        "p50": statistics.median(ordered),
        "p95": ordered[max(0, -(-95 * len(ordered) // 100) - 1)],
        "worst": ordered[-1],
    }
