"""AWS Backup: vaults, their locks, plans, and what a plan is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.kind import Aws, Change
    from infra.cloud.rehearsal.values import Props

# How a call names the parts of a rule, and how a program does.
_RULE = {
    "ruleName": "RuleName",
    "targetVaultName": "TargetBackupVaultName",
    "schedule": "ScheduleExpression",
    "startWindow": "StartWindowMinutes",
    "completionWindow": "CompletionWindowMinutes",
}
_LIFE = {"deleteAfter": "DeleteAfterDays"}
_LOCK = {"minRetentionDays": "MinRetentionDays", "maxRetentionDays": "MaxRetentionDays"}
_SELECTED = {"name": "SelectionName", "iamRoleArn": "IamRoleArn", "resources": "Resources"}


def _retag(arn_of: Callable[[Aws, str], str]) -> Change:
    return retag(
        lambda aws, made: _tags(aws, arn_of(aws, made)),
        lambda aws, made, tags: aws("backup").tag_resource(ResourceArn=arn_of(aws, made), Tags=mapping(tags)),
        lambda aws, made, names: aws("backup").untag_resource(ResourceArn=arn_of(aws, made), TagKeyList=names),
    )


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return dict(aws("backup").list_tags(ResourceArn=arn).get("Tags", {}))


# --- vaults ----------------------------------------------------------------------------------------------------------
def _create_vault(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, EncryptionKeyArn="kmsKeyArn", BackupVaultTags="tags")
    return str(aws("backup").create_backup_vault(BackupVaultName=wanted["name"], **arguments)["BackupVaultName"])


def _vault(aws: Aws, made: str) -> dict[str, Any]:
    return dict(aws("backup").describe_backup_vault(BackupVaultName=made))


def _read_vault(aws: Aws, made: str, _: Props) -> Props | None:
    vault = _vault(aws, made)
    return {
        "tags": _tags(aws, vault["BackupVaultArn"]),
        **found(vault, arn="BackupVaultArn", name="BackupVaultName", kmsKeyArn="EncryptionKeyArn"),
    }


def _lock(aws: Aws, wanted: Props) -> str:
    days = given(wanted, **{argument: name for name, argument in _LOCK.items()})
    aws("backup").put_backup_vault_lock_configuration(BackupVaultName=wanted["backupVaultName"], **days)
    return str(wanted["backupVaultName"])


def _read_lock(aws: Aws, made: str, _: Props) -> Props | None:
    vault = _vault(aws, made)
    if not vault.get("Locked"):
        return None
    return found(vault, backupVaultName="BackupVaultName", backupVaultArn="BackupVaultArn", **_LOCK)


# --- plans -----------------------------------------------------------------------------------------------------------
def _life_asked(block: Props) -> Props:
    life = given(block.get("lifecycle") or {}, **{argument: name for name, argument in _LIFE.items()})
    return {"Lifecycle": life} if life else {}


def _life_told(block: Props) -> Props:
    life = found(block.get("Lifecycle") or {}, **_LIFE)
    return {"lifecycle": life} if life else {}


def _rule_asked(rule: Props) -> Props:
    copies = [
        {"DestinationBackupVaultArn": each["destinationVaultArn"], **_life_asked(each)}
        for each in rule.get("copyActions") or ()
    ]
    return {
        **given(rule, **{argument: name for name, argument in _RULE.items()}),
        **_life_asked(rule),
        **({"CopyActions": copies} if copies else {}),
    }


def _rule_told(rule: Props) -> Props:
    copies = [
        {"destinationVaultArn": each["DestinationBackupVaultArn"], **_life_told(each)}
        for each in rule.get("CopyActions") or ()
    ]
    return {**found(rule, **_RULE), **_life_told(rule), "copyActions": copies}


def _document(wanted: Props) -> Props:
    return {"BackupPlanName": wanted["name"], "Rules": [_rule_asked(each) for each in wanted["rules"]]}


def _create_plan(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, BackupPlanTags="tags")
    return str(aws("backup").create_backup_plan(BackupPlan=_document(wanted), **arguments)["BackupPlanId"])


def _read_plan(aws: Aws, made: str, _: Props) -> Props | None:
    answer = aws("backup").get_backup_plan(BackupPlanId=made)
    # AWS goes on telling of it.
    if answer.get("DeletionDate"):
        return None
    plan = answer["BackupPlan"]
    return {
        "name": plan["BackupPlanName"],
        "rules": [_rule_told(each) for each in plan["Rules"]],
        "tags": _tags(aws, answer["BackupPlanArn"]),
        **found(answer, arn="BackupPlanArn", version="VersionId"),
    }


def _change_plan(aws: Aws, made: str, wanted: Props) -> None:
    aws("backup").update_backup_plan(BackupPlanId=made, BackupPlan=_document(wanted))


def _copying_less(rules: list[Props]) -> list[Props]:
    """Return rules of which the first copies nothing any more."""
    first, *others = rules
    return [{**first, "copyActions": []}, *others]


# --- what a plan is for ----------------------------------------------------------------------------------------------
def _select(aws: Aws, wanted: Props) -> str:
    selection = given(wanted, **{argument: name for name, argument in _SELECTED.items()})
    answer = aws("backup").create_backup_selection(BackupPlanId=wanted["planId"], BackupSelection=selection)
    return str(answer["SelectionId"])


def _read_selection(aws: Aws, made: str, known: Props) -> Props | None:
    answer = aws("backup").get_backup_selection(BackupPlanId=known["planId"], SelectionId=made)
    return {"planId": answer["BackupPlanId"], **found(answer["BackupSelection"], **_SELECTED)}


def _unselect(aws: Aws, made: str, known: Props) -> None:
    aws("backup").delete_backup_selection(BackupPlanId=known["planId"], SelectionId=made)


KINDS = (
    Kind(
        type="aws:backup/vault:Vault",
        create=_create_vault,
        read=_read_vault,
        delete=lambda aws, made, _: aws("backup").delete_backup_vault(BackupVaultName=made),
        updates={
            "tags": _retag(lambda aws, made: str(_vault(aws, made)["BackupVaultArn"])),
            "forceDestroy": lambda _aws, _made, _wanted: None,
        },
        fixed=frozenset({"name", "kmsKeyArn"}),
        # It counts when the vault is deleted; AWS does not know it.
        unread=frozenset({"forceDestroy"}),
    ),
    Kind(
        type="aws:backup/vaultLockConfiguration:VaultLockConfiguration",
        create=_lock,
        read=_read_lock,
        delete=lambda aws, made, _: aws("backup").delete_backup_vault_lock_configuration(BackupVaultName=made),
        # The plugin changes none of it in place.
        fixed=frozenset({"backupVaultName", *_LOCK}),
    ),
    Kind(
        type="aws:backup/plan:Plan",
        create=_create_plan,
        read=_read_plan,
        delete=lambda aws, made, _: aws("backup").delete_backup_plan(BackupPlanId=made),
        updates={
            "rules": _change_plan,
            "tags": _retag(lambda aws, made: str(aws("backup").get_backup_plan(BackupPlanId=made)["BackupPlanArn"])),
        },
        fixed=frozenset({"name"}),
        drifts={"rules": _copying_less},
        moving=frozenset({"version"}),
        exact=frozenset({"rules"}),
    ),
    Kind(
        type="aws:backup/selection:Selection",
        create=_select,
        read=_read_selection,
        delete=_unselect,
        # AWS changes none: it is made anew.
        fixed=frozenset({"planId", *_SELECTED}),
    ),
)
