from __future__ import annotations

import hashlib
import hmac
import re
import statistics
import time

import pytest

from indexer.auth.keys import Digester, id_of, is_id, new_key
from indexer.auth.times import duration, moment
from indexer.settings import ConfigurationError
from tests.indexer.auth.world import PEPPER, key


def test_a_key_carries_its_id_and_32_random_bytes() -> None:
    made = [new_key() for _ in range(100)]
    assert all(re.fullmatch(r"sk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text) for _, text in made)
    assert all(id_of(text) == key_id and is_id(key_id) for key_id, text in made)
    assert len({text[16:] for _, text in made}) == len({key_id for key_id, _ in made}) == 100


def test_what_is_stored_is_the_hmac_of_the_whole_key_under_the_pepper() -> None:
    text, record = key()
    assert record.digest == hmac.new(PEPPER.encode(), text.encode(), hashlib.sha256).digest()
    digester = Digester(PEPPER)
    assert digester.is_of(text, record.digest)
    assert not digester.is_of(text[:-1] + ("A" if text[-1] != "A" else "B"), record.digest)
    assert not Digester(PEPPER + "x").is_of(text, record.digest)
    # The id is part of it: a digest moved to another row is of no use.
    assert not digester.is_of(f"sk_{'0' * 12}{text[15:]}", record.digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk_",
        "sk_0123456789ab_",
        f"sk_0123456789AB_{'a' * 43}",
        f"SK_0123456789ab_{'a' * 43}",
        f"sk_{chr(0x663)}123456789ab_{'a' * 43}",
        f"sk_0123456789ab_{'a' * 44}",
        f"sk_0123456789ab_{'a' * 42}",
        f"sk_0123456789ab_{'ä' * 43}",
        f"sk_0123456789ab_{'a' * 42}\n",
        f"sk_0123456789ab_{'a' * 43}\n",
    ],
)
def test_what_has_not_the_form_has_no_id(text: str) -> None:
    assert id_of(text) is None


def test_neither_digest_nor_pepper_is_shown() -> None:
    text, record = key()
    shown = f"{record!r} {record} {Digester(PEPPER)!r}"
    assert record.digest.hex() not in shown
    assert repr(record.digest) not in shown
    assert PEPPER not in shown
    assert text not in shown


@pytest.mark.parametrize(("text", "seconds"), [("90d", 7_776_000), ("24h", 86_400), ("15m", 900), ("0s", 0)])
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert duration("--expires", text) == seconds


@pytest.mark.parametrize("text", ["", "d", "90", "90 d", "-1d", "1.5h", f"{chr(0x663)}d", "36501d", "9" * 30 + "s"])
def test_anything_else_is_one_line_that_says_what_to_write(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must look like 90d, 24h, 15m or 60s"):
        duration("--expires", text)


def test_times_that_no_calendar_has_are_shown_as_the_nearest_one() -> None:
    assert moment(1_800_000_000.9) == "2027-01-15T08:00:00Z"
    assert moment(float("inf")) == "9999-12-31T23:59:59Z"
    assert moment(float("-inf")) == "1970-01-01T00:00:00Z"


@pytest.mark.proof
def test_a_wrong_secret_takes_as_long_however_much_of_it_is_right() -> None:
    text, record = key()
    digester = Digester(PEPPER)
    guesses = {"first": text[:16] + "A" * 43, "last": text[:-1] + ("A" if text[-1] != "A" else "B")}
    times: dict[str, list[int]] = {name: [] for name in guesses}
    for _ in range(20_000):
        for name, guess in guesses.items():
            begin = time.perf_counter_ns()
            digester.is_of(guess, record.digest)
            times[name].append(time.perf_counter_ns() - begin)
    first, last = (statistics.median(each) for each in times.values())
    assert abs(first - last) < 0.1 * first
