from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws
import pytest

from infra.cloud.tiers.database import Database, DatabaseArgs
from tests.infra.cloud.conftest import REGION
from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from tests.infra.cloud.conftest import Places


def program_of(lab: Lab, at: Places, **database: object) -> Callable[[], None]:
    there = ground(lab)
    site = at(database={"protect": False, **database})

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
            ),
        )

    return program


def snapshots(lab: Lab) -> list[str]:
    rds = lab.reach(REGION)("rds")
    clusters = [
        each["DBClusterSnapshotIdentifier"] for each in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
    ]
    return [*clusters, *(each["DBSnapshotIdentifier"] for each in rds.describe_db_snapshots()["DBSnapshots"])]


@pytest.mark.timeout(600)
def test_aurora_lives_its_whole_life(lab: Lab, at: Places) -> None:
    changed = whole_life(lab, program_of(lab, at, readers=1))
    assert changed >= {
        "Cluster.backupRetentionPeriod",
        "Cluster.deletionProtection",
        "Cluster.engineVersion",
        "Cluster.vpcSecurityGroupIds",
        "ClusterInstance.instanceClass",
        "ClusterInstance.monitoringInterval",
        "ClusterInstance.publiclyAccessible",
        "ClusterParameterGroup.parameters",
        "ClusterParameterGroup.tags",
        "Policy.targetTrackingScalingPolicyConfiguration",
        "SubnetGroup.subnetIds",
        "Target.maxCapacity",
    }
    assert snapshots(lab) == []


@pytest.mark.timeout(600)
def test_rds_lives_its_whole_life(lab: Lab, at: Places) -> None:
    changed = whole_life(lab, program_of(lab, at, kind="rds"))
    assert changed >= {
        "Instance.allocatedStorage",
        "Instance.backupRetentionPeriod",
        "Instance.deletionProtection",
        "Instance.multiAz",
        "Instance.storageType",
        "ParameterGroup.parameters",
        "ParameterGroup.tags",
    }
    assert snapshots(lab) == []


def test_events_of_a_database_are_sent_and_changed(lab: Lab) -> None:
    topic = lab.reach(REGION)("sns").create_topic(Name="events")["TopicArn"]

    def program() -> None:
        aws.rds.EventSubscription(
            "events",
            name="events",
            sns_topic=topic,
            source_type="db-cluster",
            event_categories=["failover", "maintenance"],
            tags={"project": "simplicity"},
        )

    assert whole_life(lab, program) >= {"EventSubscription.enabled", "EventSubscription.eventCategories"}


def test_a_protected_cluster_refuses_to_be_deleted_and_then_leaves_a_snapshot(lab: Lab) -> None:
    def cluster(*, protection: bool) -> Callable[[], None]:
        def program() -> None:
            aws.rds.Cluster(
                "kept",
                cluster_identifier="kept",
                engine="aurora-postgresql",
                engine_version="17.6",
                master_username="administrator",
                manage_master_user_password=True,
                deletion_protection=protection,
                skip_final_snapshot=False,
                final_snapshot_identifier="kept-final",
            )

        return program

    lab.up(cluster(protection=True))
    with pytest.raises(Exception, match="Cannot delete protected Cluster"):
        lab.destroy()
    lab.up(cluster(protection=False))
    lab.destroy()
    assert snapshots(lab) == ["kept-final"]
