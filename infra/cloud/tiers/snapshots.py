"""Snapshots of a database that AWS runs: kept for longer than its own backups, and copied to another region.

Aurora and RDS return to any second of 35 days at most, and keep nothing elsewhere; AWS Backup makes what is older and
farther away. A snapshot stays under the key of the data that are in it, whatever its vault's key is. The copy gets the
key of the vault that it lies in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_aws as aws

from infra.cloud.site import Tier
from infra.cloud.tiers.backups import KEEP
from infra.cloud.tiers.policy import Statement, allow, document, trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from infra.cloud.site import Site

VAULT, COPY = "snapshots", "snapshots-copy"
# In UTC, and all at one hour: where several are due, AWS Backup makes one, which is kept for the longest. After the
# database's own backup and its maintenance: in their hours, and in the one before, RDS makes no snapshot.
WHEN: Mapping[str, str] = {
    "daily": "cron(0 6 * * ? *)",
    "weekly": "cron(0 6 ? * SUN *)",
    "monthly": "cron(0 6 1 * ? *)",
    "yearly": "cron(0 6 1 1 ? *)",
}
# Minutes until it is begun, and until it is given up.
START, COMPLETE = 120, 720
# How RDS' names of actions and of ARNs call a snapshot of each kind of database.
_CALLED: Mapping[str, tuple[str, str]] = {"aurora": ("DBCluster", "cluster-snapshot"), "rds": ("DB", "snapshot")}


@dataclass(frozen=True, kw_only=True)
class SnapshotsArgs:
    """`database` is the ARN of Aurora's cluster or of RDS' server.

    The keys are ARNs: of the database's data, of the backups here, of their copy in the other region.
    """

    site: Site
    database: pulumi.Input[str]
    data_key: pulumi.Input[str]
    key: pulumi.Input[str]
    replica_key: pulumi.Input[str]


class Snapshots(Tier):
    """`vault` and `replica_vault` are the names of the vaults here and in the other region."""

    def __init__(self, name: str, args: SnapshotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        vault = self._vault(VAULT, args.key)
        copy = self._vault(COPY, args.replica_key, args.site.settings.backups.replica_region)
        self._select(self._plan(vault, copy), *self._role(vault, copy))
        self.vault, self.replica_vault = vault.name, copy.name
        self.register_outputs({"vault": self.vault, "replica_vault": self.replica_vault})

    def _vault(self, part: str, key: pulumi.Input[str], region: str | None = None) -> aws.backup.Vault:
        site, protect = self._args.site, self._args.site.settings.database.protect
        vault = aws.backup.Vault(
            part,
            name=site.name(part),
            kms_key_arn=key,
            force_destroy=not protect,
            region=region,
            tags=site.tags(part),
            opts=self.child(protect=protect),
        )
        if protect:
            # Nobody deletes a snapshot before its day, nor makes one that stays for ever. Who has the right to take
            # the lock off still can: one in mode compliance would hold a mistake, and its bill, for three years.
            aws.backup.VaultLockConfiguration(
                part,
                backup_vault_name=vault.name,
                min_retention_days=min(KEEP.values()),
                max_retention_days=max(KEEP.values()),
                region=region,
                # A vault has one lock: deleted after the new one was put on, it would take that off.
                opts=self.child(delete_before_replace=True),
            )
        return vault

    def _plan(self, vault: aws.backup.Vault, copy: aws.backup.Vault) -> aws.backup.Plan:
        site = self._args.site
        return aws.backup.Plan(
            "snapshots",
            name=site.name("snapshots"),
            rules=[
                aws.backup.PlanRuleArgs(
                    rule_name=kind,
                    target_vault_name=vault.name,
                    schedule=WHEN[kind],
                    start_window=START,
                    completion_window=COMPLETE,
                    lifecycle=aws.backup.PlanRuleLifecycleArgs(delete_after=days),
                    copy_actions=[
                        aws.backup.PlanRuleCopyActionArgs(
                            destination_vault_arn=copy.arn,
                            # Without a day of its own a copy would stay for ever, and its vault refuses that.
                            lifecycle=aws.backup.PlanRuleCopyActionLifecycleArgs(delete_after=days),
                        )
                    ],
                )
                for kind, days in KEEP.items()
            ],
            tags=site.tags("snapshots"),
            opts=self.child(),
        )

    def _role(self, vault: aws.backup.Vault, copy: aws.backup.Vault) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        site = self._args.site
        role = aws.iam.Role(
            "snapshots",
            name=site.name("snapshots"),
            description="AWS Backup makes, copies and expires snapshots of the database",
            assume_role_policy=trust("backup.amazonaws.com", site.account),
            permissions_boundary=site.boundary,
            tags=site.tags("snapshots"),
            opts=self.child(),
        )
        policy = aws.iam.RolePolicy(
            "snapshots",
            name=site.name("snapshots"),
            role=role.name,
            policy=document(_statements(self._args, vault.arn, copy.arn)),
            opts=self.child(),
        )
        return role, policy

    def _select(self, plan: aws.backup.Plan, role: aws.iam.Role, policy: aws.iam.RolePolicy) -> None:
        aws.backup.Selection(
            "snapshots",
            name=self._args.site.name("database"),
            plan_id=plan.id,
            iam_role_arn=role.arn,
            # By its name, not by a tag: whoever takes a tag off would end its backups without a word.
            resources=[self._args.database],
            # Before its role may do anything, its first snapshot would fail.
            opts=self.child(depends_on=[policy]),
        )


def _statements(args: SnapshotsArgs, vault: pulumi.Input[str], copy: pulumi.Input[str]) -> list[Statement]:
    """Return what AWS' own policy for this allows, without all other services and for this database alone.

    AWS Backup gives its snapshots names that begin with `awsbackup:`; nobody else's can be deleted or copied.
    """
    site = args.site
    of, word = _CALLED[site.settings.database.kind]
    regions = (site.region, site.settings.backups.replica_region)
    here, there = (site.arn("rds", f"{word}:awsbackup:*", region) for region in regions)
    # A list of snapshots can be asked for only as that of all of them.
    listed = [site.arn("rds", f"{word}:*", region) for region in regions]
    # The options that a copy of RDS' hangs on; Aurora has none.
    options = [site.arn("rds", "og:default:*", region) for region in regions] if word == "snapshot" else []
    instances = "DBClusters" if word == "cluster-snapshot" else "DBInstances"
    keys = [args.data_key, args.key, args.replica_key]
    return [
        allow([f"rds:Create{of}Snapshot"], [args.database, here]),
        allow([f"rds:Copy{of}Snapshot"], [here, there, *options]),
        allow([f"rds:Delete{of}Snapshot", "rds:AddTagsToResource"], [here, there]),
        allow([f"rds:Describe{instances}", f"rds:Describe{of}Snapshots"], [args.database, *listed]),
        allow(["rds:ListTagsForResource"], [args.database, here, there]),
        allow(["backup:DescribeBackupVault"], [vault, copy]),
        # Into no other vault, and so to no other account.
        allow(["backup:CopyIntoBackupVault"], [copy]),
        allow(["backup:CopyFromBackupVault"], [here], {"ForAllValues:ArnEquals": {"backup:CopyTargets": copy}}),
        allow(["kms:DescribeKey"], keys),
        # RDS uses the keys by what it is granted; the role itself reads nothing.
        allow(["kms:CreateGrant"], keys, {"Bool": {"kms:GrantIsForAWSResource": "true"}}),
        # How it finds what is to be backed up has no resource that could be named.
        allow(["tag:GetResources"], ["*"], {"StringEquals": {"aws:RequestedRegion": site.region}}),
    ]
