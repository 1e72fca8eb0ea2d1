"""Zones, records, health checks."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.cloud.rehearsal.kind import Aws, Change
    from infra.cloud.rehearsal.values import Props


def _tags(aws: Aws, kind: str, made: str) -> dict[str, str]:
    answer = aws("route53").list_tags_for_resource(ResourceType=kind, ResourceId=made)
    return mapping(answer["ResourceTagSet"]["Tags"])


def _retag(kind: str) -> Change:
    return retag(
        lambda aws, made: _tags(aws, kind, made),
        lambda aws, made, tags: aws("route53").change_tags_for_resource(
            ResourceType=kind, ResourceId=made, AddTags=tags
        ),
        lambda aws, made, names: aws("route53").change_tags_for_resource(
            ResourceType=kind, ResourceId=made, RemoveTagKeys=names
        ),
    )


def _tag_new(aws: Aws, kind: str, made: str, wanted: Props) -> None:
    if wanted.get("tags"):
        aws("route53").change_tags_for_resource(ResourceType=kind, ResourceId=made, AddTags=pairs(wanted["tags"]))


# --- zones -----------------------------------------------------------------------------------------------------------
def _create_zone(aws: Aws, wanted: Props) -> str:
    answer = aws("route53").create_hosted_zone(
        Name=wanted["name"], CallerReference=str(uuid.uuid4()), HostedZoneConfig=given(wanted, Comment="comment")
    )
    made = str(answer["HostedZone"]["Id"]).rpartition("/")[2]
    with begun(made):
        _tag_new(aws, "hostedzone", made, wanted)
    return made


def _read_zone(aws: Aws, made: str, _: Props) -> Props | None:
    answer = aws("route53").get_hosted_zone(Id=made)
    zone = answer["HostedZone"]
    return {
        "arn": f"arn:aws:route53:::hostedzone/{made}",
        "zoneId": made,
        "name": zone["Name"].rstrip("."),
        "nameServers": sorted(answer["DelegationSet"]["NameServers"]),
        "tags": _tags(aws, "hostedzone", made),
        **found(zone.get("Config", {}), comment="Comment"),
    }


def _comment(aws: Aws, made: str, wanted: Props) -> None:
    aws("route53").update_hosted_zone_comment(Id=made, **given(wanted, Comment="comment"))


# --- records ---------------------------------------------------------------------------------------------------------
# The id of one: its zone, its name, its type, and which of several of that name it is.
_RECORD = re.compile(r"(?P<zoneId>[^_]+)_(?P<name>.+?)_(?P<type>[A-Z]+)(?:_(?P<setIdentifier>.+))?")


def _record(wanted: Props) -> dict[str, Any]:
    """Return a record set as AWS takes it."""
    record = given(
        wanted, Name="name", Type="type", TTL="ttl", SetIdentifier="setIdentifier", HealthCheckId="healthCheckId"
    )
    if wanted.get("records"):
        record["ResourceRecords"] = [{"Value": each} for each in wanted["records"]]
    for alias in wanted.get("aliases") or ():
        record["AliasTarget"] = given(
            alias, DNSName="name", HostedZoneId="zoneId", EvaluateTargetHealth="evaluateTargetHealth"
        )
    for policy in wanted.get("weightedRoutingPolicies") or ():
        record["Weight"] = policy["weight"]
    for policy in wanted.get("failoverRoutingPolicies") or ():
        record["Failover"] = policy["type"]
    return record


def _write(aws: Aws, action: str, zone: str, record: Mapping[str, Any]) -> None:
    changes = [{"Action": action, "ResourceRecordSet": dict(record)}]
    aws("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def _create_record(aws: Aws, wanted: Props) -> str:
    record = _record(wanted)
    # moto refuses to create again what was once there, as long as the name has another record.
    taken = _found_record(aws, wanted) is not None and not wanted.get("allowOverwrite")
    _write(aws, "CREATE" if taken else "UPSERT", wanted["zoneId"], record)
    parts = [wanted["zoneId"], wanted["name"].rstrip("."), wanted["type"]]
    return "_".join([*parts, wanted["setIdentifier"]] if wanted.get("setIdentifier") else parts)


def _found_record(aws: Aws, known: Props) -> dict[str, Any] | None:
    name, kind = known["name"].rstrip("."), known["type"]
    answer = aws("route53").list_resource_record_sets(
        HostedZoneId=known["zoneId"], StartRecordName=name, StartRecordType=kind
    )
    for each in answer["ResourceRecordSets"]:
        there = each["Name"].rstrip("."), each["Type"], each.get("SetIdentifier", "")
        if there == (name, kind, known.get("setIdentifier", "")):
            return dict(each)
    return None


def _read_record(aws: Aws, made: str, props: Props) -> Props | None:
    parts = _RECORD.fullmatch(made)
    known = props if props or parts is None else {name: value for name, value in parts.groupdict().items() if value}
    record = _found_record(aws, known)
    if record is None:
        return None
    name = record["Name"].rstrip(".")
    read: Props = {
        "zoneId": known["zoneId"],
        "name": name,
        "fqdn": name,
        **found(record, type="Type", ttl="TTL", setIdentifier="SetIdentifier", healthCheckId="HealthCheckId"),
    }
    if record.get("ResourceRecords"):
        read["records"] = sorted(each["Value"] for each in record["ResourceRecords"])
    if alias := record.get("AliasTarget"):
        blocks = found(alias, zoneId="HostedZoneId", evaluateTargetHealth="EvaluateTargetHealth")
        read["aliases"] = [{"name": alias["DNSName"].rstrip("."), **blocks}]
    if "Weight" in record:
        read["weightedRoutingPolicies"] = [{"weight": record["Weight"]}]
    if "Failover" in record:
        read["failoverRoutingPolicies"] = [{"type": record["Failover"]}]
    return read


def _change_record(aws: Aws, _: str, wanted: Props) -> None:
    _write(aws, "UPSERT", wanted["zoneId"], _record(wanted))


def _delete_record(aws: Aws, _: str, known: Props) -> None:
    if record := _found_record(aws, known):
        _write(aws, "DELETE", known["zoneId"], record)


# --- health checks ---------------------------------------------------------------------------------------------------
_CHECK = {
    "FullyQualifiedDomainName": "fqdn",
    "Port": "port",
    "ResourcePath": "resourcePath",
    "FailureThreshold": "failureThreshold",
    "EnableSNI": "enableSni",
    "Inverted": "invertHealthcheck",
    "Disabled": "disabled",
}


def _create_check(aws: Aws, wanted: Props) -> str:
    config = given(wanted, Type="type", RequestInterval="requestInterval", MeasureLatency="measureLatency", **_CHECK)
    answer = aws("route53").create_health_check(CallerReference=str(uuid.uuid4()), HealthCheckConfig=config)
    made = str(answer["HealthCheck"]["Id"])
    with begun(made):
        _tag_new(aws, "healthcheck", made, wanted)
    return made


def _read_check(aws: Aws, made: str, _: Props) -> Props | None:
    config = aws("route53").get_health_check(HealthCheckId=made)["HealthCheck"]["HealthCheckConfig"]
    names = {name: argument for argument, name in _CHECK.items()}
    return {
        "arn": f"arn:aws:route53:::healthcheck/{made}",
        "tags": _tags(aws, "healthcheck", made),
        **found(config, type="Type", requestInterval="RequestInterval", measureLatency="MeasureLatency", **names),
    }


def _change_check(aws: Aws, made: str, wanted: Props) -> None:
    aws("route53").update_health_check(HealthCheckId=made, **given(wanted, **_CHECK))


KINDS = (
    Kind(
        type="aws:route53/zone:Zone",
        create=_create_zone,
        read=_read_zone,
        delete=lambda aws, made, _: aws("route53").delete_hosted_zone(Id=made),
        updates={
            "comment": _comment,
            "tags": _retag("hostedzone"),
            "forceDestroy": lambda _aws, _made, _wanted: None,
        },
        fixed=frozenset({"name"}),
        # It counts when the zone is deleted; AWS does not know it.
        unread=frozenset({"forceDestroy"}),
        drifts={"comment": others.text},
    ),
    Kind(
        type="aws:route53/record:Record",
        create=_create_record,
        read=_read_record,
        delete=_delete_record,
        updates={
            **updates(
                _change_record,
                "ttl",
                "records",
                "aliases",
                "healthCheckId",
                "weightedRoutingPolicies",
                "failoverRoutingPolicies",
            ),
            "allowOverwrite": lambda _aws, _made, _wanted: None,
        },
        fixed=frozenset({"zoneId", "name", "type", "setIdentifier"}),
        # It counts when the record is made; AWS does not know it.
        unread=frozenset({"allowOverwrite"}),
        drifts={
            "records": lambda value: [f"drifted.{each}" for each in value],
            "aliases": lambda value: [{**each, "name": f"drifted.{each['name']}"} for each in value],
            "weightedRoutingPolicies": lambda value: [{"weight": each["weight"] - 1} for each in value],
        },
    ),
    Kind(
        type="aws:route53/healthCheck:HealthCheck",
        create=_create_check,
        read=_read_check,
        delete=lambda aws, made, _: aws("route53").delete_health_check(HealthCheckId=made),
        updates={**updates(_change_check, *_CHECK.values()), "tags": _retag("healthcheck")},
        fixed=frozenset({"type", "requestInterval", "measureLatency"}),
        drifts={
            "fqdn": lambda value: f"drifted.{value}",
            "resourcePath": lambda value: f"{value}/drifted",
        },
    ),
)
