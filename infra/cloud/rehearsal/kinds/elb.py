"""The load balancer and its target groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.others import tagged
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _elb(aws: Aws) -> Any:  # noqa: ANN401 - boto3 makes its clients' types when it runs
    return aws("elbv2")


def tags_of(aws: Aws, made: str) -> dict[str, str]:
    """Return the tags of a thing of the load balancer's."""
    return mapping(_elb(aws).describe_tags(ResourceArns=[made])["TagDescriptions"][0]["Tags"])


RETAG = retag(
    tags_of,
    lambda aws, made, tags: _elb(aws).add_tags(ResourceArns=[made], Tags=tags),
    lambda aws, made, names: _elb(aws).remove_tags(ResourceArns=[made], TagKeys=names),
)


def _attributes(answer: Mapping[str, Any], names: Mapping[str, str]) -> Props:
    """Return the properties of attributes, which AWS has as text."""
    words: dict[str, Any] = {"true": True, "false": False}
    there = {each["Key"]: each["Value"] for each in answer["Attributes"]}
    values = {name: there[key] for name, key in names.items() if key in there}
    return {name: int(value) if value.isdigit() else words.get(value, value) for name, value in values.items()}


def _settings(values: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"Key": key, "Value": str(values[name]).lower() if isinstance(values[name], bool) else str(values[name])}
        for name, key in names.items()
        if values.get(name) is not None
    ]


# --- load balancers --------------------------------------------------------------------------------------------------
_BALANCER = {
    "idleTimeout": "idle_timeout.timeout_seconds",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "enableWafFailOpen": "waf.fail_open.enabled",
    "enableHttp2": "routing.http2.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
}
_ACCESS_LOGS = {
    "bucket": "access_logs.s3.bucket",
    "enabled": "access_logs.s3.enabled",
    "prefix": "access_logs.s3.prefix",
}


def _create_balancer(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, Name="name", Subnets="subnets", SecurityGroups="securityGroups", Type="loadBalancerType")
    scheme = "internal" if wanted["internal"] else "internet-facing"
    answer = _elb(aws).create_load_balancer(**arguments, Scheme=scheme, **tagged(wanted))
    made = str(answer["LoadBalancers"][0]["LoadBalancerArn"])
    with begun(made):
        _elb(aws).get_waiter("load_balancer_available").wait(LoadBalancerArns=[made])
        _change_attributes(aws, made, wanted)
    return made


def _read_balancer(aws: Aws, made: str, _: Props) -> Props | None:
    (balancer,) = _elb(aws).describe_load_balancers(LoadBalancerArns=[made])["LoadBalancers"]
    attributes = _elb(aws).describe_load_balancer_attributes(LoadBalancerArn=made)
    logs = {name: value for name, value in _attributes(attributes, _ACCESS_LOGS).items() if value not in ("", False)}
    return {
        "internal": balancer["Scheme"] == "internal",
        "subnets": sorted(each["SubnetId"] for each in balancer["AvailabilityZones"]),
        "securityGroups": sorted(balancer["SecurityGroups"]),
        "arnSuffix": made.partition(":loadbalancer/")[2],
        "tags": tags_of(aws, made),
        **({"accessLogs": logs} if logs else {}),
        **_attributes(attributes, _BALANCER),
        **found(
            balancer,
            arn="LoadBalancerArn",
            name="LoadBalancerName",
            loadBalancerType="Type",
            dnsName="DNSName",
            zoneId="CanonicalHostedZoneId",
            vpcId="VpcId",
        ),
    }


def _delete_balancer(aws: Aws, made: str, _: Props) -> None:
    there = _attributes(_elb(aws).describe_load_balancer_attributes(LoadBalancerArn=made), _BALANCER)
    if there["enableDeletionProtection"]:
        # AWS refuses; moto would delete it all the same.
        reason = f"Load balancer '{made}' cannot be deleted because deletion protection is enabled"
        raise ClientError({"Error": {"Code": "OperationNotPermitted", "Message": reason}}, "DeleteLoadBalancer")
    _elb(aws).delete_load_balancer(LoadBalancerArn=made)


def _change_attributes(aws: Aws, made: str, wanted: Props) -> None:
    logs = wanted.get("accessLogs") or {"enabled": False}
    asked = [*_settings(wanted, _BALANCER), *_settings(logs, _ACCESS_LOGS)]
    _elb(aws).modify_load_balancer_attributes(LoadBalancerArn=made, Attributes=asked)


# --- target groups ---------------------------------------------------------------------------------------------------
_GROUP = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
}
_HEALTH = {
    "enabled": "HealthCheckEnabled",
    "protocol": "HealthCheckProtocol",
    "port": "HealthCheckPort",
    "path": "HealthCheckPath",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthyThreshold": "HealthyThresholdCount",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _health(wanted: Props) -> dict[str, Any]:
    check = wanted.get("healthCheck") or {}
    matcher = {"Matcher": {"HttpCode": check["matcher"]}} if "matcher" in check else {}
    return {**given(check, **{argument: name for name, argument in _HEALTH.items()}), **matcher}


def _create_group(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, Name="name", VpcId="vpcId", TargetType="targetType", Protocol="protocol", Port="port")
    answer = _elb(aws).create_target_group(**arguments, **_health(wanted), **tagged(wanted))
    made = str(answer["TargetGroups"][0]["TargetGroupArn"])
    with begun(made):
        _change_group(aws, made, wanted)
    return made


def _read_group(aws: Aws, made: str, _: Props) -> Props | None:
    (group,) = _elb(aws).describe_target_groups(TargetGroupArns=[made])["TargetGroups"]
    attributes = _elb(aws).describe_target_group_attributes(TargetGroupArn=made)
    return {
        "healthCheck": {**found(group, **_HEALTH), "matcher": group["Matcher"]["HttpCode"]},
        "arnSuffix": made.rpartition(":")[2],
        "tags": tags_of(aws, made),
        **_attributes(attributes, _GROUP),
        **found(
            group,
            arn="TargetGroupArn",
            name="TargetGroupName",
            vpcId="VpcId",
            targetType="TargetType",
            protocol="Protocol",
            port="Port",
        ),
    }


def _change_group(aws: Aws, made: str, wanted: Props) -> None:
    if asked := _settings(wanted, _GROUP):
        _elb(aws).modify_target_group_attributes(TargetGroupArn=made, Attributes=asked)


def _change_health(aws: Aws, made: str, wanted: Props) -> None:
    _elb(aws).modify_target_group(TargetGroupArn=made, **_health(wanted))


KINDS = (
    Kind(
        type="aws:lb/loadBalancer:LoadBalancer",
        create=_create_balancer,
        read=_read_balancer,
        delete=_delete_balancer,
        updates={
            **updates(_change_attributes, *_BALANCER, "accessLogs"),
            "subnets": lambda aws, made, wanted: _elb(aws).set_subnets(LoadBalancerArn=made, Subnets=wanted["subnets"]),
            "securityGroups": lambda aws, made, wanted: _elb(aws).set_security_groups(
                LoadBalancerArn=made, SecurityGroups=wanted["securityGroups"]
            ),
            "tags": RETAG,
        },
        fixed=frozenset({"name", "internal", "loadBalancerType"}),
        drifts={
            "desyncMitigationMode": lambda _: "monitor",
            "accessLogs": lambda value: {**value, "enabled": False},
            "subnets": others.fewer,
        },
        defaults={"internal": False, "loadBalancerType": "application", "enableDeletionProtection": False},
    ),
    Kind(
        type="aws:lb/targetGroup:TargetGroup",
        create=_create_group,
        read=_read_group,
        delete=lambda aws, made, _: _elb(aws).delete_target_group(TargetGroupArn=made),
        updates={**updates(_change_group, *_GROUP), "healthCheck": _change_health, "tags": RETAG},
        fixed=frozenset({"name", "vpcId", "targetType", "protocol", "port"}),
        drifts={
            "healthCheck": lambda value: {**value, "path": "/drifted"},
            "loadBalancingAlgorithmType": lambda _: "round_robin",
        },
    ),
)
