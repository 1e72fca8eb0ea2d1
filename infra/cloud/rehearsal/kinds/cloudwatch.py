"""CloudWatch: alarms, groups of logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_PLAIN = {
    "actionsEnabled": "ActionsEnabled",
    "alarmActions": "AlarmActions",
    "alarmDescription": "AlarmDescription",
    "comparisonOperator": "ComparisonOperator",
    "datapointsToAlarm": "DatapointsToAlarm",
    "evaluationPeriods": "EvaluationPeriods",
    "insufficientDataActions": "InsufficientDataActions",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "okActions": "OKActions",
    "period": "Period",
    "statistic": "Statistic",
    "threshold": "Threshold",
    "treatMissingData": "TreatMissingData",
}


# --- alarms ----------------------------------------------------------------------------------------------------------
def _dimensions(values: Props | None) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted((values or {}).items())]


def _named(dimensions: list[dict[str, str]] | None) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in dimensions or ()}


def _query(wanted: Props) -> dict[str, Any]:
    made = given(wanted, Id="id", Expression="expression", Label="label", ReturnData="returnData")
    if of := wanted.get("metric"):
        where = {"Namespace": of["namespace"], "MetricName": of["metricName"]}
        metric = {**where, "Dimensions": _dimensions(of.get("dimensions"))}
        made["MetricStat"] = {"Metric": metric, "Period": of["period"], "Stat": of["stat"]}
    return made


def _found_query(there: Props) -> Props:
    made = found(there, id="Id", expression="Expression", label="Label", returnData="ReturnData")
    if of := there.get("MetricStat"):
        metric = of["Metric"]
        made["metric"] = {
            **found(metric, namespace="Namespace", metricName="MetricName"),
            **found(of, period="Period", stat="Stat"),
            "dimensions": _named(metric.get("Dimensions")),
        }
    return made


def _put_alarm(aws: Aws, made: str, wanted: Props, **more: Any) -> None:  # noqa: ANN401 - a call's own types
    blocks: dict[str, Any] = {}
    if wanted.get("dimensions"):
        blocks["Dimensions"] = _dimensions(wanted["dimensions"])
    if wanted.get("metricQueries"):
        blocks["Metrics"] = [_query(each) for each in wanted["metricQueries"]]
    plain = given(wanted, **{argument: name for name, argument in _PLAIN.items()})
    aws("cloudwatch").put_metric_alarm(AlarmName=made, **plain, **blocks, **more)


def _create_alarm(aws: Aws, wanted: Props) -> str:
    name = str(wanted["name"])
    _put_alarm(aws, name, wanted, Tags=pairs(wanted.get("tags")))
    return name


def _alarm(aws: Aws, made: str) -> Props | None:
    there = aws("cloudwatch").describe_alarms(AlarmNames=[made], AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    return there[0] if there else None


def _read_alarm(aws: Aws, made: str, _: Props) -> Props | None:
    there = _alarm(aws, made)
    if there is None:
        return None
    arn = there["AlarmArn"]
    return {
        "name": made,
        "arn": arn,
        "dimensions": _named(there.get("Dimensions")) or None,
        "metricQueries": [_found_query(each) for each in there.get("Metrics", ())] or None,
        "tags": mapping(aws("cloudwatch").list_tags_for_resource(ResourceARN=arn)["Tags"]),
        **found(there, **_PLAIN),
    }


def _alarm_arn(aws: Aws, made: str) -> str:
    return str((_alarm(aws, made) or {})["AlarmArn"])


_RETAG_ALARM = retag(
    lambda aws, made: mapping(aws("cloudwatch").list_tags_for_resource(ResourceARN=_alarm_arn(aws, made))["Tags"]),
    lambda aws, made, tags: aws("cloudwatch").tag_resource(ResourceARN=_alarm_arn(aws, made), Tags=tags),
    lambda aws, made, names: aws("cloudwatch").untag_resource(ResourceARN=_alarm_arn(aws, made), TagKeys=names),
)


# --- logs ------------------------------------------------------------------------------------------------------------
def _create_logs(aws: Aws, wanted: Props) -> str:
    name = str(wanted["name"])
    arguments = given(wanted, kmsKeyId="kmsKeyId", logGroupClass="logGroupClass", tags="tags")
    aws("logs").create_log_group(logGroupName=name, **arguments)
    if wanted.get("retentionInDays"):
        with begun(name):
            _change_retention(aws, name, wanted)
    return name


def _logs(aws: Aws, made: str) -> Props | None:
    there = aws("logs").describe_log_groups(logGroupNamePrefix=made)["logGroups"]
    return next((each for each in there if each["logGroupName"] == made), None)


def _logs_arn(aws: Aws, made: str) -> str:
    return str((_logs(aws, made) or {})["arn"]).removesuffix(":*")


def _read_logs(aws: Aws, made: str, _: Props) -> Props | None:
    there = _logs(aws, made)
    if there is None:
        return None
    arn = there["arn"].removesuffix(":*")
    return {
        "arn": arn,
        "tags": aws("logs").list_tags_for_resource(resourceArn=arn)["tags"],
        **found(there, name="logGroupName", kmsKeyId="kmsKeyId", retentionInDays="retentionInDays"),
        **found(there, logGroupClass="logGroupClass"),
    }


def _change_retention(aws: Aws, made: str, wanted: Props) -> None:
    if wanted.get("retentionInDays"):
        aws("logs").put_retention_policy(logGroupName=made, retentionInDays=wanted["retentionInDays"])
    else:
        aws("logs").delete_retention_policy(logGroupName=made)


def _change_key(aws: Aws, made: str, wanted: Props) -> None:
    # moto: has neither call; a change of the key fails there
    if wanted.get("kmsKeyId"):
        aws("logs").associate_kms_key(logGroupName=made, kmsKeyId=wanted["kmsKeyId"])
    else:
        aws("logs").disassociate_kms_key(logGroupName=made)


_RETAG_LOGS = retag(
    lambda aws, made: aws("logs").list_tags_for_resource(resourceArn=_logs_arn(aws, made))["tags"],
    lambda aws, made, tags: aws("logs").tag_resource(resourceArn=_logs_arn(aws, made), tags=mapping(tags)),
    lambda aws, made, names: aws("logs").untag_resource(resourceArn=_logs_arn(aws, made), tagKeys=names),
)

KINDS = (
    Kind(
        type="aws:cloudwatch/metricAlarm:MetricAlarm",
        create=_create_alarm,
        read=_read_alarm,
        delete=lambda aws, made, _: aws("cloudwatch").delete_alarms(AlarmNames=[made]),
        updates={**updates(_put_alarm, *_PLAIN, "dimensions", "metricQueries"), "tags": _RETAG_ALARM},
        fixed=frozenset({"name"}),
        drifts={
            "alarmActions": lambda value: value[1:],
            "alarmDescription": lambda value: f"{value} and more",
            "comparisonOperator": lambda value: (
                value.replace("Greater", "?").replace("Less", "Greater").replace("?", "Less")
            ),
            "dimensions": lambda value: dict.fromkeys(value, "drifted"),
            "metricName": lambda value: f"{value}Drifted",
            "metricQueries": lambda value: [*value[:-1], {**value[-1], "label": "drifted"}],
            "namespace": lambda _: "Drifted",
            "okActions": lambda value: value[1:],
            # Seconds: only a minute, or a multiple of one.
            "period": lambda value: value + 60,
            "statistic": lambda value: "Average" if value != "Average" else "Maximum",
            "threshold": lambda value: value + 1,
            "treatMissingData": lambda value: "breaching" if value != "breaching" else "notBreaching",
        },
        defaults={"actionsEnabled": True},
    ),
    Kind(
        type="aws:cloudwatch/logGroup:LogGroup",
        create=_create_logs,
        read=_read_logs,
        delete=lambda aws, made, _: aws("logs").delete_log_group(logGroupName=made),
        updates={"retentionInDays": _change_retention, "kmsKeyId": _change_key, "tags": _RETAG_LOGS},
        fixed=frozenset({"name", "logGroupClass"}),
        drifts={"retentionInDays": lambda value: 7 if value != 7 else 14},  # noqa: PLR2004 - days that AWS takes
    ),
)
