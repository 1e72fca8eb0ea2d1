"""Runs that break off in the middle of a change, and replacements of what others depend on: nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from infra.cloud.rehearsal.kind import begun
from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.state import State
from infra.cloud.rehearsal.steps import RehearsalError

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws, Kind
    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.rehearsal.steps import Step

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
GROUP, KEY = "aws:ec2/securityGroup:SecurityGroup", "aws:kms/key:Key"


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> dict[str, Kind]:
    """The provider's table, to be changed."""
    table = dict(KINDS)
    monkeypatch.setattr("infra.cloud.rehearsal.provider.KINDS", table)
    return table


def refused(*_: object) -> None:
    raise ClientError({"Error": {"Code": "RequestLimitExceeded", "Message": "not now"}}, "Any")


def unreadable(_aws: Aws, _made: str, _known: dict[str, Any]) -> dict[str, Any] | None:
    refused()
    return None


def done(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.op, step.name) for step in steps]


def network(range_: str = "10.0.0.0", *, hostnames: bool = False, protect: bool = False) -> None:
    vpc = aws.ec2.Vpc("net", cidr_block=f"{range_}/16", enable_dns_hostnames=hostnames, tags={"a": "b"})
    kept = pulumi.ResourceOptions(protect=protect)
    aws.ec2.Subnet("sub", vpc_id=vpc.id, cidr_block=f"{range_}/24", opts=kept)


def group() -> None:
    vpc = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")
    aws.ec2.SecurityGroup("g", name="g", description="d", vpc_id=vpc.id, ingress=[], egress=[], tags={"Name": "g"})


def key(purpose: str) -> None:
    made = aws.kms.Key("key", description=purpose)
    aws.kms.Alias("name", name="alias/moving", target_key_id=made.key_id)


def fixed_purpose() -> Kind:
    """A key that is replaced for another purpose, the new one before the old one goes."""
    changes = {name: how for name, how in KINDS[KEY].updates.items() if name != "description"}
    return replace(KINDS[KEY], updates=changes, fixed=KINDS[KEY].fixed | {"description"})


# --- changes and creations that fail ---------------------------------------------------------------------------------
def test_a_change_that_aws_refuses_once_is_made_by_the_next_run(lab: Lab, kinds: dict[str, Kind]) -> None:
    lab.up(network)
    kinds[VPC] = replace(KINDS[VPC], updates={**KINDS[VPC].updates, "enableDnsHostnames": refused})
    with pytest.raises(RehearsalError, match=r"Vpc net: .*RequestLimitExceeded"):
        lab.up(partial(network, hostnames=True))
    kinds[VPC] = KINDS[VPC]
    assert done(lab.up(partial(network, hostnames=True))) == [("update", f"{VPC} net")]
    assert lab.plan(partial(network, hostnames=True)) == []
    made = lab.state.managed()[0].id
    answer = lab.reach(lab.region)("ec2").describe_vpc_attribute(VpcId=made, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"]["Value"] is True


@pytest.mark.parametrize("seen", [True, False])
def test_what_was_created_by_its_first_call_alone_is_kept_and_the_next_run_makes_the_rest(
    lab: Lab, kinds: dict[str, Kind], *, seen: bool
) -> None:
    def half(reach: Aws, wanted: dict[str, Any]) -> str:
        made = str(reach("ec2").create_security_group(GroupName="g", Description="d", VpcId=wanted["vpcId"])["GroupId"])
        with begun(made):
            refused()
        return made

    kinds[GROUP] = replace(KINDS[GROUP], create=half, read=KINDS[GROUP].read if seen else unreadable)
    with pytest.raises(RehearsalError, match=r"SecurityGroup g: .*RequestLimitExceeded"):
        lab.up(group)
    (there,) = (each for each in lab.state.managed() if each.type == GROUP)
    assert there.failed
    assert there.id.startswith("sg-")
    kinds[GROUP] = KINDS[GROUP]
    assert done(lab.up(group)) == [("update", f"{GROUP} g")]
    assert lab.plan(group) == []
    (found,) = lab.reach(lab.region)("ec2").describe_security_groups(GroupIds=[there.id])["SecurityGroups"]
    # AWS itself lets a new group speak to anybody.
    assert (found["IpPermissionsEgress"], found["Tags"]) == ([], [{"Key": "Name", "Value": "g"}])


# --- replacements ----------------------------------------------------------------------------------------------------
def test_what_is_replaced_takes_what_hangs_on_it_along_and_leaves_nothing_of_the_old(lab: Lab) -> None:
    lab.up(network)
    old, other = lab.state.managed(), partial(network, "10.1.0.0")
    assert done(lab.up(other)) == [("replace", f"{VPC} net"), ("replace", f"{SUBNET} sub")]
    assert [lab.provider.read(each) for each in old] == [None, None]
    assert lab.plan(other) == []
    assert len(lab.destroy()) == 2


def test_what_hung_on_a_replaced_one_and_is_not_wanted_any_more_is_told_as_deleted(lab: Lab) -> None:
    def alone() -> None:
        aws.ec2.Vpc("net", cidr_block="10.1.0.0/16")

    lab.up(network)
    assert done(lab.up(alone)) == [("replace", f"{VPC} net"), ("delete", f"{SUBNET} sub")]
    assert lab.plan(alone) == []


def test_a_replacement_that_would_take_along_what_is_protected_deletes_nothing(lab: Lab) -> None:
    lab.up(partial(network, protect=True))
    with pytest.raises(RehearsalError, match=r"Subnet sub is protected and would have to be replaced with net"):
        lab.up(partial(network, "10.1.0.0", protect=True))
    assert lab.drifts() == []


def test_an_old_one_goes_only_after_those_that_use_it_have_moved_to_the_new_one(
    lab: Lab, kinds: dict[str, Kind]
) -> None:
    def unused(reach: Aws, made: str, known: dict[str, Any]) -> None:
        assert made not in {each.get("TargetKeyId") for each in reach("kms").list_aliases()["Aliases"]}
        KINDS[KEY].delete(reach, made, known)

    kinds[KEY] = replace(fixed_purpose(), delete=unused)
    lab.up(partial(key, "one"))
    old = lab.state.managed()[0]
    assert done(lab.up(partial(key, "another"))) == [("replace", f"{KEY} key"), ("update", "aws:kms/alias:Alias name")]
    assert lab.provider.read(old) is None
    assert lab.state.replaced == []
    assert lab.plan(partial(key, "another")) == []


def test_an_old_one_that_could_not_be_deleted_is_deleted_by_the_next_run(lab: Lab, kinds: dict[str, Kind]) -> None:
    lab.up(partial(key, "one"))
    old = lab.state.managed()[0]
    kinds[KEY] = replace(fixed_purpose(), delete=refused)
    with pytest.raises(RehearsalError, match="RequestLimitExceeded"):
        lab.up(partial(key, "another"))
    kinds[KEY] = KINDS[KEY]
    assert [each.id for each in State(lab.state.path).replaced] == [old.id]
    assert done(lab.up(partial(key, "another"))) == [("delete", f"{KEY} key")]
    assert lab.provider.read(old) is None
    assert lab.plan(partial(key, "another")) == []


# --- what is read ----------------------------------------------------------------------------------------------------
def test_what_is_found_by_a_refresh_is_what_the_next_run_starts_from(lab: Lab) -> None:
    lab.up(network)
    made = lab.state.managed()[0].id
    lab.reach(lab.region)("ec2").modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    lab.refresh()
    there = lab.state.managed()[0]
    assert (there.inputs["enableDnsHostnames"], there.outputs["enableDnsHostnames"]) == (True, True)
    assert done(lab.up(network)) == [("update", f"{VPC} net")]


def test_what_somebody_else_made_is_read_by_its_id_or_it_is_said_what_else_that_takes(lab: Lab) -> None:
    made = lab.reach(lab.region)("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    found: list[pulumi.CustomResource] = []
    lab.plan(lambda: found.append(aws.ec2.Vpc.get("theirs", made)))
    assert len(found) == 1
    with pytest.raises(RehearsalError, match=r"WebAcl abc cannot be read by its id alone: 'name' is not known"):
        lab.plan(lambda: found.append(aws.wafv2.WebAcl.get("theirs", "abc")))
    lab.reach(lab.region)("ec2").delete_vpc(VpcId=made)
