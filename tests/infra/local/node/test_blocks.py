from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from infra.local.node.mining import build_block
from infra.local.node.wire import decode_block, sha256d
from tests.infra.local.node.harness import (
    OPEN_ADDRESS,
    OPEN_SCRIPT,
    NodeProcess,
    RpcFailureError,
    key_script,
    signed,
    transaction,
    txid_of,
    wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_new_chain_is_regtests(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node()
    info = node.rpc("getblockchaininfo")
    assert (info["chain"], info["blocks"], info["headers"]) == ("regtest", 0, 0)
    assert info["bestblockhash"] == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    block = node.rpc("getblock", info["bestblockhash"], 3)
    assert block["tx"][0]["txid"] == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert block["difficulty"] == Decimal("4.656542373906925e-10")
    assert "previousblockhash" not in block
    with pytest.raises(RpcFailureError, match="genesis block coinbase"):
        node.rpc("getrawtransaction", block["tx"][0]["txid"])
    assert node.rpc("gettxout", block["tx"][0]["txid"], 0) is None


def test_getblock_shows_the_same_block_at_every_verbosity(shared: NodeProcess) -> None:
    (coin, value) = shared.coin(1)
    spend = transaction([(coin, 0)], [(value - 1000, OPEN_SCRIPT), (0, b"\x6a\x02hi")])
    child = transaction([(txid_of(spend), 0)], [(value - 1500, OPEN_SCRIPT)])
    raw = shared.block_on_tip([spend, child], fees=1500)
    assert shared.rpc("submitblock", raw.hex()) is None
    shown = [shared.rpc("getblock", shared.rpc("getbestblockhash"), level) for level in range(4)]
    block = decode_block(raw)
    assert shown[0] == raw.hex()
    assert shown[1]["tx"] == [tx.txid[::-1].hex() for tx in block.transactions]
    assert (shown[1]["size"], shown[1]["weight"], shown[1]["nTx"]) == (len(raw), block.weight, 3)
    assert [tx["txid"] for tx in shown[2]["tx"]] == shown[1]["tx"]
    assert [tx.get("fee") for tx in shown[2]["tx"]] == [None, Decimal("0.00001000"), Decimal("0.00000500")]
    assert "prevout" not in shown[2]["tx"][1]["vin"][0]
    prevouts = [tx["vin"][0]["prevout"] for tx in shown[3]["tx"][1:]]
    assert [(item["generated"], item["height"]) for item in prevouts] == [(True, 1), (False, shown[1]["height"])]
    assert prevouts[0]["scriptPubKey"]["address"] == OPEN_ADDRESS
    assert [tx["hex"] for tx in shown[3]["tx"]] == [tx.raw.hex() for tx in block.transactions]


def test_amounts_are_written_with_eight_decimals(shared: NodeProcess) -> None:
    tip = shared.rpc("getbestblockhash")
    body = shared.post(b'{"method":"getblock","params":["%s",2]}' % tip.encode())[1]
    assert b'"value":0.00000000' in body
    assert b"e-0" not in body.replace(b"e-10", b"")


def test_headers_agree_with_the_raw_block(shared: NodeProcess) -> None:
    tip = shared.rpc("getbestblockhash")
    header = shared.rpc("getblockheader", tip)
    raw = shared.rpc("getblockheader", tip, False)
    assert sha256d(bytes.fromhex(raw))[::-1].hex() == tip == header["hash"]
    assert header["confirmations"] == 1
    assert "nextblockhash" not in header
    before = shared.rpc("getblockheader", header["previousblockhash"])
    assert (before["nextblockhash"], before["height"]) == (tip, header["height"] - 1)
    assert int(header["chainwork"], 16) == 2 * (header["height"] + 1)
    assert shared.rpc("getblock", tip, True)["tx"]


def test_submitted_blocks_that_break_a_rule_are_refused_with_cores_reason(shared: NodeProcess) -> None:
    coin, value = shared.coin(2)
    immature, _ = shared.coin(shared.rpc("getblockcount") - 5)
    unknown = ("11" * 32, 0)
    tip, height = shared.rpc("getbestblockhash"), shared.rpc("getblockcount")
    now = shared.rpc("getblockheader", tip)["mediantime"]
    bad_merkle = bytearray(shared.block_on_tip())
    bad_merkle[-1] ^= 1
    cases = {
        "bad-cb-amount": shared.block_on_tip(fees=1),
        "bad-txns-inputs-missingorspent": shared.block_on_tip([transaction([unknown], [(1, OPEN_SCRIPT)])]),
        "bad-txns-in-belowout": shared.block_on_tip([transaction([(coin, 0)], [(value + 1, OPEN_SCRIPT)])]),
        "bad-txns-premature-spend-of-coinbase": shared.block_on_tip([transaction([(immature, 0)], [(1, OPEN_SCRIPT)])]),
        "bad-cb-height": build_block(wire(tip), height + 2, now + 1, OPEN_SCRIPT, []),
        "time-too-old": build_block(wire(tip), height + 1, now, OPEN_SCRIPT, []),
        "time-too-new": build_block(wire(tip), height + 1, now + 10**7, OPEN_SCRIPT, []),
        "prev-blk-not-found": build_block(b"\x07" * 32, height + 1, now + 1, OPEN_SCRIPT, []),
        "bad-txnmrklroot": bytes(bad_merkle),
    }
    answers = {reason: shared.rpc("submitblock", raw.hex()) for reason, raw in cases.items()}
    assert answers == {reason: reason for reason in cases}
    assert shared.rpc("getbestblockhash") == tip
    refused = cases["bad-cb-amount"]
    assert shared.rpc("submitblock", refused.hex()) == "duplicate-invalid"
    child = build_block(sha256d(refused[:80]), height + 2, now + 100, OPEN_SCRIPT, [])
    assert shared.rpc("submitblock", child.hex()) == "bad-prevblk"


def test_a_block_without_proof_of_work_is_refused(shared: NodeProcess) -> None:
    raw = bytearray(shared.block_on_tip())
    while int.from_bytes(sha256d(bytes(raw[:80])), "little") < 0x7FFFFF << 232:
        raw[76] += 1
    assert shared.rpc("submitblock", raw.hex()) == "high-hash"


def test_a_real_signature_is_accepted_and_one_wrong_bit_is_not(shared: NodeProcess) -> None:
    coin, value = shared.coin(3)
    pay = transaction([(coin, 0)], [(value, key_script())])
    assert shared.rpc("submitblock", shared.block_on_tip([pay]).hex()) is None
    tip = shared.rpc("getbestblockhash")
    spend = signed(txid_of(pay), 0, value, [(value - 500, OPEN_SCRIPT)])
    broken = bytearray(spend)
    broken[-60] ^= 1
    answer = shared.rpc("submitblock", shared.block_on_tip([bytes(broken)]).hex())
    assert "script-verify-flag-failed" in answer
    assert shared.rpc("getbestblockhash") == tip
    with pytest.raises(RpcFailureError, match="script-verify-flag-failed") as refused:
        shared.rpc("sendrawtransaction", broken.hex())
    assert refused.value.code == -26
    assert shared.rpc("submitblock", shared.block_on_tip([spend]).hex()) is None


def test_duplicates_and_blocks_beside_the_chain_are_told_apart(shared: NodeProcess) -> None:
    tip = shared.rpc("getblockheader", shared.rpc("getbestblockhash"))
    one = shared.block_on_tip()
    beside = build_block(wire(tip["hash"]), tip["height"] + 1, tip["mediantime"] + 1, OPEN_SCRIPT, [], b"beside")
    assert shared.rpc("submitblock", one.hex()) is None
    assert shared.rpc("submitblock", one.hex()) == "duplicate"
    assert shared.rpc("submitblock", beside.hex()) == "inconclusive"
    assert shared.rpc("getbestblockhash") == sha256d(one[:80])[::-1].hex()
    tips = {item["hash"]: item["status"] for item in shared.rpc("getchaintips")}
    assert tips[sha256d(beside[:80])[::-1].hex()] == "valid-headers"


def test_after_a_reorganisation_the_old_block_is_readable_with_minus_one_confirmation(shared: NodeProcess) -> None:
    coin, value = shared.coin(4)
    pay = transaction([(coin, 0)], [(value, OPEN_SCRIPT)])
    shared.rpc("submitblock", shared.block_on_tip([pay]).hex())
    old, height = shared.rpc("getbestblockhash"), shared.rpc("getblockcount")
    assert shared.rpc("getrawtransaction", txid_of(pay), 1)["blockhash"] == old
    done = shared.rpc("reorg", 2)
    assert (done["disconnected"][0], len(done["connected"])) == (old, 3)
    assert (shared.rpc("getblockcount"), shared.rpc("getbestblockhash")) == (height + 1, done["connected"][-1])
    stale = shared.rpc("getblock", old, 3)
    assert (stale["confirmations"], "nextblockhash" in stale) == (-1, False)
    assert stale["tx"][1]["vin"][0]["prevout"]["height"] == 4
    assert shared.rpc("getblockhash", height) == done["connected"][1]
    assert txid_of(pay) in shared.rpc("getrawmempool")
    assert shared.rpc("gettxout", coin, 0) is None
    assert shared.rpc("gettxout", coin, 0, False)["confirmations"] == height - 2
    assert {item["status"] for item in shared.rpc("getchaintips")} >= {"active", "valid-fork"}
    again = shared.rpc("generatetoaddress", 1, OPEN_ADDRESS)[0]
    found = shared.rpc("getrawtransaction", txid_of(pay), 2)
    assert (found["blockhash"], found["confirmations"], found["fee"]) == (again, 1, 0)
    assert found["vin"][0]["prevout"]["generated"] is True
    in_old = shared.rpc("getrawtransaction", txid_of(pay), 1, old)
    assert (in_old["in_active_chain"], in_old["confirmations"]) == (False, 0)


def test_a_reorganisation_deeper_than_the_chain_is_refused(shared: NodeProcess) -> None:
    with pytest.raises(RpcFailureError, match="between 1 and"):
        shared.rpc("reorg", 10_000)


def test_without_the_index_a_transaction_is_found_only_by_its_block(start_node: Callable[..., NodeProcess]) -> None:
    node = start_node("--no-txindex")
    block = node.rpc("getblock", node.rpc("generatetoaddress", 1, OPEN_ADDRESS)[0])
    with pytest.raises(RpcFailureError) as refused:
        node.rpc("getrawtransaction", block["tx"][0])
    assert refused.value.code == -5
    assert refused.value.message == (
        "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries."
        " Use gettransaction for wallet transactions."
    )
    assert node.rpc("getrawtransaction", block["tx"][0], 1, block["hash"])["in_active_chain"] is True
    assert node.rpc("getindexinfo") == {}
