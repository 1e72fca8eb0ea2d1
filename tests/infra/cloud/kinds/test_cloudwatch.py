from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

TOPIC = f"arn:aws:sns:{REGION}:123456789012:alarms"


def program() -> None:
    metric: aws.cloudwatch.MetricAlarmMetricQueryMetricArgsDict = {
        "namespace": "AWS/Usage",
        "metric_name": "ResourceCount",
        "dimensions": {"Service": "EC2", "Type": "Resource"},
        "stat": "Maximum",
        "period": 300,
    }
    aws.cloudwatch.MetricAlarm(
        "errors",
        name="errors",
        alarm_description="too many",
        namespace="AWS/ApplicationELB",
        metric_name="HTTPCode_ELB_5XX_Count",
        dimensions={"LoadBalancer": "app/simplicity/0123456789abcdef"},
        statistic="Sum",
        period=60,
        evaluation_periods=5,
        comparison_operator="GreaterThanThreshold",
        threshold=10,
        treat_missing_data="notBreaching",
        alarm_actions=[TOPIC],
        ok_actions=[TOPIC],
        tags={"Name": "errors"},
    )
    aws.cloudwatch.MetricAlarm(
        "quota",
        name="quota",
        metric_queries=[
            {"id": "used", "metric": metric, "return_data": False},
            {"id": "share", "expression": "used / SERVICE_QUOTA(used)", "label": "share", "return_data": True},
        ],
        evaluation_periods=2,
        comparison_operator="GreaterThanThreshold",
        threshold=80,
        treat_missing_data="notBreaching",
        alarm_actions=[TOPIC],
    )
    aws.cloudwatch.LogGroup("flows", name="/simplicity/flows", retention_in_days=90, tags={"Name": "flows"})


def test_alarms_and_logs_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    alarm = (
        "actionsEnabled",
        "alarmActions",
        "alarmDescription",
        "comparisonOperator",
        "dimensions",
        "evaluationPeriods",
        "metricName",
        "metricQueries",
        "namespace",
        "okActions",
        "period",
        "statistic",
        "tags",
        "threshold",
        "treatMissingData",
    )
    assert whole_life(lab, program) == {
        *(f"MetricAlarm.{name}" for name in alarm),
        "LogGroup.retentionInDays",
        "LogGroup.tags",
    }


def test_an_alarm_that_somebody_deleted_is_gone_and_made_again(lab: Lab) -> None:
    lab.up(program)
    lab.reach(REGION)("cloudwatch").delete_alarms(AlarmNames=["errors"])
    assert [each.line for each in lab.drifts()] == ["aws:cloudwatch/metricAlarm:MetricAlarm errors is gone"]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]


def test_logs_that_somebody_keeps_for_ever_are_told(lab: Lab) -> None:
    lab.up(program)
    lab.reach(REGION)("logs").delete_retention_policy(logGroupName="/simplicity/flows")
    (found,) = lab.drifts()
    assert "retentionInDays was 90, is None" in found.line
