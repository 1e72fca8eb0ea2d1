from __future__ import annotations

import pytest
from btclib.script.script_pub_key import ScriptPubKey
from hypothesis import given
from hypothesis import strategies as st

from indexer.bitcoin.script import Network, address_of, first_push, is_nulldata, push_at

KEY_HASH = bytes(range(20))
SCRIPT_HASH = bytes(range(32))


@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize("script", [b"\x76\xa9\x14" + KEY_HASH + b"\x88\xac", b"\xa9\x14" + KEY_HASH + b"\x87"])
def test_legacy_addresses_agree_with_btclib(network: Network, script: bytes) -> None:
    oracle = {"main": "mainnet", "test": "testnet"}.get(network, network.value)
    assert address_of(script, network) == ScriptPubKey(script, oracle).address != ""


@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize(
    "script",
    [
        b"\x00\x14" + KEY_HASH,
        b"\x00\x20" + SCRIPT_HASH,
        b"\x51\x20" + SCRIPT_HASH,
        b"\x52\x10" + KEY_HASH[:16],
        b"\x60\x28" + SCRIPT_HASH + KEY_HASH[:8],
        b"\x51\x02\x4e\x73",
    ],
)
def test_every_witness_version_has_an_address_in_the_networks_own_form(network: Network, script: bytes) -> None:
    prefixes = {"main": "bc1", "test": "tb1", "testnet4": "tb1", "signet": "tb1", "regtest": "bcrt1"}
    address = address_of(script, network)
    assert address is not None
    assert address.startswith(prefixes[network])


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\x6a",
        b"\x21" + b"\x02" + SCRIPT_HASH + b"\xac",  # P2PK
        b"\x51\x21" + b"\x02" + SCRIPT_HASH + b"\x51\xae",  # bare 1-of-1 multisig
        b"\x00\x15" + KEY_HASH + b"\x00",  # version 0 knows 20 and 32 bytes only
        b"\x51\x01\x00",  # too short for a witness program
        b"\x51\x29" + bytes(41),  # too long for one
        b"\x51",
        b"\x76\xa9\x14" + KEY_HASH + b"\x88\xac\x00",
    ],
)
def test_scripts_of_no_standard_form_have_no_address(script: bytes) -> None:
    assert address_of(script, Network.REGTEST) is None


@pytest.mark.parametrize(
    ("script", "pushed"),
    [
        (b"\x03abc", b"abc"),
        (b"\x4c\x03abc", b"abc"),
        (b"\x4d\x03\x00abc", b"abc"),
        (b"\x4e\x03\x00\x00\x00abc", b"abc"),
        (b"\x00", None),
        (b"\x51", None),
        (b"\x4f", None),
        (b"\x03ab", None),
        (b"\x4c", None),
        (b"\x4d\x03", None),
        (b"\x4e\xff\xff\xff\xff", None),
        (b"\x76", None),
        (b"", None),
    ],
)
def test_the_first_push_is_its_data_whatever_its_opcode(script: bytes, pushed: bytes | None) -> None:
    assert first_push(script) == pushed


@pytest.mark.parametrize(
    ("script", "nulldata"),
    [
        (b"\x6a", True),
        (b"\x6a\x03abc", True),
        (b"\x6a\x03abc\x00\x51\x60\x50", True),
        (b"\x6a\x03ab", False),
        (b"\x6a\x03abc\x76", False),
        (b"\x51\x6a", False),
        (b"", False),
    ],
)
def test_nulldata_is_op_return_and_whole_pushes(script: bytes, nulldata: bool) -> None:  # noqa: FBT001
    assert is_nulldata(script) is nulldata


@given(st.binary(max_size=300), st.integers(0, 310))
def test_arbitrary_scripts_never_raise(script: bytes, position: int) -> None:
    is_nulldata(script)
    is_nulldata(b"\x6a" + script)
    address_of(script, Network.REGTEST)
    push = push_at(script, position)
    assert push is None or push[1] <= len(script)
