"""Buckets, and what is said of each: versions, lock, encryption, who may read, what expires, what is copied."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds import s3_rules
from infra.cloud.rehearsal.kinds.shared import camel, found, mapping, pairs, pascal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.cloud.rehearsal.kind import Aws, Change
    from infra.cloud.rehearsal.values import Props


# --- the bucket itself -----------------------------------------------------------------------------------------------
def _create_bucket(aws: Aws, wanted: Props) -> str:
    s3, name = aws("s3"), wanted["bucket"]
    here = s3.meta.region_name
    # The first region is meant by saying nothing, and refused when it is said.
    where = {} if here == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": here}}
    lock = {"ObjectLockEnabledForBucket": True} if wanted.get("objectLockEnabled") else {}
    s3.create_bucket(Bucket=name, **where, **lock)
    with begun(name):
        _retag_bucket(aws, name, wanted)
    return str(name)


def _retag_bucket(aws: Aws, made: str, wanted: Props) -> None:
    if tags := wanted.get("tags"):
        aws("s3").put_bucket_tagging(Bucket=made, Tagging={"TagSet": pairs(tags)})
    else:
        aws("s3").delete_bucket_tagging(Bucket=made)


def _read_bucket(aws: Aws, made: str, _: Props) -> Props:
    s3 = aws("s3")
    s3.head_bucket(Bucket=made)
    here = s3.meta.region_name
    return {
        "bucket": made,
        "arn": f"arn:aws:s3:::{made}",
        "bucketDomainName": f"{made}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{made}.s3.{here}.amazonaws.com",
        "objectLockEnabled": s3_rules.asked(s3.get_object_lock_configuration, Bucket=made) is not None,
        "tags": mapping((s3_rules.asked(s3.get_bucket_tagging, Bucket=made) or {}).get("TagSet")),
    }


def _delete_bucket(aws: Aws, made: str, known: Props) -> None:
    if known.get("forceDestroy"):
        _empty(aws, made)
    aws("s3").delete_bucket(Bucket=made)


def _empty(aws: Aws, made: str) -> None:
    """Delete every version of every object; a lock that somebody may lift is lifted."""
    s3 = aws("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=made):
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            s3.delete_object(Bucket=made, Key=each["Key"], VersionId=each["VersionId"], BypassGovernanceRetention=True)


# --- what is said of it ----------------------------------------------------------------------------------------------
def _versions(aws: Aws, made: str, wanted: Props) -> None:
    status = wanted["versioningConfiguration"]["status"]
    aws("s3").put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": status})


def _read_versions(aws: Aws, made: str, _: Props) -> Props | None:
    status = aws("s3").get_bucket_versioning(Bucket=made).get("Status")
    return {"bucket": made, "versioningConfiguration": {"status": status}} if status else None


def _suspend(aws: Aws, made: str, _: Props) -> None:
    if s3_rules.asked(aws("s3").get_object_lock_configuration, Bucket=made) is None:
        aws("s3").put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Suspended"})


def _lock(aws: Aws, made: str, wanted: Props) -> None:
    rule = {"Rule": pascal(wanted["rule"])} if wanted.get("rule") else {}
    asked = {"ObjectLockEnabled": wanted["objectLockEnabled"], **rule}
    aws("s3").put_object_lock_configuration(Bucket=made, ObjectLockConfiguration=asked)


def _read_lock(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("s3").get_object_lock_configuration(Bucket=made)["ObjectLockConfiguration"]
    rule = {"rule": camel(there["Rule"])} if there.get("Rule") else {}
    return {"bucket": made, **rule, **found(there, objectLockEnabled="ObjectLockEnabled")}


def _unlock(aws: Aws, made: str, _: Props) -> None:
    asked = {"ObjectLockEnabled": "Enabled"}
    aws("s3").put_object_lock_configuration(Bucket=made, ObjectLockConfiguration=asked)


def _encrypt(aws: Aws, made: str, wanted: Props) -> None:
    rules = [s3_rules.encryption_asked(each) for each in wanted["rules"]]
    aws("s3").put_bucket_encryption(Bucket=made, ServerSideEncryptionConfiguration={"Rules": rules})


def _read_encryption(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("s3").get_bucket_encryption(Bucket=made)["ServerSideEncryptionConfiguration"]["Rules"]
    return {"bucket": made, "rules": [s3_rules.encryption_told(each) for each in there]}


_BLOCK = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _block(aws: Aws, made: str, wanted: Props) -> None:
    asked = {argument: bool(wanted.get(name)) for name, argument in _BLOCK.items()}
    aws("s3").put_public_access_block(Bucket=made, PublicAccessBlockConfiguration=asked)


def _read_block(aws: Aws, made: str, _: Props) -> Props:
    there = aws("s3").get_public_access_block(Bucket=made)["PublicAccessBlockConfiguration"]
    return {"bucket": made, **found(there, **_BLOCK)}


def _allow(aws: Aws, made: str, wanted: Props) -> None:
    aws("s3").put_bucket_policy(Bucket=made, Policy=wanted["policy"])


def _own(aws: Aws, made: str, wanted: Props) -> None:
    rules = [pascal(wanted["rule"])]
    aws("s3").put_bucket_ownership_controls(Bucket=made, OwnershipControls={"Rules": rules})


def _read_owner(aws: Aws, made: str, _: Props) -> Props:
    (rule,) = aws("s3").get_bucket_ownership_controls(Bucket=made)["OwnershipControls"]["Rules"]
    return {"bucket": made, "rule": camel(rule)}


def _log(aws: Aws, made: str, wanted: Props) -> None:
    target = {"TargetBucket": wanted["targetBucket"], "TargetPrefix": wanted["targetPrefix"]}
    aws("s3").put_bucket_logging(Bucket=made, BucketLoggingStatus={"LoggingEnabled": target})


def _read_logging(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("s3").get_bucket_logging(Bucket=made).get("LoggingEnabled")
    if not there:
        return None
    return {"bucket": made, **found(there, targetBucket="TargetBucket", targetPrefix="TargetPrefix")}


def _expire(aws: Aws, made: str, wanted: Props) -> None:
    rules = [s3_rules.lifecycle_asked(each) for each in wanted["rules"]]
    aws("s3").put_bucket_lifecycle_configuration(Bucket=made, LifecycleConfiguration={"Rules": rules})


def _read_lifecycle(aws: Aws, made: str, _: Props) -> Props:
    rules = aws("s3").get_bucket_lifecycle_configuration(Bucket=made)["Rules"]
    return {"bucket": made, "rules": [s3_rules.lifecycle_told(each) for each in rules]}


def _copy(aws: Aws, made: str, wanted: Props) -> None:
    rules = [s3_rules.replication_asked(each) for each in wanted["rules"]]
    aws("s3").put_bucket_replication(Bucket=made, ReplicationConfiguration={"Role": wanted["role"], "Rules": rules})


def _read_copy(aws: Aws, made: str, _: Props) -> Props:
    there = aws("s3").get_bucket_replication(Bucket=made)["ReplicationConfiguration"]
    return {
        "bucket": made,
        "role": there["Role"],
        "rules": [s3_rules.replication_told(each) for each in there["Rules"]],
    }


def _about(
    name: str,
    put: Change,
    read: Callable[[Aws, str, Props], Props | None],
    delete: Change,
    drifts: Mapping[str, Callable[[Any], Any]],
    **more: Any,  # noqa: ANN401 - the kind's own
) -> Kind:
    """Return the kind of something that is said of a bucket: one call says it, the first time and every other."""

    def create(aws: Aws, wanted: Props) -> str:
        put(aws, wanted["bucket"], wanted)
        return str(wanted["bucket"])

    changes = {**updates(put, *drifts), **more.pop("updates", {})}
    kind = f"aws:s3/bucket{name}:Bucket{name}"
    fixed = frozenset({"bucket"})
    return Kind(type=kind, create=create, read=read, delete=delete, updates=changes, fixed=fixed, drifts=drifts, **more)


KINDS = (
    Kind(
        type="aws:s3/bucket:Bucket",
        create=_create_bucket,
        read=_read_bucket,
        delete=_delete_bucket,
        updates={"tags": _retag_bucket, "forceDestroy": lambda *_: None},
        fixed=frozenset({"bucket", "objectLockEnabled"}),
        # How a deletion is made: AWS keeps nothing of it.
        unread=frozenset({"forceDestroy"}),
    ),
    _about(
        "Versioning",
        _versions,
        _read_versions,
        _suspend,
        {"versioningConfiguration": lambda _: {"status": "Suspended"}},
    ),
    _about(
        "ObjectLockConfiguration",
        _lock,
        _read_lock,
        _unlock,
        {"rule": s3_rules.relocked},
        defaults={"objectLockEnabled": "Enabled"},
        updates={"objectLockEnabled": _lock},
    ),
    _about(
        "ServerSideEncryptionConfiguration",
        _encrypt,
        _read_encryption,
        lambda aws, made, _: aws("s3").delete_bucket_encryption(Bucket=made),
        {"rules": s3_rules.rekeyed},
    ),
    _about(
        "PublicAccessBlock",
        _block,
        _read_block,
        lambda aws, made, _: aws("s3").delete_public_access_block(Bucket=made),
        dict.fromkeys(_BLOCK, operator.not_),
    ),
    _about(
        "Policy",
        _allow,
        lambda aws, made, _: {"bucket": made, "policy": aws("s3").get_bucket_policy(Bucket=made)["Policy"]},
        lambda aws, made, _: aws("s3").delete_bucket_policy(Bucket=made),
        {"policy": s3_rules.opened},
    ),
    _about(
        "OwnershipControls",
        _own,
        _read_owner,
        lambda aws, made, _: aws("s3").delete_bucket_ownership_controls(Bucket=made),
        {"rule": lambda _: {"objectOwnership": "BucketOwnerPreferred"}},
    ),
    _about(
        "Logging",
        _log,
        _read_logging,
        lambda aws, made, _: aws("s3").put_bucket_logging(Bucket=made, BucketLoggingStatus={}),
        {"targetPrefix": "elsewhere/{}".format},
        updates={"targetBucket": _log},
    ),
    _about(
        "LifecycleConfiguration",
        _expire,
        _read_lifecycle,
        lambda aws, made, _: aws("s3").delete_bucket_lifecycle(Bucket=made),
        {"rules": s3_rules.longer},
        exact=frozenset({"rules"}),
    ),
    _about(
        "ReplicationConfig",
        _copy,
        _read_copy,
        lambda aws, made, _: aws("s3").delete_bucket_replication(Bucket=made),
        {"rules": s3_rules.stopped, "role": "{}-other".format},
        exact=frozenset({"rules"}),
    ),
)
