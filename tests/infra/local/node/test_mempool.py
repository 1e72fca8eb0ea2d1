from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.infra.local.node.harness import OPEN_ADDRESS, OPEN_SCRIPT, RpcFailureError, transaction, txid_of

if TYPE_CHECKING:
    from tests.infra.local.node.harness import NodeProcess


def refusal(node: NodeProcess, raw: bytes, *options: object) -> tuple[int, str]:
    with pytest.raises(RpcFailureError) as refused:
        node.rpc("sendrawtransaction", raw.hex(), *options)
    return refused.value.code, refused.value.message.split(",")[0]


def test_a_chain_of_transactions_waits_and_is_mined_with_its_fees(shared: NodeProcess) -> None:
    coin, value = shared.coin(1)
    parent = transaction([(coin, 0)], [(value - 1000, OPEN_SCRIPT)])
    child = transaction([(txid_of(parent), 0)], [(value - 3000, OPEN_SCRIPT)])
    assert shared.rpc("sendrawtransaction", parent.hex()) == txid_of(parent)
    assert shared.rpc("sendrawtransaction", child.hex()) == txid_of(child)
    assert shared.rpc("sendrawtransaction", parent.hex()) == txid_of(parent)
    assert shared.rpc("getrawmempool") == [txid_of(parent), txid_of(child)]
    assert shared.rpc("getrawmempool", True)[txid_of(child)]["depends"] == [txid_of(parent)]
    assert shared.rpc("getmempoolinfo")["total_fee"] == Decimal("0.00003000")
    assert shared.rpc("getrawtransaction", txid_of(child)) == child.hex()
    assert shared.rpc("gettxout", txid_of(child), 0)["confirmations"] == 0
    assert shared.rpc("gettxout", txid_of(parent), 0) is None
    block = shared.rpc("getblock", shared.rpc("generatetoaddress", 1, OPEN_ADDRESS)[0], 2)
    assert [tx["txid"] for tx in block["tx"][1:]] == [txid_of(parent), txid_of(child)]
    assert block["tx"][0]["vout"][0]["value"] == Decimal("50.00003000")
    assert shared.rpc("getrawmempool") == []
    assert refusal(shared, child) == (-27, "Transaction outputs already in utxo set")


def test_a_transaction_that_breaks_a_rule_is_refused_with_bitcoinds_code(shared: NodeProcess) -> None:
    coin, value = shared.coin(2)
    immature, _ = shared.coin(shared.rpc("getblockcount"))
    mine = (coin, 0)
    cases = [
        (transaction([("11" * 32, 0)], [(1, OPEN_SCRIPT)]), (-25, "bad-txns-inputs-missingorspent")),
        (transaction([(coin, 9)], [(1, OPEN_SCRIPT)]), (-25, "bad-txns-inputs-missingorspent")),
        (transaction([mine], [(value + 1, OPEN_SCRIPT)]), (-26, "bad-txns-in-belowout")),
        (transaction([mine], [(-1, OPEN_SCRIPT)]), (-26, "bad-txns-vout-negative")),
        (transaction([mine], [(22 * 10**14, OPEN_SCRIPT)]), (-26, "bad-txns-vout-toolarge")),
        (transaction([mine, mine], [(1, OPEN_SCRIPT)]), (-26, "bad-txns-inputs-duplicate")),
        (transaction([mine], []), (-26, "bad-txns-vout-empty")),
        (transaction([(immature, 0)], [(1, OPEN_SCRIPT)]), (-26, "bad-txns-premature-spend-of-coinbase")),
        (transaction([mine], [(value, OPEN_SCRIPT)], (b"\x00",)), (-26, "mempool-script-verify-flag-failed")),
        (transaction([mine], [(value, OPEN_SCRIPT)], locktime=10_000), (-26, "non-final")),
        (transaction([mine], [(value, OPEN_SCRIPT)], locktime=2**32 - 1), (-26, "non-final")),
        (transaction([mine], [(value, OPEN_SCRIPT)], sequence=60_000), (-26, "non-BIP68-final")),
        (transaction([mine], [(value, OPEN_SCRIPT)], sequence=(1 << 22) + 60_000), (-26, "non-BIP68-final")),
        (transaction([("00" * 32, 2**32 - 1)], [(1, OPEN_SCRIPT)]), (-26, "coinbase")),
        (
            transaction([mine], [(value - 10**8, OPEN_SCRIPT)]),
            (-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee"),
        ),
        (
            transaction([mine], [(value, b"\x6a")]),
            (-25, "Unspendable output exceeds maximum configured by user (maxburnamount)"),
        ),
    ]
    assert [refusal(shared, raw) for raw, _ in cases] == [expected for _, expected in cases]
    assert shared.rpc("getrawmempool") == []


def test_locks_that_are_over_hold_nothing_up(shared: NodeProcess) -> None:
    coin, value = shared.coin(3)
    raw = transaction([(coin, 0)], [(value, OPEN_SCRIPT)], sequence=5, locktime=shared.rpc("getblockcount"))
    shared.rpc("sendrawtransaction", raw.hex())
    block = shared.rpc("getblock", shared.rpc("generatetoaddress", 1, OPEN_ADDRESS)[0])
    assert txid_of(raw) in block["tx"]


def test_a_fee_above_the_callers_limit_passes_when_the_limit_is_lifted(shared: NodeProcess) -> None:
    coin, value = shared.coin(4)
    raw = transaction([(coin, 0)], [(value - 10**8, OPEN_SCRIPT)])
    assert refusal(shared, raw, "0.5")[0] == -25
    assert refusal(shared, raw, "much")[0] == -3
    assert shared.rpc("sendrawtransaction", raw.hex(), 0) == txid_of(raw)
    shared.rpc("generatetoaddress", 1, OPEN_ADDRESS)


def test_a_second_spend_is_refused_and_the_first_drops_out_when_a_block_carries_the_second(shared: NodeProcess) -> None:
    coin, value = shared.coin(5)
    first = transaction([(coin, 0)], [(value - 1000, OPEN_SCRIPT)])
    child = transaction([(txid_of(first), 0)], [(value - 2000, OPEN_SCRIPT)])
    second = transaction([(coin, 0)], [(value - 5000, OPEN_SCRIPT)])
    shared.rpc("sendrawtransaction", first.hex())
    shared.rpc("sendrawtransaction", child.hex())
    assert refusal(shared, second) == (-26, "txn-mempool-conflict")
    assert shared.rpc("submitblock", shared.block_on_tip([second]).hex()) is None
    assert shared.rpc("getrawmempool") == []


def test_generateblock_mines_exactly_what_it_is_given(shared: NodeProcess) -> None:
    coin, value = shared.coin(6)
    waiting = transaction([(coin, 0)], [(value - 1000, OPEN_SCRIPT)])
    raw = transaction([(txid_of(waiting), 0)], [(value - 2000, OPEN_SCRIPT)])
    shared.rpc("sendrawtransaction", waiting.hex())
    made = shared.rpc("generateblock", OPEN_ADDRESS, [txid_of(waiting), raw.hex()])
    assert shared.rpc("getblock", made["hash"])["tx"][1:] == [txid_of(waiting), txid_of(raw)]
    for chosen, code in (("22" * 32, -5), ("zz", -22), (5, -3), (raw.hex(), -25)):
        with pytest.raises(RpcFailureError) as refused:
            shared.rpc("generateblock", OPEN_ADDRESS, [chosen])
        assert refused.value.code == code


def test_decoderawtransaction_shows_what_getrawtransaction_does(shared: NodeProcess) -> None:
    coin, _ = shared.coin(7)
    raw = shared.rpc("getrawtransaction", coin)
    shown = shared.rpc("getrawtransaction", coin, 1)
    decoded = shared.rpc("decoderawtransaction", raw)
    assert all(shown[key] == value for key, value in decoded.items())
