from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pulumi_aws import kms, secretsmanager

from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"


def program(name: str) -> None:
    key = kms.Key("secrets", description="Secrets", enable_key_rotation=True)
    secretsmanager.Secret(
        "pepper",
        name=f"simplicity/test/{name}",
        description="auth pepper",
        kms_key_id=key.arn,
        recovery_window_in_days=7,
        tags={"Name": "pepper"},
    )


def test_secrets_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    changed = whole_life(lab, partial(program, "first"))
    assert {each for each in changed if each.startswith("Secret")} == {
        "Secret.description",
        "Secret.kmsKeyId",
        "Secret.tags",
    }


def test_a_secret_is_made_empty_and_its_value_is_no_drift(lab: Lab) -> None:
    filled = partial(program, "filled")
    lab.up(filled)
    (secret,) = (each for each in lab.state.managed() if each.name == "pepper")
    client = lab.reach(REGION)("secretsmanager")
    assert client.list_secret_version_ids(SecretId=secret.id)["Versions"] == []
    client.put_secret_value(SecretId=secret.id, SecretString="a value")
    assert lab.drifts() == []
    assert lab.plan(filled) == []
    assert "a value" not in lab.state.path.read_text(encoding="utf-8")


def test_a_deleted_secret_can_be_brought_back(lab: Lab) -> None:
    lab.up(partial(program, "deleted"))
    (secret,) = (each for each in lab.state.managed() if each.name == "pepper")
    lab.destroy()
    client = lab.reach(REGION)("secretsmanager")
    assert client.describe_secret(SecretId=secret.id)["DeletedDate"]
    assert client.restore_secret(SecretId=secret.id)["ARN"] == secret.id
    client.delete_secret(SecretId=secret.id, ForceDeleteWithoutRecovery=True)
