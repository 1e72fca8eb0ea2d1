"""Every alert has its answer, and every answer is some alert's."""

from __future__ import annotations

import pytest

from alerts import rulebook
from runbooks.engine.arguments import ArgumentError, parse_arguments
from runbooks.engine.model import WHOLE
from runbooks.engine.registry import runbooks
from runbooks.response.answers import ALERTS, ANSWERS, looks_back

BOOKS = runbooks(("runbooks.response.books",))


def test_every_alert_names_the_runbook_that_answers_it_and_every_answer_is_named() -> None:
    assert {alert.name: alert.runbook for alert in rulebook.alerts()} == ANSWERS
    assert BOOKS.keys() == ALERTS.keys()


def test_no_alert_has_two_answers() -> None:
    assert sum(map(len, ALERTS.values())) == len(ANSWERS)


def test_alerts_of_budgets_are_those_of_the_objectives() -> None:
    of_objectives = {alert.name for alert in rulebook.alerts() if dict(alert.labels).get("slo")}
    assert {alert for alert in ANSWERS if looks_back(alert)} == of_objectives


@pytest.mark.parametrize("name", ALERTS)
def test_an_answer_can_begin_without_an_argument_and_keeps_nobody_from_another_one(name: str) -> None:
    book = BOOKS[name]
    arguments = parse_arguments(book.parameters, [])
    assert book.target(arguments) != WHOLE
    assert book.diagnosis[0].title == "Whether it fires, and since when"
    assert book.verify[-1].title == "The alert's own condition is no longer true"
    for parameter in book.parameters:
        with pytest.raises(ArgumentError):
            parse_arguments(book.parameters, [f"{parameter.name}=;reboot"])


def test_only_what_its_own_alerts_are_can_be_answered() -> None:
    book = BOOKS["answer-api-down"]
    assert parse_arguments(book.parameters, ["alert=BalancerDown"])["alert"] == "BalancerDown"
    with pytest.raises(ArgumentError, match="has to be one of all, ApiDown"):
        parse_arguments(book.parameters, ["alert=CacheDown"])
