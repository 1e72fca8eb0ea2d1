from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from infra.cloud.tiers.snapshots import Snapshots, SnapshotsArgs
from tests.infra.cloud.conftest import ACCOUNT, OTHER_REGION, REGION
from tests.infra.cloud.kinds.ground import whole_life

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.rehearsal.state import Resource
    from tests.infra.cloud.conftest import Places

VAULT, COPY = "simplicity-test-snapshots", "simplicity-test-snapshots-copy"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/backups"
DATABASE = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:simplicity-test-database"


def program_of(at: Places, *, protect: bool = False) -> Callable[[], None]:
    site = at(database={"protect": protect})

    def program() -> None:
        Snapshots("snapshots", SnapshotsArgs(site=site, database=DATABASE, data_key=KEY, key=KEY, replica_key=KEY))

    return program


def one(lab: Lab, kind: str) -> Resource:
    (found,) = [each for each in lab.state.managed() if each.type.endswith(f":{kind}")]
    return found


def plan(lab: Lab) -> tuple[Any, dict[str, Any]]:
    client = lab.reach(REGION)("backup")
    return client, client.get_backup_plan(BackupPlanId=one(lab, "Plan").id)["BackupPlan"]


@pytest.mark.timeout(600)
def test_vaults_and_plans_live_and_every_change_of_them_is_named(lab: Lab, at: Places) -> None:
    assert whole_life(lab, program_of(at)) == {
        "Plan.rules",
        "Plan.tags",
        "Role.assumeRolePolicy",
        "Role.description",
        "Role.maxSessionDuration",
        "Role.tags",
        "RolePolicy.policy",
        "Vault.tags",
    }


def test_a_vault_of_copies_lies_in_the_other_region(lab: Lab, at: Places) -> None:
    lab.up(program_of(at))
    there = lab.reach(OTHER_REGION)("backup").list_backup_vaults()["BackupVaultList"]
    assert [each["BackupVaultName"] for each in there if each["BackupVaultName"].startswith(VAULT)] == [COPY]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"Lifecycle": {"DeleteAfterDays": 1}}, "a day"),
        ({"CopyActions": []}, "no copy"),
        ({"CopyActions": [{"DestinationBackupVaultArn": "arn:aws:backup:us-west-2:999999999999:backup-vault:x"}]}, "x"),
        ({"ScheduleExpression": "cron(0 6 1 1 ? 2099)"}, "never"),
    ],
)
def test_whatever_somebody_changes_of_a_rule_is_named_and_mended(
    lab: Lab, at: Places, change: dict[str, Any], difference: str
) -> None:
    program = program_of(at)
    lab.up(program)
    client, there = plan(lab)
    for rule in there["Rules"]:
        del rule["RuleId"]
    there["Rules"][0].update(change)
    client.update_backup_plan(BackupPlanId=one(lab, "Plan").id, BackupPlan=there)
    (found,) = lab.drifts()
    assert set(found.was) == {"rules"}, difference
    lab.refresh()
    assert [(step.op, step.changed) for step in lab.up(program)] == [("update", ("rules",))]
    assert lab.drifts() == []


def test_a_rule_that_somebody_adds_goes(lab: Lab, at: Places) -> None:
    program = program_of(at)
    lab.up(program)
    client, there = plan(lab)
    for rule in there["Rules"]:
        del rule["RuleId"]
    there["Rules"].append({"RuleName": "more", "TargetBackupVaultName": VAULT})
    client.update_backup_plan(BackupPlanId=one(lab, "Plan").id, BackupPlan=there)
    lab.refresh()
    lab.up(program)
    assert {each["RuleName"] for each in plan(lab)[1]["Rules"]} == {"daily", "weekly", "monthly", "yearly"}


def test_a_lock_that_somebody_loosened_or_took_off_is_named_and_put_on_again(lab: Lab, at: Places) -> None:
    program = program_of(at, protect=True)
    lab.up(program)
    client = lab.reach(REGION)("backup")
    client.put_backup_vault_lock_configuration(BackupVaultName=VAULT, MinRetentionDays=1, MaxRetentionDays=1_095)
    (found,) = lab.drifts()
    assert (found.was, found.now) == ({"minRetentionDays": 7}, {"minRetentionDays": 1})
    lab.refresh()
    lab.up(program)
    assert lab.drifts() == []
    locked = client.describe_backup_vault(BackupVaultName=VAULT)
    assert (locked["Locked"], locked["MinRetentionDays"]) == (True, 7)
    client.delete_backup_vault_lock_configuration(BackupVaultName=VAULT)
    assert [each.line for each in lab.drifts()] == [
        "aws:backup/vaultLockConfiguration:VaultLockConfiguration snapshots is gone"
    ]
    lab.refresh()
    assert [step.op for step in lab.up(program)] == ["create"]
    assert client.describe_backup_vault(BackupVaultName=VAULT)["Locked"]


def test_the_lock_goes_with_the_protection_of_the_data(lab: Lab, at: Places) -> None:
    lab.up(program_of(at, protect=True))
    assert {(step.op, step.urn.rpartition("::")[2]) for step in lab.up(program_of(at)) if "Lock" in step.urn} == {
        ("delete", "snapshots"),
        ("delete", "snapshots-copy"),
    }
    assert not lab.reach(OTHER_REGION)("backup").describe_backup_vault(BackupVaultName=COPY)["Locked"]


def test_what_a_plan_is_for_is_made_anew_when_somebody_deleted_it(lab: Lab, at: Places) -> None:
    program = program_of(at)
    lab.up(program)
    client, chosen = lab.reach(REGION)("backup"), one(lab, "Selection")
    client.delete_backup_selection(BackupPlanId=chosen.inputs["planId"], SelectionId=chosen.id)
    assert [each.line for each in lab.drifts()] == ["aws:backup/selection:Selection snapshots is gone"]
    lab.refresh()
    lab.up(program)
    (there,) = client.list_backup_selections(BackupPlanId=one(lab, "Plan").id)["BackupSelectionsList"]
    assert there["SelectionName"] == "simplicity-test-database"


def test_a_plan_with_a_selection_is_not_deleted_and_the_name_of_a_deleted_one_is_free(lab: Lab, at: Places) -> None:
    program = program_of(at)
    lab.up(program)
    client, before = lab.reach(REGION)("backup"), one(lab, "Plan")
    with pytest.raises(ClientError, match="selections must be deleted"):
        client.delete_backup_plan(BackupPlanId=before.id)
    lab.destroy()
    assert lab.provider.read(before) is None
    lab.up(program)
    assert one(lab, "Plan").id != before.id
