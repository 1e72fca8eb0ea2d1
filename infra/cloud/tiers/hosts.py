"""The one way a host of ours is made, whatever it is for."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra.cloud.devices import DATA_DEVICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.cloud.site import Site

ROOT_GB = 20
# A request that was tricked out of a process cannot ask for the host's credentials without a token (IMDSv2), and a
# token does not leave the host: one hop.
METADATA: aws.ec2.InstanceMetadataOptionsArgsDict = {
    "http_endpoint": "enabled",
    "http_tokens": "required",
    "http_put_response_hop_limit": 1,
}

_USER_DATA = """\
#cloud-config
write_files:
  - path: /etc/simplicity/host
    content: |
      role={role}
      environment={environment}
runcmd:
  # Debian's images lack the agent that lets us in without an open port of SSH; AWS gives it out in each region.
  - curl -fsSLo /tmp/agent.deb https://s3.{region}.amazonaws.com/amazon-ssm-{region}/latest/debian_{machine}/amazon-ssm-agent.deb
  - dpkg -i /tmp/agent.deb
  - systemctl enable --now amazon-ssm-agent
"""


@dataclass(frozen=True, kw_only=True)
class HostArgs:
    """A host: its role, its place, who may speak to it (`groups`) and what it may do (`profile`, a name)."""

    site: Site
    role: str
    instance_type: str
    image: pulumi.Input[str]
    subnet: pulumi.Input[str]
    groups: Sequence[pulumi.Input[str]]
    profile: pulumi.Input[str]
    key: pulumi.Input[str]
    zone: str


def machine(instance_type: str) -> str:
    """Return an instance type's architecture in Debian's word: Graviton's families have a `g` after their number."""
    family = instance_type.split(".", maxsplit=1)[0]
    return "arm64" if "g" in family.lstrip("abcdefghijklmnopqrstuvwxyz") else "amd64"


def user_data(site: Site, role: str, instance_type: str) -> str:
    """Return what a host is told at its first start: its role and its environment, and no secret."""
    return _USER_DATA.format(
        role=role, environment=site.settings.environment, region=site.region, machine=machine(instance_type)
    )


def encoded(text: str) -> str:
    """Return user data as launch templates take it."""
    return base64.b64encode(text.encode()).decode()


def instance(part: str, args: HostArgs, opts: pulumi.ResourceOptions) -> aws.ec2.Instance:
    """Make a host that is there for long: it ends by no call alone, but by the program, which takes that off first."""
    site, tags = args.site, args.site.tags(part, role=args.role)
    # Debian brings out an image every few weeks, and what a host is told counts at its first start alone: one with
    # data is replaced for neither, nor stopped. It updates itself.
    opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["ami", "user_data"]))
    return aws.ec2.Instance(
        part,
        ami=args.image,
        instance_type=args.instance_type,
        subnet_id=args.subnet,
        vpc_security_group_ids=list(args.groups),
        iam_instance_profile=args.profile,
        associate_public_ip_address=False,
        metadata_options=METADATA,
        root_block_device={
            "volume_type": "gp3",
            "volume_size": ROOT_GB,
            "encrypted": True,
            "kms_key_id": args.key,
            "delete_on_termination": True,
            "tags": tags,
        },
        user_data=user_data(site, args.role, args.instance_type),
        ebs_optimized=True,
        disable_api_termination=site.settings.database.protect,
        tags=tags,
        opts=opts,
    )


def volume(
    part: str, host: aws.ec2.Instance, args: HostArgs, size: int, tier: pulumi.Resource
) -> aws.ec2.VolumeAttachment:
    """Make a host's data volume, of `size` GB, which outlives the host and is taken over by the next one.

    Returns how it is attached: the host has its data from then on.
    """
    made = aws.ebs.Volume(
        f"{part}-data",
        availability_zone=args.zone,
        size=size,
        type="gp3",
        encrypted=True,
        kms_key_id=args.key,
        tags=args.site.tags(f"{part}-data", role=args.role),
        opts=pulumi.ResourceOptions(parent=tier, protect=args.site.settings.database.protect),
    )
    return aws.ec2.VolumeAttachment(
        f"{part}-data",
        device_name=DATA_DEVICE,
        volume_id=made.id,
        instance_id=host.id,
        # Pulled from under a running host, a file system loses what it had not written yet.
        stop_instance_before_detaching=True,
        # A volume hangs at one host: the next one gets it once the old one has let go of it.
        opts=pulumi.ResourceOptions(parent=tier, delete_before_replace=True),
    )
