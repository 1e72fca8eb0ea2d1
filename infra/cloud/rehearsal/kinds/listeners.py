"""What listens at a load balancer, and what it does with a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.elb import RETAG, tags_of
from infra.cloud.rehearsal.kinds.others import tagged
from infra.cloud.rehearsal.kinds.shared import found, given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _listener(wanted: Props) -> dict[str, Any]:
    certificates = [{"CertificateArn": wanted["certificateArn"]}] if wanted.get("certificateArn") else None
    return {
        **given(wanted, Port="port", Protocol="protocol", SslPolicy="sslPolicy"),
        **({"Certificates": certificates} if certificates else {}),
        "DefaultActions": [_action(each) for each in wanted["defaultActions"]],
    }


_REDIRECT = {
    "protocol": "Protocol",
    "port": "Port",
    "host": "Host",
    "path": "Path",
    "query": "Query",
    "statusCode": "StatusCode",
}
# What AWS tells of a redirect that keeps what was asked for.
_AS_ASKED = {
    "protocol": "#{protocol}",
    "port": "#{port}",
    "host": "#{host}",
    "path": "/#{path}",
    "query": "#{query}",
}


def _action(action: Props) -> dict[str, Any]:
    """Return what a listener does, as AWS takes it."""
    if forward := action.get("forward"):
        groups = [given(each, TargetGroupArn="arn", Weight="weight") for each in forward["targetGroups"]]
        sticky = {"TargetGroupStickinessConfig": _sticky(forward)} if forward.get("stickiness") else {}
        return {"Type": action["type"], "ForwardConfig": {"TargetGroups": groups, **sticky}}
    if answer := action.get("fixedResponse"):
        fixed = given(answer, ContentType="contentType", MessageBody="messageBody", StatusCode="statusCode")
        return {"Type": action["type"], "FixedResponseConfig": fixed}
    redirect = given(action["redirect"], **{argument: name for name, argument in _REDIRECT.items()})
    return {"Type": action["type"], "RedirectConfig": redirect}


def _sticky(forward: Props) -> dict[str, Any]:
    return given(forward["stickiness"], Enabled="enabled", DurationSeconds="duration")


def _told(action: Mapping[str, Any]) -> Props:
    """Return what a listener does, as a program writes it."""
    if redirect := action.get("RedirectConfig"):
        block = found(redirect, **_REDIRECT)
        kept = {name: value for name, value in block.items() if value != _AS_ASKED.get(name)}
        return {"type": action["Type"], "redirect": kept}
    if answer := action.get("FixedResponseConfig"):
        fixed = found(answer, contentType="ContentType", messageBody="MessageBody", statusCode="StatusCode")
        return {"type": action["Type"], "fixedResponse": fixed}
    forward = action.get("ForwardConfig") or {"TargetGroups": [{"TargetGroupArn": action.get("TargetGroupArn")}]}
    groups = [found(each, arn="TargetGroupArn", weight="Weight") for each in forward["TargetGroups"]]
    told: Props = {"targetGroups": sorted(groups, key=lambda each: str(each.get("arn")))}
    sticky = forward.get("TargetGroupStickinessConfig") or {}
    if sticky.get("Enabled"):
        told["stickiness"] = found(sticky, enabled="Enabled", duration="DurationSeconds")
    return {"type": action["Type"], "forward": told}


def _create_listener(aws: Aws, wanted: Props) -> str:
    answer = aws("elbv2").create_listener(
        LoadBalancerArn=wanted["loadBalancerArn"], **_listener(wanted), **tagged(wanted)
    )
    return str(answer["Listeners"][0]["ListenerArn"])


def _read_listener(aws: Aws, made: str, _: Props) -> Props | None:
    listeners = aws("elbv2").describe_listeners(ListenerArns=[made])["Listeners"]
    if not listeners:
        return None
    certificates = listeners[0].get("Certificates") or [{}]
    return {
        "defaultActions": [_told(each) for each in listeners[0]["DefaultActions"]],
        "tags": tags_of(aws, made),
        **found(certificates[0], certificateArn="CertificateArn"),
        **found(
            listeners[0],
            arn="ListenerArn",
            loadBalancerArn="LoadBalancerArn",
            port="Port",
            protocol="Protocol",
            sslPolicy="SslPolicy",
        ),
    }


def _moved(value: list[Props]) -> list[Props]:
    """Return actions that send clients elsewhere: by other shares, or for good."""
    moved = []
    for each in value:
        if "redirect" in each:
            moved.append({**each, "redirect": {**each["redirect"], "statusCode": "HTTP_302"}})
        elif "forward" in each:
            groups = [{**group, "weight": 100 - group["weight"]} for group in each["forward"]["targetGroups"]]
            moved.append({**each, "forward": {"targetGroups": groups}})
    return moved or value


KINDS = (
    Kind(
        type="aws:lb/listener:Listener",
        create=_create_listener,
        read=_read_listener,
        delete=lambda aws, made, _: aws("elbv2").delete_listener(ListenerArn=made),
        updates={
            **updates(
                lambda aws, made, wanted: aws("elbv2").modify_listener(ListenerArn=made, **_listener(wanted)),
                "port",
                "protocol",
                "sslPolicy",
                "certificateArn",
                "defaultActions",
            ),
            "tags": RETAG,
        },
        fixed=frozenset({"loadBalancerArn"}),
        drifts={"sslPolicy": lambda _: "ELBSecurityPolicy-2016-08", "defaultActions": _moved},
        exact=frozenset({"defaultActions"}),
    ),
)
