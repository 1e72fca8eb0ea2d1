from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.alarms import Alarms, AlarmsArgs
from infra.cloud.tiers.budgets import Budget, BudgetArgs
from tests.infra.cloud.tiers.documents import of, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY, ALARM = "arn:aws:kms:us-east-1:123456789012:key/logs", "cloudwatch/metricAlarm:MetricAlarm"
TOPIC = "arn:aws:topic:us-east-1:123456789012:simplicity-test-alarms"


def made(planned: Planned, site: Site) -> list[Registered]:
    args = AlarmsArgs(
        site=site,
        key=KEY,
        balancer_suffix="app/simplicity/1",
        target_group_suffixes={"blue": "targetgroup/blue/1", "green": "targetgroup/green/2"},
        web_acl_metric="simplicity-test-waf",
        database="simplicity-test",
        monitoring="i-1",
    )
    return planned(lambda: (Alarms("alarms", args), None)[1])


def test_the_topic_is_encrypted_and_only_services_of_this_account_speak_on_it(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    (topic,) = of(found, "sns/topic:Topic").values()
    assert topic.inputs["kmsMasterKeyId"] == KEY
    (said,) = statements(topic.inputs["policy"])
    assert said["Action"] == ["sns:Publish"]
    assert said["Resource"] == ["arn:aws:sns:us-east-1:123456789012:simplicity-test-alarms"]
    assert said["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    (email,) = of(found, "sns/topicSubscription:TopicSubscription").values()
    assert (email.inputs["protocol"], email.inputs["endpoint"]) == ("email", "oncall@example.com")


def test_every_alarm_tells_when_it_begins_and_when_it_ends_and_says_what_it_means(planned: Planned, site: Site) -> None:
    for alarm in of(made(planned, site), ALARM).values():
        assert TOPIC in alarm.inputs["alarmActions"]
        assert alarm.inputs["okActions"] == [TOPIC]
        assert alarm.inputs["alarmDescription"]
        assert alarm.inputs["treatMissingData"] in {"breaching", "notBreaching"}
        assert alarm.inputs["name"].startswith("simplicity-test-")
        assert alarm.inputs["tags"]["project"] == "simplicity"


def test_what_prometheus_cannot_see_is_watched(planned: Planned, site: Site) -> None:
    assert set(of(made(planned, site), ALARM)) == {
        "balancer-errors",
        "unhealthy-blue",
        "unhealthy-green",
        "no-hosts",
        "blocked",
        "database-cpu",
        "database-storage",
        "database-lag",
        "snapshots",
        "quota",
        "monitoring-down",
        "monitoring-machine",
    }


def test_no_healthy_host_is_told_whichever_colour_is_live_and_silence_counts_as_none(
    planned: Planned, site: Site
) -> None:
    alarm = of(made(planned, site), ALARM)["no-hosts"].inputs
    assert alarm["metricQueries"][-1]["expression"] == "FILL(blue, 0) + FILL(green, 0)"
    assert [each["returnData"] for each in alarm["metricQueries"]] == [False, False, True]
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
    assert alarm["treatMissingData"] == "breaching"
    assert "period" not in alarm


def test_a_dead_monitoring_host_is_told_also_when_it_says_nothing_and_aws_moves_it(
    planned: Planned, site: Site
) -> None:
    alarms = of(made(planned, site), ALARM)
    assert alarms["monitoring-down"].inputs["treatMissingData"] == "breaching"
    assert alarms["monitoring-down"].inputs["dimensions"] == {"InstanceId": "i-1"}
    assert "arn:aws:automate:us-east-1:ec2:recover" in alarms["monitoring-machine"].inputs["alarmActions"]


def test_the_accounts_quota_is_told_before_scaling_fails(planned: Planned, site: Site) -> None:
    alarm = of(made(planned, site), ALARM)["quota"].inputs
    assert "SERVICE_QUOTA(used)" in alarm["metricQueries"][-1]["expression"]
    assert alarm["threshold"] < 100


@pytest.mark.parametrize(
    ("kind", "dimension", "source"),
    [("aurora", "DBClusterIdentifier", "db-cluster"), ("rds", "DBInstanceIdentifier", "db-instance")],
)
def test_amazons_databases_are_watched_and_their_events_told(
    kind: str, dimension: str, source: str, planned: Planned, at: Places
) -> None:
    found = made(planned, at(database={"kind": kind}))
    assert of(found, ALARM)["database-cpu"].inputs["dimensions"] == {dimension: "simplicity-test"}
    (events,) = of(found, "rds/eventSubscription:EventSubscription").values()
    assert events.inputs["sourceType"] == source
    assert events.inputs["snsTopic"] == TOPIC
    assert {"failover", "failure"} <= set(events.inputs["eventCategories"])


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_two_days_without_a_snapshot_are_told_whatever_the_reason(kind: str, planned: Planned, at: Places) -> None:
    alarm = of(made(planned, at(database={"kind": kind})), ALARM)["snapshots"].inputs
    assert alarm["dimensions"] == {"BackupVaultName": "simplicity-test-snapshots"}
    assert (alarm["period"], alarm["evaluationPeriods"]) == (86_400, 2)
    assert (alarm["comparisonOperator"], alarm["threshold"]) == ("LessThanThreshold", 1)
    assert alarm["treatMissingData"] == "breaching"


def test_a_database_of_ours_has_exporters_and_no_alarm_of_amazons(planned: Planned, at: Places) -> None:
    found = made(planned, at(database={"kind": "patroni"}))
    assert not [name for name in of(found, ALARM) if name.startswith(("database", "snapshots"))]
    assert not of(found, "rds/eventSubscription:EventSubscription")


def test_a_cluster_without_readers_has_no_alarm_of_lag(planned: Planned, at: Places) -> None:
    assert "database-lag" not in of(made(planned, at(database={"readers": 0})), ALARM)


def test_little_storage_is_a_tenth_of_what_there_is(planned: Planned, at: Places) -> None:
    alarm = of(made(planned, at(database={"kind": "rds", "storage_gb": 1_000})), ALARM)["database-storage"].inputs
    assert (alarm["metricName"], alarm["threshold"]) == ("FreeStorageSpace", 100 * 1024**3)


def test_the_budget_is_told_when_spent_and_when_it_looks_as_if(planned: Planned, site: Site) -> None:
    (budget,) = of(
        planned(lambda: (Budget("budget", BudgetArgs(site=site)), None)[1]), "budgets/budget:Budget"
    ).values()
    assert (budget.inputs["limitAmount"], budget.inputs["limitUnit"], budget.inputs["timeUnit"]) == (
        "1000",
        "USD",
        "MONTHLY",
    )
    assert budget.inputs["costFilters"] == [{"name": "TagKeyValue", "values": ["user:environment$test"]}]
    told = {(each["notificationType"], each["threshold"]) for each in budget.inputs["notifications"]}
    assert told == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}
    assert all(each["subscriberEmailAddresses"] == ["oncall@example.com"] for each in budget.inputs["notifications"])
