"""A signal that comes at the worst moment."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING

import pytest

from indexer.signals import at_signals, at_the_end
from infra.local.signals import set_at_the_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDS = (signal.SIGTERM, signal.SIGINT)
SECONDS = 5.0


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (*ENDS, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("listen", [lambda stop: at_the_end(stop.set), set_at_the_end], ids=["indexer", "infra"])
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_that_interrupts_the_wait_for_the_event_sets_it_within_5_seconds(
    listen: Callable[[Event], None], number: signal.Signals
) -> None:
    stop = Event()
    listen(stop)
    with vars(stop)["_cond"]:  # what `stop.wait` holds when it begins and when it ends
        signal.raise_signal(number)
    assert stop.wait(SECONDS)


def test_each_signal_acts_once() -> None:
    acted: list[Event] = [Event(), Event()]
    left = iter(acted)
    at_signals((signal.SIGHUP,), lambda: next(left).set())
    for each in acted:
        signal.raise_signal(signal.SIGHUP)
        assert each.wait(SECONDS)
