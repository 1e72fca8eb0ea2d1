from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from infra.cloud.tiers.backups import Backups, BackupsArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.values import Props
    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY = "arn:aws:kms:us-east-1:123456789012:key/backups"
ALL, LOCKED = ("backups", "backups-copy", "backups-logs"), ("backups", "backups-copy")


def graph(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Backups("backups", BackupsArgs(site=site, key=KEY))

    return planned(program)


def one(planned: Planned, site: Site, kind: str, name: str) -> Props:
    (found,) = [each for each in graph(planned, site) if each.type.endswith(f":{kind}") and each.name == name]
    return found.inputs


@pytest.mark.parametrize("name", ALL)
def test_every_bucket_is_closed_to_the_public(planned: Planned, site: Site, name: str) -> None:
    block = one(planned, site, "BucketPublicAccessBlock", name)
    flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[each] is True for each in flags)
    assert one(planned, site, "BucketOwnershipControls", name)["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("name", ALL)
def test_every_bucket_keeps_versions(planned: Planned, site: Site, name: str) -> None:
    assert one(planned, site, "BucketVersioning", name)["versioningConfiguration"] == {"status": "Enabled"}


@pytest.mark.parametrize("name", LOCKED)
def test_nobody_deletes_a_backup_before_its_time(planned: Planned, site: Site, name: str) -> None:
    assert one(planned, site, "Bucket", name)["objectLockEnabled"] is True
    retention = one(planned, site, "BucketObjectLockConfiguration", name)["rule"]["defaultRetention"]
    assert retention == {"mode": "COMPLIANCE", "days": 35}


def test_a_stack_for_trying_can_be_taken_down_by_who_may(planned: Planned, at: Places) -> None:
    site = at(database={"protect": False})
    lock = one(planned, site, "BucketObjectLockConfiguration", "backups")
    assert lock["rule"]["defaultRetention"]["mode"] == "GOVERNANCE"
    assert one(planned, site, "Bucket", "backups")["forceDestroy"] is True


def test_the_buckets_and_the_key_of_the_copy_are_protected(planned: Planned, site: Site) -> None:
    protected = {(each.type.rpartition(":")[2], each.name) for each in graph(planned, site) if each.protect}
    assert protected == {*(("Bucket", name) for name in ALL), ("Key", "backups-copy")}


def test_backups_are_encrypted_by_our_keys_one_for_each_region(planned: Planned, site: Site) -> None:
    rules = {name: one(planned, site, "BucketServerSideEncryptionConfiguration", name)["rules"] for name in LOCKED}
    for (rule,) in rules.values():
        assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
        assert rule["bucketKeyEnabled"] is True
    first, copy = (rules[name][0]["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] for name in LOCKED)
    assert first == KEY
    assert copy not in {KEY, None}
    assert one(planned, site, "Key", "backups-copy")["enableKeyRotation"] is True


@pytest.mark.parametrize("name", ALL)
def test_who_does_not_speak_tls_is_refused(planned: Planned, site: Site, name: str) -> None:
    statements = json.loads(one(planned, site, "BucketPolicy", name)["policy"])["Statement"]
    refused = [each for each in statements if each["Effect"] == "Deny"]
    assert [each["Condition"] for each in refused] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]


@pytest.mark.parametrize(("kind", "days"), [("daily", 7), ("weekly", 28), ("monthly", 365), ("yearly", 1_095)])
def test_a_backup_stays_as_long_as_its_kind_says(planned: Planned, site: Site, kind: str, days: int) -> None:
    for name in LOCKED:
        rules = one(planned, site, "BucketLifecycleConfiguration", name)["rules"]
        (rule,) = [each for each in rules if each.get("filter") == {"tag": {"key": "keep", "value": kind}}]
        assert rule["expiration"] == {"days": days}


def test_what_nobody_sees_is_tidied_up_when_its_lock_is_over(planned: Planned, site: Site) -> None:
    rules = one(planned, site, "BucketLifecycleConfiguration", "backups")["rules"]
    (rule,) = [each for each in rules if each["id"] == "tidy"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 35}
    assert rule["expiration"] == {"expiredObjectDeleteMarker": True}
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 3}


def test_a_copy_lies_in_another_region_and_deletions_do_not_reach_it(planned: Planned, site: Site) -> None:
    (rule,) = one(planned, site, "BucketReplicationConfig", "backups")["rules"]
    assert rule["status"] == "Enabled"
    assert rule["deleteMarkerReplication"] == {"status": "Disabled"}
    assert rule["sourceSelectionCriteria"] == {"sseKmsEncryptedObjects": {"status": "Enabled"}}
    there = [each for each in graph(planned, site) if each.name == "backups-copy" and "s3" in each.type]
    assert {each.inputs["region"] for each in there} == {"us-west-2"}


def test_the_role_that_copies_can_only_copy(planned: Planned, site: Site) -> None:
    statements = json.loads(one(planned, site, "RolePolicy", "backups-copy")["policy"])["Statement"]
    actions = {action for each in statements for action in each["Action"]}
    assert not [action for action in actions if "*" in action or "Delete" in action]
    assert not [resource for each in statements for resource in each["Resource"] if resource == "*"]


def test_who_reads_and_deletes_is_written_down_for_a_year(planned: Planned, site: Site) -> None:
    logging = one(planned, site, "BucketLogging", "backups-logs")
    assert logging["bucket"] == "simplicity-test-backups-123456789012"
    assert logging["targetBucket"] == "simplicity-test-backups-logs-123456789012"
    rules = one(planned, site, "BucketLifecycleConfiguration", "backups-logs")["rules"]
    assert {"days": 365} in [each.get("expiration") for each in rules]


def test_only_s3_of_this_account_writes_the_access_log(planned: Planned, site: Site) -> None:
    statements = json.loads(one(planned, site, "BucketPolicy", "backups-logs")["policy"])["Statement"]
    (deliver,) = [each for each in statements if each["Effect"] == "Allow"]
    assert deliver["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert deliver["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_all_that_can_be_tagged_says_who_pays(planned: Planned, site: Site) -> None:
    tagged = [each for each in graph(planned, site) if each.type.rpartition(":")[2] in {"Bucket", "Key", "Role"}]
    assert len(tagged) == 5
    assert {each.inputs["tags"]["cost-center"] for each in tagged} == {"indexer"}
