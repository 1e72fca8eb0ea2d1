"""The hosts of an environment in the cloud as they are now: groups replace theirs without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.cloud.devices import DATA_DEVICE
from runbooks.drivers.aws import Aws
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.environment import Environment

CONNECTION = "amazon.aws.aws_ssm"
# The playbooks' names of the program's roles, where they differ.
ROLES = {"sync": "indexer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudHost:
    """A running host: `name` is unique, `role` is that of the cloud program.

    `colour` is "" where it has none, and so is `volume`, the id of what is attached for its data.
    """

    name: str
    id: str
    address: str
    role: str
    colour: str = ""
    volume: str = ""


def hosts(environment: Environment) -> list[CloudHost]:
    """Return the running hosts that have a role, sorted by name.

    Raises AwsError, Refusal where the document names no region.
    """
    filters = [
        {"Name": "tag:project", "Values": ["simplicity"]},
        {"Name": "tag:environment", "Values": [environment.name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    aws = Aws.of(environment)
    found = []
    for reservation in aws.all("ec2", "describe_instances", "Reservations", Filters=filters):
        for each in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in each.get("Tags") or ()}
            if not tags.get("role"):
                continue  # somebody's own, beside the program's: no playbook is for it
            part = tags.get("Name", each["InstanceId"]).removeprefix(aws.name(""))
            grouped = "aws:autoscaling:groupName" in tags
            found.append(
                CloudHost(
                    # Hosts of one group have one name: the end of their id tells them apart.
                    name=f"{part}-{each['InstanceId'][-8:]}" if grouped else part,
                    id=each["InstanceId"],
                    address=each.get("PrivateIpAddress", ""),
                    role=tags["role"],
                    colour=tags.get("colour", ""),
                    volume=_volume(each),
                )
            )
    return sorted(found, key=lambda host: host.name)


def _volume(instance: Mapping[str, Any]) -> str:
    attached = {each["DeviceName"]: each["Ebs"] for each in instance.get("BlockDeviceMappings", ()) if "Ebs" in each}
    return str(attached.get(DATA_DEVICE, {}).get("VolumeId", ""))


def _device(volume: str) -> str:
    """Return where a host finds a volume, whatever other name it had when it was attached.

    The kernel of a Nitro host numbers its disks as it meets them: /dev/sdf is nowhere, and /dev/nvme1n1 any of them.
    """
    return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"


def groups(found: Sequence[CloudHost]) -> dict[str, list[str]]:
    """Return the names of hosts by role, as the inventory has them, and those of the API by colour, too."""
    by_role: dict[str, list[str]] = {}
    for host in found:
        by_role.setdefault(ROLES.get(host.role, host.role), []).append(host.name)
        if host.colour:
            by_role.setdefault(f"{host.role}_{host.colour}", []).append(host.name)
    return by_role


def variables(environment: Environment, found: Sequence[CloudHost]) -> dict[str, dict[str, Any]]:
    """Return each host's variables: Systems Manager leads to its id; its address is what other hosts know it by.

    Raises Refusal where the document names no bucket.
    """
    settings = environment.drivers["hosts"].settings
    if not settings.get("bucket"):
        raise Refusal(
            f"the document of {environment.name} names no bucket for the files that hosts get (its driver hosts);"
            " `pulumi up`, and write it anew"
        )
    common = {
        "ansible_connection": CONNECTION,
        "ansible_aws_ssm_region": settings.get("region", ""),
        # Files go by a bucket: hosts fetch them by addresses that are signed for minutes.
        "ansible_aws_ssm_bucket_name": settings["bucket"],
        "ansible_aws_ssm_timeout": 120,
    }
    return {
        host.name: {
            "ansible_host": host.address,
            "ansible_aws_ssm_instance_id": host.id,
            **common,
            **({"own_colour": host.colour} if host.colour else {}),
            **({"volume_device": _device(host.volume)} if host.volume else {}),
        }
        for host in found
    }
