from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import kms

from infra.cloud.tiers.keys import policy
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from infra.cloud.rehearsal.lab import Lab

REGION = "us-east-1"


def program(pointed: str = "data") -> None:
    keys = {
        name: kms.Key(
            name,
            description="Volumes",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=json.dumps(policy([], "123456789012")),
            tags={"Name": name},
        )
        for name in ("data", "other")
    }
    kms.Alias("data", name="alias/data", target_key_id=keys[pointed].key_id)


def test_keys_live_and_every_change_of_them_is_named(lab: Lab) -> None:
    assert whole_life(lab, program) == {
        "Key.description",
        "Key.enableKeyRotation",
        "Key.isEnabled",
        "Key.policy",
        "Key.tags",
    }


def test_a_key_that_somebody_disabled_is_told_and_works_again(lab: Lab) -> None:
    lab.up(program)
    (key,) = (each for each in lab.state.managed() if each.name == "data" and each.type.endswith(":Key"))
    client = lab.reach(REGION)("kms")
    client.disable_key_rotation(KeyId=key.id)
    client.disable_key(KeyId=key.id)
    (found,) = lab.drifts()
    assert found.was == {"enableKeyRotation": True, "isEnabled": True}
    lab.refresh()
    assert [step.changed for step in lab.up(program)] == [("enableKeyRotation", "isEnabled")]
    assert client.describe_key(KeyId=key.id)["KeyMetadata"]["Enabled"]
    assert lab.drifts() == []


def test_a_key_that_somebody_wants_deleted_is_gone_for_us(lab: Lab) -> None:
    lab.up(program)
    (key,) = (each for each in lab.state.managed() if each.name == "other")
    lab.reach(REGION)("kms").schedule_key_deletion(KeyId=key.id, PendingWindowInDays=30)
    assert [each.line for each in lab.drifts()] == ["aws:kms/key:Key other is gone"]


def test_a_key_is_kept_for_as_long_as_the_program_says(lab: Lab) -> None:
    lab.up(program)
    (key,) = (each for each in lab.state.managed() if each.name == "other")
    lab.destroy()
    described = lab.reach(REGION)("kms").describe_key(KeyId=key.id)["KeyMetadata"]
    assert described["KeyState"] == "PendingDeletion"


def test_a_name_is_pointed_at_another_key_in_place(lab: Lab) -> None:
    lab.up(program)
    steps = lab.up(lambda: program("other"))
    assert [(step.op, step.changed) for step in steps] == [("update", ("targetKeyId",))]
    assert lab.drifts() == []
