from __future__ import annotations

import pytest
from btclib.block.block import Block as ReferenceBlock
from hypothesis import given
from hypothesis import strategies as st

from infra.local.node import mining, undo
from infra.local.node.wire import WireError, compact_size, decode_block, decode_transaction, read_header
from tests.infra.local.node.harness import OPEN_SCRIPT, transaction

SPEND = transaction([("11" * 32, 3)], [(1000, OPEN_SCRIPT), (0, b"\x6a\x01\x41")], (b"\x51", b""))


def test_a_decoded_transaction_has_every_part_and_both_hashes() -> None:
    tx = decode_transaction(SPEND)
    assert (tx.version, tx.locktime, len(tx.inputs), len(tx.outputs)) == (2, 0, 1, 2)
    assert tx.inputs[0].witness == (b"\x51", b"")
    assert tx.inputs[0].outpoint == b"\x11" * 32 + b"\x03\x00\x00\x00"
    assert tx.txid != tx.wtxid
    assert tx.weight == 3 * len(tx.stripped) + len(SPEND)


@given(st.binary(max_size=400))
def test_no_bytes_whatever_raise_anything_but_a_wire_error(data: bytes) -> None:
    for decode in (decode_transaction, decode_block, read_header):
        try:
            decode(data)
        except WireError:
            continue


@given(st.integers(0, len(SPEND) - 1))
def test_a_transaction_cut_short_anywhere_is_refused(end: int) -> None:
    with pytest.raises(WireError):
        decode_transaction(SPEND[:end])


def test_a_byte_left_over_is_refused() -> None:
    with pytest.raises(WireError, match="left over"):
        decode_transaction(SPEND + b"\x00")


def test_a_length_spelt_longer_than_needed_is_refused() -> None:
    with pytest.raises(WireError, match="non-canonical"):
        decode_transaction(SPEND[:6] + b"\xfd\x01\x00" + SPEND[7:])


def test_a_witness_marker_without_any_witness_is_refused() -> None:
    with pytest.raises(WireError, match="superfluous"):
        decode_transaction(transaction([("11" * 32, 3)], [(1, b"\x51")], ()))


@pytest.mark.parametrize("number", [0, 0xFC, 0xFD, 0xFFFF, 0x10000, 0xFFFFFFFF, 0x100000000])
def test_lengths_are_written_in_the_shortest_form(number: int) -> None:
    expected = {1: 0xFC, 3: 0xFFFF, 5: 0xFFFFFFFF, 9: 2**64 - 1}
    assert number <= expected[len(compact_size(number))]
    assert int.from_bytes(compact_size(number)[1:] or compact_size(number), "little") == number


@pytest.mark.parametrize("height", [0, 1, 16, 17, 127, 128, 255, 256, 32767, 32768, 8388607, 8388608])
def test_the_height_is_pushed_as_the_shortest_positive_script_number(height: int) -> None:
    script = mining.script_number(height)
    if height > 16:
        value = script[1:]
        assert len(value) == script[0]
        assert int.from_bytes(value, "little", signed=True) == height
        assert len(value) == 1 or value[-1] != 0 or value[-2] & 0x80
    else:
        assert script == (bytes([0x50 + height]) if height else b"\x00")


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_built_block_agrees_with_an_independent_decoder(count: int) -> None:
    txs = [transaction([(f"{n:064x}", n)], [(n, OPEN_SCRIPT)]) for n in range(count)]
    raw = mining.build_block(b"\x22" * 32, 210, 1_700_000_000, OPEN_SCRIPT, txs, b"note", fees=7)
    block, reference = decode_block(raw), ReferenceBlock.parse(raw, check_validity=False)
    assert [tx.txid[::-1] for tx in block.transactions] == [tx.id for tx in reference.transactions]
    assert [tx.wtxid[::-1] for tx in block.transactions] == [tx.hash for tx in reference.transactions]
    assert mining.block_hash(raw)[::-1] == reference.header.hash
    assert mining.merkle_root([tx.txid for tx in block.transactions]) == block.header.merkle_root
    assert int.from_bytes(mining.block_hash(raw), "little") <= mining.target(mining.REGTEST_BITS)
    assert block.transactions[0].outputs[0].value == 25 * 10**8 + 7
    assert block.weight == reference.weight
    for tx, start in zip(block.transactions, block.offsets, strict=True):
        assert raw[start : start + len(tx.raw)] == tx.raw


def test_extra_bytes_make_another_block_of_the_same_parts() -> None:
    one, other = (mining.build_block(b"\x00" * 32, 5, 1_700_000_000, OPEN_SCRIPT, [], extra) for extra in (b"a", b"b"))
    assert mining.block_hash(one) != mining.block_hash(other)


def test_too_many_extra_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        mining.build_block(b"\x00" * 32, 5, 1_700_000_000, OPEN_SCRIPT, [], bytes(101))


COINS = st.builds(undo.Coin, st.integers(0, 2**50), st.binary(max_size=300), st.integers(0, 2**31), st.booleans())


@given(st.lists(st.lists(COINS, max_size=3), max_size=4))
def test_the_record_of_spent_coins_reads_back_as_written(spent: list[list[undo.Coin]]) -> None:
    assert undo.decode(undo.encode(spent)) == spent
