"""Whatever is waited for, a call is over in its time, and timers that others set go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from runbooks.engine import limit
from runbooks.engine.limit import TimeUp, limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 0.3
SOON = 2.0  # the same and what a busy machine needs


@contextmanager
def _over_in_time() -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(TimeUp):
        yield
    assert LIMIT <= time.monotonic() - began < SOON


@pytest.fixture
def outer_timer() -> Iterator[list[float]]:
    """A timer of somebody else's, half a second from now: when it rang, in seconds since it was set."""
    before, left = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    began, rang = time.monotonic(), list[float]()
    signal.signal(signal.SIGALRM, lambda *_: rang.append(time.monotonic() - began))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    yield rang
    signal.signal(signal.SIGALRM, before)
    signal.setitimer(signal.ITIMER_REAL, *left)


def test_a_sleep_is_over_in_time() -> None:
    with _over_in_time():
        limited(LIMIT, lambda: time.sleep(60))


def test_a_child_process_is_ended_in_time() -> None:
    child = [sys.executable, "-c", "import time; time.sleep(60)"]
    with _over_in_time():
        limited(LIMIT, lambda: subprocess.run(child, check=True))


def test_a_query_is_cancelled_at_the_server_in_time(empty_database_url: str) -> None:
    def query() -> None:
        with psycopg.connect(empty_database_url, application_name="hangs") as connection:
            connection.execute("SELECT pg_sleep(60)")

    with _over_in_time():
        limited(LIMIT, query)
    with psycopg.connect(empty_database_url) as connection:
        active = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hangs' AND state = 'active'"
        assert connection.execute(active).fetchone() == (0,)


def test_a_loop_that_swallows_errors_is_over_in_time() -> None:
    def stubborn() -> None:
        while True:
            with suppress(Exception):
                time.sleep(60)

    with _over_in_time():
        limited(LIMIT, stubborn)


def test_what_hangs_while_it_cleans_up_is_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "GRACE_SECONDS", 0.2)

    def hangs_twice() -> None:
        try:
            time.sleep(60)
        finally:
            time.sleep(60)

    with _over_in_time():
        limited(LIMIT, hangs_twice)


def test_no_time_at_all_is_over_at_once() -> None:
    with pytest.raises(TimeUp):
        limited(0, lambda: time.sleep(60))


def test_what_is_over_before_gives_its_value_and_leaves_no_timer() -> None:
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    assert limited(60, lambda: 7) == 7
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    assert left <= outer
    assert outer - left < SOON


@pytest.mark.parametrize("seconds", [0.1, 60.0])
def test_a_timer_of_somebody_elses_rings_when_it_had_to(outer_timer: list[float], seconds: float) -> None:
    with suppress(TimeUp):
        limited(seconds, lambda: time.sleep(0.7))
    while not outer_timer:
        signal.pause()
    assert 0.5 <= outer_timer[0] < SOON


def test_a_limit_within_a_limit_ends_the_inner_call_and_lets_the_outer_one_go_on() -> None:
    def outer() -> str:
        with pytest.raises(TimeUp):
            limited(LIMIT, lambda: time.sleep(60))
        return "went on"

    assert limited(30, outer) == "went on"


def test_the_outer_limit_ends_what_has_more_time_within_it() -> None:
    with _over_in_time():
        limited(LIMIT, lambda: limited(60, lambda: time.sleep(60)))


def test_in_another_thread_it_refuses_to_promise_what_it_cannot_hold() -> None:
    errors: list[Exception] = []

    def elsewhere(call: Callable[[], object]) -> None:
        try:
            limited(1, call)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere, args=(lambda: None,))
    thread.start()
    thread.join()
    assert "main thread only" in str(errors[0])
