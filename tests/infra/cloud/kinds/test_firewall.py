from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_aws import ec2

from infra.cloud.rehearsal.kinds.firewall import Rule, rules
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"


def let_in(port: int, why: str, **source: Any) -> ec2.SecurityGroupIngressArgs:  # noqa: ANN401 - the resource's own types
    return ec2.SecurityGroupIngressArgs(protocol="tcp", from_port=port, to_port=port, description=why, **source)


def program() -> None:
    vpc = ec2.Vpc("net", cidr_block="10.20.0.0/16")
    ec2.DefaultSecurityGroup("default", vpc_id=vpc.id, ingress=[], egress=[], tags={"Name": "default"})
    balancer = ec2.SecurityGroup(
        "balancer",
        name="balancer",
        description="The load balancer",
        vpc_id=vpc.id,
        ingress=[let_in(443, "clients", cidr_blocks=["0.0.0.0/0"])],
        egress=[],
        tags={"Name": "balancer"},
    )
    api = [
        let_in(8441, "blue", security_groups=[balancer.id]),
        let_in(2380, "members", self=True),
        let_in(9100, "exporters", cidr_blocks=["10.20.48.0/20", "10.20.64.0/20"]),
    ]
    out = ec2.SecurityGroupEgressArgs(protocol="-1", from_port=0, to_port=0, cidr_blocks=["0.0.0.0/0"])
    ec2.SecurityGroup("api", name="api", description="Hosts", vpc_id=vpc.id, ingress=api, egress=[out])


def test_security_groups_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    changed = whole_life(lab, program)
    assert {each for each in changed if "SecurityGroup" in each} == {
        f"{kind}.{name}" for kind in ("DefaultSecurityGroup", "SecurityGroup") for name in ("egress", "ingress", "tags")
    }


def test_a_new_group_has_no_rule_that_nobody_wrote(lab: Lab) -> None:
    lab.up(program)
    found = {each.name: each for each in lab.state.managed()}
    groups = lab.reach(REGION)("ec2").describe_security_groups(GroupIds=[found["balancer"].id, found["default"].id])[
        "SecurityGroups"
    ]
    assert [group["IpPermissionsEgress"] for group in groups] == [[], []]


def test_an_address_that_somebody_adds_to_a_rule_is_told_and_goes(lab: Lab) -> None:
    lab.up(program)
    (balancer,) = (each for each in lab.state.managed() if each.name == "balancer")
    ranges = [{"CidrIp": "198.51.100.0/24", "Description": "clients"}]
    lab.reach(REGION)("ec2").authorize_security_group_ingress(
        GroupId=balancer.id,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges}],
    )
    (found,) = lab.drifts()
    assert "198.51.100.0/24" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("ingress",)]
    assert lab.drifts() == []


def test_a_word_and_a_list_of_addresses_that_somebody_adds_to_a_rule_are_told_and_go(lab: Lab) -> None:
    lab.up(program)
    (api,) = (each for each in lab.state.managed() if each.name == "api")
    client = lab.reach(REGION)("ec2")
    listed = client.create_managed_prefix_list(PrefixListName="office", MaxEntries=1, AddressFamily="IPv4")
    name = listed["PrefixList"]["PrefixListId"]
    anybody = {"CidrIp": "0.0.0.0/0"}
    client.revoke_security_group_egress(GroupId=api.id, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [anybody]}])
    client.authorize_security_group_egress(
        GroupId=api.id,
        IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{**anybody, "Description": "by hand"}]}],
    )
    client.authorize_security_group_ingress(
        GroupId=api.id,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "PrefixListIds": [{"PrefixListId": name}]}],
    )
    (found,) = lab.drifts()
    assert name in found.line
    assert "by hand" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("egress", "ingress")]
    assert lab.drifts() == []
    assert lab.plan(program) == []
    client.delete_managed_prefix_list(PrefixListId=name)


def test_a_rule_counts_once_for_each_source() -> None:
    block = {"protocol": "tcp", "fromPort": 443, "toPort": 443, "description": "why"}
    made = rules([{**block, "cidrBlocks": ["192.0.2.0/24", "198.51.100.0/24"], "self": True}], "sg-1")
    assert made == {
        Rule("tcp", 443, 443, "why", "cidrBlocks", "192.0.2.0/24"),
        Rule("tcp", 443, 443, "why", "cidrBlocks", "198.51.100.0/24"),
        Rule("tcp", 443, 443, "why", "securityGroups", "sg-1"),
    }
