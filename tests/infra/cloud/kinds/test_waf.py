from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import ec2, lb

from infra.cloud.tiers.keys import Keys, KeysArgs
from infra.cloud.tiers.shield import Shield, ShieldArgs
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places

REGION = "us-east-1"


def programs(site: Site) -> Callable[[], None]:
    def program() -> None:
        vpc = ec2.Vpc("net", cidr_block="10.20.0.0/16")
        subnets = [
            ec2.Subnet(
                f"s{zone}", vpc_id=vpc.id, cidr_block=f"10.20.{number}.0/24", availability_zone=f"{REGION}{zone}"
            ).id
            for number, zone in enumerate("abc")
        ]
        balancer = lb.LoadBalancer("api", name="test-waf", load_balancer_type="application", subnets=subnets)
        keys = Keys("keys", KeysArgs(site=site))
        Shield("shield", ShieldArgs(site=site, balancer=balancer.arn, logs_key=keys.logs))

    return program


def test_a_web_acl_and_its_log_live_and_every_change_of_them_is_named(lab: Lab, at: Places) -> None:
    changed = whole_life(lab, programs(at(database={"protect": False})))
    assert {each for each in changed if each.startswith("WebAcl")} == {
        "WebAcl.defaultAction",
        "WebAcl.description",
        "WebAcl.rules",
        "WebAcl.tags",
        "WebAcl.visibilityConfig",
        "WebAclLoggingConfiguration.loggingFilter",
        "WebAclLoggingConfiguration.redactedFields",
    }


def test_an_exception_that_somebody_adds_to_a_rule_is_told_and_goes(lab: Lab, at: Places) -> None:
    program = programs(at(database={"protect": False}))
    lab.up(program)
    (acl,) = (each for each in lab.state.managed() if each.type.endswith(":WebAcl"))
    client, which = lab.reach(REGION)("wafv2"), {"Id": acl.id, "Name": acl.inputs["name"], "Scope": "REGIONAL"}
    there = client.get_web_acl(**which)
    kept = {name: there["WebACL"][name] for name in ("DefaultAction", "Rules", "VisibilityConfig", "Description")}
    managed = next(each for each in kept["Rules"] if "ManagedRuleGroupStatement" in each["Statement"])
    counted = [{"Name": "SizeRestrictions_BODY", "ActionToUse": {"Count": {}}}]
    managed["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"] = counted
    client.update_web_acl(**which, LockToken=there["LockToken"], **kept)
    (found,) = lab.drifts()
    assert "SizeRestrictions_BODY" in found.line
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("rules",)]
    assert lab.drifts() == []
    assert lab.plan(program) == []


def test_a_balancer_that_somebody_took_from_waf_is_told_and_protected_again(lab: Lab, at: Places) -> None:
    program = programs(at(database={"protect": False}))
    lab.up(program)
    (association,) = (each for each in lab.state.managed() if each.type.endswith(":WebAclAssociation"))
    client = lab.reach(REGION)("wafv2")
    client.disassociate_web_acl(ResourceArn=association.inputs["resourceArn"])
    assert [each.now for each in lab.drifts()] == [None]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
    assert client.get_web_acl_for_resource(ResourceArn=association.inputs["resourceArn"])["WebACL"]
