"""What the first page makes of what is seen, and of what is not."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alerts.live import FiringAlert
from alerts.matcher import WATCHDOG_LATE_SECONDS
from alerts.model import Severity
from runbooks.maintenance.health import Finding
from runbooks.maintenance.verdict import Health, Verdict
from runbooks.operations import kept, seen
from runbooks.operations.kept import Kept
from runbooks.operations.now import MOST_ALERTS, Heard, headline, now_page
from runbooks.operations.place import Place
from runbooks.operations.seen import Alerts, Budgets, Components, Seen, Small, alerts_of
from tests.runbooks.operations.stack import NOBODY, Stack
from tests.support.canned import Canned

if TYPE_CHECKING:
    from collections.abc import Callable

AT = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
WELL = Components((Finding("api", Verdict(Health.HEALTHY, "serves tip 7"), 3.0),))
SEEN = Seen(AT.timestamp(), "here", WELL, Alerts(), Budgets(), Small(problem="none"))
HEARD = Heard(AT, AT, AT.timestamp())


def firing(severity: Severity = Severity.CRITICAL, **changes: object) -> FiringAlert:
    alert = FiringAlert(name="ApiDown", severity=severity, labels={"instance": "api-1"}, since=AT, summary="down")
    return replace(alert, **changes)  # type: ignore[arg-type] # a test gives what the alert takes


def component(health: Health) -> Components:
    return Components((Finding("sync", Verdict(health, "lags", "look"), 3.0),))


@pytest.mark.parametrize(
    ("shown", "heard", "severity", "sentence"),
    [
        (SEEN, HEARD, "good", "Nothing is wrong: no alert, all components healthy"),
        (replace(SEEN, alerts=Alerts((firing(),))), HEARD, "critical", "1 critical alert"),
        (
            replace(SEEN, alerts=Alerts((firing(), firing(Severity.WARNING), firing(Severity.WARNING)))),
            HEARD,
            "critical",
            "1 critical and 2 warning alerts",
        ),
        (replace(SEEN, alerts=Alerts((firing(Severity.WARNING),))), HEARD, "warning", "1 warning alert"),
        (replace(SEEN, alerts=Alerts((firing(silenced_by=("a",)),))), HEARD, "good", "Nothing is wrong"),
        (replace(SEEN, components=component(Health.DEGRADED)), HEARD, "warning", "sync not healthy"),
        (replace(SEEN, components=component(Health.UNHEALTHY)), HEARD, "critical", "sync not healthy"),
        (replace(SEEN, components=None), HEARD, "warning", "components are not known"),
        (replace(SEEN, alerts=None), HEARD, "critical", "alerts are not known"),
        (
            replace(SEEN, alerts=Alerts(note="from Prometheus")),
            HEARD,
            "warning",
            "alerts are not known or do not travel",
        ),
        (SEEN, Heard(None, None, AT.timestamp() - 301), "warning", "the heartbeat is missing"),
        (SEEN, Heard(None, None, AT.timestamp() - 299), "good", "Nothing is wrong"),
        (SEEN, replace(HEARD, refuses=True), "critical", "deliveries of alerts are refused"),
    ],
)
def test_one_sentence_says_the_worst_of_all(shown: Seen, heard: Heard, severity: str, sentence: str) -> None:
    found = headline(shown, heard)
    assert found[0] == severity
    assert sentence in found[1]


def test_what_gave_no_answer_in_time_says_so_and_the_rest_is_there() -> None:
    page = now_page(replace(SEEN, components=None, alerts=None, budgets=None, small=None), HEARD)
    assert page.count("no answer in time; it is asked again") == 4
    assert "Heartbeat" in page


def test_what_is_not_known_says_since_when_and_what_is_of_before_says_how_old_it_is() -> None:
    page = now_page(replace(SEEN, components=None, ages={"components": 3_600, "alerts": 12.4, "small": 2.0}), HEARD)
    assert "not known since 2026-11-30 07:00:00 UTC: no answer in time; it is asked again" in page
    assert "Seen at 2026-11-30 08:00:00 UTC; alerts 12 s before<" in page
    assert "components are not known" in page


def test_while_deliveries_are_refused_the_page_says_what_to_remove() -> None:
    assert "remove it" not in now_page(SEEN, HEARD)
    assert "Refused while there is a file `refuse` beside the deliveries: remove it." in now_page(
        SEEN, replace(HEARD, refuses=True)
    )


def test_an_old_answer_is_none_and_is_not_shown_as_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "environment.json"
    Stack(NOBODY, NOBODY, Canned(NOBODY), {}).environment().save(document)
    watch, hangs = seen.Watch(Place(document, tmp_path)), threading.Event()
    monkeypatch.setattr(seen, "examine", lambda _: [])
    assert watch.look(20.0).components == Components()
    monkeypatch.setattr(seen, "examine", lambda _: hangs.wait(60))
    monkeypatch.setattr(seen, "KNOWN_SECONDS", 0.0)
    try:
        found = watch.look(0.0)
        assert found.components is None
        assert 0 < found.ages["components"] < 60
    finally:
        hangs.set()


def test_the_documents_say_the_limit_of_the_heartbeat_that_all_judge_by() -> None:
    text = (Path(__file__).parents[3] / "docs" / "alerting.md").read_text(encoding="utf-8")
    said = re.search(r"heard nothing for (\d+) minutes", text)
    assert said is not None
    assert int(said[1]) * 60 == WATCHDOG_LATE_SECONDS


def test_a_flood_of_alerts_is_cut_and_the_rest_counted_and_one_that_follows_from_another_says_so() -> None:
    many = tuple(firing(inhibited_by=("cause",), summary="x" * 5_000) for _ in range(MOST_ALERTS + 5))
    page = now_page(replace(SEEN, alerts=Alerts(many)), HEARD)
    assert page.count("<h3>ApiDown</h3>") == MOST_ALERTS
    assert "and 5 more: `simplicity alerts firing` lists them" in page
    assert "Nobody is told: its cause fires too." in page
    assert "x" * 700 not in page


def test_a_silence_that_is_gone_meanwhile_is_still_one_and_an_address_that_is_none_is_no_link() -> None:
    odd = firing(silenced_by=("gone",), runbook_url="http://[::bad", dashboard_url="docs/runbooks/a.md")
    page = now_page(replace(SEEN, alerts=Alerts((odd,))), HEARD)
    assert "Silenced." in page
    assert "What to do" not in page
    assert ">Dashboard<" not in page


def test_without_an_alertmanager_prometheus_is_asked_and_without_both_nobody_knows() -> None:
    behind = Stack(NOBODY, NOBODY, Canned(NOBODY), {})
    environment = behind.environment()
    found = alerts_of(lambda: environment)
    assert found.problem.startswith(f"nobody knows what fires: {NOBODY}/api/v2/alerts does not answer")
    endpoints = environment.endpoints.model_copy(update={"alertmanager": None})
    without = environment.model_copy(update={"endpoints": endpoints})
    assert "this environment has no Alertmanager" in alerts_of(lambda: without).problem


def counting(answers: list[int]) -> Callable[[], int]:
    def ask() -> int:
        answers.append(len(answers) + 1)
        return answers[-1]

    return ask


def told(question: Kept[int], within: float) -> int | None:
    answer = question.get(within)
    return None if answer is None else answer.value


def test_a_question_is_asked_once_for_all_who_look_and_again_when_its_answer_is_old() -> None:
    asked: list[int] = []
    once = Kept(counting(asked), 60.0)
    assert [told(once, 5.0) for _ in range(3)] == [1, 1, 1]
    fresh = Kept(counting(asked), 0.0)
    assert told(fresh, 5.0) != told(fresh, 5.0)


def test_who_waits_for_a_question_that_hangs_gets_what_was_known_before() -> None:
    go_on, answers = threading.Event(), iter([1])

    def ask() -> int:
        found = next(answers, None)
        if found is None:
            go_on.wait(30)
            return 2
        return found

    slow = Kept(ask, 0.0)
    assert told(slow, 5.0) == 1
    began = time.monotonic()
    before = slow.get(0.1)
    assert time.monotonic() - began < 5
    assert before is not None
    assert (before.value, before.age >= 0.1) == (1, True), "and it says how old it is"
    go_on.set()
    assert told(slow, 5.0) == 2


def test_a_question_that_hangs_for_ever_is_given_up_and_asked_anew_and_not_heard_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "LOG", Log())
    hangs, ended = threading.Event(), threading.Event()
    asked: list[int] = []

    def ask() -> int:
        turn = len(asked) + 1
        asked.append(turn)
        if turn == 1:
            hangs.wait(30)
            ended.set()
        return turn

    question = Kept(ask, 60.0, hangs=0.05)
    assert question.get(0.1) is None
    assert told(question, 5.0) == 2
    hangs.set()
    assert ended.wait(5)
    assert told(question, 5.0) == 2, "what was asked first is older"
    assert asked == [1, 2]


def test_each_time_that_a_question_hangs_it_has_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    log, hangs = Log(), threading.Event()
    asked: list[int] = []
    monkeypatch.setattr(kept, "LOG", log)

    def ask() -> int:
        asked.append(1)
        hangs.wait(60)
        return 1

    question = Kept(ask, 60.0, hangs=0.2)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        question.get(0.01)
    hangs.set()
    assert 2 <= len(asked) <= 3, "at 0.2 s and at 0.6 s, not five times"
    assert len(log.lines) == len(asked) - 1


class Log:
    """Takes the lines that are logged of what goes wrong."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def exception(self, line: str) -> None:
        self.lines.append(line)

    def error(self, line: str, **_: object) -> None:
        self.lines.append(line)


def test_a_mistake_of_ours_in_one_part_leaves_what_was_known_and_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(kept, "LOG", log)

    def ask() -> int:
        raise KeyError("a part")

    assert Kept(ask, 60.0).get(5.0) is None
    assert log.lines == ["a part of the page cannot be made"]
