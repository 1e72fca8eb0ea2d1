from __future__ import annotations

import pbk  # type: ignore[import-untyped]  # the binding ships no types
import pytest
from pbk.script import PrecomputedTransactionData  # type: ignore[import-untyped]  # as above

from infra.local.node.wire import decode_transaction
from infra.local.traffic.keys import OP_TRUE, UNSIGNED, Kind, make_key
from infra.local.traffic.tx import (
    ALL,
    DEFAULT,
    SINGLE_ANYONECANPAY,
    Coin,
    Output,
    Spend,
    build,
    op_return,
    payment,
    txid,
)

KINDS = list(Kind)
SIGNED = [kind for kind in KINDS if kind not in UNSIGNED]
ALL_FLAGS = pbk.ScriptVerificationFlags.P2SH
for _flag in pbk.ScriptVerificationFlags:
    ALL_FLAGS |= _flag


def coin(kind: Kind, number: int = 0) -> Coin:
    return Coin(bytes([number + 1]) * 32, number, 100_000 + number, make_key("test", number), kind)


def kernel_accepts(raw: bytes, spends: list[Spend]) -> list[bool]:
    """Ask Bitcoin Core's own code about every input."""
    transaction = pbk.Transaction(raw)
    spent = [pbk.TransactionOutput(pbk.ScriptPubkey(s.coin.script), s.coin.value) for s in spends]
    data = PrecomputedTransactionData(transaction, spent)
    verdicts = []
    for index, spend in enumerate(spends):
        script = pbk.ScriptPubkey(spend.coin.script)
        try:
            verdicts.append(script.verify(spend.coin.value, transaction, data, index, ALL_FLAGS))
        except pbk.ScriptVerifyException:
            verdicts.append(False)
    return verdicts


OUTPUTS = [
    payment(40_000, Kind.P2WPKH, make_key("test", 9)),
    Output(0, op_return(b"note")),
    payment(1, Kind.P2TR, make_key("test", 8)),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_accepts_an_input_of_every_kind(kind: Kind) -> None:
    spends = [Spend(coin(kind, n)) for n in range(3)]
    assert kernel_accepts(build(spends, OUTPUTS), spends) == [True] * 3


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("sighash", [ALL, SINGLE_ANYONECANPAY])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_kernel_accepts_every_sighash_in_every_position(kind: Kind, sighash: int, position: int) -> None:
    spends = [Spend(coin(other, n)) for n, other in enumerate([Kind.P2PKH, Kind.P2WPKH, Kind.P2TR])]
    spends[position] = Spend(coin(kind, 5), sighash)
    raw = build(spends, OUTPUTS)
    assert kernel_accepts(raw, spends) == [True] * 3


@pytest.mark.parametrize("kind", SIGNED)
def test_the_kernel_refuses_a_signature_for_other_outputs(kind: Kind) -> None:
    spends = [Spend(coin(kind))]
    signed, changed = build(spends, OUTPUTS), build(spends, OUTPUTS[1:])
    good = decode_transaction(signed).inputs[0]
    stolen = good.witness[0] if good.witness else None
    forged = [Spend(coin(kind), signature=stolen) if stolen else Spend(coin(kind), script_sig=good.script)]
    assert changed != signed
    assert kernel_accepts(build(forged, OUTPUTS[1:]), spends) == [False]


@pytest.mark.parametrize("kind", SIGNED)
def test_a_single_anyonecanpay_signature_survives_other_inputs_and_outputs(kind: Kind) -> None:
    alone = [Spend(coin(kind), SINGLE_ANYONECANPAY)]
    signed = decode_transaction(build(alone, OUTPUTS[:1])).inputs[0]
    kept = (
        Spend(coin(kind), SINGLE_ANYONECANPAY, signature=signed.witness[0])
        if signed.witness
        else Spend(coin(kind), SINGLE_ANYONECANPAY, script_sig=signed.script)
    )
    joined = [kept, Spend(coin(Kind.P2TR, 3))]
    assert kernel_accepts(build(joined, OUTPUTS), joined) == [True, True]


def test_a_single_signature_without_its_output_is_valid_where_core_says_so() -> None:
    for kind in (Kind.P2PKH, Kind.P2WPKH):
        spends = [Spend(coin(Kind.P2TR, 1)), Spend(coin(kind, 2), SINGLE_ANYONECANPAY)]
        assert kernel_accepts(build(spends, OUTPUTS[:1]), spends) == [True, True]
    with pytest.raises(ValueError, match="same index"):
        build([Spend(coin(Kind.P2PKH, 1)), Spend(coin(Kind.P2TR, 2), SINGLE_ANYONECANPAY)], OUTPUTS[:1])


def test_signatures_end_in_their_sighash_byte() -> None:
    raw = build(
        [Spend(coin(Kind.P2TR, 1), SINGLE_ANYONECANPAY), Spend(coin(Kind.P2TR, 2)), Spend(coin(Kind.P2WPKH, 3))],
        OUTPUTS,
    )
    single, default, ecdsa = (item.witness[0] for item in decode_transaction(raw).inputs)
    assert (len(single), single[-1]) == (65, SINGLE_ANYONECANPAY)
    assert len(default) == 64
    assert ecdsa[-1] == ALL


def test_default_is_only_for_taproot_and_unknown_sighashes_are_refused() -> None:
    with pytest.raises(ValueError, match="taproot"):
        build([Spend(coin(Kind.P2WPKH), DEFAULT)], OUTPUTS)
    with pytest.raises(ValueError, match="0x02"):
        build([Spend(coin(Kind.P2WPKH), 2)], OUTPUTS)


def test_the_same_transaction_is_built_twice_and_its_id_ignores_the_witness() -> None:
    spends = [Spend(coin(Kind.P2TR)), Spend(coin(Kind.P2WPKH, 1))]
    raw = build(spends, OUTPUTS)
    assert raw == build(spends, OUTPUTS)
    forged = build([Spend(coin(Kind.P2TR), signature=b"x"), spends[1]], OUTPUTS)
    assert txid(raw) == txid(forged) == bytes(pbk.Transaction(raw).txid)


@pytest.mark.parametrize(
    ("style", "head"),
    [
        ("minimal", "6a03"),
        ("direct", "6a03"),
        ("pushdata1", "6a4c03"),
        ("pushdata2", "6a4d0300"),
        ("pushdata4", "6a4e03000000"),
    ],
)
def test_an_op_return_pushes_in_the_style_asked_for(style: str, head: str) -> None:
    assert op_return(b"abc", style).hex() == head + "616263"


def test_an_op_return_refuses_what_its_style_cannot_hold() -> None:
    for style, size in (("direct", 76), ("pushdata1", 256), ("pushdata2", 65536), ("upside-down", 1)):
        with pytest.raises(ValueError, match="cannot hold"):
            op_return(bytes(size), style)
    assert op_return(bytes(256))[:4] == b"\x6a\x4d\x00\x01"
    assert op_return(b"a", before=OP_TRUE, after=b"\x00") == b"\x6a\x51\x01a\x00"
