from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pulumi_aws import iam

from infra.cloud.tiers.endpoints import Endpoints, EndpointsArgs
from infra.cloud.tiers.network import Network, NetworkArgs, subnets
from infra.cloud.tiers.policy import trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY = "arn:aws:kms:us-east-1:123456789012:key/logs"


def made(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Network("network", NetworkArgs(site=site, logs_key=KEY))

    return planned(program)


def of(resources: list[Registered], kind: str) -> list[Registered]:
    return [each for each in resources if each.type.endswith(f":{kind}")]


def test_three_zones_have_a_public_a_private_and_a_data_subnet_each(planned: Planned, site: Site) -> None:
    found = of(made(planned, site), "Subnet")
    assert {(each.name, each.inputs["availabilityZone"]) for each in found} == {
        (f"{reach}-{number}", f"us-east-1{zone}")
        for reach in ("public", "private", "data")
        for number, zone in enumerate("abc", 1)
    }


def test_no_two_subnets_overlap_and_all_lie_in_the_vpc() -> None:
    networks = [each for group in subnets("10.20.0.0/16") for each in group]
    assert len(set(networks)) == 9
    assert networks[0] == "10.20.0.0/20"
    assert networks[-1] == "10.20.128.0/20"


def test_no_host_gets_a_public_address_by_itself(planned: Planned, site: Site) -> None:
    assert not any(each.inputs["mapPublicIpOnLaunch"] for each in of(made(planned, site), "Subnet"))


def test_only_public_subnets_have_a_way_from_the_internet_and_data_subnets_none_at_all(
    planned: Planned, site: Site
) -> None:
    routes = {each.name: each.inputs["routes"] for each in of(made(planned, site), "RouteTable")}
    assert all(routes[f"public-{number}"][0]["gatewayId"] == "internet-id" for number in (1, 2, 3))
    assert all("gatewayId" not in each for number in (1, 2, 3) for each in routes[f"private-{number}"])
    assert [routes[f"data-{number}"] for number in (1, 2, 3)] == [[], [], []]


def test_a_database_on_hosts_of_our_own_gets_its_packages(planned: Planned, at: Places) -> None:
    resources = made(planned, at(database={"kind": "patroni"}))
    routes = {each.name: each.inputs["routes"] for each in of(resources, "RouteTable")}
    assert [routes[f"data-{n}"][0]["natGatewayId"] for n in (1, 2, 3)] == [f"nat-{n}-id" for n in (1, 2, 3)]


def test_each_zone_has_its_own_gateway_so_that_its_outage_stays_there(planned: Planned, site: Site) -> None:
    resources = made(planned, site)
    routes = {each.name: each.inputs["routes"] for each in of(resources, "RouteTable")}
    assert [each.inputs["subnetId"] for each in of(resources, "NatGateway")] == [f"public-{n}-id" for n in (1, 2, 3)]
    assert [routes[f"private-{n}"][0]["natGatewayId"] for n in (1, 2, 3)] == [f"nat-{n}-id" for n in (1, 2, 3)]


def test_gateways_and_their_addresses_wait_for_the_way_to_the_internet(planned: Planned, site: Site) -> None:
    resources = made(planned, site)
    waiting = [*of(resources, "NatGateway"), *of(resources, "Eip")]
    assert len(waiting) == 6
    for each in waiting:
        assert any("InternetGateway::internet" in urn for urn in each.dependencies), each.name


def test_one_gateway_serves_all_zones_where_money_matters_more(planned: Planned, at: Places) -> None:
    resources = made(planned, at(network={"nat": "one"}))
    routes = {each.name: each.inputs["routes"] for each in of(resources, "RouteTable")}
    assert len(of(resources, "NatGateway")) == len(of(resources, "Eip")) == 1
    assert {routes[f"private-{n}"][0]["natGatewayId"] for n in (1, 2, 3)} == {"nat-1-id"}


def test_the_group_that_a_host_gets_by_mistake_is_closed(planned: Planned, site: Site) -> None:
    (group,) = of(made(planned, site), "DefaultSecurityGroup")
    assert group.inputs["ingress"] == group.inputs["egress"] == []


def test_all_traffic_is_logged_encrypted_for_as_long_as_the_settings_say(planned: Planned, at: Places) -> None:
    resources = made(planned, at(network={"flow_log_days": 30}))
    (flows,), (group,) = of(resources, "FlowLog"), of(resources, "LogGroup")
    assert flows.inputs["trafficType"] == "ALL"
    assert (group.inputs["retentionInDays"], group.inputs["kmsKeyId"]) == (30, KEY)


def test_what_writes_the_flow_logs_may_write_their_group_alone(planned: Planned, site: Site) -> None:
    (policy,) = of(made(planned, site), "RolePolicy")
    (statement,) = json.loads(policy.inputs["policy"])["Statement"]
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/simplicity/test/network"
    assert statement["Resource"] == [group, f"{group}:*"]
    assert not any("*" in action for action in statement["Action"])


def test_nobody_makes_the_service_of_flow_logs_use_the_role_for_another_account(planned: Planned, site: Site) -> None:
    (role,) = of(made(planned, site), "Role")
    (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert statement["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_hosts_are_trusted_without_an_account_since_ec2_says_none(planned: Planned) -> None:
    def program() -> None:
        iam.Role("host", name="host", assume_role_policy=trust("ec2.amazonaws.com"))

    (role,) = planned(program)
    assert "Condition" not in role.inputs["assumeRolePolicy"]


def endpoints(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Endpoints(
            "endpoints",
            EndpointsArgs(
                site=site, vpc_id="vpc-1", subnets=("s1", "s2", "s3"), tables=("rtb-1", "rtb-2"), group="sg-1"
            ),
        )

    return of(planned(program), "VpcEndpoint")


def test_secrets_keys_sessions_logs_and_buckets_are_reached_inside_the_network(planned: Planned, site: Site) -> None:
    found = {each.name: each.inputs for each in endpoints(planned, site)}
    assert set(found) == {"secretsmanager", "kms", "logs", "ssm", "ssmmessages", "s3"}
    assert found["s3"]["routeTableIds"] == ["rtb-1", "rtb-2"]
    assert all(each["privateDnsEnabled"] for name, each in found.items() if name != "s3")
    assert all(len(each["subnetIds"]) == 3 for name, each in found.items() if name != "s3")


@pytest.mark.parametrize("service", ["secretsmanager", "kms", "logs", "ssm", "ssmmessages", "s3"])
def test_an_endpoint_serves_this_account_and_named_actions_alone(planned: Planned, site: Site, service: str) -> None:
    (endpoint,) = (each for each in endpoints(planned, site) if each.name == service)
    for statement in json.loads(endpoint.inputs["policy"])["Statement"]:
        assert not any("*" in action for action in statement["Action"])
        asks = statement.get("Condition", {}).get("StringEquals", {})
        ours = asks.get("aws:PrincipalAccount") == "123456789012"
        reads_amazon_s_own = statement["Action"] == ["s3:GetObject"] and "*" not in statement["Resource"]
        assert ours or reads_amazon_s_own


@pytest.mark.parametrize("service", ["secretsmanager", "kms", "s3"])
def test_nothing_is_taken_to_another_account_through_an_endpoint(planned: Planned, site: Site, service: str) -> None:
    (endpoint,) = (each for each in endpoints(planned, site) if each.name == service)
    first = json.loads(endpoint.inputs["policy"])["Statement"][0]
    assert first["Condition"]["StringEquals"]["aws:ResourceAccount"] == "123456789012"


def test_the_way_to_the_buckets_leads_to_the_backups_alone_and_takes_their_tags(planned: Planned, site: Site) -> None:
    (endpoint,) = (each for each in endpoints(planned, site) if each.name == "s3")
    backups = json.loads(endpoint.inputs["policy"])["Statement"][0]
    bucket = "arn:aws:s3:::simplicity-test-backups-123456789012"
    assert backups["Resource"] == [bucket, f"{bucket}/*"]
    assert {"s3:PutObjectTagging", "s3:GetObjectTagging"} <= set(backups["Action"])


def test_files_for_hosts_are_fetched_and_brought_through_the_endpoint_and_nothing_more_is_done_with_them(
    planned: Planned, site: Site
) -> None:
    (endpoint,) = (each for each in endpoints(planned, site) if each.name == "s3")
    passing = json.loads(endpoint.inputs["policy"])["Statement"][1]
    assert passing["Resource"] == ["arn:aws:s3:::simplicity-test-sessions-123456789012/*"]
    assert passing["Action"] == ["s3:GetObject", "s3:PutObject"]
    asks = passing["Condition"]["StringEquals"]
    assert asks == {"aws:PrincipalAccount": "123456789012", "aws:ResourceAccount": "123456789012"}


def test_everything_of_the_network_has_its_cost_tags(planned: Planned, site: Site) -> None:
    untagged = {"RouteTableAssociation", "RolePolicy"}
    for each in made(planned, site):
        if each.type.rpartition(":")[2] not in untagged:
            assert {"project", "environment", "owner", "cost-center"} <= set(each.inputs["tags"]), each.name
