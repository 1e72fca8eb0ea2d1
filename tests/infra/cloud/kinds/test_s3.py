from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.backups import Backups, BackupsArgs
from tests.infra.cloud.conftest import OTHER_REGION, REGION
from tests.infra.cloud.kinds.ground import ground, whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from tests.infra.cloud.conftest import Places

NAME = "simplicity-test-backups-123456789012"


def program_of(lab: Lab, at: Places) -> Callable[[], None]:
    key, site = ground(lab).key, at(database={"protect": False})

    def program() -> None:
        Backups("backups", BackupsArgs(site=site, key=key))

    return program


@pytest.mark.timeout(600)
def test_buckets_of_backups_live_their_whole_life(lab: Lab, at: Places) -> None:
    assert whole_life(lab, program_of(lab, at)) >= {
        "Bucket.tags",
        "BucketLifecycleConfiguration.rules",
        "BucketLogging.targetPrefix",
        "BucketObjectLockConfiguration.rule",
        "BucketOwnershipControls.rule",
        "BucketPolicy.policy",
        "BucketPublicAccessBlock.blockPublicPolicy",
        "BucketReplicationConfig.role",
        "BucketReplicationConfig.rules",
        "BucketServerSideEncryptionConfiguration.rules",
        "BucketVersioning.versioningConfiguration",
    }


def test_the_copy_lies_in_the_other_region(lab: Lab, at: Places) -> None:
    lab.up(program_of(lab, at))
    s3 = lab.reach(OTHER_REGION)("s3")
    copy = f"simplicity-test-backups-copy-{NAME.rpartition('-')[2]}"
    assert s3.get_bucket_location(Bucket=copy)["LocationConstraint"] == OTHER_REGION


def test_what_somebody_adds_to_the_rules_of_a_bucket_is_told_and_goes(lab: Lab, at: Places) -> None:
    program = program_of(lab, at)
    lab.up(program)
    s3 = lab.reach(REGION)("s3")
    rules = s3.get_bucket_lifecycle_configuration(Bucket=NAME)["Rules"]
    rules[0]["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    s3.put_bucket_lifecycle_configuration(Bucket=NAME, LifecycleConfiguration={"Rules": rules})
    copied = s3.get_bucket_replication(Bucket=NAME)["ReplicationConfiguration"]
    copied["Rules"][0]["Destination"]["Account"] = "210987654321"
    s3.put_bucket_replication(Bucket=NAME, ReplicationConfiguration=copied)
    lines = sorted(each.line for each in lab.drifts())
    assert ["'noncurrentDays': 1}" in lines[0], "210987654321" in lines[1]] == [True, True]
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("rules",)] * 2
    assert lab.drifts() == []
    assert lab.plan(program) == []


def test_a_lock_whose_rule_somebody_took_away_is_told_and_gets_it_back(lab: Lab, at: Places) -> None:
    program = program_of(lab, at)
    lab.up(program)
    unlocked = {"ObjectLockEnabled": "Enabled"}
    lab.reach(REGION)("s3").put_object_lock_configuration(Bucket=NAME, ObjectLockConfiguration=unlocked)
    (found,) = lab.drifts()
    assert found.line.endswith(", is None")
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("rule",)]
    assert lab.drifts() == []


def test_a_bucket_for_trying_is_emptied_before_it_is_deleted(lab: Lab, at: Places) -> None:
    lab.up(program_of(lab, at))
    s3 = lab.reach(REGION)("s3")
    s3.put_object(Bucket="simplicity-test-backups-logs-123456789012", Key="access/one", Body=b"line")
    s3.put_object(Bucket="simplicity-test-backups-logs-123456789012", Key="access/one", Body=b"another")
    lab.destroy()
    assert not [each for each in s3.list_buckets()["Buckets"] if each["Name"].startswith("simplicity-test-backups")]
