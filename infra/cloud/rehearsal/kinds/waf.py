"""The firewall of requests: WAF's lists of rules, what they protect, and their log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.others import tagged
from infra.cloud.rehearsal.kinds.shared import camel, found, given, mapping, pascal, retag

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_GONE = "WAFNonexistentItemException"
# The one name that the program writes otherwise than AWS.
_METRICS = ("cloudwatchMetricsEnabled", "CloudWatchMetricsEnabled")


def _out(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return blocks as AWS takes them."""
    return _renamed(pascal(value), "CloudwatchMetricsEnabled", _METRICS[1])


def _back(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return blocks as a program writes them."""
    return _renamed(camel(value), "cloudWatchMetricsEnabled", _METRICS[0])


def _renamed(value: Any, name: str, other: str) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {other if key == name else key: _renamed(each, name, other) for key, each in value.items()}
        case list():
            return [_renamed(each, name, other) for each in value]
        case _:
            return value


def _asked(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - AWS's own types
    """Return an answer, and an empty one where there is no such thing."""
    try:
        return dict(call(**arguments))
    except ClientError as error:
        if error.response["Error"]["Code"] != _GONE:
            raise
        return {}


def _arguments(wanted: Props) -> dict[str, Any]:
    return {
        **given(wanted, Name="name", Scope="scope", Description="description"),
        "DefaultAction": _out(wanted["defaultAction"]),
        "Rules": _out(wanted.get("rules") or []),
        "VisibilityConfig": _out(wanted["visibilityConfig"]),
    }


def _create(aws: Aws, wanted: Props) -> str:
    answer = aws("wafv2").create_web_acl(**_arguments(wanted), **tagged(wanted))
    return str(answer["Summary"]["Id"])


def _found(aws: Aws, made: str, known: Props) -> dict[str, Any]:
    return _asked(aws("wafv2").get_web_acl, Id=made, Name=known["name"], Scope=known["scope"])


def _read(aws: Aws, made: str, known: Props) -> Props | None:
    acl = _found(aws, made, known).get("WebACL")
    if acl is None:
        return None
    return {
        "scope": known["scope"],
        "defaultAction": _back(acl["DefaultAction"]),
        "rules": sorted(_back(acl["Rules"]), key=lambda each: int(each["priority"])),
        "visibilityConfig": _back(acl["VisibilityConfig"]),
        "tags": _tags(aws, acl["ARN"]),
        **found(acl, arn="ARN", name="Name", description="Description"),
    }


def _change(aws: Aws, made: str, wanted: Props) -> None:
    token = _found(aws, made, wanted)["LockToken"]
    aws("wafv2").update_web_acl(Id=made, LockToken=token, **_arguments(wanted))


def _delete(aws: Aws, made: str, known: Props) -> None:
    if there := _found(aws, made, known):
        token = there["LockToken"]
        aws("wafv2").delete_web_acl(Id=made, Name=known["name"], Scope=known["scope"], LockToken=token)


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    answer = aws("wafv2").list_tags_for_resource(ResourceARN=arn)
    return mapping(answer["TagInfoForResource"]["TagList"])


def _tag(aws: Aws, made: str, wanted: Props) -> None:
    arn = _found(aws, made, wanted)["WebACL"]["ARN"]
    retag(
        _tags,
        lambda aws, arn, tags: aws("wafv2").tag_resource(ResourceARN=arn, Tags=tags),
        lambda aws, arn, names: aws("wafv2").untag_resource(ResourceARN=arn, TagKeys=names),
    )(aws, arn, wanted)


def _associate(aws: Aws, wanted: Props) -> str:
    aws("wafv2").associate_web_acl(WebACLArn=wanted["webAclArn"], ResourceArn=wanted["resourceArn"])
    return f"{wanted['webAclArn']},{wanted['resourceArn']}"


def _read_association(aws: Aws, made: str, _: Props) -> Props | None:
    resource = made.partition(",")[2]
    acl = _asked(aws("wafv2").get_web_acl_for_resource, ResourceArn=resource).get("WebACL")
    return {"webAclArn": acl["ARN"], "resourceArn": resource} if acl else None


def _disassociate(aws: Aws, _: str, known: Props) -> None:
    _asked(aws("wafv2").disassociate_web_acl, ResourceArn=known["resourceArn"])


def _log(aws: Aws, wanted: Props) -> str:
    _change_log(aws, str(wanted["resourceArn"]), wanted)
    return str(wanted["resourceArn"])


def _change_log(aws: Aws, made: str, wanted: Props) -> None:
    configuration = {"ResourceArn": made, "LogDestinationConfigs": wanted["logDestinationConfigs"]}
    if wanted.get("redactedFields"):
        configuration["RedactedFields"] = _out(wanted["redactedFields"])
    if wanted.get("loggingFilter"):
        configuration["LoggingFilter"] = _out(wanted["loggingFilter"])
    aws("wafv2").put_logging_configuration(LoggingConfiguration=configuration)


def _read_log(aws: Aws, made: str, _: Props) -> Props | None:
    there = _asked(aws("wafv2").get_logging_configuration, ResourceArn=made).get("LoggingConfiguration")
    if there is None:
        return None
    return {
        "redactedFields": _back(there.get("RedactedFields", [])),
        **({"loggingFilter": _back(there["LoggingFilter"])} if there.get("LoggingFilter") else {}),
        **found(there, resourceArn="ResourceArn", logDestinationConfigs="LogDestinationConfigs"),
    }


def _delete_log(aws: Aws, made: str, _: Props) -> None:
    _asked(aws("wafv2").delete_logging_configuration, ResourceArn=made)


KINDS = (
    Kind(
        type="aws:wafv2/webAcl:WebAcl",
        create=_create,
        read=_read,
        delete=_delete,
        updates={**updates(_change, "description", "defaultAction", "rules", "visibilityConfig"), "tags": _tag},
        fixed=frozenset({"name", "scope"}),
        exact=frozenset({"defaultAction", "rules", "visibilityConfig"}),
        drifts={
            "description": others.text,
            "defaultAction": lambda value: {"block": {}} if "allow" in value else {"allow": {}},
            "rules": others.fewer,
            "visibilityConfig": lambda value: {**value, "sampledRequestsEnabled": False},
        },
    ),
    Kind(
        type="aws:wafv2/webAclAssociation:WebAclAssociation",
        create=_associate,
        read=_read_association,
        delete=_disassociate,
        fixed=frozenset({"webAclArn", "resourceArn"}),
    ),
    Kind(
        type="aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
        create=_log,
        read=_read_log,
        delete=_delete_log,
        updates=updates(_change_log, "loggingFilter", "redactedFields"),
        fixed=frozenset({"resourceArn", "logDestinationConfigs"}),
        exact=frozenset({"loggingFilter", "redactedFields"}),
        drifts={"redactedFields": others.fewer, "loggingFilter": lambda value: {**value, "defaultBehavior": "KEEP"}},
    ),
)
