from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.database import Database, DatabaseArgs
from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import ground

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cloud.rehearsal.lab import Lab
    from tests.infra.cloud.conftest import Places

PROFILE = "simplicity-test-patroni"


@pytest.fixture
def profile(lab: Lab) -> Iterator[str]:
    iam = lab.reach(REGION)("iam")
    iam.create_instance_profile(InstanceProfileName=PROFILE)
    yield PROFILE
    lab.destroy()
    iam.delete_instance_profile(InstanceProfileName=PROFILE)


def test_hosts_of_patroni_are_made_with_their_disks_and_a_second_plan_is_empty(
    lab: Lab, at: Places, profile: str
) -> None:
    there, site = ground(lab), at(database={"kind": "patroni", "protect": False})

    def program() -> None:
        Database(
            "database",
            DatabaseArgs(
                site=site,
                subnets=there.subnets,
                security_group=there.group,
                data_key=there.key,
                logs_key=there.key,
                secrets_key=there.key,
                image=there.image,
                profile=profile,
            ),
        )

    assert len(lab.up(program)) == 9
    assert lab.plan(program) == []
    assert lab.drifts() == []
    volumes = lab.reach(REGION)("ec2").describe_volumes(Filters=[{"Name": "tag:role", "Values": ["database"]}])
    disks = [each for each in volumes["Volumes"] if each["Size"] == 500]
    assert len({each["AvailabilityZone"] for each in disks}) == 3
    assert all(each["Encrypted"] and each["Attachments"] for each in disks)
