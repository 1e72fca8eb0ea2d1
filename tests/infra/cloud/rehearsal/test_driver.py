"""The provider and the small driver: plans, half-done steps, what is protected, what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
import pytest

from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.steps import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.kind import Kind
    from infra.cloud.rehearsal.lab import Lab

VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"


def network(cidr: str = "10.0.0.0/16", *, protect: bool = False, hostnames: bool = False) -> Callable[[], None]:
    def program() -> None:
        made = aws.ec2.Vpc(
            "net",
            cidr_block=cidr,
            enable_dns_hostnames=hostnames,
            tags={"project": "simplicity"},
            opts=pulumi.ResourceOptions(protect=protect),
        )
        aws.ec2.Subnet("sub", vpc_id=made.id, cidr_block=cidr.replace("/16", "/24"), tags={"project": "simplicity"})
        pulumi.export("vpc", made.id)

    return program


def _done(_: object) -> None:
    """End a program of one line."""


def done(steps: list[Any]) -> list[tuple[str, str]]:
    return [(step.op, step.name) for step in steps]


def test_a_plan_changes_nothing_and_a_second_one_after_up_is_empty(lab: Lab) -> None:
    assert done(lab.plan(network())) == [("create", f"{VPC} net"), ("create", f"{SUBNET} sub")]
    assert lab.state.managed() == []
    assert len(lab.up(network())) == 2
    assert lab.plan(network()) == []
    assert lab.state.outputs["vpc"] == lab.state.managed()[0].id


def test_what_can_be_changed_in_place_is_updated_and_the_rest_is_replaced_with_all_that_hangs_on_it(lab: Lab) -> None:
    lab.up(network())
    before = lab.state.managed()[0].id
    assert done(lab.plan(network(hostnames=True))) == [("update", f"{VPC} net")]
    assert done(lab.plan(network("10.1.0.0/16"))) == [("replace", f"{VPC} net"), ("replace", f"{SUBNET} sub")]
    lab.up(network(hostnames=True))
    assert lab.state.managed()[0].id == before
    assert lab.state.managed()[0].outputs["enableDnsHostnames"] is True


def test_what_the_program_does_not_want_any_more_is_deleted_the_last_first(lab: Lab) -> None:
    lab.up(network())
    assert done(lab.up(lambda: None)) == [("delete", f"{SUBNET} sub"), ("delete", f"{VPC} net")]
    assert lab.state.managed() == []


def test_what_is_protected_is_neither_deleted_nor_replaced_and_nothing_else_is_either(lab: Lab) -> None:
    lab.up(network(protect=True))
    with pytest.raises(RehearsalError, match=r"aws:ec2/vpc:Vpc net .*protected"):
        lab.destroy()
    with pytest.raises(RehearsalError, match=r"aws:ec2/vpc:Vpc net is protected and would have to be replaced"):
        lab.up(network("10.1.0.0/16", protect=True))
    assert len(lab.state.managed()) == 2
    lab.unprotect()
    assert len(lab.destroy()) == 2


def test_a_property_that_the_table_does_not_have_fails_the_rehearsal(lab: Lab) -> None:
    with pytest.raises(RehearsalError, match="aws:ec2/vpc:Vpc net: the rehearsal has no property instanceTenancy"):
        lab.plan(lambda: _done(aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", instance_tenancy="default")))


def test_a_type_that_the_table_does_not_have_fails_the_rehearsal(lab: Lab) -> None:
    with pytest.raises(RehearsalError, match="the rehearsal has no type aws:dynamodb/table:Table"):
        lab.plan(lambda: _done(aws.dynamodb.Table("table", hash_key="id")))


def test_what_aws_refuses_is_told_in_its_words_with_the_resource_and_the_next_run_goes_on(lab: Lab) -> None:
    with pytest.raises(RehearsalError, match=r"aws:ec2/subnet:Subnet sub: .*InvalidSubnet.Range"):
        lab.up(network_with_a_subnet_outside)
    assert [each.name for each in lab.state.managed()] == ["net"]
    assert done(lab.up(network())) == [("create", f"{SUBNET} sub")]


def network_with_a_subnet_outside() -> None:
    made = aws.ec2.Vpc("net", cidr_block="10.0.0.0/16", tags={"project": "simplicity"})
    aws.ec2.Subnet("sub", vpc_id=made.id, cidr_block="192.168.0.0/24")


def test_what_was_made_before_a_later_step_failed_is_kept_and_finished_by_the_next_run(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        aws_error = KINDS[VPC].read
        raise lab.reach(lab.region)("ec2").exceptions.ClientError(
            {"Error": {"Code": "RequestLimitExceeded", "Message": str(aws_error.__name__)}}, "DescribeVpcs"
        )

    kinds: dict[str, Kind] = dict(KINDS)
    monkeypatch.setattr("infra.cloud.rehearsal.provider.KINDS", kinds)
    kinds[VPC] = replace(KINDS[VPC], read=broken)
    with pytest.raises(RehearsalError, match="RequestLimitExceeded"):
        lab.up(network())
    (there,) = lab.state.managed()
    assert there.failed
    kinds[VPC] = KINDS[VPC]
    assert done(lab.up(network())) == [("update", f"{VPC} net"), ("create", f"{SUBNET} sub")]
    assert lab.state.managed()[0].id == there.id
    assert lab.plan(network()) == []


def test_what_others_use_too_is_forgotten_and_stays_where_it_is(lab: Lab) -> None:
    def program() -> None:
        aws.ec2.Vpc("shared", cidr_block="10.0.0.0/16", opts=pulumi.ResourceOptions(retain_on_delete=True))

    lab.up(program)
    (there,) = lab.state.managed()
    assert there.retained
    assert done(lab.destroy()) == [("delete", f"{VPC} shared")]
    assert lab.state.managed() == []
    assert lab.provider.read(there) is not None
    lab.reach(lab.region)("ec2").delete_vpc(VpcId=there.id)


def test_zones_are_asked_for_as_the_program_does(lab: Lab) -> None:
    found: list[list[str]] = []

    def program() -> None:
        own = [aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])]
        found.append(list(aws.get_availability_zones(filters=own, exclude_zone_ids=["use1-az3"]).names))

    lab.plan(program)
    assert sorted(found[0]) == [f"us-east-1{zone}" for zone in "abcdf"]


def test_what_is_ignored_stays_as_it_was_when_something_else_changes(lab: Lab) -> None:
    def program(project: str, *, hostnames: bool) -> None:
        aws.ec2.Vpc(
            "net",
            cidr_block="10.0.0.0/16",
            enable_dns_hostnames=hostnames,
            tags={"project": project},
            opts=pulumi.ResourceOptions(ignore_changes=["tags"]),
        )

    lab.up(lambda: program("ours", hostnames=False))
    assert lab.plan(lambda: program("theirs", hostnames=False)) == []
    (step,) = lab.up(lambda: program("theirs", hostnames=True))
    assert step.changed == ("enableDnsHostnames",)
    assert lab.state.managed()[0].outputs["tags"] == {"project": "ours"}


def test_what_was_deleted_behind_the_programs_back_is_named_and_made_again(lab: Lab) -> None:
    lab.up(network())
    lab.reach(lab.region)("ec2").delete_subnet(SubnetId=lab.state.managed()[1].id)
    (found,) = lab.drifts()
    assert found.line == f"{SUBNET} sub is gone"
    lab.refresh()
    assert done(lab.up(network())) == [("create", f"{SUBNET} sub")]
    assert lab.drifts() == []


def test_a_drift_says_what_was_and_what_is(lab: Lab) -> None:
    lab.up(network())
    made = lab.state.managed()[0].id
    lab.reach(lab.region)("ec2").modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True})
    (found,) = lab.drifts()
    assert found.line == f"{VPC} net: enableDnsHostnames was False, is True"


def test_two_resources_of_one_name_are_a_mistake(lab: Lab) -> None:
    def program() -> None:
        aws.ec2.Vpc("net", cidr_block="10.0.0.0/16")
        aws.ec2.Vpc("net", cidr_block="10.1.0.0/16")

    with pytest.raises(RehearsalError, match="the program has two of them"):
        lab.plan(program)


def test_a_mistake_of_the_program_is_raised_as_it_is(lab: Lab) -> None:
    def program() -> None:
        raise pulumi.RunError("these are credentials of another account")

    with pytest.raises(pulumi.RunError, match="another account"):
        lab.plan(program)


def test_functions_are_answered_by_the_emulator_and_others_refused(lab: Lab) -> None:
    found: dict[str, Any] = {}

    def program() -> None:
        found["zones"] = aws.get_availability_zones(state="available").names
        found["account"] = aws.get_caller_identity().account_id
        found["region"] = aws.get_region().region

    lab.plan(program)
    assert (found["zones"][0], found["account"], found["region"]) == ("us-east-1a", "123456789012", "us-east-1")
    with pytest.raises(RehearsalError, match="the rehearsal has no function"):
        lab.plan(lambda: _done(aws.get_partition()))
    nothing = [aws.ec2.GetAmiFilterArgs(name="name", values=["plan9"])]
    with pytest.raises(RehearsalError, match="your query returned no image"):
        lab.plan(lambda: _done(aws.ec2.get_ami(filters=nothing)))
