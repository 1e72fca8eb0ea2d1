"""What servers of databases are told: subnets, parameters, and whom to tell of events."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.by_arn import arn, retag_by_arn, tags_of
from infra.cloud.rehearsal.kinds.shared import found, given, pairs

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# So many parameters fit into one call.
_AT_ONCE = 20


# --- subnets ---------------------------------------------------------------------------------------------------------
def _create_subnets(aws: Aws, wanted: Props) -> str:
    aws("rds").create_db_subnet_group(
        DBSubnetGroupName=wanted["name"],
        DBSubnetGroupDescription=wanted["description"],
        SubnetIds=wanted["subnetIds"],
        Tags=pairs(wanted.get("tags")),
    )
    return str(wanted["name"])


def _read_subnets(aws: Aws, made: str, _: Props) -> Props:
    (there,) = aws("rds").describe_db_subnet_groups(DBSubnetGroupName=made)["DBSubnetGroups"]
    return {
        **found(there, name="DBSubnetGroupName", description="DBSubnetGroupDescription", vpcId="VpcId"),
        "arn": arn(aws, "rds", "subgrp", made),
        "subnetIds": [each["SubnetIdentifier"] for each in there["Subnets"]],
        "tags": tags_of(aws, "rds", arn(aws, "rds", "subgrp", made)),
    }


def _change_subnets(aws: Aws, made: str, wanted: Props) -> None:
    aws("rds").modify_db_subnet_group(
        DBSubnetGroupName=made, DBSubnetGroupDescription=wanted["description"], SubnetIds=wanted["subnetIds"]
    )


# --- parameters ------------------------------------------------------------------------------------------------------
# How the calls and their arguments are called for a server, and for a cluster.
_SERVER, _CLUSTER = ("db_parameter", "DBParameter"), ("db_cluster_parameter", "DBClusterParameter")
_Words = tuple[str, str]


def _call(aws: Aws, words: _Words, verb: str, made: str, suffix: str = "_group", **arguments: Any) -> Any:  # noqa: ANN401 - an answer
    method = getattr(aws("rds"), f"{verb}_{words[0]}{suffix}")
    return method(**{f"{words[1]}GroupName": made}, **arguments)


def _create_parameters(words: _Words, aws: Aws, wanted: Props) -> str:
    more = {**given(wanted, Description="description"), "Tags": pairs(wanted.get("tags"))}
    _call(aws, words, "create", wanted["name"], DBParameterGroupFamily=wanted["family"], **more)
    with begun(str(wanted["name"])):
        _set_parameters(words, aws, wanted["name"], wanted.get("parameters") or [])
    return str(wanted["name"])


def _set_parameters(words: _Words, aws: Aws, made: str, parameters: list[dict[str, str]]) -> None:
    asked = [
        {
            "ParameterName": each["name"],
            "ParameterValue": each["value"],
            "ApplyMethod": each.get("applyMethod", "immediate"),
        }
        for each in parameters
    ]
    for start in range(0, len(asked), _AT_ONCE):
        _call(aws, words, "modify", made, Parameters=asked[start : start + _AT_ONCE])


def _parameters(words: _Words, aws: Aws, made: str) -> list[dict[str, str]]:
    """Return those that somebody set; the family's own are not asked for."""
    pages = aws("rds").get_paginator(f"describe_{words[0]}s")
    return [
        found(each, name="ParameterName", value="ParameterValue", applyMethod="ApplyMethod")
        for page in pages.paginate(**{f"{words[1]}GroupName": made}, Source="user")
        for each in page["Parameters"]
    ]


def _read_parameters(words: _Words, aws: Aws, made: str, _: Props) -> Props | None:
    groups = _call(aws, words, "describe", made, "_groups")[f"{words[1]}Groups"]
    if not groups:
        return None
    (there,) = groups
    name = there[f"{words[1]}GroupArn"]
    return {
        **found(there, name=f"{words[1]}GroupName", family="DBParameterGroupFamily", description="Description"),
        "arn": name,
        "parameters": _parameters(words, aws, made),
        "tags": tags_of(aws, "rds", name),
    }


def _change_parameters(words: _Words, aws: Aws, made: str, wanted: Props) -> None:
    asked = wanted.get("parameters") or []
    names = {each["name"] for each in asked}
    surplus = [each for each in _parameters(words, aws, made) if each["name"] not in names]
    if surplus:
        # moto has no such call: there a parameter can be set and changed, and is not taken back.
        back = [{"ParameterName": each["name"], "ApplyMethod": "pending-reboot"} for each in surplus]
        _call(aws, words, "reset", made, Parameters=back)
    _set_parameters(words, aws, made, asked)


def _other_parameters(parameters: list[dict[str, str]]) -> list[dict[str, str]]:
    """Change one number: what somebody does in the console in a hurry."""
    number = next(each for each in parameters if each["value"].isdigit())
    return [{**each, "value": str(int(each["value"]) + 1)} if each is number else each for each in parameters]


def _parameter_kind(kind: str, tagged: str, words: _Words) -> Kind:
    return Kind(
        type=kind,
        create=partial(_create_parameters, words),
        read=partial(_read_parameters, words),
        delete=lambda aws, made, _: _call(aws, words, "delete", made),
        updates={"parameters": partial(_change_parameters, words), "tags": retag_by_arn("rds", tagged)},
        fixed=frozenset({"name", "family", "description"}),
        drifts={"parameters": _other_parameters},
    )


# --- events ----------------------------------------------------------------------------------------------------------
def _create_subscription(aws: Aws, wanted: Props) -> str:
    aws("rds").create_event_subscription(
        SubscriptionName=wanted["name"],
        **given(
            wanted,
            SnsTopicArn="snsTopic",
            SourceType="sourceType",
            SourceIds="sourceIds",
            EventCategories="eventCategories",
            Enabled="enabled",
        ),
        Tags=pairs(wanted.get("tags")),
    )
    return str(wanted["name"])


def _read_subscription(aws: Aws, made: str, _: Props) -> Props:
    (there,) = aws("rds").describe_event_subscriptions(SubscriptionName=made)["EventSubscriptionsList"]
    return {
        **found(
            there,
            name="CustSubscriptionId",
            customerAwsId="CustomerAwsId",
            snsTopic="SnsTopicArn",
            sourceType="SourceType",
            sourceIds="SourceIdsList",
            eventCategories="EventCategoriesList",
            enabled="Enabled",
        ),
        "arn": arn(aws, "rds", "es", made),
        "tags": tags_of(aws, "rds", arn(aws, "rds", "es", made)),
    }


def _change_subscription(aws: Aws, made: str, wanted: Props) -> None:
    # moto has no call that changes one: it is made again under its name, which is its id.
    aws("rds").delete_event_subscription(SubscriptionName=made)
    _create_subscription(aws, wanted)


KINDS = (
    Kind(
        type="aws:rds/subnetGroup:SubnetGroup",
        create=_create_subnets,
        read=_read_subnets,
        delete=lambda aws, made, _: aws("rds").delete_db_subnet_group(DBSubnetGroupName=made),
        updates={**updates(_change_subnets, "description", "subnetIds"), "tags": retag_by_arn("rds", "subgrp")},
        fixed=frozenset({"name"}),
        drifts={"description": "{} (by hand)".format, "subnetIds": lambda subnets: subnets[:-1]},
    ),
    _parameter_kind("aws:rds/parameterGroup:ParameterGroup", "pg", _SERVER),
    _parameter_kind("aws:rds/clusterParameterGroup:ClusterParameterGroup", "cluster-pg", _CLUSTER),
    Kind(
        type="aws:rds/eventSubscription:EventSubscription",
        create=_create_subscription,
        read=_read_subscription,
        delete=lambda aws, made, _: aws("rds").delete_event_subscription(SubscriptionName=made),
        updates={
            **updates(_change_subscription, "snsTopic", "sourceType", "eventCategories", "enabled", "sourceIds"),
            "tags": retag_by_arn("rds", "es"),
        },
        fixed=frozenset({"name"}),
        drifts={"eventCategories": lambda categories: (categories or [])[:-1] or ["failure"]},
        defaults={"enabled": True},
    ),
)
