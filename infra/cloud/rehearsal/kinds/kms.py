"""Keys and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind, begun, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.shared import found, given

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _create_key(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, Description="description", Policy="policy")
    tags = [{"TagKey": name, "TagValue": value} for name, value in (wanted.get("tags") or {}).items()]
    made = str(aws("kms").create_key(**arguments, **({"Tags": tags} if tags else {}))["KeyMetadata"]["KeyId"])
    with begun(made):
        if wanted["enableKeyRotation"]:
            aws("kms").enable_key_rotation(KeyId=made)
        if not wanted["isEnabled"]:
            aws("kms").disable_key(KeyId=made)
    return made


def _tags(aws: Aws, made: str) -> dict[str, str]:
    return {each["TagKey"]: each["TagValue"] for each in aws("kms").list_resource_tags(KeyId=made)["Tags"]}


def _read_key(aws: Aws, made: str, _: Props) -> Props | None:
    key = aws("kms").describe_key(KeyId=made)["KeyMetadata"]
    if key["KeyState"] == "PendingDeletion":
        return None
    return {
        "isEnabled": key["Enabled"],
        "enableKeyRotation": aws("kms").get_key_rotation_status(KeyId=made)["KeyRotationEnabled"],
        "policy": aws("kms").get_key_policy(KeyId=made, PolicyName="default")["Policy"],
        "tags": _tags(aws, made),
        **found(key, arn="Arn", keyId="KeyId", description="Description"),
    }


def _describe(aws: Aws, made: str, wanted: Props) -> None:
    aws("kms").update_key_description(KeyId=made, Description=wanted.get("description", ""))


def _rotate(aws: Aws, made: str, wanted: Props) -> None:
    # Of a key that is disabled neither can be changed.
    aws("kms").enable_key(KeyId=made)
    call = aws("kms").enable_key_rotation if wanted["enableKeyRotation"] else aws("kms").disable_key_rotation
    call(KeyId=made)
    if not wanted.get("isEnabled", True):
        aws("kms").disable_key(KeyId=made)


def _allow(aws: Aws, made: str, wanted: Props) -> None:
    aws("kms").put_key_policy(KeyId=made, PolicyName="default", Policy=wanted["policy"])


def _tag(aws: Aws, made: str, wanted: Props) -> None:
    tags = wanted.get("tags") or {}
    if surplus := sorted(set(_tags(aws, made)) - set(tags)):
        aws("kms").untag_resource(KeyId=made, TagKeys=surplus)
    aws("kms").tag_resource(KeyId=made, Tags=[{"TagKey": name, "TagValue": value} for name, value in tags.items()])


def _schedule_deletion(aws: Aws, made: str, known: Props) -> None:
    aws("kms").schedule_key_deletion(KeyId=made, **given(known, PendingWindowInDays="deletionWindowInDays"))


def _create_alias(aws: Aws, wanted: Props) -> str:
    aws("kms").create_alias(AliasName=wanted["name"], TargetKeyId=wanted["targetKeyId"])
    return str(wanted["name"])


def _read_alias(aws: Aws, made: str, _: Props) -> Props | None:
    for page in aws("kms").get_paginator("list_aliases").paginate():
        for each in page["Aliases"]:
            if each["AliasName"] == made:
                return found(each, arn="AliasArn", name="AliasName", targetKeyId="TargetKeyId")
    return None


def _point(aws: Aws, made: str, wanted: Props) -> None:
    aws("kms").update_alias(AliasName=made, TargetKeyId=wanted["targetKeyId"])


KINDS = (
    Kind(
        type="aws:kms/key:Key",
        create=_create_key,
        read=_read_key,
        delete=_schedule_deletion,
        updates={
            "description": _describe,
            **updates(_rotate, "enableKeyRotation", "isEnabled"),
            "policy": _allow,
            "tags": _tag,
            "deletionWindowInDays": lambda _aws, _made, _wanted: None,
        },
        # It counts when the key is deleted; until then AWS does not know it.
        unread=frozenset({"deletionWindowInDays"}),
        drifts={"description": others.text, "policy": others.statements},
        defaults={"enableKeyRotation": False, "isEnabled": True},
        delete_first=False,
    ),
    Kind(
        type="aws:kms/alias:Alias",
        create=_create_alias,
        read=_read_alias,
        delete=lambda aws, made, _: aws("kms").delete_alias(AliasName=made),
        updates={"targetKeyId": _point},
        fixed=frozenset({"name"}),
    ),
)
