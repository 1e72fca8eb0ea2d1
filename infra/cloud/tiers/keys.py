"""The keys: one for each purpose, so that who may read backups may not read secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import kms

from infra.cloud.site import Site, Tier

if TYPE_CHECKING:
    from collections.abc import Mapping

PURPOSES: Mapping[str, str] = {
    "data": "Volumes, database and cache",
    "logs": "Logs and notifications",
    "backups": "Backups",
    "secrets": "Secrets",
}
# The longest that AWS offers: a key that was deleted by mistake takes all of its data with it.
DELETION_DAYS = 30
USE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
_ADMINISTER = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:ListRetirableGrants",
    "kms:PutKeyPolicy",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
# Those that send to an encrypted topic.
_NOTIFIERS = ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "events.rds.amazonaws.com")


def policy(statements: list[dict[str, Any]], account: str) -> dict[str, Any]:
    """Return a key's policy: the account's own policies say who uses and administers it, and what else is given.

    In a key's policy the resource `*` is this key alone: its ARN is not known before it exists.
    """
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Resource": "*"}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Administer", **own, "Action": list(_ADMINISTER)},
            {"Sid": "UseByPolicies", **own, "Action": list(USE)},
            *statements,
        ],
    }


def notifiers(account: str) -> dict[str, Any]:
    """Return what lets AWS's own services send to a topic that the key encrypts."""
    return {
        "Sid": "Notify",
        "Effect": "Allow",
        "Principal": {"Service": list(_NOTIFIERS)},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": account}},
    }


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    """Whose keys they are."""

    site: Site


class Keys(Tier):
    """A key for each purpose with a yearly rotation; `data`, `logs`, `backups` and `secrets` are ARNs."""

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        statements = {"data": _data(site), "logs": _logs(site)}
        made = {}
        for purpose, description in PURPOSES.items():
            made[purpose] = key = kms.Key(
                purpose,
                description=f"{description} of {site.prefix}",
                deletion_window_in_days=DELETION_DAYS,
                enable_key_rotation=True,
                policy=pulumi.Output.json_dumps(policy(statements.get(purpose, []), site.account)),
                tags=site.tags(purpose),
                # Without its key all that it encrypts is lost.
                opts=self.child(protect=site.settings.database.protect),
            )
            kms.Alias(purpose, name=f"alias/{site.name(purpose)}", target_key_id=key.key_id, opts=self.child())
        self.data = made["data"].arn
        self.logs = made["logs"].arn
        self.backups = made["backups"].arn
        self.secrets = made["secrets"].arn
        self.register_outputs({purpose: key.arn for purpose, key in made.items()})


def _data(site: Site) -> list[dict[str, Any]]:
    """Let auto scaling open its hosts' volumes.

    Its role is AWS's own and has no policy of ours; on a new account it is made with the first group, and a policy
    that names a role as its principal before there is one is refused. So the condition names it.
    """
    role = f"arn:aws:iam::{site.account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    own = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Resource": "*"}
    by_role = {"aws:PrincipalArn": role, "kms:CallerAccount": site.account}
    return [
        {"Sid": "AutoScaling", **own, "Action": list(USE), "Condition": {"StringEquals": by_role}},
        {
            "Sid": "AutoScalingGrants",
            **own,
            "Action": ["kms:CreateGrant"],
            "Condition": {"StringEquals": by_role, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
    ]


def _logs(site: Site) -> list[dict[str, Any]]:
    """Let CloudWatch write this stack's log groups; WAF, the database and AMP prescribe how theirs begin."""
    begins = (
        f"/simplicity/{site.settings.environment}/",
        f"aws-waf-logs-{site.prefix}",
        "/aws/rds/",
        f"/aws/vendedlogs/prometheus/{site.prefix}",
    )
    groups = [site.arn("logs", f"log-group:{each}*") for each in begins]
    write = {
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": f"logs.{site.region}.amazonaws.com"},
        "Action": list(USE),
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    }
    trail = [] if site.settings.trail.kind == "none" else [_trail(site)]
    return [write, notifiers(site.account), *trail]


def _trail(site: Site) -> dict[str, Any]:
    """Let CloudTrail write this stack's trail, and no other one."""
    return {
        "Sid": "Trail",
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": ["kms:DescribeKey", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceArn": site.arn("cloudtrail", f"trail/{site.name('trail')}")}},
    }
