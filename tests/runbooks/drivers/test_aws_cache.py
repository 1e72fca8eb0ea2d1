"""The cache's password in the emulator of AWS: in force once it is filled, also after a kill, and never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from runbooks.drivers.aws_cache import SECRET, CachePassword, settle
from runbooks.drivers.aws_secrets import SecretsManagerStore, fill
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Phase, Refusal

if TYPE_CHECKING:
    from tests.runbooks.drivers.cloud import Cloud

VALUE = "correct-horse-battery"


@pytest.fixture
def secrets(cloud: Cloud, store: OperationStore) -> SecretsManagerStore:
    cloud.make_cache()
    cloud.make_secrets()
    return SecretsManagerStore(cloud.document, store)


def takes(cloud: Cloud, value: str) -> bool:
    """Whether the cache takes a password: only what it takes can be made the only one."""
    try:
        cloud.client("elasticache").modify_replication_group(
            ReplicationGroupId=cloud.named("cache"), AuthToken=value, AuthTokenUpdateStrategy="SET"
        )
    except ClientError:
        return False
    return True


def test_the_cache_asks_for_its_password_once_it_is_filled(cloud: Cloud, secrets: SecretsManagerStore) -> None:
    assert not cloud.cache().get("AuthTokenEnabled")
    assert SECRET in fill(secrets, "k").filled
    value = secrets.read(SECRET)
    assert re.fullmatch(r"[0-9a-f]{64}", value), "AWS takes no underscore"
    assert cloud.cache()["AuthTokenEnabled"] is True
    assert takes(cloud, value)
    assert not takes(cloud, VALUE)


def test_another_password_is_the_only_one_when_it_is_rotated(cloud: Cloud, secrets: SecretsManagerStore) -> None:
    fill(secrets, "k")
    before = secrets.read(SECRET)
    assert fill(secrets, "l", (SECRET,)).rotated == (SECRET,)
    assert not takes(cloud, before)
    assert takes(cloud, secrets.read(SECRET))


def test_the_cache_is_told_in_two_steps_and_no_record_has_the_password(secrets: SecretsManagerStore) -> None:
    fill(secrets, "k")
    operation = secrets.store.get("k-cache")
    assert (operation.phase, operation.result["told"]) == (Phase.DONE, "SET")
    records = "".join(path.read_text() for path in secrets.store.directory.iterdir())
    assert secrets.read(SECRET) not in records


def test_what_is_in_force_is_left_alone(cloud: Cloud, secrets: SecretsManagerStore) -> None:
    fill(secrets, "k")
    fill(secrets, "l")
    assert secrets.store.find("l-cache") is None
    # Nor is it by a machine that has no records.
    settle(SecretsManagerStore(cloud.document, OperationStore(secrets.store.directory / "other")), "m")
    assert takes(cloud, secrets.read(SECRET))


@pytest.mark.parametrize("told", [None, "ROTATE"])
def test_a_process_that_was_killed_is_gone_on_with(
    cloud: Cloud, secrets: SecretsManagerStore, told: str | None
) -> None:
    fill(secrets, "k")
    secrets.write("w", SECRET, VALUE)
    cache = CachePassword(secrets)
    assert not cache.is_in_force()
    if told:
        assert cache.put_in_force("killed").result["told"] == told
    assert SECRET in fill(secrets, "l").kept
    assert cache.is_in_force()
    assert takes(cloud, VALUE)
    assert (secrets.store.find("l-cache") is None) == bool(told), "the killed one's own operation comes to its end"


def test_a_password_that_is_entered_is_put_in_force_with_the_next_fill(
    cloud: Cloud, secrets: SecretsManagerStore
) -> None:
    secrets.write("w", SECRET, VALUE)
    assert SECRET in fill(secrets, "k").kept
    assert takes(cloud, VALUE)


@pytest.mark.parametrize("value", ["too-short", "with_an_underscore_in_it", "a" * 129])
def test_what_the_cache_does_not_take_is_refused_before_it_is_written(secrets: SecretsManagerStore, value: str) -> None:
    with pytest.raises(Refusal, match="the cache takes 16 to 128 letters, digits"):
        secrets.write("w", SECRET, value)
    assert secrets.is_empty(SECRET)


def test_a_cache_that_is_gone_says_what_makes_it(cloud: Cloud, secrets: SecretsManagerStore) -> None:
    cloud.client("elasticache").delete_replication_group(ReplicationGroupId=cloud.named("cache"))
    with pytest.raises(Refusal, match=r"the cache .* is not in AWS; `pulumi up` makes it"):
        fill(secrets, "k")
