"""Who called what of AWS: trails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

_PLAIN = {
    "CloudWatchLogsLogGroupArn": "cloudWatchLogsGroupArn",
    "CloudWatchLogsRoleArn": "cloudWatchLogsRoleArn",
    "EnableLogFileValidation": "enableLogFileValidation",
    "IncludeGlobalServiceEvents": "includeGlobalServiceEvents",
    "IsMultiRegionTrail": "isMultiRegionTrail",
    "KmsKeyId": "kmsKeyId",
    "S3BucketName": "s3BucketName",
}
# How a trail tells them.
_TOLD = {name: argument for argument, name in _PLAIN.items()} | {"enableLogFileValidation": "LogFileValidationEnabled"}


def _create(aws: Aws, wanted: Props) -> str:
    answer = aws("cloudtrail").create_trail(
        Name=wanted["name"], TagsList=pairs(wanted.get("tags")), **given(wanted, **_PLAIN)
    )
    made = str(answer["TrailARN"])
    with begun(made):
        # One that was made writes nothing until it is told to.
        _switch(aws, made, wanted)
    return made


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("cloudtrail").get_trail(Name=made)["Trail"]
    return {
        "name": there["Name"],
        "arn": there["TrailARN"],
        "enableLogging": aws("cloudtrail").get_trail_status(Name=made)["IsLogging"],
        "tags": mapping(_tags(aws, made)),
        **found(there, **_TOLD),
    }


def _tags(aws: Aws, made: str) -> list[dict[str, str]]:
    listed = aws("cloudtrail").list_tags(ResourceIdList=[made])["ResourceTagList"]
    return [tag for each in listed for tag in each.get("TagsList", ())]


def _change(aws: Aws, made: str, wanted: Props) -> None:
    aws("cloudtrail").update_trail(Name=made, **given(wanted, **_PLAIN))


def _switch(aws: Aws, made: str, wanted: Props) -> None:
    if wanted.get("enableLogging", True):
        aws("cloudtrail").start_logging(Name=made)
    else:
        aws("cloudtrail").stop_logging(Name=made)


def _untag(aws: Aws, made: str, names: list[str]) -> None:
    aws("cloudtrail").remove_tags(ResourceId=made, TagsList=[{"Key": each} for each in names])


_RETAG = retag(
    lambda aws, made: mapping(_tags(aws, made)),
    lambda aws, made, tags: aws("cloudtrail").add_tags(ResourceId=made, TagsList=tags),
    _untag,
)

KINDS = (
    Kind(
        type="aws:cloudtrail/trail:Trail",
        create=_create,
        read=_read,
        # moto: deletes by name alone
        delete=lambda aws, made, _: aws("cloudtrail").delete_trail(Name=made.rpartition("/")[2]),
        updates={**updates(_change, *_PLAIN.values()), "enableLogging": _switch, "tags": _RETAG},
        fixed=frozenset({"name"}),
        drifts={
            "cloudWatchLogsGroupArn": lambda value: f"{value[:-2]}-drifted:*",
            "cloudWatchLogsRoleArn": lambda value: f"{value}-drifted",
            "kmsKeyId": lambda value: f"{value}-drifted",
            "s3BucketName": lambda value: f"{value}-drifted",
        },
        defaults={"enableLogging": True, "includeGlobalServiceEvents": True},
    ),
)
