from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from loadtests.answers import PREFIX, Answer, Outcome, Question, judge, one, rows
from loadtests.behaviour import BEHAVIOURS, STATUS, Explorer, MarketBot, Wallet, as_typed, next_page
from loadtests.sample import Sample
from tests.loadtests.canned_api import TICKERS, address, answer_of

if TYPE_CHECKING:
    from loadtests.behaviour import Behaviour

SAMPLE = Sample(
    tip=900,
    tickers=TICKERS,
    addresses=tuple(address(number) for number in range(3)),
    balances=tuple((address(number), ticker) for number in range(2) for ticker in TICKERS),
    transactions=(("ORDI", "ab" * 32), ("Ω1", "cd" * 32)),
    heights=(800, 803),
)
NEXT = {"link": f'<{PREFIX}/brc20/list?limit=50&cursor=abc>; rel="next"'}


def asked(user: Behaviour, number: int, headers: dict[str, str] | None = None, only: str = "") -> list[Question]:
    """What a user asks whose questions are all answered well; `headers` come with routes that end so."""
    questions = []
    for _ in range(number):
        question = user.next()
        body = json.dumps(answer_of(question.path)).encode()
        answer = Answer(200, body, headers or {} if question.route.endswith(only) else {})
        assert judge(question, answer).outcome is Outcome.OK, (question, body)
        user.learn(question, answer)
        questions.append(question)
    return questions


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_users_ask_what_the_api_answers_and_equal_seeds_ask_the_same(kind: type[Behaviour]) -> None:
    paths = [[each.path for each in asked(kind(SAMPLE, random.Random(4)), 100)] for _ in range(2)]
    assert paths[0] == paths[1]
    assert paths[0] != [each.path for each in asked(kind(SAMPLE, random.Random(5)), 100)]


def test_a_route_is_counted_under_its_template_whatever_stands_in_it() -> None:
    routes = {each.route for kind in BEHAVIOURS for each in asked(kind(SAMPLE, random.Random(1)), 300)}
    assert routes == {
        f"{PREFIX}{route}"
        for route in (
            "/address/{address}/brc20/{ticker}/info",
            "/address/{address}/history",
            "/brc20/address/{address}/tickers",
            "/brc20/history-by-height/{height}",
            "/brc20/list",
            "/brc20/status",
            "/brc20/{ticker}/history",
            "/brc20/{ticker}/holders",
            "/brc20/{ticker}/info",
            "/brc20/{ticker}/tx/{txid}/history",
            "/state/{height}",
        )
    }


def test_a_wallet_asks_for_its_own_address_only_and_polls_the_tip() -> None:
    wallet = Wallet(SAMPLE, random.Random(2))
    questions = asked(wallet, 60)
    assert all(question is STATUS or wallet.address in question.path for question in questions)
    assert questions.count(STATUS) >= 15


def test_a_wallet_turns_the_page_of_a_history_sometimes() -> None:
    target = f"{PREFIX}/address/{address(0)}/history?limit=20&cursor=abc"
    wallet = Wallet(SAMPLE, random.Random(2))
    paths = [each.path for each in asked(wallet, 200, {"link": f'<{target}>; rel="next"'}, only="history")]
    assert 5 <= paths.count(target) <= 60
    assert "cursor" not in "".join(before for before, path in pairwise(paths) if path == target)


def test_an_explorer_follows_the_cursor_of_a_list_for_three_pages() -> None:
    explorer = Explorer(SAMPLE, random.Random(3))
    paths = [each.path for each in asked(explorer, 3, NEXT)]
    assert paths == [f"{PREFIX}/brc20/list?limit=50", *[f"{PREFIX}/brc20/list?limit=50&cursor=abc"] * 2]
    assert "list" not in asked(explorer, 1, NEXT)[0].path


def test_an_explorer_of_an_index_without_operations_looks_at_the_rest() -> None:
    without = Sample(900, TICKERS, SAMPLE.addresses, (), (), (800,))
    assert not any("/tx/" in each.path for each in asked(Explorer(without, random.Random(3)), 50))


def test_a_market_bot_hammers_few_tickers_and_asks_only_for_what_changed() -> None:
    bot = MarketBot(SAMPLE, random.Random(6))
    first = asked(bot, 1 + 2 * len(bot.tickers), {"etag": '"t1"'})
    again = asked(bot, 1 + 2 * len(bot.tickers), {"etag": '"t1"'})
    assert {each.etag for each in first} == {""}
    assert {each.etag for each in again} == {'"t1"'}
    assert [each.path for each in first] == [each.path for each in again]
    # An answer without a tag leaves nothing to compare with.
    assert {each.etag for each in asked(MarketBot(SAMPLE, random.Random(6)), 30)} == {""}


def test_a_few_tickers_have_most_of_the_attention() -> None:
    many = Sample(900, tuple(f"T{number:03}" for number in range(100)), SAMPLE.addresses, (), (), (800,))
    explorer, counts = Explorer(many, random.Random(1)), Counter[str]()
    for question in asked_without_answers(explorer, 4_000):
        if question.route.endswith("/holders"):
            counts[question.path] += 1
    first = sum(counts[f"{PREFIX}/brc20/T{number:03}/holders?limit=50"] for number in range(13))
    assert first > counts.total() * 0.4


def asked_without_answers(user: Behaviour, number: int) -> list[Question]:
    return [user.next() for _ in range(number)]


def test_a_search_is_typed_in_lower_case_where_that_is_the_same_ticker() -> None:
    assert [as_typed(ticker) for ticker in ("ORDI", "ẞABC")] == ["ordi", "ẞABC"]
    paths = {each.path for each in asked(Explorer(SAMPLE, random.Random(1)), 200)}
    assert f"{PREFIX}/brc20/{quote('b c/d', safe='')}/info" in paths


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("", ""),
        ('</a>; rel="prev"', ""),
        ('<https://api.example.com/a?b=1>; rel="next"', "/a?b=1"),
        ("</a>; rel=next", "/a"),
    ],
)
def test_the_next_page_is_asked_of_the_same_server(link: str, target: str) -> None:
    assert next_page(Answer(200, headers={"link": link})) == target


QUESTION = Question(route="/a", path="/a", check=one("height", name="x"))


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (Answer(200, b'{"height": 1, "name": "x"}'), Outcome.OK, ""),
        (Answer(429), Outcome.LIMITED, "429"),
        (Answer(503), Outcome.SERVER_ERROR, "503"),
        (Answer(0, error="timed out"), Outcome.UNANSWERED, "no answer: timed out"),
        (Answer(0), Outcome.UNANSWERED, "no answer: the connection ended"),
        (Answer(404), Outcome.WRONG, "404 instead of 200"),
        (Answer(304), Outcome.WRONG, "304 instead of 200"),
        (Answer(200, b"<html>"), Outcome.WRONG, "is no JSON"),
        (Answer(200, b"[]"), Outcome.WRONG, "is no object"),
        (Answer(200, b'{"name": "x"}'), Outcome.WRONG, "has no height"),
        (Answer(200, b'{"height": 1, "name": "y"}'), Outcome.WRONG, "has another name"),
    ],
)
def test_an_answer_is_judged_by_status_and_shape(answer: Answer, outcome: Outcome, reason: str) -> None:
    judgement = judge(QUESTION, answer)
    assert (judgement.outcome, judgement.reason) == (outcome, reason)


def test_not_modified_is_an_answer_only_to_who_has_one_already() -> None:
    assert judge(Question(route="/a", path="/a", check=one(), etag='"1"'), Answer(304)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([{"op": 1, "t": "A"}], ""),
        ([], ""),
        ({}, "is no list"),
        ([{"op": 1, "t": "A"}, {"op": 1, "t": "B"}], "has another t"),
        ([1], "is no object"),
        ([{"op": 1, "t": "A"}] * 3, "has more than 2 rows"),
    ],
)
def test_every_row_of_a_list_is_looked_at(body: object, reason: str) -> None:
    assert rows("op", most=2, t="A")(body) == reason
