from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.cache import Cache, CacheArgs
from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.kinds.ground import Ground


def program_of(there: Ground, at: Places, **cache: object) -> Callable[[], None]:
    site = at(cache=cache)

    def program() -> None:
        Cache("cache", CacheArgs(site=site, subnets=there.subnets, security_group=there.group, data_key=there.key))

    return program


@pytest.mark.timeout(600)
def test_a_cache_lives_its_whole_life(lab: Lab, at: Places) -> None:
    assert whole_life(lab, program_of(ground(lab), at)) >= {
        "ParameterGroup.parameters",
        "ReplicationGroup.automaticFailoverEnabled",
        "ReplicationGroup.engineVersion",
        "ReplicationGroup.multiAzEnabled",
        "ReplicationGroup.nodeType",
        "ReplicationGroup.numCacheClusters",
        "ReplicationGroup.parameterGroupName",
        "ReplicationGroup.securityGroupIds",
        "ReplicationGroup.snapshotRetentionLimit",
        "ReplicationGroup.transitEncryptionMode",
        "SubnetGroup.subnetIds",
    }


def test_more_replicas_join_and_leave_in_place(lab: Lab, at: Places) -> None:
    there = ground(lab)
    lab.up(program_of(there, at, replicas=1))
    (step,) = lab.up(program_of(there, at, replicas=2))
    assert (step.op, step.changed) == ("update", ("numCacheClusters",))
    (group,) = lab.reach(REGION)("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert len(group["MemberClusters"]) == 3
