"""Failover of Amazon's databases: who is written to before and after, and what is refused."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from infra.environment import Driver
from runbooks.drivers import aws_failover
from runbooks.drivers.aws import Aws, AwsError, GoneError
from runbooks.drivers.aws_database import STANDBY, ManagedDatabase, Server
from runbooks.drivers.aws_failover import ManagedFailover, candidate
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.engine.model import Context
from runbooks.infrastructure.books.failover_cloud import RUNBOOK
from tests.runbooks.drivers.cloud import Cloud

if TYPE_CHECKING:
    from pathlib import Path

    from runbooks.drivers.protocols import Json


@pytest.fixture
def aurora(cloud: Cloud, store: OperationStore) -> ManagedFailover:
    cloud.make_aurora()
    return ManagedFailover(cloud.document, store)


@pytest.fixture
def rds(cloud: Cloud, store: OperationStore) -> ManagedFailover:
    cloud.make_rds()
    return ManagedFailover(cloud.document, store)


def test_another_server_of_aurora_is_written_to_and_the_record_says_since_when(
    cloud: Cloud, aurora: ManagedFailover
) -> None:
    name = cloud.named("database")
    assert [(each.name, each.role) for each in aurora.members()] == [
        (f"{name}-1", "primary"),
        (f"{name}-2", "replica"),
        (f"{name}-3", "replica"),
    ]
    assert aurora.candidate("") == f"{name}-2"
    aurora.switch("k", f"{name}-3")
    done = wait(aurora, "k", 20)
    assert done.phase is Phase.DONE
    assert (done.result["writer_before"], done.result["writer_after"]) == (f"{name}-1", f"{name}-3")
    assert float(str(done.result["switch_seconds"])) < 20
    assert aurora.members()[0].name == f"{name}-3"


def test_the_same_key_again_does_not_switch_again(cloud: Cloud, aurora: ManagedFailover) -> None:
    name = cloud.named("database")
    for key, member in (("k", f"{name}-2"), ("l", f"{name}-1")):
        aurora.switch(key, member)
        wait(aurora, key, 20)
    assert aurora.switch("k", f"{name}-2").phase is Phase.DONE
    assert aurora.members()[0].name == f"{name}-1"


def test_whoever_goes_on_after_a_killed_process_does_not_tell_aws_at_once_again(
    cloud: Cloud, aurora: ManagedFailover, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = cloud.named("database")
    begun = aurora.store.begin("k", driver="managed-database", action="switch", target=f"{name}-2")
    moment = time.time()
    told: dict[str, Json] = {"told": moment, "told_first": moment, "writer_before": f"{name}-1", "since": moment}
    aurora.store.update(begun, detail="", result=told)
    again = ManagedFailover(cloud.document, OperationStore(aurora.store.directory))
    assert again.poll("k").detail == f"{name}-1 is still written to"
    monkeypatch.setattr(aws_failover, "TELL_SECONDS", 0.0)
    assert wait(again, "k", 20).phase is Phase.DONE


def test_without_a_name_the_first_in_order_is_switched_to(cloud: Cloud, aurora: ManagedFailover) -> None:
    begun = aurora.switch("k", "")
    assert begun.target == f"{cloud.named('database')}-2"
    assert aurora.switch("k", "").key == "k", "the same words again are the same operation"
    assert wait(aurora, "k", 20).phase is Phase.DONE
    assert aurora.members()[0].name == f"{cloud.named('database')}-2"


def test_a_second_attempt_of_the_runbook_does_not_switch_once_more(
    cloud: Cloud, aurora: ManagedFailover, tmp_path: Path
) -> None:
    name = cloud.named("database")
    facts: dict[str, Json] = {"from": f"{name}-1", "to": f"{name}-3", "writer": f"{name}-1", "chosen_at": time.time()}
    aurora.switch("an-attempt-before", f"{name}-3")
    wait(aurora, "an-attempt-before", 20)
    context = Context(
        environment=cloud.document, arguments={}, run="r", folder=tmp_path, facts=facts, step="switch", attempt=2
    )
    step = RUNBOOK.steps[1]
    found = step.act(context) or {}
    assert found == {"writer_before": f"{name}-1", "writer_after": f"{name}-3", "switch_seconds": None}
    assert "by an attempt before this one" in step.check(replace(context, facts={**facts, **found}))
    assert aurora.members()[0].name == f"{name}-3"


def test_a_cluster_that_is_gone_is_named(cloud: Cloud, aurora: ManagedFailover) -> None:
    for number in (1, 2, 3):
        cloud.client("rds").delete_db_instance(DBInstanceIdentifier=f"{cloud.named('database')}-{number}")
    cloud.client("rds").delete_db_cluster(DBClusterIdentifier=cloud.named("database"), SkipFinalSnapshot=True)
    with pytest.raises(GoneError, match=r"rds describe-db-clusters: .*database"):
        aurora.members()


def test_rds_has_a_standby_without_a_name_that_can_take_over(cloud: Cloud, rds: ManagedFailover) -> None:
    assert [(each.name, each.role) for each in rds.members()] == [
        (cloud.named("database"), "primary"),
        (STANDBY, "replica"),
    ]
    assert rds.candidate("") == STANDBY


def test_rds_has_failed_over_when_its_events_say_so(rds: ManagedFailover, monkeypatch: pytest.MonkeyPatch) -> None:
    # The emulator's reboot changes nothing: AWS's own event stands in for it.
    rds.switch("k", STANDBY)
    waiting = rds.poll("k")
    assert (waiting.phase, waiting.detail) == (Phase.RUNNING, "it is still written to in us-east-1a")
    completed = [{"Message": "Multi-AZ instance failover completed"}]

    def events(self: Aws, service: str, operation: str, part: str, **_: Any) -> list[Any]:  # noqa: ANN401, ARG001
        assert operation == "describe_events"
        return completed

    monkeypatch.setattr(Aws, "all", events)
    assert wait(rds, "k", 20).phase is Phase.DONE


@pytest.fixture
def told(store: OperationStore, monkeypatch: pytest.MonkeyPatch) -> ManagedFailover:
    """A switch of RDS that was told twice, the second time just now; its zone is still the former one."""
    described = {"AvailabilityZone": "us-east-1a"}
    servers = [
        Server(name="database", leads=True, state="available", zone="us-east-1a", kind="db.r7g.large"),
        _server(STANDBY),
    ]
    monkeypatch.setattr(ManagedDatabase, "described", lambda _: described)
    monkeypatch.setattr(ManagedDatabase, "servers", lambda _: servers)
    nowhere = Cloud("http://127.0.0.1:9", "unit", {"failover": Driver(kind="rds", settings={"identifier": "database"})})
    begun = store.begin("k", driver="managed-database", action="switch", target=STANDBY)
    moment = time.time()
    result: dict[str, Json] = {"told": moment, "told_first": moment - 100, "writer_before": "us-east-1a"}
    store.update(begun, detail="", result=result)
    return ManagedFailover(nowhere.document, store)


def _events(monkeypatch: pytest.MonkeyPatch, moment: float) -> None:
    """Let RDS have completed a failover at a moment."""

    def events(_: Aws, service: str, operation: str, part: str, **given: Any) -> list[Any]:  # noqa: ANN401
        assert (service, operation, part) == ("rds", "describe_events", "Events")
        return [{"Message": "Multi-AZ instance failover completed"}] if moment >= given["StartTime"].timestamp() else []

    monkeypatch.setattr(Aws, "all", events)


def test_rds_that_has_completed_before_it_was_told_again_has_switched(
    told: ManagedFailover, monkeypatch: pytest.MonkeyPatch
) -> None:
    _events(monkeypatch, time.time() - 50)
    assert told.poll("k").phase is Phase.DONE


@pytest.mark.parametrize(("ago", "moved"), [(50, True), (200, False)])
def test_rds_has_moved_where_it_has_completed_since_the_server_was_chosen(
    told: ManagedFailover,
    monkeypatch: pytest.MonkeyPatch,
    ago: float,
    moved: bool,  # noqa: FBT001
) -> None:
    _events(monkeypatch, time.time() - ago)
    assert told.has_moved("us-east-1a", time.time() - 100) is moved
    assert told.has_moved("us-east-1b", time.time())


def test_a_database_that_is_at_a_change_is_no_failure_when_it_is_told(
    told: ManagedFailover, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_a_change(_: Aws, service: str, operation: str, **__: Any) -> None:  # noqa: ANN401
        assert (service, operation) == ("rds", "reboot_db_instance")
        error = AwsError("rds reboot-db-instance: it is modifying")
        error.code = "InvalidDBInstanceState"
        raise error

    _events(monkeypatch, 0.0)
    monkeypatch.setattr(Aws, "call", at_a_change)
    told.store.begin("l", driver="managed-database", action="switch", target=STANDBY)
    waiting = told.poll("l")
    assert (waiting.phase, waiting.detail) == (
        Phase.RUNNING,
        "it is still written to in us-east-1a; AWS is at a change of it",
    )


def test_a_switch_that_takes_too_long_ends_with_what_to_look_at(
    rds: ManagedFailover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_failover, "SECONDS", -1.0)
    done = rds.switch("k", STANDBY)
    assert done.phase is Phase.FAILED
    assert re.fullmatch(r"not after \d+ s: .*; see its events in AWS; `simplicity infrastructure status`", done.detail)


def test_lags_are_asked_of_the_metrics(cloud: Cloud, aurora: ManagedFailover) -> None:
    name = f"{cloud.named('database')}-2"
    cloud.client("cloudwatch").put_metric_data(
        Namespace="AWS/RDS",
        MetricData=[
            {
                "MetricName": "AuroraReplicaLag",
                "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": name}],
                "Value": 18.5,
                "Unit": "Milliseconds",
                # Not of this second: what is asked for ends with the last whole one.
                "Timestamp": datetime.now(UTC) - timedelta(minutes=1),
            }
        ],
    )
    found = {each.name: each.lag_ms for each in ManagedDatabase(aurora.environment).servers(lags=True)}
    assert found == {f"{cloud.named('database')}-1": None, name: 18.5, f"{cloud.named('database')}-3": None}


def _server(name: str, *, leads: bool = False, state: str = "available") -> Server:
    return Server(name=name, leads=leads, state=state, zone="a", kind="db.r7g.large")


@pytest.mark.parametrize(
    ("servers", "member", "standby_only", "why"),
    [
        ([_server("a", leads=True)], "", False, "no other server"),
        ([_server("a", leads=True), _server("b", state="rebooting")], "", False, "no server is available"),
        ([_server("a", leads=True), _server("b", state="rebooting")], "b", False, "b is rebooting"),
        ([_server("a", leads=True), _server("b")], "c", False, "no member 'c'; it has a, b"),
        ([_server("a", leads=True), _server("b")], "a", False, "a is written to already"),
        ([_server("a", leads=True), _server("b"), _server(STANDBY)], "b", True, "would lose what was just written"),
    ],
)
def test_who_cannot_take_over_is_refused(servers: list[Server], member: str, standby_only: bool, why: str) -> None:  # noqa: FBT001
    with pytest.raises(Refusal, match=why):
        candidate(servers, member, standby_only=standby_only)
