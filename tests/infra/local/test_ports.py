from __future__ import annotations

import socket
from contextlib import closing

import pytest

from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port, Reservations, choose, fallback_ports, find, is_free

WISHES = (Port("database", 5000), Port("api", 8000))


def test_free_defaults_are_taken() -> None:
    assert choose(WISHES, remembered={}, usable=lambda _: True, fallback=[]) == {"database": 5000, "api": 8000}


def test_what_was_chosen_before_goes_before_the_default() -> None:
    chosen = choose(WISHES, remembered={"api": 8123}, usable=lambda _: True, fallback=[])
    assert chosen == {"database": 5000, "api": 8123}


def test_a_remembered_port_that_a_stranger_took_is_replaced() -> None:
    chosen = choose(WISHES, remembered={"api": 8123}, usable=lambda n: n not in {8123, 8000}, fallback=[9001])
    assert chosen["api"] == 9001


def test_no_number_is_given_away_twice() -> None:
    chosen = choose(
        (Port("a", 1), Port("b", 1), Port("c", 1)), remembered={}, usable=lambda _: True, fallback=[1, 2, 3]
    )
    assert sorted(chosen.values()) == [1, 2, 3]


def test_a_full_range_is_one_clear_line() -> None:
    with pytest.raises(EnvelopeError, match=r"no free TCP port on 127\.0\.0\.1 for database") as caught:
        choose(WISHES, remembered={}, usable=lambda _: False, fallback=[1, 2])
    assert "\n" not in str(caught.value)


def test_a_given_range_is_kept_to() -> None:
    numbers, only = fallback_ports("100-102")
    assert (numbers, only) == ([100, 101, 102], True)
    assert choose(WISHES, remembered={}, usable=lambda _: True, fallback=numbers, only_fallback=True) == {
        "database": 100,
        "api": 101,
    }


@pytest.mark.parametrize("setting", ["5", "9-3", "a-b", "0-5", "65000-70000"])
def test_a_range_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(EnvelopeError, match="SIMPLICITY_PORT_RANGE"):
        fallback_ports(setting)


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        number = server.getsockname()[1]
        assert not is_free(number)
    assert is_free(number)


def test_two_envelopes_that_start_at_once_get_different_ports() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        wish = (Port("api", server.getsockname()[1]),)
    with closing(Reservations()) as first, closing(Reservations()) as second:
        mine = find(wish, remembered={}, ours=frozenset(), reservations=first)
        theirs = find(wish, remembered={}, ours=frozenset(), reservations=second)
    assert mine["api"] == wish[0].default
    assert theirs["api"] != mine["api"]


def test_a_port_our_own_process_listens_on_is_kept() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server, closing(Reservations()) as reservations:
        number = server.getsockname()[1]
        found = find((Port("api", 1),), remembered={"api": number}, ours=frozenset({number}), reservations=reservations)
    assert found == {"api": number}
