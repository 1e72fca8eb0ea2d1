"""Which settings may be changed, to what, and what that comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from indexer.settings import Settings
from infra import overrides
from infra.environment import EnvironmentFileError
from infra.overrides import Overrides
from runbooks.infrastructure import changes
from runbooks.infrastructure.changes import ChangeError

if TYPE_CHECKING:
    from pathlib import Path


def test_settings_and_parameters_are_told_apart_by_their_names() -> None:
    found = changes.sorted_out({"API_CACHE_TTL": "300", "work_mem": "8MB", "pg_stat_statements.max": None})
    assert dict(found.service) == {"API_CACHE_TTL": "300"}
    assert dict(found.database) == {"work_mem": "8MB", "pg_stat_statements.max": None}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("API_CACHE_TTL", "0", "greater than or equal to 1"),
        ("API_CACHE_TTL", "soon", "valid integer"),
        ("API_RATE_LIMITS", "read=5", "must look like"),
        ("LOG_LEVEL", "LOUD", "Input should be"),
        ("BULK_QUERY_TIMEOUT", "40", "at most 35"),
        ("NO_SUCH_SETTING", "1", "no such setting"),
        ("AUTH_PEPPER", "x" * 40, "secret"),
        ("DATABASE_URL", "postgresql://a@b/c", "secret"),
        ("DATABASE_REPLICA_URL", "postgresql://a@b/c", "secret"),
        ("START_BLOCK_HEIGHT", "1", "what the index holds"),
        ("API_PORT", "1", "given by the environment"),
        ("ssl", "off", "not changed here"),
        ("archive_command", "/bin/true", "not changed here"),
        ("shared_preload_libraries", "evil", "not changed here"),
        ("fsync", "off", "not changed here"),
        ("ssl_key_file", "/etc/shadow", "not changed here"),
        ("Work_Mem", "1", "neither a setting"),
        ("LOG_LEVEL", "INFO\nLD_PRELOAD=x", "one line"),
    ],
)
def test_what_may_not_be_changed_or_is_no_value_says_why(name: str, value: str, why: str) -> None:
    with pytest.raises(ChangeError, match=why):
        changes.sorted_out({name: value})


def test_every_setting_that_is_refused_by_name_is_one_and_no_secret_is_taken() -> None:
    assert set(Settings.model_fields) >= set(changes.REFUSED_SERVICE) | set(changes.MOST)
    for name, setting in Settings.model_fields.items():
        if "SecretStr" in str(setting.annotation):
            with pytest.raises(ChangeError, match="secret"):
                changes.sorted_out({name: "x"})


@pytest.mark.parametrize("value", ["300", "1"])
def test_values_are_taken_as_the_service_takes_them(value: str) -> None:
    given = {"API_CACHE_TTL": value, "API_PUBLIC_READS": "false", "API_RATE_LIMITS": "read=5/minute bulk=1/hour"}
    assert dict(changes.sorted_out(given).service) == given


def test_a_change_is_merged_into_what_is_set_and_shown() -> None:
    before = Overrides({"API_CACHE_TTL": "5"}, {"work_mem": "4MB"})
    after = changes.changed(before, changes.sorted_out({"API_CACHE_TTL": "9", "work_mem": None, "temp_buffers": "8MB"}))
    assert after == Overrides({"API_CACHE_TTL": "9"}, {"temp_buffers": "8MB"})
    assert changes.differences(before, after) == [
        "API_CACHE_TTL: 5 -> 9",
        "temp_buffers: as it comes -> 8MB",
        "work_mem: 4MB -> as it comes",
    ]
    assert changes.patch(before.database, after.database) == {"temp_buffers": "8MB", "work_mem": None}
    assert changes.patch(after.database, before.database) == {"temp_buffers": None, "work_mem": "4MB"}


def test_a_command_line_has_values_names_to_take_back_and_a_file() -> None:
    found = changes.names(["A=1=2"], ["B"], {"A": 5, "C": True})
    assert found == {"A": "1=2", "B": None, "C": "true"}
    for given in (["A"], ["A="]):
        with pytest.raises(ChangeError, match="NAME=VALUE"):
            changes.names(given, [], {})
    with pytest.raises(ChangeError, match="name what is to be changed"):
        changes.names([], [], {})


@pytest.mark.parametrize(
    ("text", "why"),
    [("[]", "JSON object"), ("{}", "JSON object"), ('{"A": [1]}', "one value"), ("no JSON", "Expecting value")],
)
def test_an_argument_that_is_no_object_of_values_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        changes.parse(text)


def test_overrides_are_kept_as_text_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overrides.yaml"
    assert overrides.read(path) == overrides.NONE
    there = Overrides({"API_CACHE_TTL": "300", "API_PUBLIC_READS": "false"}, {"work_mem": "8MB"})
    overrides.write(path, there)
    assert overrides.read(path) == there
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    for text in ("[1]", "a: [", "indexer_settings: 5"):
        path.write_text(text)
        with pytest.raises(EnvironmentFileError, match="is not what"):
            overrides.read(path)
