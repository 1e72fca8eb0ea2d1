from __future__ import annotations

import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.fleet.control import trusting, waited

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

BALANCERS = ("lb1", "lb2")


@pytest.fixture
def holders(on: Callable[[str], Any], environment: Environment) -> Callable[[], list[str]]:
    """Who has the shared address right now."""
    shared = f" {urlsplit(environment.endpoints.api).hostname}/"
    return lambda: [name for name in BALANCERS if shared in on(name).check_output("ip -4 -brief address")]


def answers(environment: Environment) -> bool:
    with (
        suppress(OSError),
        urllib.request.urlopen(  # noqa: S310 - https
            f"{environment.endpoints.api}/health", timeout=3, context=trusting(environment)
        ) as answer,
    ):
        return bool(answer.status == 200)
    return False


def test_one_balancer_has_the_shared_address(holders: Callable[[], list[str]]) -> None:
    assert len(holders()) == 1


def test_it_moves_within_3_seconds_when_its_balancer_dies_and_stays_when_that_is_back(
    on: Callable[[str], Any], environment: Environment, holders: Callable[[], list[str]]
) -> None:
    [first] = holders()
    [second] = set(BALANCERS) - {first}
    assert waited(lambda: answers(environment), 5)
    on(first).check_output("systemctl kill --signal=SIGKILL haproxy; systemctl stop haproxy")
    try:
        assert waited(lambda: holders() == [second] and answers(environment), 3)
    finally:
        on(first).check_output("systemctl start haproxy")
    assert not waited(lambda: holders() != [second], 4)


def test_a_planned_stop_moves_it_before_anything_is_refused(
    on: Callable[[str], Any], environment: Environment, holders: Callable[[], list[str]]
) -> None:
    [first] = holders()
    on(first).check_output("systemctl stop --no-block haproxy")
    try:
        assert not waited(lambda: not answers(environment), 4)
        assert first not in holders()
    finally:
        on(first).check_output("systemctl start haproxy")


@pytest.mark.parametrize("name", BALANCERS)
def test_its_password_is_read_by_nobody_else(on: Callable[[str], Any], name: str) -> None:
    settings = on(name).file("/etc/keepalived/keepalived.conf")
    assert (settings.user, settings.mode) == ("root", 0o600)
    assert on(name).user("keepalived_script").shell == "/usr/sbin/nologin"
    assert on(name).service("keepalived").is_enabled
