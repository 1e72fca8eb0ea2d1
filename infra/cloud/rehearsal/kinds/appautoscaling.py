"""Readers of a database that come and go by themselves: application auto scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.shared import camel, found, pascal

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_SERVICE = "application-autoscaling"


def _what(props: Props) -> dict[str, str]:
    """Return what is scaled, as every call asks it."""
    return {
        "ServiceNamespace": props["serviceNamespace"],
        "ResourceId": props["resourceId"],
        "ScalableDimension": props["scalableDimension"],
    }


_WHAT = {"serviceNamespace": "ServiceNamespace", "resourceId": "ResourceId", "scalableDimension": "ScalableDimension"}


def _create_target(aws: Aws, wanted: Props) -> str:
    limits = {"MinCapacity": wanted["minCapacity"], "MaxCapacity": wanted["maxCapacity"]}
    aws(_SERVICE).register_scalable_target(**_what(wanted), **limits, Tags=wanted.get("tags") or {})
    return str(wanted["resourceId"])


def _change_target(aws: Aws, _: str, wanted: Props) -> None:
    limits = {"MinCapacity": wanted["minCapacity"], "MaxCapacity": wanted["maxCapacity"]}
    aws(_SERVICE).register_scalable_target(**_what(wanted), **limits)


def _target(aws: Aws, known: Props) -> dict[str, Any] | None:
    what = _what(known)
    resource = what.pop("ResourceId")
    targets = aws(_SERVICE).describe_scalable_targets(**what, ResourceIds=[resource])["ScalableTargets"]
    return targets[0] if targets else None


def _read_target(aws: Aws, _: str, known: Props) -> Props | None:
    there = _target(aws, known)
    if there is None:
        return None
    return found(there, arn="ScalableTargetARN", minCapacity="MinCapacity", maxCapacity="MaxCapacity", **_WHAT)


def _retag_target(aws: Aws, _: str, wanted: Props) -> None:
    there = _target(aws, wanted)
    if there is not None:
        aws(_SERVICE).tag_resource(ResourceARN=there["ScalableTargetARN"], Tags=wanted.get("tags") or {})


_TRACKING = "targetTrackingScalingPolicyConfiguration"


def _put_policy(aws: Aws, _: str, wanted: Props) -> None:
    aws(_SERVICE).put_scaling_policy(
        PolicyName=wanted["name"],
        PolicyType=wanted["policyType"],
        **_what(wanted),
        TargetTrackingScalingPolicyConfiguration=pascal(wanted[_TRACKING]),
    )


def _create_policy(aws: Aws, wanted: Props) -> str:
    _put_policy(aws, "", wanted)
    return str(wanted["name"])


def _read_policy(aws: Aws, made: str, known: Props) -> Props | None:
    # moto does not filter by name.
    there = [
        each
        for each in aws(_SERVICE).describe_scaling_policies(**_what(known), PolicyNames=[made])["ScalingPolicies"]
        if each["PolicyName"] == made
    ]
    if not there:
        return None
    return {
        **found(there[0], arn="PolicyARN", name="PolicyName", policyType="PolicyType", **_WHAT),
        _TRACKING: camel(there[0]["TargetTrackingScalingPolicyConfiguration"]),
    }


KINDS = (
    Kind(
        type="aws:appautoscaling/target:Target",
        create=_create_target,
        read=_read_target,
        delete=lambda aws, _, known: aws(_SERVICE).deregister_scalable_target(**_what(known)),
        updates={**updates(_change_target, "minCapacity", "maxCapacity"), "tags": _retag_target},
        fixed=frozenset(_WHAT),
        # moto keeps no tags of what is scaled.
        unread=frozenset({"tags"}),
    ),
    Kind(
        type="aws:appautoscaling/policy:Policy",
        create=_create_policy,
        read=_read_policy,
        delete=lambda aws, made, known: aws(_SERVICE).delete_scaling_policy(PolicyName=made, **_what(known)),
        updates=updates(_put_policy, "policyType", _TRACKING),
        fixed=frozenset({"name", *_WHAT}),
        drifts={_TRACKING: lambda there: {**there, "targetValue": there["targetValue"] - 10}},
    ),
)
