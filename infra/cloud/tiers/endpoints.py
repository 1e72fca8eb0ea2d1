"""AWS's services inside the network: secrets, keys, sessions, logs and buckets without a way over the gateways.

An outage of a gateway then takes no host's secrets away, and what a host sends out can only go to this account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_aws import ec2

from infra.cloud.site import Site, Tier
from infra.cloud.tiers import buckets, sessions
from infra.cloud.tiers.keys import USE
from infra.cloud.tiers.policy import Statement, document

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

# What may be asked through each: by hosts of this account, of resources of this account.
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "secretsmanager": ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
    "kms": (*USE, "kms:CreateGrant"),
    "logs": ("logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"),
    "ssm": ("ssm:UpdateInstanceInformation", "ssm:ListInstanceAssociations", "ssm:ListAssociations"),
    "ssmmessages": (
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ),
}
_READ = ("s3:GetObject", "s3:GetObjectTagging", "s3:ListBucket", "s3:GetBucketLocation")
# A backup's tag says how long it is kept: who may not write tags writes no backup.
_WRITE = (
    *_READ,
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)
# What a play brings to a host, or takes from it, by an address that whoever runs the play has signed.
_PASS = ("s3:GetObject", "s3:PutObject")
# Where a host's data could go to somebody else's: a bucket, a secret or a key of another account.
_ONLY_OURS = frozenset({"secretsmanager", "kms"})


@dataclass(frozen=True, kw_only=True)
class EndpointsArgs:
    """`subnets` get an address of each service, `tables` the way to the buckets; `group` says who may ask."""

    site: Site
    vpc_id: pulumi.Input[str]
    subnets: tuple[pulumi.Input[str], ...]
    tables: tuple[pulumi.Input[str], ...]
    group: pulumi.Input[str]


class Endpoints(Tier):
    """An endpoint for each service; `ids` by service."""

    def __init__(self, name: str, args: EndpointsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        self.ids: dict[str, pulumi.Output[str]] = {}
        for service, actions in _ACTIONS.items():
            self._endpoint(
                service,
                args,
                [_own(site, actions, ["*"], inside=service in _ONLY_OURS)],
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                # One in each zone: another zone's would be lost with it, and its traffic is paid.
                subnet_ids=list(args.subnets),
                security_group_ids=[args.group],
            )
        # This kind costs nothing.
        self._endpoint("s3", args, _buckets(site), vpc_endpoint_type="Gateway", route_table_ids=list(args.tables))
        self.register_outputs({"ids": self.ids})

    def _endpoint(self, service: str, args: EndpointsArgs, statements: list[Statement], **more: Any) -> None:  # noqa: ANN401 - the resource's own types
        self.ids[service] = ec2.VpcEndpoint(
            service,
            vpc_id=args.vpc_id,
            service_name=f"com.amazonaws.{args.site.region}.{service}",
            policy=document(statements),
            tags=args.site.tags(service),
            opts=self.child(),
            **more,
        ).id


def _own(site: Site, actions: tuple[str, ...], resources: list[str], *, inside: bool) -> Statement:
    """Let this account's principals ask, `inside` only of what is this account's as well.

    An endpoint narrows what their policies allow, it gives nothing.
    """
    whose = {"aws:PrincipalAccount": site.account, **({"aws:ResourceAccount": site.account} if inside else {})}
    return {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": list(actions),
        "Resource": resources,
        "Condition": {"StringEquals": whose},
    }


def _buckets(site: Site) -> list[Statement]:
    # By its whole name: anybody can have a bucket that begins as ours do.
    bucket = buckets.arn(site, "backups")
    agent = [
        f"arn:aws:s3:::{each}-{site.region}/*" for each in ("amazon-ssm", "aws-ssm", "aws-ssm-document-attachments")
    ]
    # The agent of sessions fetches its updates from Amazon's buckets, without a name of its own.
    updates = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:GetObject"], "Resource": agent}
    passing = _own(site, _PASS, [f"{buckets.arn(site, sessions.PART)}/*"], inside=True)
    return [_own(site, _WRITE, [bucket, f"{bucket}/*"], inside=True), passing, updates]
