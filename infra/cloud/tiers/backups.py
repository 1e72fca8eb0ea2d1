"""Backups: a bucket that nobody can empty before its time, and a copy of it in another region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.site import Tier
from infra.cloud.tiers import buckets, keys
from infra.cloud.tiers.policy import allow, document, trust

if TYPE_CHECKING:
    from infra.cloud.site import Site

# Days that a backup stays, by the tag `keep` that it is written with: 7 daily, 4 weekly, 12 monthly, 3 yearly.
KEEP = {"daily": 7, "weekly": 28, "monthly": 365, "yearly": 1_095}
# What is kept for long is hardly ever read. Objects there are charged for 90 days at least.
_COLD, _COLD_DAYS = "GLACIER_IR", 30
# Who read and deleted what; a break-in is found after months.
ACCESS_LOG_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class BackupsArgs:
    """`key` is the ARN of the backups' key; the copy has one of its own, made here: keys stay in their region."""

    site: Site
    key: pulumi.Input[str]


class Backups(Tier):
    """`bucket` is the name; `arn`, `replica_arn` and `replica_key` are ARNs of it, its copy and the copy's key."""

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._site, self._args = args.site, args
        settings = args.site.settings
        self._replica_key = self._key()
        common = buckets.BucketArgs(
            site=args.site,
            # Where the database is protected nobody shortens the time, not even the account's owner; elsewhere one
            # with the right to do so does, so that a stack for trying can be taken down.
            lock="COMPLIANCE" if settings.database.protect else "GOVERNANCE",
            lock_days=settings.backups.lock_days,
            rules=_rules(settings.backups.lock_days),
        )
        copy = buckets.locked(self, "backups-copy", common, self._replica_key.arn, settings.backups.replica_region)
        made = buckets.locked(self, "backups", common, args.key)
        buckets.access_log(self, "backups-logs", args.site, made.bucket, ACCESS_LOG_DAYS)
        self._replicate(made, copy)
        self.bucket, self.arn, self.replica_arn = made.bucket.bucket, made.bucket.arn, copy.bucket.arn
        self.replica_key = self._replica_key.arn
        self.register_outputs({"bucket": self.bucket, "arn": self.arn, "replica_arn": self.replica_arn})

    def _key(self) -> aws.kms.Key:
        site, region = self._site, self._site.settings.backups.replica_region
        key = aws.kms.Key(
            "backups-copy",
            description=f"The copy of the backups of {site.prefix}",
            deletion_window_in_days=keys.DELETION_DAYS,
            enable_key_rotation=True,
            policy=pulumi.Output.json_dumps(keys.policy([], site.account)),
            region=region,
            tags=site.tags("backups-copy"),
            # Without its key all that it encrypts is lost.
            opts=self.child(protect=site.settings.database.protect),
        )
        aws.kms.Alias(
            "backups-copy",
            name=f"alias/{site.name('backups-copy')}",
            target_key_id=key.key_id,
            region=region,
            opts=self.child(),
        )
        return key

    def _replicate(self, made: buckets.Made, copy: buckets.Made) -> None:
        aws.s3.BucketReplicationConfig(
            "backups",
            bucket=made.bucket.bucket,
            role=self._role(made.bucket, copy.bucket).arn,
            rules=[
                aws.s3.BucketReplicationConfigRuleArgs(
                    id="all",
                    status="Enabled",
                    priority=1,
                    # All of it.
                    filter=aws.s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
                    # Whoever deletes here deletes nothing there.
                    delete_marker_replication=aws.s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(
                        status="Disabled"
                    ),
                    source_selection_criteria=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
                        sse_kms_encrypted_objects=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
                            status="Enabled"
                        )
                    ),
                    destination=aws.s3.BucketReplicationConfigRuleDestinationArgs(
                        bucket=copy.bucket.arn,
                        # It is read when a region is lost, and costs half until then.
                        storage_class="STANDARD_IA",
                        encryption_configuration=aws.s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
                            replica_kms_key_id=self._replica_key.arn
                        ),
                    ),
                )
            ],
            # Without versions on both sides AWS refuses it.
            opts=self.child(depends_on=[made.versioning, copy.versioning]),
        )

    def _role(self, bucket: aws.s3.Bucket, copy: aws.s3.Bucket) -> aws.iam.Role:
        site, there = self._site, self._site.settings.backups.replica_region
        role = aws.iam.Role(
            "backups-copy",
            name=site.name("backups-copy"),
            description="S3 copies backups to another region",
            assume_role_policy=trust("s3.amazonaws.com"),
            permissions_boundary=site.boundary,
            tags=site.tags("backups-copy"),
            opts=self.child(),
        )
        versions = ("", "Acl", "Tagging")
        statements = [
            allow(["s3:GetReplicationConfiguration", "s3:ListBucket"], [bucket.arn]),
            allow(
                [
                    *(f"s3:GetObjectVersion{each or 'ForReplication'}" for each in versions),
                    # The copy is locked for as long as the first is.
                    "s3:GetObjectRetention",
                    "s3:GetObjectLegalHold",
                ],
                [pulumi.Output.concat(bucket.arn, "/*")],
            ),
            # No right to replicate deletions.
            allow(["s3:ReplicateObject", "s3:ReplicateTags"], [pulumi.Output.concat(copy.arn, "/*")]),
            allow(["kms:Decrypt"], [self._args.key], _through(site.region)),
            allow(["kms:Encrypt", "kms:GenerateDataKey"], [self._replica_key.arn], _through(there)),
        ]
        aws.iam.RolePolicy(
            "backups-copy",
            name=site.name("backups-copy"),
            role=role.name,
            policy=document(statements),
            opts=self.child(),
        )
        return role


def _through(region: str) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"kms:ViaService": f"s3.{region}.amazonaws.com"}}


def _rules(lock_days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    rule, words = aws.s3.BucketLifecycleConfigurationRuleArgs, "Enabled"
    kept = [
        rule(
            id=f"keep-{kind}",
            status=words,
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(
                tag=aws.s3.BucketLifecycleConfigurationRuleFilterTagArgs(key="keep", value=kind)
            ),
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
            transitions=[aws.s3.BucketLifecycleConfigurationRuleTransitionArgs(days=_COLD_DAYS, storage_class=_COLD)]
            if days > 4 * _COLD_DAYS
            else None,
        )
        for kind, days in KEEP.items()
    ]
    return [*kept, buckets.tidy(lock_days)]
