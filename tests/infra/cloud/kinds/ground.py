"""What an account has before any program ran, and what hosts stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kinds import KINDS
from tests.infra.cloud.conftest import REGION

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab

PROFILE = "hosts"


@dataclass(frozen=True)
class Ground:
    """The region's first subnets, its default security group, an image, a key (an ARN), an instance profile."""

    subnets: tuple[str, ...]
    group: str
    image: str
    key: str
    profile: str


def ground(lab: Lab) -> Ground:
    """Return what a fresh account of the emulator has; key and profile are made."""
    ec2 = lab.reach(REGION)("ec2")
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda each: str(each["AvailabilityZone"]))[:3]
    (group,) = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    key = lab.reach(REGION)("kms").create_key()["KeyMetadata"]["Arn"]
    iam = lab.reach(REGION)("iam")
    if not any(each["InstanceProfileName"] == PROFILE for each in iam.list_instance_profiles()["InstanceProfiles"]):
        iam.create_instance_profile(InstanceProfileName=PROFILE)
    return Ground(tuple(each["SubnetId"] for each in subnets), group["GroupId"], image, key, PROFILE)


def _properties(lab: Lab) -> dict[str, Any]:
    """Return all that a program may set of what is there; a group's template has a new version after each change."""
    return {
        f"{there.urn} {name}": there.outputs.get(name)
        for there in lab.state.managed()
        for name in sorted(KINDS[there.type].properties - {"launchTemplate"})
    }


def whole_life(lab: Lab, program: Callable[[], None]) -> set[str]:
    """Bring it up, plan nothing, change each property behind its back, delete it; return what was changed."""
    assert lab.up(program)
    assert lab.plan(program) == []
    assert lab.drifts() == []
    before = _properties(lab)
    injected = lab.inject_each(program)
    assert _properties(lab) == before
    left = [(there, lab.provider.read(there)) for there in lab.state.managed()]
    assert all(now is not None for _, now in left)
    lab.destroy()
    assert [there.urn for there, _ in left if lab.provider.read(there) is not None] == []
    return {f"{each.urn.split('::')[2].split('$')[-1].rpartition(':')[2]}.{each.property}" for each in injected}
