"""What a silence may be of."""

from __future__ import annotations

import pytest

from alerts import rulebook
from alerts.matcher import Matcher, MatcherError, check_narrow, parse


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("ApiDown", Matcher("alertname", "=", "ApiDown")),
        ("instance=api-1", Matcher("instance", "=", "api-1")),
        ('instance = "api-1"', Matcher("instance", "=", "api-1")),
        ("severity!=critical", Matcher("severity", "!=", "critical")),
        ('alertname=~"Api.*|Database.*"', Matcher("alertname", "=~", "Api.*|Database.*")),
        ("job!~node|api", Matcher("job", "!~", "node|api")),
        (r'path="a \"b\" \\c"', Matcher("path", "=", r'a "b" \c')),
        ("empty=", Matcher("empty", "=", "")),
    ],
)
def test_a_matcher_is_read_as_a_person_writes_it_and_written_so_that_it_is_read_again(
    text: str, matcher: Matcher
) -> None:
    assert parse(text) == matcher
    assert parse(str(matcher)) == matcher


@pytest.mark.parametrize("text", ["", "api-1", "=x", "9a=b", "instance", "alertname=~(", "a b=c"])
def test_what_is_no_matcher_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(MatcherError, match="is no matcher") as refusal:
        parse(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("a=b", "b", True),
        ("a=b", "bb", False),
        ("a!=b", "", True),
        ("a=~b", "bb", False),  # the whole value, as Alertmanager has it
        ("a=~b.*", "bb", True),
        ("a!~b.*", "bb", False),
        ("a!~b.*", "", True),
    ],
)
def test_a_matcher_holds_as_alertmanager_has_it(text: str, value: str, holds: bool) -> None:  # noqa: FBT001 - a table
    assert parse(text).holds(value) is holds


@pytest.mark.parametrize(
    "texts",
    [
        ["ApiDown"],
        ["instance=api-1"],
        ["team=api", "cluster=local"],
        ["alertname=~Database.*"],
        ["severity=warning", "alertname!=Watchdog"],
        ["team=platform", "alertname!=Watchdog"],
        ["slo=api-latency"],
        ["job=prometheus", "severity!=none"],
        ["instance=~api-.*", "cluster=~.+"],
    ],
)
def test_a_silence_of_something_is_allowed(texts: list[str]) -> None:
    check_narrow([parse(each) for each in texts])


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["cluster=local"],
        ["cluster=local", "place=local"],
        ["alertname=~.*"],
        ["alertname=~.+"],
        ["alertname!=Watchdog"],
        ["alertname!=ApiDown"],
        ["severity=critical"],
        ["severity=~critical|warning"],
        ["severity!=none", "cluster=local"],
        ["instance=~.*"],
        ["instance=~.+"],
        ["instance!=api-1", "alertname=~.+"],
        ["team=~.+"],
        ["nothing="],
    ],
)
def test_a_silence_of_everything_is_refused(texts: list[str]) -> None:
    with pytest.raises(MatcherError, match="would silence everything"):
        check_narrow([parse(each) for each in texts])


@pytest.mark.parametrize(
    "texts",
    [
        ["Watchdog"],
        ["alertname=Watchdog", "cluster=local"],
        ["alertname=~Watch.*|ApiDown"],
        ["severity=none"],
        ["severity=none", "team=platform"],
        ["team=platform"],
        ["team=~platform|api"],
        ["job=prometheus"],
        ["instance=~prom.*", "cluster=local"],
        ["severity!=critical", "team!=api"],
    ],
)
def test_a_silence_of_the_watchdog_is_refused(texts: list[str]) -> None:
    with pytest.raises(MatcherError, match="would silence the Watchdog"):
        check_narrow([parse(each) for each in texts])


def test_the_rulebooks_watchdog_is_the_one_that_is_protected() -> None:
    (watchdog,) = rulebook.named("Watchdog")
    for label, value in (("severity", watchdog.severity.value), ("team", watchdog.team)):
        with pytest.raises(MatcherError):
            check_narrow([Matcher(label, "=", value)])
