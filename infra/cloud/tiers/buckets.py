"""Buckets: closed to the public, encrypted, spoken to by TLS alone, each deletion undone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.site import Site, Tier

# A part of an upload that was never finished cannot be seen, and is paid for.
_UNFINISHED_DAYS = 3
_TLS = "1.2"


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """`lock` is the mode of the object lock, `lock_days` how long nobody deletes a version, `rules` the lifecycle."""

    site: Site
    lock: str
    lock_days: int
    rules: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgs]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A bucket, and what others have to wait for."""

    bucket: aws.s3.Bucket
    versioning: aws.s3.BucketVersioning


def called(site: Site, part: str) -> str:
    """Return a bucket's name: names are shared with the whole world, so the account is in it."""
    return f"{site.name(part)}-{site.account}"


def arn(site: Site, part: str) -> str:
    """Return a bucket's ARN."""
    return f"arn:aws:s3:::{called(site, part)}"


def locked(tier: Tier, part: str, args: BucketArgs, key: pulumi.Input[str], region: str | None = None) -> Made:
    """Make a bucket of locked versions under a key, in the stack's region or another one."""
    site = args.site
    bucket = aws.s3.Bucket(
        part,
        bucket=called(site, part),
        # Only a new bucket can have it.
        object_lock_enabled=True,
        force_destroy=not site.settings.database.protect,
        region=region,
        tags=site.tags(part),
        opts=tier.child(protect=site.settings.database.protect),
    )
    versioning = _versions(tier, part, bucket, region)
    aws.s3.BucketObjectLockConfiguration(
        part,
        bucket=bucket.bucket,
        rule=aws.s3.BucketObjectLockConfigurationRuleArgs(
            default_retention=aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
                mode=args.lock, days=args.lock_days
            )
        ),
        region=region,
        opts=tier.child(depends_on=[versioning]),
    )
    _encrypt(tier, part, bucket, key, region)
    close(tier, part, bucket, region=region)
    made = Made(bucket=bucket, versioning=versioning)
    _lifecycle(tier, part, made, args.rules, region)
    return made


def of_logs(  # noqa: PLR0913 - a log's own
    tier: Tier,
    part: str,
    site: Site,
    write: Any,  # noqa: ANN401 - JSON
    days: int,
    *,
    look: Any = None,  # noqa: ANN401 - as above
) -> aws.s3.BucketPolicy:
    """Make a bucket that a service of AWS's writes a log to, of which each entry goes after so many days.

    `write` is the statement that lets it, `look` one that lets it look before. Its policy is returned: what waits for
    that can write.
    """
    bucket = aws.s3.Bucket(
        part,
        bucket=called(site, part),
        # A log is kept while the stack is; a stack that goes for good takes it along.
        force_destroy=not site.settings.database.protect,
        tags=site.tags(part),
        opts=tier.child(protect=site.settings.database.protect),
    )
    versioning = _versions(tier, part, bucket, None)
    # S3 and the balancers deliver their logs to no bucket under a key of ours.
    _encrypt(tier, part, bucket, None, None)
    delivers = close(tier, part, bucket, [write] if look is None else [look, write])
    _lifecycle(tier, part, Made(bucket=bucket, versioning=versioning), [_expire(days), tidy(1)], None)
    return delivers


def passing(tier: Tier, part: str, site: Site, key: pulumi.Input[str]) -> aws.s3.Bucket:
    """Make a bucket of what is there for minutes: under a key, without versions, empty after a day.

    It says so by a tag: a policy asks for versions everywhere else.
    """
    bucket = aws.s3.Bucket(
        part,
        bucket=called(site, part),
        # Nothing in it is worth keeping, but a policy asks for that everywhere.
        force_destroy=not site.settings.database.protect,
        tags=site.tags(part, contents="passing"),
        opts=tier.child(),
    )
    _encrypt(tier, part, bucket, key, None)
    close(tier, part, bucket)
    # What is deleted is to be gone: a version of it would stay, and files have secrets in them.
    aws.s3.BucketLifecycleConfiguration(part, bucket=bucket.bucket, rules=[_expire(1)], opts=tier.child())
    return bucket


def access_log(tier: Tier, part: str, site: Site, source: aws.s3.Bucket, days: int) -> None:
    """Keep who reads and writes a bucket in another one, for so many days."""
    deliver = {
        "Sid": "Deliver",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": f"{arn(site, part)}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": site.account}, "ArnLike": {"aws:SourceArn": source.arn}},
    }
    delivers = of_logs(tier, part, site, deliver, days)
    aws.s3.BucketLogging(
        part,
        bucket=source.bucket,
        target_bucket=delivers.bucket,
        target_prefix="access/",
        # Logs that cannot be delivered are lost without a word.
        opts=tier.child(depends_on=[delivers]),
    )


def _expire(days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="expire",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )


def tidy(noncurrent_days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """Return the rule for what nobody sees: versions that were replaced, uploads that were never finished.

    And the marks of deletions of which no version is left: each listing would go through all of them.
    """
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="tidy",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=noncurrent_days
        ),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=_UNFINISHED_DAYS
        ),
    )


def close(
    tier: Tier, part: str, bucket: aws.s3.Bucket, statements: Sequence[Any] = (), region: str | None = None
) -> aws.s3.BucketPolicy:
    """Close a bucket to the public and to the clear; `statements` let others in."""
    block = aws.s3.BucketPublicAccessBlock(
        part,
        bucket=bucket.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        region=region,
        opts=tier.child(),
    )
    aws.s3.BucketOwnershipControls(
        part,
        bucket=bucket.bucket,
        # Lists of access per object are off: policies alone say who may read.
        rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
        region=region,
        opts=tier.child(),
    )
    every = [bucket.arn, pulumi.Output.concat(bucket.arn, "/*")]
    refuse = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": every}
    secure = {"Sid": "OnlyTls", **refuse, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    recent = {"Sid": "OnlyRecentTls", **refuse, "Condition": {"NumericLessThan": {"s3:TlsVersion": _TLS}}}
    return aws.s3.BucketPolicy(
        part,
        bucket=bucket.bucket,
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [secure, recent, *statements]}),
        region=region,
        # Two changes to a bucket's access at once are refused.
        opts=tier.child(depends_on=[block]),
    )


def _versions(tier: Tier, part: str, bucket: aws.s3.Bucket, region: str | None) -> aws.s3.BucketVersioning:
    return aws.s3.BucketVersioning(
        part,
        bucket=bucket.bucket,
        versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
        region=region,
        opts=tier.child(),
    )


def _encrypt(tier: Tier, part: str, bucket: aws.s3.Bucket, key: pulumi.Input[str] | None, region: str | None) -> None:
    default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="AES256" if key is None else "aws:kms", kms_master_key_id=key
    )
    aws.s3.BucketServerSideEncryptionConfiguration(
        part,
        bucket=bucket.bucket,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=default,
                # One call to the key for many objects: a hundredth of the price.
                bucket_key_enabled=key is not None,
            )
        ],
        region=region,
        opts=tier.child(),
    )


def _lifecycle(
    tier: Tier,
    part: str,
    made: Made,
    rules: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgs],
    region: str | None,
) -> None:
    aws.s3.BucketLifecycleConfiguration(
        part,
        bucket=made.bucket.bucket,
        rules=list(rules),
        region=region,
        # What is not current only exists with versions.
        opts=tier.child(depends_on=[made.versioning]),
    )
