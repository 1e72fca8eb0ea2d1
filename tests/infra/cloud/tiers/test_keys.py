from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.cloud.tiers.keys import Keys, KeysArgs
from infra.cloud.tiers.secrets import Secrets, SecretsArgs, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.cloud.site import Site
    from tests.infra.cloud.conftest import Places
    from tests.infra.cloud.recording import Registered

    Planned = Callable[[Callable[[], None]], list[Registered]]

KEY = "arn:aws:kms:us-east-1:123456789012:key/secrets"
PURPOSES = ("data", "logs", "backups", "secrets")


def keys(planned: Planned, site: Site) -> dict[str, Registered]:
    def program() -> None:
        Keys("keys", KeysArgs(site=site))

    return {each.name: each for each in planned(program) if each.type.endswith(":Key")}


def statements(key: Registered) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(key.inputs["policy"])["Statement"]
    return found


def test_each_purpose_has_its_own_key_that_rotates_and_is_kept_for_a_month(planned: Planned, site: Site) -> None:
    found = keys(planned, site)
    assert set(found) == set(PURPOSES)
    assert all(each.inputs["enableKeyRotation"] for each in found.values())
    assert {each.inputs["deletionWindowInDays"] for each in found.values()} == {30}


def test_keys_are_protected_where_data_are(planned: Planned, site: Site, at: Places) -> None:
    assert all(each.protect for each in keys(planned, site).values())
    assert not any(each.protect for each in keys(planned, at(database={"protect": False})).values())


@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_key_allows_every_action_or_anybody_without_a_condition(planned: Planned, site: Site, purpose: str) -> None:
    for statement in statements(keys(planned, site)[purpose]):
        assert not any("*" in action for action in statement["Action"])
        if statement["Principal"] != {"AWS": "arn:aws:iam::123456789012:root"}:
            assert statement["Condition"]


def test_who_makes_a_stack_may_do_to_its_keys_all_that_the_stack_does(planned: Planned, site: Site) -> None:
    for key in keys(planned, site).values():
        administers = set(next(each for each in statements(key) if each["Sid"] == "Administer")["Action"])
        assert {"kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias"} <= administers
        assert {"kms:EnableKeyRotation", "kms:ListKeyRotations", "kms:RotateKeyOnDemand"} <= administers


def test_auto_scaling_opens_volumes_by_the_key_of_data_alone(planned: Planned, site: Site) -> None:
    role = "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    found = keys(planned, site)
    by_purpose = {purpose: role in json.dumps(statements(found[purpose])) for purpose in PURPOSES}
    assert by_purpose == {"data": True, "logs": False, "backups": False, "secrets": False}
    grants = next(each for each in statements(found["data"]) if each["Action"] == ["kms:CreateGrant"])
    assert grants["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_only_this_stack_s_logs_and_this_account_s_notifications_use_the_key_of_logs(
    planned: Planned, site: Site
) -> None:
    found = {each["Sid"]: each for each in statements(keys(planned, site)["logs"])}
    groups = found["Logs"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    prefix = "arn:aws:logs:us-east-1:123456789012:log-group:"
    assert f"{prefix}/simplicity/test/*" in groups
    assert all(each.startswith(prefix) and each != f"{prefix}*" for each in groups)
    assert found["Notify"]["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert set(found["Notify"]["Principal"]["Service"]) == {
        "budgets.amazonaws.com",
        "cloudwatch.amazonaws.com",
        "events.rds.amazonaws.com",
    }


def secrets(planned: Planned, site: Site) -> list[Registered]:
    def program() -> None:
        Secrets("secrets", SecretsArgs(site=site, key=KEY))

    return planned(program)


def test_secrets_are_made_empty_under_their_own_key(planned: Planned, site: Site) -> None:
    found = secrets(planned, site)
    assert {each.type for each in found} == {"aws:secretsmanager/secret:Secret"}
    assert {each.inputs["name"] for each in found} == {f"simplicity/test/{each}" for each in names(site.settings)}
    assert {each.inputs["kmsKeyId"] for each in found} == {KEY}
    assert not {"secretString", "secretBinary"} & {name for each in found for name in each.inputs}


def test_a_deleted_secret_can_be_brought_back_for_a_month_and_one_for_trying_leaves_its_name_free(
    planned: Planned, site: Site, at: Places
) -> None:
    assert {(each.inputs["recoveryWindowInDays"], each.protect) for each in secrets(planned, site)} == {(30, True)}
    staging = secrets(planned, at(database={"protect": False}))
    assert {(each.inputs["recoveryWindowInDays"], each.protect) for each in staging} == {(0, False)}


def test_only_a_database_of_our_own_has_the_passwords_of_its_parts(at: Places) -> None:
    assert "database_replication_password" in names(at(database={"kind": "patroni"}).settings)
    assert "database_replication_password" not in names(at().settings)
    assert "backup_cipher" not in names(at(database={"kind": "rds", "readers": 0}).settings)
