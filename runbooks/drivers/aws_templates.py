"""Launch templates of auto scaling groups: what a group's next hosts are, and versions for hosts of another type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import AwsError
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.drivers.aws import Aws
    from runbooks.drivers.aws_groups import Group

LATEST = "$Latest"
_NO_TYPE = re.compile(r"InvalidInstanceType|InvalidParameterValue")


def check_type(aws: Aws, group: Group, wanted: str) -> None:
    """Refuse a type that there is not, or whose processors the group's image is not for: its hosts would never start.

    Raises Refusal; AwsError where AWS cannot be asked.
    """
    try:
        said = aws.call("ec2", "describe_instance_types", InstanceTypes=[wanted])["InstanceTypes"]
    except AwsError as error:
        if not _NO_TYPE.match(error.code):
            raise
        raise Refusal(f"{wanted} is no type of an instance in {aws.region}: {error}") from None
    image = _read(aws, group).get("LaunchTemplateData", {}).get("ImageId")
    if not image or not said:
        return
    images = aws.call("ec2", "describe_images", ImageIds=[image])["Images"]
    can = said[0].get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if images and can and images[0].get("Architecture", can[0]) not in can:
        raise Refusal(f"{wanted} is {'/'.join(can)}, the hosts of {group.name} are {images[0]['Architecture']}")


def version_of(aws: Aws, group: Group) -> str:
    """Return the version that a group's hosts are made of, as it can be given back: `$Latest` is another one later."""
    if not group.version.startswith(LATEST):
        return group.version
    return str(_read(aws, group).get("VersionNumber", group.version))


def made_by(aws: Aws, group: Group, key: str) -> str:
    """Return the version that an operation has made, "" where it has made none."""
    said = aws.all(
        "ec2", "describe_launch_template_versions", "LaunchTemplateVersions", LaunchTemplateId=group.template
    )
    return next((str(each["VersionNumber"]) for each in said if each.get("VersionDescription") == key), "")


def renew(aws: Aws, group: Group, wanted: str, key: str) -> str:
    """Let a group's next hosts be of a type; return the version that says so: one for an operation, however often."""
    found = made_by(aws, group, key)
    if not found:
        made = aws.call(
            "ec2",
            "create_launch_template_version",
            LaunchTemplateId=group.template,
            SourceVersion=group.version,
            VersionDescription=key,
            LaunchTemplateData={"InstanceType": wanted},
        )
        found = str(made["LaunchTemplateVersion"]["VersionNumber"])
    if not group.version.startswith(LATEST):
        give(aws, group, found)
    return found


def give(aws: Aws, group: Group, version: str) -> None:
    """Let a group's next hosts be made of a version."""
    aws.call(
        "autoscaling",
        "update_auto_scaling_group",
        AutoScalingGroupName=group.name,
        LaunchTemplate={"LaunchTemplateId": group.template, "Version": version},
    )


def give_back(aws: Aws, group: Group, key: str, before: str) -> bool:
    """Give a group the version that it had before an operation; False, and nothing is done, where another has it."""
    made = made_by(aws, group, key)
    if group.version not in {made, before} and not group.version.startswith("$"):
        return False
    if made and group.version != before:
        give(aws, group, before)
    return True


def _read(aws: Aws, group: Group) -> Mapping[str, Any]:
    said = aws.call(
        "ec2",
        "describe_launch_template_versions",
        LaunchTemplateId=group.template,
        Versions=[group.version],
    )["LaunchTemplateVersions"]
    found: Mapping[str, Any] = said[0] if said else {}
    return found
