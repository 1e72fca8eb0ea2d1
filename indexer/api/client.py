"""Who the client is: the address that a trusted proxy names, and what of it a limit is counted by."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.settings import Networks

UNKNOWN = "unknown"  # a peer without an address, such as one on a Unix socket

_LONGEST = 45  # characters of an address; what is longer is none, and must not fill the cache
_GROUP = 64  # bits of an IPv6 address that one subscriber has at least


class Address(NamedTuple):
    """An address and its canonical text, which is made once."""

    text: str
    parsed: IPv4Address | IPv6Address


def client_address(peer: str | None, forwarded: Sequence[bytes], trusted: Networks) -> str:
    """Return the address of who asks, in its canonical form: the rightmost one that is no trusted proxy's.

    `peer` is who connected, `forwarded` the values of X-Forwarded-For in their order. They count only from a trusted
    peer: each proxy appends whom it saw, so what stands left of the first stranger is the stranger's own claim. An
    entry that is no address ends the walk at the one before it.
    """
    address = _parse(peer) if peer is not None and len(peer) <= _LONGEST else None
    if address is None:
        return UNKNOWN
    if forwarded and _within(address, trusted):
        return _walk(address, forwarded, trusted).text
    return address.text


@lru_cache(maxsize=4096)
def limit_key(address: str) -> str:
    """Return what a client's limits are counted by: an IPv4 address, the /64 of an IPv6 one, UNKNOWN as it is."""
    found = _parse(address)
    if found is not None and isinstance(found.parsed, IPv6Address):
        return str(IPv6Network((int(found.parsed) >> _GROUP << _GROUP, _GROUP)))
    return address


def within(address: str, networks: Networks) -> bool:
    """Return whether a client's address is in one of the networks; UNKNOWN is in none."""
    found = _parse(address)
    return found is not None and _within(found, networks)


def _walk(peer: Address, forwarded: Sequence[bytes], trusted: Networks) -> Address:
    last = peer
    for value in reversed(forwarded):
        rest = value
        while rest:
            # From the right, one at a time: a forged header of thousands of entries costs no more than its last one.
            rest, _, entry = rest.rpartition(b",")
            entry = entry.strip(b" \t")
            address = _parse(entry.decode("latin-1")) if len(entry) <= _LONGEST else None
            if address is None:
                return last
            if not _within(address, trusted):
                return address
            last = address
    return last


def _within(address: Address, networks: Networks) -> bool:
    for network in networks:  # noqa: SIM110 - any() costs twice as much, at each request
        if address.parsed in network:
            return True
    return False


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        # An IPv4 client of a socket that takes both families; and a zone means something on one host only.
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed))
    return Address(str(parsed), parsed)
