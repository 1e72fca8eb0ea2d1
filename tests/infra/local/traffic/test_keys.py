from __future__ import annotations

import pytest
from btclib.script.script_pub_key import address as oracle_address

from infra.local.traffic.address import address, has_address
from infra.local.traffic.keys import WITHOUT_ADDRESS, Kind, make_key, script_of
from infra.local.traffic.wallet import make_wallet


def test_a_seed_and_an_index_always_give_the_same_key() -> None:
    assert make_key(7, 3).secret == make_key("7", 3).secret
    assert len({make_key(seed, index).secret for seed in range(5) for index in range(5)}) == 25


@pytest.mark.parametrize("kind", list(Kind))
def test_addresses_are_those_of_an_independent_library(kind: Kind) -> None:
    for index in range(20):
        script = script_of(kind, make_key("addresses", index))
        expected = None if kind in WITHOUT_ADDRESS else oracle_address(script, "regtest")
        assert address(script) == expected
        assert has_address(script) is (expected is not None)


@pytest.mark.parametrize(
    "script", ["", "6a", "0014", "0015" + "00" * 21, "5121" + "00" * 32, "51014e", "52" + "29" + "00" * 41]
)
def test_scripts_that_only_look_like_witness_programs_have_no_address(script: str) -> None:
    assert address(bytes.fromhex(script)) is None


def test_later_witness_versions_have_an_address() -> None:
    script = bytes.fromhex("6010751e76e8199196d454941c45d1b3a323")
    assert address(script, "bc") == oracle_address(script, "mainnet")


def test_a_wallet_has_every_manner_of_owner_and_no_key_twice() -> None:
    wallet = make_wallet("any")
    assert {Kind.P2WPKH, Kind.P2TR, Kind.P2PKH} <= {party.kind for party in wallet.addressed}
    assert all(address(party.script) is None for party in wallet.nameless)
    assert len(wallet.by_script) == len(wallet.parties) == len(wallet.addressed) + len(wallet.nameless)
    assert make_wallet("any") == wallet
    assert not set(make_wallet("other").by_script) & set(wallet.by_script)
