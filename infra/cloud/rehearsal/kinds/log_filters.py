"""What is counted of a log: metric filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.shared import found, given

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_METRIC = {"metricName": "name", "metricNamespace": "namespace", "metricValue": "value", "unit": "unit"}


def _metric(wanted: Props) -> dict[str, Any]:
    return given(wanted["metricTransformation"], **_METRIC)


def _put(aws: Aws, wanted: Props) -> None:
    aws("logs").put_metric_filter(
        logGroupName=wanted["logGroupName"],
        filterName=wanted["name"],
        filterPattern=wanted["pattern"],
        metricTransformations=[_metric(wanted)],
    )


def _create(aws: Aws, wanted: Props) -> str:
    _put(aws, wanted)
    return f"{wanted['logGroupName']}:{wanted['name']}"


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    group, name = made.split(":")
    answer = aws("logs").describe_metric_filters(logGroupName=group, filterNamePrefix=name)["metricFilters"]
    there = next((each for each in answer if each["filterName"] == name), None)
    if there is None:
        return None
    (metric,) = there["metricTransformations"]
    return {
        "logGroupName": group,
        "metricTransformation": found(metric, **{name: argument for argument, name in _METRIC.items()}),
        **found(there, name="filterName", pattern="filterPattern"),
    }


def _delete(aws: Aws, made: str, _: Props) -> None:
    group, name = made.split(":")
    aws("logs").delete_metric_filter(logGroupName=group, filterName=name)


KINDS = (
    Kind(
        type="aws:cloudwatch/logMetricFilter:LogMetricFilter",
        create=_create,
        read=_read,
        delete=_delete,
        updates=updates(lambda aws, _, wanted: _put(aws, wanted), "pattern", "metricTransformation"),
        fixed=frozenset({"logGroupName", "name"}),
        drifts={
            "pattern": lambda _: '{ $.eventType = "drifted" }',
            "metricTransformation": lambda value: {**value, "value": "2"},
        },
    ),
)
