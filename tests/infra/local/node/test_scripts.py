from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.node.scripts import describe, descriptor_checksum, script_for

X_ONLY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"


@pytest.mark.parametrize(
    ("script", "kind", "address"),
    [
        ("76a914" + "11" * 20 + "88ac", "pubkeyhash", "mh5CE8Nbj38iND267s4XnvhSmhDW7yWc6Q"),
        ("a914" + "11" * 20 + "87", "scripthash", "2MtoTvMi65NXBt3sTCXNd1aqKGa7gXsX8CC"),
        ("0014" + "11" * 20, "witness_v0_keyhash", "bcrt1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3lgth6c"),
        (
            "0020" + "22" * 32,
            "witness_v0_scripthash",
            "bcrt1qyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3qe8wphs",
        ),
        ("5120" + X_ONLY, "witness_v1_taproot", "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6"),
        ("51024e73", "anchor", "bcrt1pfeesnyr2tx"),
    ],
)
def test_a_standard_script_has_its_type_and_an_address_that_reads_back(script: str, kind: str, address: str) -> None:
    shown = describe(bytes.fromhex(script))
    assert (shown["hex"], shown["type"], shown["address"]) == (script, kind, address)
    assert script_for(address) == bytes.fromhex(script)


@pytest.mark.parametrize(
    ("script", "kind", "asm"),
    [
        ("6a026869", "nulldata", "OP_RETURN 26984"),
        ("6a026869060102030405", "nonstandard", "OP_RETURN 26984 [error]"),
        ("6a01410142", "nulldata", "OP_RETURN 65 66"),
        ("6a5d", "nulldata", "OP_RETURN 13"),
        ("6a61", "nonstandard", "OP_RETURN OP_NOP"),
        ("0013" + "11" * 19, "nonstandard", "0 " + "11" * 19),
        ("", "nonstandard", ""),
        ("ff", "nonstandard", "OP_INVALIDOPCODE"),
        ("2102" + X_ONLY + "ac", "pubkey", "02" + X_ONLY + " OP_CHECKSIG"),
        ("512102" + X_ONLY + "51ae", "multisig", "1 02" + X_ONLY + " 1 OP_CHECKMULTISIG"),
    ],
)
def test_a_script_without_an_address_shows_none(script: str, kind: str, asm: str) -> None:
    shown = describe(bytes.fromhex(script))
    assert (shown["type"], shown["asm"], "address" in shown) == (kind, asm, False)


@given(st.binary(max_size=80))
def test_any_bytes_at_all_can_be_shown(script: bytes) -> None:
    shown = describe(script)
    assert shown["hex"] == script.hex()
    if "address" in shown:
        assert script_for(shown["address"]) == script


def test_descriptor_checksums_are_those_of_bip380() -> None:
    assert descriptor_checksum("raw(deadbeef)") == "89f8spxm"


@pytest.mark.parametrize("text", ["", "nonsense", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "raw(zz)", "raw(51"])
def test_what_is_no_regtest_address_gives_no_script(text: str) -> None:
    assert script_for(text) is None


def test_a_raw_descriptor_gives_its_script() -> None:
    assert script_for("raw(6a0141)") == bytes.fromhex("6a0141")
