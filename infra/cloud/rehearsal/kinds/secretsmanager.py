"""Secrets: what is known about them, never what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind, updates
from infra.cloud.rehearsal.kinds import others
from infra.cloud.rehearsal.kinds.others import tagged
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _create(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, Name="name", Description="description", KmsKeyId="kmsKeyId")
    return str(aws("secretsmanager").create_secret(**arguments, **tagged(wanted))["ARN"])


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    secret = aws("secretsmanager").describe_secret(SecretId=made)
    if secret.get("DeletedDate"):
        return None
    return {
        "tags": mapping(secret.get("Tags")),
        **found(secret, arn="ARN", name="Name", description="Description", kmsKeyId="KmsKeyId"),
    }


def _change(aws: Aws, made: str, wanted: Props) -> None:
    arguments = given(wanted, Description="description", KmsKeyId="kmsKeyId")
    aws("secretsmanager").update_secret(SecretId=made, **arguments)


def _delete(aws: Aws, made: str, known: Props) -> None:
    days = known.get("recoveryWindowInDays", 30)
    how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    aws("secretsmanager").delete_secret(SecretId=made, **how)


KINDS = (
    Kind(
        type="aws:secretsmanager/secret:Secret",
        create=_create,
        read=_read,
        delete=_delete,
        updates={
            **updates(_change, "description", "kmsKeyId"),
            "tags": retag(
                lambda aws, made: mapping(aws("secretsmanager").describe_secret(SecretId=made).get("Tags")),
                lambda aws, made, tags: aws("secretsmanager").tag_resource(SecretId=made, Tags=tags),
                lambda aws, made, names: aws("secretsmanager").untag_resource(SecretId=made, TagKeys=names),
            ),
            "recoveryWindowInDays": lambda _aws, _made, _wanted: None,
        },
        fixed=frozenset({"name"}),
        # It counts when the secret is deleted; until then AWS does not know it.
        unread=frozenset({"recoveryWindowInDays"}),
        drifts={"description": others.text, "kmsKeyId": lambda _: "alias/aws/secretsmanager"},
    ),
)
