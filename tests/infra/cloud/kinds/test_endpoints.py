from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import cloudwatch, ec2, iam

from infra.cloud.tiers.policy import trust
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"


def document(*actions: str) -> str:
    allowed = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": [each], "Resource": "*"} for each in actions]
    return json.dumps({"Version": "2012-10-17", "Statement": allowed})


def program() -> None:
    vpc = ec2.Vpc("net", cidr_block="10.20.0.0/16", enable_dns_hostnames=True)
    subnets = [
        ec2.Subnet(f"s{zone}", vpc_id=vpc.id, cidr_block=f"10.20.{number}.0/24", availability_zone=f"{REGION}{zone}").id
        for number, zone in enumerate("ab")
    ]
    table = ec2.RouteTable("private", vpc_id=vpc.id, routes=[])
    group = ec2.SecurityGroup("endpoints", name="endpoints", description="x", vpc_id=vpc.id, ingress=[], egress=[])
    ec2.VpcEndpoint(
        "kms",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{REGION}.kms",
        vpc_endpoint_type="Interface",
        subnet_ids=subnets,
        security_group_ids=[group.id],
        private_dns_enabled=True,
        policy=document("kms:Decrypt", "kms:Encrypt"),
        tags={"Name": "kms"},
    )
    ec2.VpcEndpoint(
        "s3",
        vpc_id=vpc.id,
        service_name=f"com.amazonaws.{REGION}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        policy=document("s3:GetObject"),
    )
    logs = cloudwatch.LogGroup("flows", name="/flows", retention_in_days=30)
    role = iam.Role("flows", name="flows", assume_role_policy=trust("vpc-flow-logs.amazonaws.com"))
    ec2.FlowLog(
        "flows",
        vpc_id=vpc.id,
        traffic_type="ALL",
        log_destination_type="cloud-watch-logs",
        log_destination=logs.arn,
        iam_role_arn=role.arn,
        max_aggregation_interval=600,
        tags={"Name": "flows"},
    )


def test_endpoints_and_flow_logs_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    changed = whole_life(lab, program)
    assert {each for each in changed if each.startswith(("VpcEndpoint", "FlowLog"))} == {
        "VpcEndpoint.policy",
        "VpcEndpoint.routeTableIds",
        "VpcEndpoint.subnetIds",
        "VpcEndpoint.tags",
        "FlowLog.tags",
    }


def test_the_way_to_the_buckets_is_no_change_of_the_route_table(lab: Lab) -> None:
    lab.up(program)
    (table,) = (each for each in lab.state.managed() if each.type.endswith(":RouteTable"))
    answer = lab.reach(REGION)("ec2").describe_route_tables(RouteTableIds=[table.id])["RouteTables"][0]["Routes"]
    assert any(route.get("GatewayId", "").startswith("vpce-") for route in answer)
    assert lab.drifts() == []


def test_flow_logs_that_somebody_stopped_are_told_and_run_again(lab: Lab) -> None:
    lab.up(program)
    (flows,) = (each for each in lab.state.managed() if each.type.endswith(":FlowLog"))
    lab.reach(REGION)("ec2").delete_flow_logs(FlowLogIds=[flows.id])
    assert [each.line for each in lab.drifts()] == ["aws:ec2/flowLog:FlowLog flows is gone"]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
