"""Secrets Manager in the emulator of AWS: filled once, rotated when asked, and never shown."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from infra.environment import Driver
from runbooks.drivers.aws_secrets import SecretsManagerStore, check_entered, fill
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Phase, Refusal
from tests.runbooks.drivers.cloud import SECRETS
from tests.runbooks.engine.support import environment

if TYPE_CHECKING:
    from tests.runbooks.drivers.cloud import Cloud

VALUE = "correct-horse-battery"


@pytest.fixture
def secrets(cloud: Cloud, store: OperationStore) -> SecretsManagerStore:
    cloud.make_secrets()
    return SecretsManagerStore(cloud.document, store)


def test_what_is_empty_is_filled_once_by_values_that_stand_in_no_record(secrets: SecretsManagerStore) -> None:
    assert all(secrets.is_empty(name) for name in SECRETS)
    found = fill(secrets, "k")
    assert (found.filled, found.kept) == (tuple(sorted(SECRETS)), ())
    values = {name: secrets.read(name) for name in SECRETS}
    assert len(set(values.values())) == len(SECRETS)
    assert min(len(each) for each in values.values()) >= 40
    records = "".join(path.read_text() for path in secrets.store.directory.iterdir())
    assert not any(each in records + repr(found) + repr(secrets) for each in values.values())
    again = fill(secrets, "l")
    assert (again.filled, again.kept) == ((), tuple(sorted(SECRETS)))
    assert {name: secrets.read(name) for name in SECRETS} == values


def test_a_fill_that_was_cut_off_fills_the_rest(secrets: SecretsManagerStore) -> None:
    secrets.write("w", "auth_pepper", VALUE)
    found = fill(secrets, "k")
    assert (found.kept, len(found.filled)) == (("auth_pepper",), 2)
    assert secrets.read("auth_pepper") == VALUE


def test_a_secret_is_rotated_when_it_is_named(secrets: SecretsManagerStore) -> None:
    fill(secrets, "k")
    before = {name: secrets.read(name) for name in SECRETS}
    found = fill(secrets, "l", ("database_writer_password",))
    assert asdict(found) == {
        "filled": (),
        "kept": ("auth_pepper", "node_rpc_password"),
        "rotated": ("database_writer_password",),
        "lacking": (),
    }
    changed = [name for name in SECRETS if secrets.read(name) != before[name]]
    assert changed == ["database_writer_password"]


@pytest.mark.parametrize(
    ("name", "why"), [("auth_pepper", "API key .* would be void"), ("nothing", "there is no secret 'nothing'")]
)
def test_what_must_not_be_another_one_is_not_rotated(secrets: SecretsManagerStore, name: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        fill(secrets, "k", (name,))
    assert secrets.is_empty("database_writer_password"), "a refusal comes before anything is done"


def test_the_password_of_somebody_else_s_node_is_not_made_up(cloud: Cloud, store: OperationStore) -> None:
    cloud.make_secrets()
    cloud.drivers["node"] = Driver(kind="rpc", settings={"owner": "external"})
    there = SecretsManagerStore(cloud.document, store)
    assert fill(there, "k").lacking == ("node_rpc_password",)
    there.write("w", "node_rpc_password", VALUE)
    assert fill(there, "l").lacking == ()


def test_the_same_write_again_makes_no_second_version_and_another_value_is_refused(
    cloud: Cloud, secrets: SecretsManagerStore
) -> None:
    assert secrets.write("k", "auth_pepper", VALUE).phase is Phase.DONE
    assert secrets.write("k", "auth_pepper", VALUE).phase is Phase.DONE
    said = cloud.client("secretsmanager").describe_secret(SecretId=f"simplicity/{cloud.name}/auth_pepper")
    assert len(said["VersionIdsToStages"]) == 1
    with pytest.raises(Refusal, match="take another key"):
        secrets.write("k", "auth_pepper", f"{VALUE}-2")


def test_a_write_whose_process_was_killed_is_found_done_or_waits_for_its_value(secrets: SecretsManagerStore) -> None:
    done = secrets.write("k", "auth_pepper", VALUE)
    path = secrets.store.directory / "k.json"
    path.write_text(path.read_text().replace('"done"', '"running"'))
    again = SecretsManagerStore(secrets.environment, OperationStore(secrets.store.directory))
    assert again.poll("k").phase is Phase.DONE
    secrets.store.begin("l", driver="secretsmanager", action="write", target="auth_pepper", arguments=done.arguments)
    assert "write it again, with the same key" in again.poll("l").detail


def test_a_secret_that_is_gone_says_what_makes_it(cloud: Cloud, secrets: SecretsManagerStore) -> None:
    cloud.client("secretsmanager").delete_secret(
        SecretId=f"simplicity/{cloud.name}/auth_pepper", ForceDeleteWithoutRecovery=True
    )
    with pytest.raises(Refusal, match="the secret auth_pepper is not in AWS; `pulumi up` makes it, empty"):
        fill(secrets, "k")


@pytest.mark.parametrize(
    ("name", "empty", "refused"),
    [
        ("auth_pepper", False, True),
        ("auth_pepper", True, False),
        ("auth_key_ring", False, True),
        ("backup_cipher", False, True),
        ("node_rpc_password", False, False),
        ("database_writer_password", False, False),
    ],
)
def test_what_must_not_be_another_one_is_entered_only_while_it_is_empty(
    store: OperationStore,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    empty: bool,  # noqa: FBT001
    refused: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(SecretsManagerStore, "is_empty", lambda *_: empty)
    there = SecretsManagerStore(environment("unit"), store)
    with pytest.raises(Refusal, match=f"{name} has a value already") if refused else nullcontext():
        check_entered(there, name)
