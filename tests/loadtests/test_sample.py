from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from loadtests.errors import LoadtestError
from loadtests.sample import Sample, take
from tests.loadtests.canned_api import TICKERS, TIP, address, canned_api, operation
from tests.support.postgres import free_port


def test_a_sample_has_what_the_index_has_and_is_the_same_for_the_same_seed() -> None:
    with canned_api() as api:
        sample = take(api.url, seed=7, key="sk-1")
        asked = len(api.asked)
        assert take(api.url, seed=7) == sample
    assert sample.tip == TIP
    assert sample.tickers == TICKERS  # from the most to the least held
    assert set(sample.balances) == {(address(holder), ticker) for holder in range(3) for ticker in TICKERS}
    assert {address(0), address(90)} <= set(sample.addresses)
    assert ("ORDI", operation("ORDI", 4)["txid"]) in sample.transactions
    assert set(sample.heights) == set(range(800, 805))
    assert asked == 2 + 2 * len(TICKERS)
    assert api.keys == {"sk-1", None}


def test_a_sample_goes_through_json_unchanged() -> None:
    with canned_api() as api:
        sample = take(api.url, seed=7)
    assert Sample.of(json.loads(json.dumps(dataclasses.asdict(sample)))) == sample


def test_blocks_that_may_be_taken_back_are_left_out_where_there_are_others() -> None:
    def change(_number: int, target: str) -> tuple[int, Any] | None:
        if "/history" not in target:
            return None
        return 200, [operation("ORDI", 1), operation("ORDI", TIP - 800 - 3)]

    with canned_api() as api:
        api.change = change
        assert take(api.url, seed=1).heights == (801,)


def test_a_young_index_is_asked_for_what_it_has() -> None:
    def change(_number: int, target: str) -> tuple[int, Any] | None:
        if target.endswith("/status"):
            return 200, {"last_indexed_block_main_chain": 703}
        return (200, []) if "/history" in target or "/holders" in target else None

    with canned_api() as api:
        api.change = change
        sample = take(api.url, seed=1)
    assert (sample.heights, sample.balances, sample.transactions) == ((700,), (), ())
    assert sample.addresses


@pytest.mark.parametrize(
    ("path", "status", "body", "says"),
    [
        ("/brc20/list", 200, [], "the index has no tickers, so there is nothing to ask for"),
        ("/brc20/status", 503, {"detail": "nothing is indexed yet"}, "503 (nothing is indexed yet)"),
        ("/brc20/status", 502, "bad gateway", "with 502, so no sample can be taken"),
        ("/brc20/status", 401, {"detail": "no"}, "give a key that may read by --key-file"),
        ("/brc20/status", 200, {}, "is not what the API answers"),
        ("/brc20/list", 200, [{"ticker": "ORDI"}], "is not what the API answers"),
        ("/brc20/list", 200, {"no": "list"}, "is not what the API answers"),
    ],
)
def test_an_index_that_cannot_be_sampled_is_told_in_one_line(path: str, status: int, body: object, says: str) -> None:
    with canned_api() as api:
        api.change = lambda _number, target: (status, body) if path in target else None
        with pytest.raises(LoadtestError) as caught:
            take(api.url, seed=1)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_api_that_is_not_there_is_told_in_one_line() -> None:
    with pytest.raises(
        LoadtestError, match=r"^http://127\.0\.0\.1:\d+ does not answer \(.+\); is the environment up\?$"
    ):
        take(f"http://127.0.0.1:{free_port()}", seed=1)
