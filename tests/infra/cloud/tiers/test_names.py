from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.tiers.certificate import Certificate, CertificateArgs
from infra.cloud.tiers.names import Names, NamesArgs, Zone, ZoneArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

DOMAIN = "brc20.example.com"


def made(planned: Planned, site: Site) -> dict[tuple[str, str], dict[str, Any]]:
    def program() -> None:
        arguments = NamesArgs(
            site=site, zone_id="Z1", balancer_name="test-api-1.us-east-1.elb.amazonaws.com", balancer_zone="Z2"
        )
        Names("names", arguments)

    return {(each.type.rpartition(":")[2], each.name): each.inputs for each in planned(program)}


def test_regions_share_the_clients_by_weight_and_one_without_healthy_hosts_gets_none(
    planned: Planned, at: Places
) -> None:
    record = made(planned, at(names={"share": 40}))["Record", "public"]
    assert record["name"] == DOMAIN
    assert record["weightedRoutingPolicies"] == [{"weight": 40}]
    assert record["setIdentifier"] == "us-east-1"
    assert record["aliases"][0]["evaluateTargetHealth"] is True
    assert record["healthCheckId"] == "region-id"


def test_a_region_can_stand_by_for_another_s_failure(planned: Planned, at: Places) -> None:
    record = made(planned, at(names={"failover": "secondary"}))["Record", "public"]
    assert record["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    assert "weightedRoutingPolicies" not in record


def test_a_region_is_checked_by_its_own_name_as_clients_reach_it(planned: Planned, site: Site) -> None:
    found = made(planned, site)
    check = found["HealthCheck", "region"]
    assert found["Record", "regional"]["name"] == check["fqdn"] == f"us-east-1.{DOMAIN}"
    assert (check["type"], check["port"], check["resourcePath"]) == ("HTTPS", 443, "/health/ready")
    assert check["enableSni"] is True


def test_a_dead_region_gets_no_new_client_after_thirty_seconds(planned: Planned, site: Site) -> None:
    check = made(planned, site)["HealthCheck", "region"]
    assert check["requestInterval"] * check["failureThreshold"] <= 30


def test_somebody_hears_of_a_region_that_is_down_wherever_it_lies(planned: Planned, at: Places) -> None:
    found = made(planned, at(region="eu-west-1"))
    alarm, topic = found["MetricAlarm", "region"], found["Topic", "checks"]
    assert alarm["region"] == topic["region"] == "us-east-1"
    assert (alarm["metricName"], alarm["comparisonOperator"], alarm["threshold"]) == (
        "HealthCheckStatus",
        "LessThanThreshold",
        1,
    )
    assert alarm["treatMissingData"] == "breaching"
    assert found["TopicSubscription", "checks"]["endpoint"] == "oncall@example.com"


def test_notifications_of_the_checks_are_encrypted_by_a_key_that_cloudwatch_may_use(
    planned: Planned, site: Site
) -> None:
    found = made(planned, site)
    assert found["Topic", "checks"]["kmsMasterKeyId"].startswith("arn:aws:key:")
    key = found["Key", "checks"]
    assert key["enableKeyRotation"] is True
    assert "cloudwatch.amazonaws.com" in json.dumps(json.loads(key["policy"]))


def test_an_api_that_is_closed_to_the_world_is_judged_by_its_balancer(planned: Planned, at: Places) -> None:
    found = made(planned, at(balancer={"allowed": ["192.0.2.0/24"]}))
    assert ("HealthCheck", "region") not in found
    assert "healthCheckId" not in found["Record", "public"]
    assert found["Record", "public"]["aliases"][0]["evaluateTargetHealth"] is True


def test_a_zone_of_the_settings_is_used_and_none_is_made(planned: Planned, site: Site, at: Places) -> None:
    def program(where: Site) -> None:
        Zone("zone", ZoneArgs(site=where))

    own = planned(partial(program, site))
    assert [(each.inputs["name"], each.protect) for each in own] == [(DOMAIN, True)]
    assert planned(partial(program, at(names={"zone_id": "Z123"}))) == []


def test_the_certificate_is_proven_in_the_zone_and_waited_for(planned: Planned, site: Site) -> None:
    def program() -> None:
        Certificate("certificate", CertificateArgs(site=site, zone_id="Z1"))

    found = planned(program)
    kinds = [each.type.rpartition(":")[2] for each in found]
    assert kinds == ["Certificate", "Record", "Record", "CertificateValidation"]
    assert found[0].inputs["domainName"] == DOMAIN
    assert found[0].inputs["subjectAlternativeNames"] == [f"us-east-1.{DOMAIN}"]
    assert found[0].inputs["validationMethod"] == "DNS"
    assert all(each.inputs["allowOverwrite"] for each in found if each.type.endswith(":Record"))


@pytest.mark.parametrize(("zone", "stay"), [(None, []), ("Z123", [DOMAIN])])
def test_the_proof_of_a_name_that_regions_share_outlives_each_of_them(
    planned: Planned, at: Places, zone: str | None, stay: list[str]
) -> None:
    def program() -> None:
        Certificate("certificate", CertificateArgs(site=at(names={"zone_id": zone}), zone_id="Z1"))

    assert [each.name for each in planned(program) if each.retained] == stay
