from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.fleet.document import SECRETS, document_of
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from infra.local.layout import private_directory, write_private
from runbooks.drivers.protocols import Refusal
from runbooks.infrastructure.rotating import PARTS, rotate

if TYPE_CHECKING:
    from pathlib import Path

    from infra.environment import Environment

NAME = "cache_password"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    storage = Storage(tmp_path)
    private_directory(storage.run)
    private_directory(storage.secrets)
    write_private(storage.secrets / NAME, "old\n")
    return document_of(Plan(), storage)


def test_a_secret_is_another_one_where_it_is_put_in_force(environment: Environment) -> None:
    seen: list[tuple[str, str]] = []

    def put_in_force(parts: str) -> str:
        seen.append((parts, environment.secret(NAME)))
        return ""

    done = rotate(environment, NAME, put_in_force)
    assert not done.failed
    assert [parts for parts, _ in seen] == ["valkey,indexer"]
    assert len(environment.secret(NAME)) > 40
    assert seen[0][1] == environment.secret(NAME)


def test_where_a_host_refuses_it_the_old_one_is_put_in_force_again(environment: Environment) -> None:
    answers = iter(["app2 cannot be reached", ""])
    done = rotate(environment, NAME, lambda _: next(answers))
    assert (done.failed, done.stuck) == ("app2 cannot be reached", "")
    assert environment.secret(NAME) == "old"


def test_what_nobody_knows_how_to_rotate_is_refused_and_stays(environment: Environment) -> None:
    with pytest.raises(Refusal, match="'backup_cipher' is not rotated by this command; what is: database_reader"):
        rotate(environment, "backup_cipher", lambda _: "")
    assert environment.secret(NAME) == "old"


def test_every_secret_that_is_rotated_is_one_of_the_fleets() -> None:
    assert set(PARTS) <= set(SECRETS)
