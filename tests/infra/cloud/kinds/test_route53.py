from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import route53

from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"
ELSEWHERE = "Z215JYRZR1TBD5"


def alias(name: str) -> route53.RecordAliasArgs:
    return route53.RecordAliasArgs(name=name, zone_id=ELSEWHERE, evaluate_target_health=True)


def program() -> None:
    zone = route53.Zone("zone", name="example.com", comment="Names", force_destroy=False, tags={"Name": "zone"})
    check = route53.HealthCheck(
        "check",
        type="HTTPS",
        fqdn="eu.example.com",
        port=443,
        resource_path="/health/ready",
        enable_sni=True,
        disabled=False,
        invert_healthcheck=False,
        request_interval=10,
        failure_threshold=3,
        tags={"Name": "check"},
    )
    route53.Record("text", zone_id=zone.zone_id, name="example.com", type="TXT", ttl=300, records=["a=b"])
    for region, weight in (("eu", 100), ("us", 20)):
        route53.Record(
            region,
            zone_id=zone.zone_id,
            name="api.example.com",
            type="A",
            set_identifier=region,
            weighted_routing_policies=[route53.RecordWeightedRoutingPolicyArgs(weight=weight)],
            health_check_id=check.id,
            aliases=[alias(f"{region}.elb.amazonaws.com")],
        )
    for role in ("PRIMARY", "SECONDARY"):
        route53.Record(
            role,
            zone_id=zone.zone_id,
            name="failover.example.com",
            type="A",
            set_identifier=role,
            failover_routing_policies=[route53.RecordFailoverRoutingPolicyArgs(type=role)],
            aliases=[alias(f"{role.lower()}.elb.amazonaws.com")],
        )


def test_names_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {
        "Zone.comment",
        "Zone.tags",
        "HealthCheck.disabled",
        "HealthCheck.enableSni",
        "HealthCheck.invertHealthcheck",
        "HealthCheck.failureThreshold",
        "HealthCheck.fqdn",
        "HealthCheck.port",
        "HealthCheck.resourcePath",
        "HealthCheck.tags",
        "Record.aliases",
        "Record.records",
        "Record.ttl",
        "Record.weightedRoutingPolicies",
    }


def test_a_record_that_lost_its_health_check_is_told_and_gets_it_back(lab: Lab) -> None:
    lab.up(program)
    (record,) = (each for each in lab.state.managed() if each.name == "eu")
    zone = record.inputs["zoneId"]
    client = lab.reach(REGION)("route53")
    there = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    plain = next(each for each in there if each.get("SetIdentifier") == "eu")
    check = plain.pop("HealthCheckId")
    client.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": plain}]}
    )
    (found,) = lab.drifts()
    assert f"healthCheckId was '{check}', is None" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("healthCheckId",)]
    assert lab.drifts() == []


def test_a_record_of_somebody_elses_is_read_by_its_id(lab: Lab) -> None:
    lab.up(program)
    (record,) = (each for each in lab.state.managed() if each.name == "eu")
    found: list[route53.Record] = []
    seen: list[list[str]] = []

    def reader() -> None:
        found.append(route53.Record.get("theirs", record.id))
        found[0].set_identifier.apply(lambda value: seen.append([str(value)]))

    lab.plan(reader)
    assert seen == [["eu"]]


def test_a_region_whose_record_is_deleted_is_told_and_comes_back(lab: Lab) -> None:
    lab.up(program)
    (record,) = (each for each in lab.state.managed() if each.name == "us")
    lab.provider.delete(record)
    assert [each.line for each in lab.drifts()] == ["aws:route53/record:Record us is gone"]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
    assert lab.drifts() == []
