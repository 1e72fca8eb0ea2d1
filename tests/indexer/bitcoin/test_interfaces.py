"""Every way to read a real node gives the same: by REST or JSON-RPC, with a transaction index or without."""

from __future__ import annotations

import shutil
import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import pytest
from structlog.testing import capture_logs

from indexer.bitcoin.block import OutPoint, internal
from indexer.bitcoin.rest import RestBlockSource
from indexer.bitcoin.rpc import RpcClient
from indexer.bitcoin.source import RpcBlockSource
from infra.local.node.wire import decode_block
from infra.local.traffic.chain import OfflineChain
from tests.infra.local.node.harness import OPEN_ADDRESS, NodeProcess, transaction, txid_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from indexer.bitcoin.source import BlockSource, Place

TRAFFIC = 20  # blocks with traffic, after a hundred empty ones


class Known(NamedTuple):
    """A block, and the script of every output that it spends."""

    raw: bytes
    hash: bytes
    spends: dict[OutPoint, Place]
    scripts: dict[OutPoint, bytes]


@pytest.fixture(scope="module")
def chain() -> list[Known]:
    grown = OfflineChain("interfaces")
    grown.extend(TRAFFIC, 8)
    outputs: dict[OutPoint, bytes] = {}
    found = []
    for raw in grown.blocks:
        block = decode_block(raw)
        for tx in block.transactions:
            outputs |= {OutPoint(tx.txid, vout): output.script for vout, output in enumerate(tx.outputs)}
        spends = {
            OutPoint(item.txid, item.vout): (index, number)
            for index, tx in enumerate(block.transactions)
            for number, item in enumerate(tx.inputs)
            if index
        }
        found.append(Known(raw, block.header.hash, spends, {outpoint: outputs[outpoint] for outpoint in spends}))
    return found


@pytest.fixture(scope="module")
def directory(chain: list[Known], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a node's data directory with the chain in it."""
    node = NodeProcess(tmp_path_factory.mktemp("node") / "data").start()
    try:
        for known in chain:
            assert node.rpc("submitblock", known.raw.hex()) is None
    finally:
        node.stop()
    return node.directory


@pytest.fixture
def clients() -> Iterator[list[RpcClient]]:
    opened: list[RpcClient] = []
    yield opened
    for client in opened:
        client.close()


def client_of(node: NodeProcess, clients: list[RpcClient]) -> RpcClient:
    clients.append(RpcClient(f"http://127.0.0.1:{node.port}", cookie_file=node.directory / ".cookie"))
    return clients[-1]


def assert_reads(source: BlockSource, chain: list[Known]) -> None:
    tip = source.tip()
    assert (tip.chain, tip.height, tip.hash) == ("regtest", len(chain), chain[-1].hash)
    assert source.hashes(1, len(chain) + 50) == [known.hash for known in chain]
    for known in chain[-TRAFFIC:]:
        assert source.raw_block(known.hash) == known.raw
        assert source.scripts(known.spends, known.hash) == known.scripts


@pytest.mark.parametrize("index", ["--txindex", "--no-txindex"])
@pytest.mark.parametrize("rest", ["--rest", "--no-rest"])
def test_every_interface_gives_the_same_blocks_and_senders(
    chain: list[Known], directory: Path, clients: list[RpcClient], index: str, rest: str
) -> None:
    assert sum(len(known.spends) for known in chain) > 10 * TRAFFIC
    node = NodeProcess(directory, (index, rest)).start()
    try:
        by_rest = RestBlockSource(client_of(node, clients))
        assert by_rest.interface() == ("REST" if rest == "--rest" else "JSON-RPC")
        assert_reads(by_rest, chain)
        assert_reads(RpcBlockSource(client_of(node, clients)), chain)
    finally:
        node.stop()


def test_a_block_and_its_senders_cost_two_round_trips(
    chain: list[Known], directory: Path, clients: list[RpcClient]
) -> None:
    node = NodeProcess(directory, ("--rest",)).start()
    try:
        for source in (RestBlockSource(client_of(node, clients)), RpcBlockSource(client_of(node, clients))):
            source.hashes(1, len(chain))
            source.raw_block(chain[-1].hash)
            before = source.round_trips
            for known in chain[-TRAFFIC:]:
                source.raw_block(known.hash)
                source.scripts(known.spends, known.hash)
            assert source.round_trips - before == TRAFFIC + sum(bool(known.spends) for known in chain[-TRAFFIC:])
    finally:
        node.stop()


def test_a_node_restarted_without_rest_is_read_on_by_json_rpc(
    chain: list[Known], directory: Path, clients: list[RpcClient]
) -> None:
    node = NodeProcess(directory, ("--rest",)).start()
    source = RestBlockSource(client_of(node, clients))
    try:
        assert_reads(source, chain)
        node.stop()
        node = NodeProcess(directory, ("--port", str(node.port))).start()
        with capture_logs() as logs:
            assert_reads(source, chain)
    finally:
        node.stop()
    assert ["going on by JSON-RPC" in line["event"] for line in logs] == [True]
    assert source.interface() == "JSON-RPC"


def test_a_block_that_left_the_chain_keeps_its_bytes_and_senders(
    chain: list[Known], directory: Path, clients: list[RpcClient], tmp_path: Path
) -> None:
    node = NodeProcess(shutil.copytree(directory, tmp_path / "data"), ("--rest", "--no-txindex")).start()
    try:
        gone = [internal(shown) for shown in node.rpc("reorg", 2)["disconnected"]]
        assert gone == [chain[-1].hash, chain[-2].hash]
        for source in (RestBlockSource(client_of(node, clients)), RpcBlockSource(client_of(node, clients))):
            assert source.raw_block(chain[-1].hash) == chain[-1].raw
            assert source.scripts(chain[-1].spends, chain[-1].hash) == chain[-1].scripts
            assert source.hashes(len(chain), 1) != [chain[-1].hash]
    finally:
        node.stop()


def a_block_of_1_5_mb(node: NodeProcess) -> bytes:
    """Mine a block that is as large as mainnet's: 150 inputs with witnesses of 10 kB."""
    lock = (b"\x4d\x08\x02" + b"\x00" * 520 + b"\x75") * 19 + b"\x51"
    node.rpc("generatetoaddress", 101, OPEN_ADDRESS)
    coin, _ = node.coin(1)
    fan = transaction([(coin, 0)], [(1000, b"\x00\x20" + sha256(lock).digest())] * 150)
    assert node.rpc("submitblock", node.block_on_tip([fan]).hex()) is None
    raw = node.block_on_tip(
        [transaction([(txid_of(fan), number)], [(500, lock[:40])], (lock,)) for number in range(150)]
    )
    assert node.rpc("submitblock", raw.hex()) is None
    return raw


@pytest.mark.proof
def test_reading_a_large_block_costs_the_client_few_milliseconds(clients: list[RpcClient], tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data", ("--rest",)).start()
    try:
        raw = a_block_of_1_5_mb(node)
        assert len(raw) > 1_490_000
        block_hash = decode_block(raw).header.hash
        limits: list[tuple[BlockSource, float]] = [
            (RpcBlockSource(client_of(node, clients)), 0.006),
            (RestBlockSource(client_of(node, clients)), 0.002),
        ]
        for source, most in limits:
            seconds = []
            for _ in range(30):
                began = time.thread_time()
                found = source.raw_block(block_hash)
                seconds.append(time.thread_time() - began)
                assert found == raw
            assert min(seconds) < most
    finally:
        node.stop()
