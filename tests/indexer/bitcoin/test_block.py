from __future__ import annotations

import random
from contextlib import suppress
from unittest.mock import patch

import pytest
from btclib.block.block import Block as OracleBlock
from hypothesis import given
from hypothesis import strategies as st

from indexer.bitcoin import block as block_module
from indexer.bitcoin.block import (
    BlockDecodeError,
    OutPoint,
    decode,
    decode_output_scripts,
    display,
    internal,
    is_candidate_script,
    sha256d,
)
from infra.local.traffic.chain import OfflineChain


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    chain = OfflineChain(31, maturity=0)
    chain.extend(25, 8)
    return chain.blocks


def test_every_field_is_what_btclib_reads(blocks: list[bytes]) -> None:
    candidates = 0
    for raw in blocks:
        ours, oracle = decode(raw), OracleBlock.parse(raw, check_validity=False)
        assert display(ours.hash) == oracle.header.hash.hex()
        assert display(ours.prev_hash) == oracle.header.previous_block_hash.hex()
        assert ours.time == oracle.header.time
        expected = {
            index
            for index, tx in enumerate(oracle.transactions)
            if index and any(is_candidate_script(bytes(output.script_pub_key.script)) for output in tx.vout)
        }
        assert {tx.index for tx in ours.candidates} == expected
        candidates += len(expected)
        for tx in ours.candidates:
            theirs = oracle.transactions[tx.index]
            assert display(tx.txid) == theirs.id.hex()
            assert list(tx.outputs) == [bytes(output.script_pub_key.script) for output in theirs.vout]
            assert [display(spent.prevout.txid) for spent in tx.inputs] == [v.prev_out.tx_id.hex() for v in theirs.vin]
            assert [spent.prevout.vout for spent in tx.inputs] == [v.prev_out.vout for v in theirs.vin]
            assert [spent.script_sig for spent in tx.inputs] == [bytes(v.script_sig) for v in theirs.vin]
            witnesses = [v.script_witness.stack for v in theirs.vin]
            assert [spent.witness for spent in tx.inputs] == [stack[0] if stack else None for stack in witnesses]
    assert candidates > 100


def test_outputs_spent_in_their_own_block_are_found_there(blocks: list[bytes]) -> None:
    found = 0
    for raw in blocks:
        block = decode(raw)
        by_txid = {display(txid): scripts for txid, scripts in _transactions(raw).items()}
        for outpoint, script in block.local_scripts.items():
            assert by_txid[display(outpoint.txid)][outpoint.vout] == script
            found += 1
        inside = {
            spent.prevout for tx in block.candidates for spent in tx.inputs if display(spent.prevout.txid) in by_txid
        }
        assert inside == set(block.local_scripts)
    assert found


def _transactions(raw: bytes) -> dict[bytes, list[bytes]]:
    oracle = OracleBlock.parse(raw, check_validity=False)
    return {
        bytes(tx.id)[::-1]: [bytes(output.script_pub_key.script) for output in tx.vout] for tx in oracle.transactions
    }


@given(data=st.data())
def test_a_damaged_block_is_refused_or_read_whole_and_never_raises_anything_else(data: st.DataObject) -> None:
    raw = bytearray(_SAMPLE)
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "cut", "insert", "huge"]))
        at = data.draw(st.integers(80, max(len(raw) - 1, 80)))
        if kind == "flip" and at < len(raw):
            raw[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del raw[at:]
        elif kind == "insert":
            raw[at:at] = data.draw(st.binary(max_size=9))
        else:
            raw[at : at + 9] = b"\xff" + b"\xff" * 8
    with suppress(BlockDecodeError):
        # What gets through is damaged where no txid looks: in a witness.
        assert [tx.txid for tx in decode(bytes(raw)).candidates] == [tx.txid for tx in decode(_SAMPLE).candidates]


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_block_and_no_transaction(raw: bytes) -> None:
    with pytest.raises(BlockDecodeError):
        decode(raw)
    with suppress(BlockDecodeError):
        decode_output_scripts(raw)


def test_a_transaction_hidden_behind_the_last_one_is_refused(blocks: list[bytes]) -> None:
    with pytest.raises(BlockDecodeError, match="1 bytes follow"):
        decode(blocks[5] + b"\0")


def test_a_block_whose_merkle_root_differs_is_refused(blocks: list[bytes]) -> None:
    raw = bytearray(blocks[5])
    raw[40] ^= 1
    with pytest.raises(BlockDecodeError, match="merkle root"):
        decode(bytes(raw))


def test_a_block_with_doubled_transactions_is_refused_although_its_merkle_root_fits(blocks: list[bytes]) -> None:
    raw = next(raw for raw in blocks if raw[80] % 2 and 1 < raw[80] < 0xFD)
    last = OracleBlock.parse(raw, check_validity=False).transactions[-1].serialize(include_witness=True)
    assert raw.endswith(last)
    doubled = raw[:80] + bytes([raw[80] + 1]) + raw[81:] + last
    with pytest.raises(BlockDecodeError, match="doubled"):
        decode(doubled)


def test_a_transaction_that_spends_thousands_of_outputs_of_its_block_costs_linear_time() -> None:
    # Counted, not timed: the parent's outputs are read once and not once an input.
    outputs = 3_000
    parent = _transaction([(bytes(32), 0)], [b"\x51"] * outputs)
    note = b"\x6a\x06brc-20"
    child = _transaction([(sha256d(parent), vout) for vout in range(outputs)], [note])
    with patch.object(block_module, "_outputs", wraps=block_module._outputs) as reading:  # noqa: SLF001
        block = decode(_block([parent, parent[:-4] + b"\1\0\0\0", child]))
    assert len(block.local_scripts) == outputs
    assert reading.call_count == 2


def _transaction(inputs: list[tuple[bytes, int]], scripts: list[bytes]) -> bytes:
    raw = (2).to_bytes(4, "little") + b"\xfd" + len(inputs).to_bytes(2, "little")
    for txid, vout in inputs:
        raw += txid + vout.to_bytes(4, "little") + b"\0" + b"\xff" * 4
    raw += b"\xfd" + len(scripts).to_bytes(2, "little")
    return raw + b"".join(bytes(8) + bytes([len(script)]) + script for script in scripts) + bytes(4)


def _block(transactions: list[bytes]) -> bytes:
    level = [sha256d(raw) for raw in transactions]
    while len(level) > 1:
        level += level[-1:] if len(level) % 2 else []
        level = [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return bytes(36) + level[0] + bytes(12) + bytes([len(transactions)]) + b"".join(transactions)


def test_the_coinbase_is_never_a_candidate(blocks: list[bytes]) -> None:
    assert all(tx.index > 0 for raw in blocks for tx in decode(raw).candidates)


def test_hashes_are_shown_reversed() -> None:
    txid = random.Random(1).randbytes(32)
    assert internal(display(txid)) == txid
    assert display(bytes(range(32))).startswith("1f1e1d")
    assert OutPoint(txid, 1).vout == 1


def _sample() -> bytes:
    chain = OfflineChain(5, maturity=0)
    return chain.extend(3, 6)[-1]


_SAMPLE = _sample()
