from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import ec2

from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"


def program() -> None:
    vpc = ec2.Vpc("net", cidr_block="10.20.0.0/16")
    subnet = ec2.Subnet("public", vpc_id=vpc.id, cidr_block="10.20.0.0/20", availability_zone=f"{REGION}a")
    gateway = ec2.InternetGateway("internet", vpc_id=vpc.id, tags={"Name": "internet"})
    address = ec2.Eip("nat", domain="vpc", tags={"Name": "nat"})
    ec2.NatGateway("nat", allocation_id=address.id, subnet_id=subnet.id, tags={"Name": "nat"})
    out = ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)
    table = ec2.RouteTable("public", vpc_id=vpc.id, routes=[out], tags={"Name": "public"})
    ec2.RouteTableAssociation("public", subnet_id=subnet.id, route_table_id=table.id)


def test_the_ways_of_a_network_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {
        "Vpc.enableDnsHostnames",
        "Vpc.enableDnsSupport",
        "Subnet.mapPublicIpOnLaunch",
        "InternetGateway.tags",
        "Eip.tags",
        "NatGateway.tags",
        "RouteTable.routes",
        "RouteTable.tags",
    }


def test_a_route_that_somebody_adds_is_told_and_goes(lab: Lab) -> None:
    lab.up(program)
    (table,) = (each for each in lab.state.managed() if each.type.endswith(":RouteTable"))
    (out,) = table.outputs["routes"]
    lab.reach(REGION)("ec2").create_route(
        RouteTableId=table.id, DestinationCidrBlock="192.0.2.0/24", GatewayId=out["gatewayId"]
    )
    (found,) = lab.drifts()
    assert "192.0.2.0/24" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("routes",)]
    assert lab.drifts() == []


def test_a_way_out_by_other_addresses_that_somebody_adds_is_told_and_goes(lab: Lab) -> None:
    lab.up(program)
    (table,) = (each for each in lab.state.managed() if each.type.endswith(":RouteTable"))
    (out,) = table.outputs["routes"]
    client = lab.reach(REGION)("ec2")
    listed = client.create_managed_prefix_list(PrefixListName="office", MaxEntries=1, AddressFamily="IPv4")
    name = listed["PrefixList"]["PrefixListId"]
    for where in ({"DestinationIpv6CidrBlock": "::/0"}, {"DestinationPrefixListId": name}):
        client.create_route(RouteTableId=table.id, GatewayId=out["gatewayId"], **where)
    (found,) = lab.drifts()
    assert all(each in found.line for each in ("'ipv6CidrBlock': '::/0'", f"'destinationPrefixListId': '{name}'"))
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("routes",)]
    assert lab.drifts() == []
    assert lab.plan(program) == []
    client.delete_managed_prefix_list(PrefixListId=name)


def test_a_subnet_that_lost_its_route_table_is_told_and_gets_it_back(lab: Lab) -> None:
    lab.up(program)
    (association,) = (each for each in lab.state.managed() if each.type.endswith(":RouteTableAssociation"))
    lab.reach(REGION)("ec2").disassociate_route_table(AssociationId=association.id)
    assert [each.now for each in lab.drifts()] == [None]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
    assert lab.drifts() == []


def test_a_deleted_gateway_holds_neither_its_address_nor_its_subnet(lab: Lab) -> None:
    ec2_client = lab.reach(REGION)("ec2")
    # Those of others' hosts, which the emulator keeps.
    before = ec2_client.describe_network_interfaces()["NetworkInterfaces"]
    lab.up(program)
    lab.destroy()
    assert ec2_client.describe_addresses()["Addresses"] == []
    assert ec2_client.describe_network_interfaces()["NetworkInterfaces"] == before
