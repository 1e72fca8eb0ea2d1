"""Auto scaling: groups and their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import camel, found, given, pascal

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_GROUP, _BOUNDS = "auto-scaling-group", ("metricIntervalLowerBound", "metricIntervalUpperBound")


# --- groups ----------------------------------------------------------------------------------------------------------
def _sizes(wanted: Props) -> dict[str, Any]:
    template = wanted["launchTemplate"]
    return {
        "MinSize": wanted["minSize"],
        "MaxSize": wanted["maxSize"],
        "VPCZoneIdentifier": ",".join(wanted["vpcZoneIdentifiers"]),
        "LaunchTemplate": {"LaunchTemplateId": template["id"], "Version": template["version"]},
        **given(wanted, HealthCheckType="healthCheckType", HealthCheckGracePeriod="healthCheckGracePeriod"),
    }


def _tags(name: str, tags: list[Props]) -> list[dict[str, Any]]:
    return [{"ResourceId": name, "ResourceType": _GROUP, **pascal(each)} for each in tags]


def _create_group(aws: Aws, wanted: Props) -> str:
    name = str(wanted["name"])
    aws("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        TargetGroupARNs=wanted.get("targetGroupArns") or [],
        Tags=_tags(name, wanted.get("tags") or []),
        **_sizes(wanted),
    )
    with begun(name):
        if wanted.get("enabledMetrics"):
            _change_metrics(aws, name, wanted)
        if wanted.get("warmPool"):
            _change_warm_pool(aws, name, wanted)
    return name


def _group(aws: Aws, name: str) -> Props | None:
    there = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return there[0] if there else None


def _read_group(aws: Aws, made: str, _: Props) -> Props | None:
    there = _group(aws, made)
    if there is None:
        return None
    metrics = there.get("EnabledMetrics", [])
    tags = [
        {"key": each["Key"], "value": each["Value"], "propagateAtLaunch": each["PropagateAtLaunch"]}
        for each in there["Tags"]
    ]
    return {
        "vpcZoneIdentifiers": sorted(there["VPCZoneIdentifier"].split(",")),
        "launchTemplate": {
            "id": there["LaunchTemplate"]["LaunchTemplateId"],
            "version": there["LaunchTemplate"]["Version"],
        },
        "targetGroupArns": sorted(there.get("TargetGroupARNs", [])) or None,
        "enabledMetrics": sorted(each["Metric"] for each in metrics) or None,
        "metricsGranularity": metrics[0]["Granularity"] if metrics else None,
        "warmPool": _read_warm_pool(aws, made),
        "tags": sorted(tags, key=lambda each: str(each["key"])),
        **found(
            there,
            name="AutoScalingGroupName",
            arn="AutoScalingGroupARN",
            minSize="MinSize",
            maxSize="MaxSize",
            desiredCapacity="DesiredCapacity",
            healthCheckType="HealthCheckType",
            healthCheckGracePeriod="HealthCheckGracePeriod",
        ),
    }


_PREPARED = {"maxGroupPreparedCapacity": "MaxGroupPreparedCapacity"}


def _read_warm_pool(aws: Aws, made: str) -> Props | None:
    pool = aws("autoscaling").describe_warm_pool(AutoScalingGroupName=made).get("WarmPoolConfiguration")
    return found(pool, poolState="PoolState", minSize="MinSize", **_PREPARED) if pool else None


def _change_sizes(aws: Aws, made: str, wanted: Props) -> None:
    aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName=made, **_sizes(wanted))


def _change_targets(aws: Aws, made: str, wanted: Props) -> None:
    there, targets = set((_group(aws, made) or {}).get("TargetGroupARNs", [])), set(wanted.get("targetGroupArns") or [])
    name = {"AutoScalingGroupName": made}
    if fresh := sorted(targets - there):
        aws("autoscaling").attach_load_balancer_target_groups(**name, TargetGroupARNs=fresh)
    if surplus := sorted(there - targets):
        aws("autoscaling").detach_load_balancer_target_groups(**name, TargetGroupARNs=surplus)


def _change_metrics(aws: Aws, made: str, wanted: Props) -> None:
    metrics, name = wanted["enabledMetrics"], {"AutoScalingGroupName": made}
    aws("autoscaling").enable_metrics_collection(**name, Metrics=metrics, Granularity=wanted["metricsGranularity"])
    there = {each["Metric"] for each in (_group(aws, made) or {}).get("EnabledMetrics", [])}
    # moto: keeps only those that were enabled last, and knows no call that disables one
    if surplus := sorted(there - set(metrics)):
        aws("autoscaling").disable_metrics_collection(**name, Metrics=surplus)


def _change_warm_pool(aws: Aws, made: str, wanted: Props) -> None:
    if pool := wanted.get("warmPool"):
        aws("autoscaling").put_warm_pool(AutoScalingGroupName=made, **pascal(pool))
    else:
        aws("autoscaling").delete_warm_pool(AutoScalingGroupName=made, ForceDelete=True)


def _change_tags(aws: Aws, made: str, wanted: Props) -> None:
    there, tags = (_group(aws, made) or {}).get("Tags", []), wanted.get("tags") or []
    keys = {each["key"] for each in tags}
    if surplus := [each for each in there if each["Key"] not in keys]:
        aws("autoscaling").delete_tags(Tags=[{**each, "ResourceId": made} for each in surplus])
    aws("autoscaling").create_or_update_tags(Tags=_tags(made, tags))


def _end_group(aws: Aws, made: str, _: Props) -> None:
    """Empty a group and then delete it, as the plugin does: its hosts end with it."""
    if _read_warm_pool(aws, made):
        aws("autoscaling").delete_warm_pool(AutoScalingGroupName=made, ForceDelete=True)
    hosts = [each["InstanceId"] for each in (_group(aws, made) or {}).get("Instances", [])]
    aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName=made, MinSize=0, MaxSize=0, DesiredCapacity=0)
    if hosts:
        aws("ec2").get_waiter("instance_terminated").wait(InstanceIds=hosts)
    aws("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=made, ForceDelete=True)


# --- policies --------------------------------------------------------------------------------------------------------
def _put_policy(aws: Aws, wanted: Props) -> str:
    steps = [
        {**pascal(each), **{name[:1].upper() + name[1:]: float(each[name]) for name in _BOUNDS if name in each}}
        for each in wanted.get("stepAdjustments") or ()
    ]
    tracking = wanted.get("targetTrackingConfiguration")
    aws("autoscaling").put_scaling_policy(
        AutoScalingGroupName=wanted["autoscalingGroupName"],
        PolicyName=wanted["name"],
        **({"StepAdjustments": steps} if steps else {}),
        **({"TargetTrackingConfiguration": pascal(tracking)} if tracking else {}),
        **given(
            wanted,
            PolicyType="policyType",
            AdjustmentType="adjustmentType",
            MetricAggregationType="metricAggregationType",
            EstimatedInstanceWarmup="estimatedInstanceWarmup",
        ),
    )
    return str(wanted["name"])


def _read_policy(aws: Aws, made: str, known: Props) -> Props | None:
    group = {"AutoScalingGroupName": known["autoscalingGroupName"]}
    there = aws("autoscaling").describe_policies(**group, PolicyNames=[made])["ScalingPolicies"]
    if not there:
        return None
    steps = [
        {**camel(each), **{name: f"{camel(each)[name]:g}" for name in _BOUNDS if name in camel(each)}}
        for each in there[0].get("StepAdjustments", ())
    ]
    return {
        "stepAdjustments": steps or None,
        "targetTrackingConfiguration": camel(there[0].get("TargetTrackingConfiguration")),
        **found(
            there[0],
            name="PolicyName",
            arn="PolicyARN",
            autoscalingGroupName="AutoScalingGroupName",
            policyType="PolicyType",
            adjustmentType="AdjustmentType",
            metricAggregationType="MetricAggregationType",
            estimatedInstanceWarmup="EstimatedInstanceWarmup",
        ),
    }


def _change_policy(aws: Aws, _: str, wanted: Props) -> None:
    _put_policy(aws, wanted)


def _end_policy(aws: Aws, made: str, known: Props) -> None:
    if _group(aws, known["autoscalingGroupName"]):
        group = known["autoscalingGroupName"]
        aws("autoscaling").delete_policy(AutoScalingGroupName=group, PolicyName=made)


def _target(value: Props) -> Props:
    return {**value, "targetValue": value["targetValue"] + 1}


def _steps(value: list[Props]) -> list[Props]:
    return [{**each, "scalingAdjustment": each["scalingAdjustment"] * 2} for each in value]


KINDS = (
    Kind(
        type="aws:autoscaling/group:Group",
        create=_create_group,
        read=_read_group,
        delete=_end_group,
        updates={
            **updates(
                _change_sizes,
                "minSize",
                "maxSize",
                "vpcZoneIdentifiers",
                "launchTemplate",
                "healthCheckType",
                "healthCheckGracePeriod",
            ),
            "targetGroupArns": _change_targets,
            **updates(_change_metrics, "enabledMetrics", "metricsGranularity"),
            "warmPool": _change_warm_pool,
            "tags": _change_tags,
            # They say how the plugin itself goes on: there is nothing to change in AWS.
            **updates(lambda *_: None, "instanceRefresh", "waitForCapacityTimeout"),
        },
        fixed=frozenset({"name"}),
        unread=frozenset({"instanceRefresh", "waitForCapacityTimeout"}),
        drifts={
            # Downwards: the drill shall not start hosts.
            "minSize": lambda value: value - 1 if value else 1,
            "vpcZoneIdentifiers": lambda value: value[1:],
            "launchTemplate": lambda value: {**value, "version": "$Default"},
            "healthCheckType": lambda value: "EC2" if value == "ELB" else "ELB",
            "targetGroupArns": lambda _: [],
            "enabledMetrics": lambda value: value[1:],
            "warmPool": lambda value: {**value, "minSize": value["minSize"] + 1},
            "tags": lambda value: [*value, {"key": "drifted", "value": "yes", "propagateAtLaunch": False}],
        },
    ),
    Kind(
        type="aws:autoscaling/policy:Policy",
        create=_put_policy,
        read=_read_policy,
        delete=_end_policy,
        updates=updates(
            _change_policy,
            "policyType",
            "adjustmentType",
            "metricAggregationType",
            "estimatedInstanceWarmup",
            "stepAdjustments",
            "targetTrackingConfiguration",
        ),
        fixed=frozenset({"name", "autoscalingGroupName"}),
        drifts={
            "adjustmentType": lambda _: "ExactCapacity",
            "metricAggregationType": lambda value: "Average" if value == "Maximum" else "Maximum",
            "stepAdjustments": _steps,
            "targetTrackingConfiguration": _target,
        },
    ),
)
