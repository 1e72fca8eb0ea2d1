"""The client's address: what a stranger writes into a header never counts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.api import client
from indexer.api.client import UNKNOWN, client_address, limit_key, within

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
BALANCER = "10.0.0.1"

addresses = st.ip_addresses().map(lambda found: getattr(found, "ipv4_mapped", None) or found)
strangers = addresses.filter(lambda found: not any(found in network for network in TRUSTED))
proxies = st.one_of(
    st.ip_addresses(network="10.0.0.0/8"), st.ip_addresses(network="127.0.0.0/8"), st.ip_addresses(network="fd00::/8")
)
# What a stranger may send: anything that fits into a header's value.
claims = st.lists(st.one_of(st.binary(max_size=60), addresses.map(lambda found: str(found).encode())), max_size=5)


@given(strangers, claims)
def test_a_stranger_who_names_another_address_stays_who_it_is(
    peer: IPv4Address | IPv6Address, claim: list[bytes]
) -> None:
    assert client_address(str(peer), claim, TRUSTED) == str(peer)


@given(strangers, st.lists(proxies, max_size=3), claims, st.booleans())
def test_what_a_proxy_appended_counts_and_what_stands_left_of_it_does_not(
    real: IPv4Address | IPv6Address,
    between: list[IPv4Address | IPv6Address],
    claim: list[bytes],
    in_one_line: bool,  # noqa: FBT001 - drawn
) -> None:
    appended = [str(address).encode() for address in (real, *between)]
    header = [b", ".join([*claim, *appended])] if in_one_line else [*claim, *appended]
    assert client_address(BALANCER, header, TRUSTED) == str(real)


@given(st.lists(proxies, min_size=1, max_size=4))
def test_where_every_address_is_trusted_the_leftmost_one_asks(chain: list[IPv4Address | IPv6Address]) -> None:
    assert client_address(BALANCER, [", ".join(map(str, chain)).encode()], TRUSTED) == str(chain[0])


@given(st.text(max_size=60) | st.none(), st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_comes_in_an_address_or_unknown_goes_out(peer: str | None, header: list[bytes]) -> None:
    found = client_address(peer, header, TRUSTED)
    assert found == UNKNOWN or str(ip_address(found)) == found


@given(addresses)
def test_a_limit_counts_an_ipv4_address_and_the_64_of_an_ipv6_one(address: IPv4Address | IPv6Address) -> None:
    key = limit_key(str(address))
    if isinstance(address, IPv4Address):
        assert key == str(address)
    else:
        assert ip_network(key).prefixlen == 64
        assert address in ip_network(key)


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        (BALANCER, [], BALANCER),
        (BALANCER, [b"203.0.113.7"], "203.0.113.7"),
        (BALANCER, [b"198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (BALANCER, [b"198.51.100.1", b"203.0.113.7, 10.0.0.9"], "203.0.113.7"),
        (BALANCER, [b"203.0.113.7, garbage, 10.0.0.9"], "10.0.0.9"),
        (BALANCER, [b"203.0.113.7, garbage"], BALANCER),
        (BALANCER, [b"203.0.113.7,"], BALANCER),
        (BALANCER, [b""], BALANCER),
        (BALANCER, [b"2001:DB8::0:1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", [b"::ffff:203.0.113.7"], "203.0.113.7"),
        ("fe80::1%eth0", [], "fe80::1"),
        ("", [b"203.0.113.7"], UNKNOWN),
        (None, [b"203.0.113.7"], UNKNOWN),
    ],
)
def test_examples_of_who_asks(peer: str | None, header: list[bytes], expected: str) -> None:
    assert client_address(peer, header, TRUSTED) == expected


def test_without_trusted_proxies_no_header_counts() -> None:
    assert client_address("127.0.0.1", [b"203.0.113.7"], ()) == "127.0.0.1"


def test_neighbours_in_one_64_share_a_limit_and_those_of_the_next_have_their_own() -> None:
    assert limit_key("2001:db8:0:1::1") == limit_key("2001:db8:0:1:ffff::2") == "2001:db8:0:1::/64"
    assert limit_key("2001:db8:0:2::1") != limit_key("2001:db8:0:1::1")
    assert limit_key(UNKNOWN) == UNKNOWN


def test_an_address_is_within_its_networks_and_the_unknown_within_none() -> None:
    assert within("10.1.2.3", TRUSTED)
    assert not within("203.0.113.7", TRUSTED)
    assert not within(UNKNOWN, (ip_network("0.0.0.0/0"), ip_network("::/0")))


def test_a_long_forged_entry_is_not_kept() -> None:
    before = client._parse.cache_info().currsize  # noqa: SLF001 - what it must not fill
    for number in range(100):
        client_address(BALANCER, [b"%05d" % number + b"x" * 10_000], TRUSTED)
    assert client._parse.cache_info().currsize <= before + 1  # noqa: SLF001 - as above
