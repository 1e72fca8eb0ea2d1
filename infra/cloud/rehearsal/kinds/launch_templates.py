"""Launch templates: each change is a new version, the older ones stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds.shared import camel, found, given, mapping, pairs, pascal
from infra.cloud.rehearsal.kinds.vpc import RETAG, arn, specification

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_DATA = (
    "imageId",
    "instanceType",
    "iamInstanceProfile",
    "metadataOptions",
    "networkInterfaces",
    "blockDeviceMappings",
    "ebsOptimized",
    "userData",
    "tagSpecifications",
)
_GROUPS, _TAGS = "securityGroups", "tagSpecifications"
_BLOCKS = ("networkInterfaces", "blockDeviceMappings")


def _typed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a block with booleans where the program has to write them as text."""
    match value:
        case dict():
            return {name: _typed(each) for name, each in value.items()}
        case list():
            return [_typed(each) for each in value]
        case "true" | "false":
            return value == "true"
        case _:
            return value


def _untyped(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case dict():
            return {name: _untyped(each) for name, each in value.items()}
        case list():
            return [_untyped(each) for each in value]
        case bool():
            return str(value).lower()
        case _:
            return value


def _data(wanted: Props) -> dict[str, Any]:
    made = {name: _typed(wanted[name]) for name in _DATA if wanted.get(name) is not None}
    if _TAGS in made:
        made[_TAGS] = [{"ResourceType": each["resourceType"], "Tags": pairs(each["tags"])} for each in made[_TAGS]]
    for each in made.get("networkInterfaces", []):
        each["groups"] = each.pop(_GROUPS, None)
    return dict(pascal(made))


def _found(data: Props) -> Props:
    read: Props = {name: camel(data.get(name[:1].upper() + name[1:])) for name in _DATA}
    # moto: keeps the template's own tags among those of what it launches
    specifications = [each for each in data.get("TagSpecifications", ()) if each["ResourceType"] != "launch-template"]
    read[_TAGS] = [{"resourceType": each["ResourceType"], "tags": mapping(each["Tags"])} for each in specifications]
    for each in read["networkInterfaces"] or ():
        each[_GROUPS] = each.pop("groups", None)
    if options := read["metadataOptions"]:
        # AWS tells what it adds itself.
        own = {"state": options.get("state"), "httpProtocolIpv6": "disabled", "instanceMetadataTags": "disabled"}
        read["metadataOptions"] = {name: value for name, value in options.items() if own.get(name) != value}
    texts = {name: _untyped(read[name]) for name in (*_BLOCKS, "ebsOptimized")}
    return {name: value for name, value in {**read, **texts}.items() if value is not None}


def _create(aws: Aws, wanted: Props) -> str:
    answer = aws("ec2").create_launch_template(
        LaunchTemplateName=wanted["name"],
        LaunchTemplateData=_data(wanted),
        **given(wanted, VersionDescription="description"),
        **specification("launch-template", wanted),
    )
    return str(answer["LaunchTemplate"]["LaunchTemplateId"])


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("ec2").describe_launch_templates(LaunchTemplateIds=[made])["LaunchTemplates"]
    if not there:
        return None
    (template,) = there
    versions = aws("ec2").describe_launch_template_versions(LaunchTemplateId=made, Versions=["$Latest"])
    (latest,) = versions["LaunchTemplateVersions"]
    # moto: tells the tags of its creation here, the present ones only by DescribeTags
    tags = aws("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [made]}])["Tags"]
    return {
        "arn": arn(aws, "launch-template", made),
        "updateDefaultVersion": template["DefaultVersionNumber"] == template["LatestVersionNumber"],
        "tags": mapping(tags),
        **found(
            template,
            name="LaunchTemplateName",
            defaultVersion="DefaultVersionNumber",
            latestVersion="LatestVersionNumber",
        ),
        **found(latest, description="VersionDescription"),
        **_found(latest["LaunchTemplateData"]),
    }


def _change(aws: Aws, made: str, wanted: Props) -> None:
    answer = aws("ec2").create_launch_template_version(
        LaunchTemplateId=made, LaunchTemplateData=_data(wanted), **given(wanted, VersionDescription="description")
    )
    if wanted.get("updateDefaultVersion"):
        version = str(answer["LaunchTemplateVersion"]["VersionNumber"])
        aws("ec2").modify_launch_template(LaunchTemplateId=made, DefaultVersion=version)


KINDS = (
    Kind(
        type="aws:ec2/launchTemplate:LaunchTemplate",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("ec2").delete_launch_template(LaunchTemplateId=made),
        updates={**updates(_change, *_DATA, "description", "updateDefaultVersion"), "tags": RETAG},
        fixed=frozenset({"name"}),
        moving=frozenset({"latestVersion"}),
        exact=frozenset({"metadataOptions", *_BLOCKS, "iamInstanceProfile", _TAGS}),
        drifts={
            "description": lambda value: f"{value} and more",
            "instanceType": lambda value: "m7g.xlarge" if value != "m7g.xlarge" else "m7g.large",
            "metadataOptions": lambda value: {**value, "httpTokens": "optional"},
            "networkInterfaces": lambda value: [{**each, "associatePublicIpAddress": "true"} for each in value],
            "blockDeviceMappings": lambda value: [{**each, "ebs": {**each["ebs"], "volumeSize": 99}} for each in value],
            "ebsOptimized": lambda value: "false" if value == "true" else "true",
            "userData": lambda _: "IyBieSBoYW5kCg==",
            "tagSpecifications": lambda value: value[1:],
        },
    ),
)
