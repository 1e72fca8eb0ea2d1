"""The provider's functions, where the emulator has less than AWS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from infra.cloud.rehearsal.invokes import INVOKES

ZONES: list[dict[str, str]] = [
    {"ZoneName": "us-east-1-bos-1a", "ZoneId": "use1-bos1-az1", "ZoneType": "local-zone", "OptInStatus": "opted-in"},
    {"ZoneName": "us-east-1-mia-1a", "ZoneId": "use1-mia1-az1", "ZoneType": "local-zone"},
    {"ZoneName": "us-east-1a", "ZoneId": "use1-az3", "ZoneType": "availability-zone"},
    {
        "ZoneName": "us-east-1b",
        "ZoneId": "use1-az1",
        "ZoneType": "availability-zone",
        "OptInStatus": "opt-in-not-required",
    },
]


def names(**asked: Any) -> tuple[list[str], list[dict[str, Any]]]:  # noqa: ANN401 - arguments
    """Return the names that are told, and the filters that AWS was given."""
    given: list[dict[str, Any]] = []

    def describe(Filters: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's
        given.extend(Filters)
        return {"AvailabilityZones": ZONES}

    client = SimpleNamespace(describe_availability_zones=describe, meta=SimpleNamespace(region_name="us-east-1"))
    told = INVOKES["aws:index/getAvailabilityZones:getAvailabilityZones"](lambda _: client, asked)
    return told["names"], given


def test_zones_that_have_to_be_opted_in_to_are_left_out_where_that_is_asked() -> None:
    own = {"name": "opt-in-status", "values": ["opt-in-not-required"]}
    assert names(filters=[own]) == (["us-east-1a", "us-east-1b"], [])
    assert len(names()[0]) == len(ZONES)


def test_zones_are_left_out_by_their_ids_and_names() -> None:
    assert "us-east-1a" not in names(excludeZoneIds=["use1-az3"])[0]
    assert "us-east-1-bos-1a" not in names(excludeNames=["us-east-1-bos-1a"])[0]


def test_what_aws_can_filter_by_itself_it_is_asked_to() -> None:
    given = names(state="available", filters=[{"name": "zone-name", "values": ["us-east-1b"]}])[1]
    assert given == [
        {"Name": "state", "Values": ["available"]},
        {"Name": "zone-name", "Values": ["us-east-1b"]},
    ]
