from __future__ import annotations

import contextlib
import http.client
import random
import shutil
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from infra.local.node import node as node_module
from infra.local.node.kernel import Kernel
from tests.infra.local.node.harness import OPEN_ADDRESS, OPEN_SCRIPT, NodeProcess, RpcFailureError, transaction, txid_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

LOST = (OSError, http.client.HTTPException, RpcFailureError)


def check_consistency(node: NodeProcess) -> None:
    """Every block, index row and coin of the active chain fits together."""
    height = node.rpc("getblockcount")
    before = node.rpc("getblockhash", 0)
    coins: set[tuple[str, int]] = set()
    for at in range(1, height + 1):
        block = node.rpc("getblock", node.rpc("getblockhash", at), 2)
        assert (block["previousblockhash"], block["height"]) == (before, at)
        before = block["hash"]
        for tx in block["tx"]:
            assert node.rpc("getrawtransaction", tx["txid"], 1)["blockhash"] == block["hash"]
            coins -= {(item["txid"], item["vout"]) for item in tx["vin"] if "txid" in item}
            coins |= {(tx["txid"], out["n"]) for out in tx["vout"] if out["scriptPubKey"]["type"] != "nulldata"}
    assert node.rpc("getbestblockhash") == before
    with sqlite3.connect(node.directory / "chain.sqlite") as database:
        rows = database.execute("SELECT outpoint FROM coin").fetchall()
    database.close()
    assert {(row[0][:32][::-1].hex(), int.from_bytes(row[0][32:], "little")) for row in rows} == coins


def work(node: NodeProcess, acknowledged: list[str]) -> None:
    """Mine, spend and reorganise until the node is gone; note every tip that it confirmed."""
    with contextlib.suppress(*LOST):
        while True:
            acknowledged.extend(node.rpc("generatetoaddress", 3, OPEN_ADDRESS))
            height = node.rpc("getblockcount")
            coin, value = node.coin(max(height - 110, 1))
            with contextlib.suppress(RpcFailureError):
                node.rpc("sendrawtransaction", transaction([(coin, 0)], [(value, OPEN_SCRIPT)]).hex())
            if len(acknowledged) % 2:
                acknowledged.extend(node.rpc("reorg", 2)["connected"])


def test_a_kill_at_any_time_costs_no_confirmed_block_and_leaves_everything_consistent(
    start_node: Callable[..., NodeProcess],
) -> None:
    node = start_node()
    node.rpc("generatetoaddress", 101, OPEN_ADDRESS)
    chance = random.Random(3)
    for _ in range(4):
        acknowledged: list[str] = []
        worker = threading.Thread(target=work, args=(node, acknowledged))
        worker.start()
        # The moment of the kill is the input of this test: any moment will do, and each seed has its own.
        time.sleep(chance.uniform(0.05, 0.3))
        node.kill()
        worker.join()
        node.start()
        confirmed = [node.rpc("getblockheader", block)["height"] for block in acknowledged]
        assert confirmed
        assert node.rpc("getblockcount") >= max(confirmed)
    check_consistency(node)
    assert node.stop() == 0


def test_a_lost_kernel_directory_is_rebuilt_from_the_nodes_own_blocks(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    node.rpc("generatetoaddress", 105, OPEN_ADDRESS)
    coin, value = node.coin(1)
    spend = transaction([(coin, 0)], [(value, OPEN_SCRIPT)])
    node.rpc("generateblock", OPEN_ADDRESS, [spend.hex()])
    node.rpc("reorg", 3)
    node.rpc("generateblock", OPEN_ADDRESS, [spend.hex()])
    tip = node.rpc("getbestblockhash")
    node.stop()
    shutil.rmtree(node.directory / "kernel")
    node.start()
    assert node.rpc("getbestblockhash") == tip
    assert node.rpc("getrawtransaction", txid_of(spend), 1)["confirmations"] == 1
    check_consistency(node)


def test_an_unreadable_kernel_directory_is_rebuilt_too(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    tip = node.rpc("generatetoaddress", 20, OPEN_ADDRESS)[-1]
    node.stop()
    for path in (node.directory / "kernel" / "blocks" / "index").glob("MANIFEST*"):
        path.write_bytes(b"damaged")
    node.start()
    assert node.rpc("getbestblockhash") == tip


def test_a_long_run_is_written_to_disk_on_the_way_so_that_a_kill_is_mended_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_module, "CHECKPOINT_BLOCKS", 10)
    warnings: list[str] = []
    (tmp_path / "live").mkdir()
    node = node_module.Node(tmp_path / "live", transaction_index=True, warn=warnings.append, stopping=lambda: False)
    try:
        for _ in range(25):
            node.generate(OPEN_SCRIPT)
        # What a kill now would leave behind.
        shutil.copytree(tmp_path / "live" / "kernel", tmp_path / "left")
        left = Kernel(tmp_path / "left", warnings.append)
        assert left.height() == 20
        left.close()
        assert node.store.height() == 25
    finally:
        node.close()
    assert warnings == []


def test_a_clean_restart_keeps_the_chain(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    tip = node.rpc("generatetoaddress", 5, OPEN_ADDRESS)[-1]
    first_cookie = node.cookie
    assert node.stop() == 0
    node.start()
    assert node.rpc("getbestblockhash") == tip
    assert node.cookie != first_cookie
