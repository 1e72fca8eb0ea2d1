"""The provider's functions: what a program asks of AWS without making anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


class InvokeError(Exception):
    """There is no answer, as AWS's plugin says it."""


def _identity(aws: Aws, _: Props) -> Props:
    found = aws("sts").get_caller_identity()
    return {"id": found["Account"], "accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"]}


_OPTED = "opt-in-status"


def _zones(aws: Aws, asked: Props) -> Props:
    state = asked.get("state")
    given = [{"name": "state", "values": [state]}] if state else []
    wanted = [*given, *(asked.get("filters") or ())]
    filters = [{"Name": each["name"], "Values": each["values"]} for each in wanted if each["name"] != _OPTED]
    found = aws("ec2").describe_availability_zones(Filters=filters)["AvailabilityZones"]
    for each in wanted:
        if each["name"] == _OPTED:
            found = [zone for zone in found if _opted(zone) in each["values"]]
    excluded = {"ZoneName": asked.get("excludeNames") or (), "ZoneId": asked.get("excludeZoneIds") or ()}
    found = [zone for zone in found if not any(zone[name] in values for name, values in excluded.items())]
    names = [each["ZoneName"] for each in found]
    region = aws("ec2").meta.region_name
    return {"id": region, "region": region, "names": names, "zoneIds": [each["ZoneId"] for each in found]}


def _opted(zone: Props) -> str:
    """Return whether a zone has to be opted in to; moto has it neither in its answers nor as a filter."""
    own = zone["ZoneType"] == "availability-zone"
    return str(zone.get("OptInStatus") or ("opt-in-not-required" if own else "not-opted-in"))


def _image(aws: Aws, asked: Props) -> Props:
    filters = [{"Name": each["name"], "Values": each["values"]} for each in asked.get("filters", ())]
    owners = {"Owners": asked["owners"]} if asked.get("owners") else {}
    found = sorted(
        aws("ec2").describe_images(Filters=filters, **owners)["Images"], key=lambda each: each["CreationDate"]
    )
    if not found:
        raise InvokeError("your query returned no image: change its owner, its name or its architecture")
    return {"id": found[-1]["ImageId"], "imageId": found[-1]["ImageId"], "name": found[-1]["Name"]}


def _region(aws: Aws, _: Props) -> Props:
    region = aws("ec2").meta.region_name
    return {"id": region, "region": region, "name": region}


INVOKES: Mapping[str, Callable[[Aws, Props], Props]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _identity,
    "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    "aws:index/getRegion:getRegion": _region,
    "aws:ec2/getAmi:getAmi": _image,
}
