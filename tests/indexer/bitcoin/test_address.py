from __future__ import annotations

from typing import Literal

import pytest
from btclib import b32, b58
from hypothesis import given
from hypothesis import strategies as st

from indexer.bitcoin.address import base58check, segwit

PREFIXES = {"bc": "mainnet", "tb": "testnet", "bcrt": "regtest"}
VERSIONS: dict[int, tuple[Literal["p2pkh", "p2sh"], str]] = {
    0x00: ("p2pkh", "mainnet"),
    0x05: ("p2sh", "mainnet"),
    0x6F: ("p2pkh", "testnet"),
    0xC4: ("p2sh", "regtest"),
}


@pytest.mark.parametrize("prefix", PREFIXES)
@given(version=st.integers(1, 16), program=st.binary(min_size=2, max_size=40))
def test_later_witness_programs_are_written_as_the_oracle_writes_them(
    prefix: str, version: int, program: bytes
) -> None:
    assert segwit(prefix, version, program) == b32.address_from_witness(version, program, PREFIXES[prefix])


@pytest.mark.parametrize("prefix", PREFIXES)
@given(program=st.one_of(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32)))
def test_first_witness_programs_are_written_as_the_oracle_writes_them(prefix: str, program: bytes) -> None:
    assert segwit(prefix, 0, program) == b32.address_from_witness(0, program, PREFIXES[prefix])


@pytest.mark.parametrize("version", VERSIONS)
@given(zeros=st.integers(0, 20), payload=st.binary(min_size=20, max_size=20))
def test_hashes_are_written_in_base_58_as_the_oracle_writes_them(version: int, zeros: int, payload: bytes) -> None:
    kind, network = VERSIONS[version]
    payload = (bytes(zeros) + payload)[:20]
    assert base58check(version, payload) == b58.address_from_h160(kind, payload, network)
