from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from infra.environment import Database, Endpoints, Environment, MetricSource
from runbooks.maintenance.checks import CHECKS, LAG_DEGRADED, LAG_UNHEALTHY, checks_of, lag_verdict
from runbooks.maintenance.health import Finding, examine, overall
from runbooks.maintenance.verdict import Health, Verdict, metric

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY_LISTENS = "http://127.0.0.1:9"  # the discard port


@pytest.fixture
def environment() -> Environment:
    return Environment(
        name="lost",
        place="local",
        network="regtest",
        start_height=102,
        endpoints=Endpoints(
            api=NOBODY_LISTENS,
            sync_metrics=f"{NOBODY_LISTENS}/metrics",
            node_rpc=NOBODY_LISTENS,
            prometheus=NOBODY_LISTENS,
            database=Database(host="127.0.0.1", port=9, name="d", writer_role="w", reader_role="r"),
            balancer_metrics=NOBODY_LISTENS,
            cache="redis://127.0.0.1:9/0",
            alertmanager=NOBODY_LISTENS,
        ),
        hosts={},
        secrets={},
        metrics=MetricSource(kind="prometheus", url=NOBODY_LISTENS),
        drivers={},
    )


@pytest.fixture
def hangs() -> Iterator[threading.Event]:
    released = threading.Event()
    yield released
    released.set()


def fine(_: Environment) -> Verdict:
    return Verdict(Health.HEALTHY, "fine")


def test_a_check_that_hangs_costs_no_more_than_the_deadline(environment: Environment, hangs: threading.Event) -> None:
    def stuck(_: Environment) -> Verdict:
        hangs.wait()
        return Verdict(Health.HEALTHY, "too late")

    began = time.monotonic()
    findings = examine(environment, {"one": stuck, "two": fine, "three": stuck}, within=0.3)
    assert time.monotonic() - began < 1
    assert [f.verdict.health for f in findings] == [Health.UNHEALTHY, Health.HEALTHY, Health.UNHEALTHY]
    assert findings[0].verdict.detail == "no answer within 0.3 s"
    assert findings[0].verdict.hint


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(environment: Environment) -> None:
    def broken(_: Environment) -> Verdict:
        raise RuntimeError("surprise")

    broken_one, fine_one = examine(environment, {"broken": broken, "fine": fine})
    assert broken_one.verdict.detail == "the check broke: RuntimeError: surprise"
    assert fine_one.verdict.health is Health.HEALTHY


def test_where_nothing_answers_every_component_is_unhealthy_and_has_a_hint(environment: Environment) -> None:
    findings = examine(environment)
    assert [finding.component for finding in findings] == list(CHECKS)
    for finding in findings:
        assert finding.verdict.health is Health.UNHEALTHY, finding
        assert finding.verdict.hint
        assert not finding.verdict.detail.startswith("the check broke"), finding


def test_what_an_environment_does_not_have_is_not_checked(environment: Environment) -> None:
    bare = environment.endpoints.model_copy(update={"cache": None, "balancer_metrics": None, "alertmanager": None})
    names = list(checks_of(environment.model_copy(update={"endpoints": bare})))
    assert names == ["database", "node", "sync", "api", "prometheus"]


def test_the_whole_is_as_good_as_its_worst_part() -> None:
    def found(*healths: Health) -> list[Finding]:
        return [Finding("x", Verdict(health, ""), 1.0) for health in healths]

    assert overall(found(Health.HEALTHY, Health.HEALTHY)) is Health.HEALTHY
    assert overall(found(Health.DEGRADED, Health.HEALTHY)) is Health.DEGRADED
    assert overall(found(Health.DEGRADED, Health.UNHEALTHY, Health.HEALTHY)) is Health.UNHEALTHY


@pytest.mark.parametrize(
    ("tip", "node_height", "writes", "health"),
    [
        (500, 500, True, Health.HEALTHY),
        (101, 0, True, Health.HEALTHY),
        (500, 500 + LAG_DEGRADED, True, Health.HEALTHY),
        (500, 501 + LAG_DEGRADED, True, Health.DEGRADED),
        (500, 501 + LAG_UNHEALTHY, True, Health.UNHEALTHY),
        (500, 500, False, Health.DEGRADED),
    ],
)
def test_the_writer_is_judged_by_its_lag(tip: int, node_height: int, writes: bool, health: Health) -> None:  # noqa: FBT001 - a table's column
    verdict = lag_verdict(tip=tip, node_height=node_height, writes=writes, hint="do this")
    assert verdict.health is health
    assert bool(verdict.hint) == (health is not Health.HEALTHY)


def test_a_series_is_found_by_its_whole_name() -> None:
    text = '# HELP a b\ntip_height_total 9\ntip_height 7.0\nrole{role="writer"} 1.0\n'
    assert metric(text, "tip_height") == 7
    assert metric(text, 'role{role="writer"}') == 1
    with pytest.raises(ValueError, match="no height in the metrics"):
        metric(text, "height")
