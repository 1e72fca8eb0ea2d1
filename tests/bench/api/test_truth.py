from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.bench.api.data import History, Shape, fill
from tests.bench.api.endpoints import ENDPOINTS, PAGE, never_asked
from tests.bench.api.load import Sample
from tests.bench.api.truth import Truth, difference

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = Shape(tickers=110, traders=110, others=40, popular=300)


@pytest.fixture
def truth(database_url: str) -> Iterator[Truth]:
    fill(database_url, SHAPE)
    with psycopg.connect(database_url) as connection:
        yield Truth(connection)


def test_every_address_that_is_asked_has_an_answer_and_lists_have_a_whole_page(truth: Truth) -> None:
    for endpoint in ENDPOINTS:
        paths = endpoint.all_paths(SHAPE)
        assert len(set(paths)) == len(paths)
        for path in (paths[0], paths[-1]):
            expected = truth.expected(path)
            assert len(expected) == PAGE if isinstance(expected, list) else expected
    assert len(truth.expected(never_asked(SHAPE, 130)[-1])) == 98


def test_a_body_that_is_not_what_the_database_holds_is_told_with_the_place(truth: Truth) -> None:
    path = ENDPOINTS[2].all_paths(SHAPE)[0]
    right = truth.expected(path)
    assert truth.differences([Sample(path, json.dumps(right))]) == []
    wrong = json.loads(json.dumps(right))
    wrong[7]["overall_balance"] = "0.00000001"
    (line,) = truth.differences([Sample(path, json.dumps(wrong))])
    assert line.startswith(f'{path}[7].overall_balance: "0.00000001" instead of "')
    assert truth.differences([Sample(path, "<html>")]) == [f"{path}: no JSON"]


@pytest.mark.parametrize(
    ("expected", "found", "line"),
    [
        ([1, 2], [1, 2], ""),
        ([1, 2], [1], ": [1] instead of [1, 2]"),
        ({"a": 1}, {"a": 1, "b": 2}, ""),
        ({"a": 1}, {"b": 2}, ': {"b": 2} instead of {"a": 1}'),
        ({"a": [1]}, {"a": [2]}, ".a[0]: 2 instead of 1"),
        ({"a": True}, {"a": 1}, ".a: 1 instead of true"),
    ],
)
def test_a_difference_is_found_where_it_is(expected: object, found: object, line: str) -> None:
    assert difference(expected, found) == line


def test_the_history_is_the_same_every_time_and_its_balances_are_what_its_operations_add_up_to() -> None:
    history, again = History(SHAPE), History(SHAPE)
    rows = list(history.rows())
    assert rows == list(again.rows())
    assert len({row[0] for row in rows}) == len(rows) == SHAPE.operations
    held: dict[tuple[str, str], int] = {}
    for row in rows:
        op, ticker, amount, sender, recipient, error = row[5], row[6], row[7], row[10], row[11], row[13]
        if error is None and op != "deploy":
            units = int(amount.replace(".", ""))
            held[ticker, recipient] = held.get((ticker, recipient), 0) + units
            if sender:
                held[ticker, sender] -= units
                assert held[ticker, sender] >= 0
    assert held == {(row[0], row[1]): int(row[2].replace(".", "")) for row in history.balance_rows()}
