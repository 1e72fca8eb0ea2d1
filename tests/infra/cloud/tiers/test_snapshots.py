from __future__ import annotations

import json
from collections import defaultdict
from datetime import time
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.program import build
from infra.cloud.tiers.backups import KEEP
from infra.cloud.tiers.keys import policy
from infra.cloud.tiers.postgres import BACKUP_WINDOW, MAINTENANCE_WINDOW
from infra.cloud.tiers.snapshots import WHEN, Snapshots, SnapshotsArgs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.rehearsal.values import Props
    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

DATA, HERE, THERE = (
    f"arn:aws:kms:{region}:123456789012:key/{name}"
    for region, name in (("us-east-1", "data"), ("us-east-1", "backups"), ("us-west-2", "copy"))
)
DATABASE = "arn:aws:rds:us-east-1:123456789012:cluster:simplicity-test-database"
BOTH = ("snapshots", "snapshots-copy")
VAULT, LOCK = "aws:backup/vault:Vault", "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
PLAN, SELECTION = "aws:backup/plan:Plan", "aws:backup/selection:Selection"


def graph(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Snapshots("snapshots", SnapshotsArgs(site=site, database=DATABASE, data_key=DATA, key=HERE, replica_key=THERE))

    return planned(program)


def of(planned: Planned, site: Site, kind: str) -> dict[str, Registered]:
    return {each.name: each for each in graph(planned, site) if each.type == kind}


def rules(planned: Planned, site: Site) -> list[Props]:
    found: list[Props] = of(planned, site, PLAN)["snapshots"].inputs["rules"]
    return found


def allowed(planned: Planned, site: Site) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of the role, by their actions."""
    document = of(planned, site, "aws:iam/rolePolicy:RolePolicy")["snapshots"].inputs["policy"]
    found = defaultdict(list)
    for statement in json.loads(document)["Statement"]:
        for action in statement["Action"]:
            found[action].append(statement)
    return dict(found)


def test_a_vault_here_and_one_in_the_other_region_lie_under_the_keys_of_their_regions(
    planned: Planned, site: Site
) -> None:
    found = of(planned, site, VAULT)
    assert {name: (each.inputs["kmsKeyArn"], each.inputs.get("region")) for name, each in found.items()} == {
        "snapshots": (HERE, None),
        "snapshots-copy": (THERE, "us-west-2"),
    }


@pytest.mark.parametrize("name", BOTH)
def test_where_data_is_protected_vaults_are_and_nobody_shortens_the_time_of_a_snapshot(
    planned: Planned, site: Site, name: str
) -> None:
    vault, lock = of(planned, site, VAULT)[name], of(planned, site, LOCK)[name]
    assert (vault.protect, vault.inputs["forceDestroy"]) == (True, False)
    assert lock.inputs["backupVaultName"] == vault.inputs["name"]
    assert (lock.inputs["minRetentionDays"], lock.inputs["maxRetentionDays"]) == (7, 1_095)
    # Mode governance: a lock that can be changed for some days only can never be taken off afterwards.
    assert "changeableForDays" not in lock.inputs
    assert lock.inputs.get("region") == vault.inputs.get("region")


def test_a_lock_is_replaced_by_deleting_it_first_or_the_vault_would_have_none(planned: Planned, site: Site) -> None:
    assert {each.deleted_first for each in of(planned, site, LOCK).values()} == {True}


def test_a_stack_for_trying_can_be_taken_down_with_its_snapshots(planned: Planned, at: Places) -> None:
    site = at(database={"protect": False})
    assert of(planned, site, LOCK) == {}
    vaults = of(planned, site, VAULT).values()
    assert {(each.protect, each.inputs["forceDestroy"]) for each in vaults} == {(False, True)}


def test_seven_daily_four_weekly_twelve_monthly_and_three_yearly_stay_and_each_is_copied_for_as_long(
    planned: Planned, site: Site
) -> None:
    found = rules(planned, site)
    kept = {each["ruleName"]: each["lifecycle"] for each in found}
    assert kept == {
        "daily": {"deleteAfter": 7},
        "weekly": {"deleteAfter": 28},
        "monthly": {"deleteAfter": 365},
        "yearly": {"deleteAfter": 1_095},
    }
    there = of(planned, site, VAULT)["snapshots-copy"].inputs["name"]
    for each in found:
        assert each["targetVaultName"] == "simplicity-test-snapshots"
        (copy,) = each["copyActions"]
        assert copy["destinationVaultArn"].endswith(there)
        assert copy["lifecycle"] == each["lifecycle"]


def test_every_kind_is_due_at_one_hour_so_that_one_snapshot_serves_all_that_are_due(
    planned: Planned, site: Site
) -> None:
    found = rules(planned, site)
    assert {each["schedule"].split()[:2][-1] for each in found} == {"6"}
    assert len({each["schedule"] for each in found}) == len(WHEN) == len(KEEP)
    # AWS asks for an hour to begin in, and for another one to be done in.
    assert all(60 <= each["startWindow"] <= each["completionWindow"] - 60 for each in found)


def test_no_snapshot_is_due_while_the_database_has_its_own_backup_or_its_maintenance(
    planned: Planned, site: Site
) -> None:
    windows = (BACKUP_WINDOW, MAINTENANCE_WINDOW)
    ends = [time.fromisoformat(each.rpartition("-")[2].removeprefix("sun:")) for each in windows]
    for each in rules(planned, site):
        assert time(int(each["schedule"].split()[1])) > max(ends)


def test_a_plan_is_for_the_database_by_its_name_once_its_role_may_do_it(planned: Planned, site: Site) -> None:
    chosen = of(planned, site, SELECTION)["snapshots"]
    assert chosen.inputs["resources"] == [DATABASE]
    assert not {"selectionTags", "conditions", "notResources"} & chosen.inputs.keys()
    assert any("rolePolicy:RolePolicy::snapshots" in urn for urn in chosen.dependencies)


def test_only_aws_backup_of_this_account_takes_the_role(planned: Planned, site: Site) -> None:
    role = of(planned, site, "aws:iam/role:Role")["snapshots"].inputs
    (trusted,) = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trusted["Principal"] == {"Service": "backup.amazonaws.com"}
    assert trusted["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_the_role_deletes_and_copies_nothing_but_snapshots_of_aws_backup(
    planned: Planned, at: Places, kind: str
) -> None:
    statements = allowed(planned, at(database={"kind": kind}))
    of_it, word = {"aurora": ("DBCluster", "cluster-snapshot"), "rds": ("DB", "snapshot")}[kind]
    ours = {f"arn:aws:rds:{region}:123456789012:{word}:awsbackup:*" for region in ("us-east-1", "us-west-2")}
    (deleted,) = statements[f"rds:Delete{of_it}Snapshot"]
    assert set(deleted["Resource"]) == ours
    (copied,) = statements[f"rds:Copy{of_it}Snapshot"]
    assert {each for each in copied["Resource"] if ":og:default:" not in each} == ours
    (made,) = statements[f"rds:Create{of_it}Snapshot"]
    assert set(made["Resource"]) <= {DATABASE, *ours}
    other = "rds:CreateDBSnapshot" if kind == "aurora" else "rds:CreateDBClusterSnapshot"
    assert other not in statements
    assert not [action for action in statements if action.startswith(("rds:Modify", "rds:Restore", "rds:Share"))]


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_nothing_that_has_a_name_is_allowed_as_everything(planned: Planned, at: Places, kind: str) -> None:
    statements = allowed(planned, at(database={"kind": kind}))
    assert [action for action, those in statements.items() if any("*" in each["Resource"] for each in those)] == [
        "tag:GetResources"
    ]
    assert not [action for action in statements if "*" in action]


def test_copies_go_to_the_vault_of_this_stack_alone(planned: Planned, site: Site) -> None:
    statements = allowed(planned, site)
    (into,), (out,) = statements["backup:CopyIntoBackupVault"], statements["backup:CopyFromBackupVault"]
    (there,) = into["Resource"]
    assert there.endswith("simplicity-test-snapshots-copy")
    assert out["Condition"] == {"ForAllValues:ArnEquals": {"backup:CopyTargets": there}}


def test_the_role_passes_keys_on_to_rds_and_reads_nothing_by_them_itself(planned: Planned, site: Site) -> None:
    statements = allowed(planned, site)
    of_keys = {action for action in statements if action.startswith("kms:")}
    assert of_keys == {"kms:DescribeKey", "kms:CreateGrant"}
    (grant,) = statements["kms:CreateGrant"]
    assert set(grant["Resource"]) == {DATA, HERE, THERE}
    assert grant["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}


def test_the_keys_leave_to_the_account_s_policies_all_that_aws_backup_does_with_them(
    planned: Planned, site: Site
) -> None:
    left = {action for each in policy([], site.account)["Statement"] for action in each["Action"]}
    # The role's, and those of AWS' own role by which it expires snapshots: its policy is AWS'.
    service = {"kms:ListGrants", "kms:ReEncryptFrom", "kms:GenerateDataKeyWithoutPlaintext"}
    # What making a vault under a key takes of who makes it.
    maker = {"kms:GenerateDataKey", "kms:Decrypt", "kms:RetireGrant"}
    assert {action for action in allowed(planned, site) if action.startswith("kms:")} | service | maker <= left


@pytest.mark.parametrize(
    ("kind", "made"), [("aurora", "cluster:Cluster"), ("rds", "instance:Instance"), ("patroni", "")]
)
def test_a_database_that_aws_runs_has_snapshots_and_one_of_our_own_has_a_bucket(
    planned: Planned, at: Places, kind: str, made: str
) -> None:
    settings = at(database={"kind": kind, "readers": 0}).settings
    found = planned(lambda: build(settings))
    chosen = [each for each in found if each.type == SELECTION]
    assert len(chosen) == (1 if made else 0)
    for each in chosen:
        assert any(f"aws:rds/{made}::database" in urn for urn in each.dependencies)
        vaults = {vault.name: vault for vault in found if vault.type == VAULT}
        assert any("kms/key:Key::backups" in urn for urn in vaults["snapshots"].dependencies)
        assert any("kms/key:Key::backups-copy" in urn for urn in vaults["snapshots-copy"].dependencies)


def test_names_are_short_enough_for_a_vault_however_long_the_environment_s_is(planned: Planned, at: Places) -> None:
    site = at(environment="a" * 20)
    assert all(len(each.inputs["name"]) <= 50 for each in of(planned, site, VAULT).values())


def test_all_that_can_be_tagged_says_who_pays(planned: Planned, site: Site) -> None:
    tagged = [each for each in graph(planned, site) if each.type in {VAULT, PLAN, "aws:iam/role:Role"}]
    assert len(tagged) == 4
    assert {each.inputs["tags"]["cost-center"] for each in tagged} == {"indexer"}
