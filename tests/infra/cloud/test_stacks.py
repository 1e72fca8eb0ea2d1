"""Stacks: what their files may say, and what a mistake in one says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pulumi.runtime import config

from infra.cloud.settings import RETENTIONS, SettingsError
from infra.cloud.stacks import STACKS, checked, configuration, from_pulumi, load, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THREE_ZONES = "has to be 3 different zones, as us-east-1a, us-east-1b, us-east-1c"
NO_COPIES = "AWS copies no server whose password it keeps; aurora has some"
NEEDS_METADATA = "sign_in saml needs metadata_url, where who identifies people describes itself; sso none"
NEEDS_STATE = "repository, state and state_key go together: without its state a pipeline plans nothing"
IDP, STATE_KEY = "https://idp.example.com/metadata", "arn:aws:kms:us-east-1:123456789012:key/5e"
GOOD: dict[str, Any] = {
    "aws:region": "us-east-1",
    "simplicity:environment": "mine",
    "simplicity:owner": "me",
    "simplicity:cost_center": "ours",
    "simplicity:monitoring": {"email": "me@example.com", "budget_usd": 100},
    "simplicity:backups": {"replica_region": "us-west-2"},
    "simplicity:names": {"domain": "mine.example.com"},
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, GOOD)
    return tmp_path


@pytest.fixture
def engine() -> Iterator[None]:
    """The engine's configuration as it was, afterwards."""
    before = dict(config.CONFIG.get())
    yield
    config.set_all_config(before)


def write(directory: Path, values: dict[str, Any], **more: object) -> None:
    (directory / "Pulumi.mine.yaml").write_text(yaml.safe_dump({"config": values, **more}), encoding="utf-8")


def mistakes(values: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        checked(values)
    return caught.value.lines


def test_there_are_the_five_stacks_of_the_issue() -> None:
    assert names() == ("production", "production-ap", "production-eu", "rehearsal", "staging")


@pytest.mark.parametrize("name", names())
def test_each_stack_is_valid_and_called_as_its_environment(name: str) -> None:
    assert load(name).environment == name


def test_stacks_share_no_addresses_so_that_they_can_be_connected() -> None:
    networks = [load(name).network.cidr for name in names()]
    assert len(set(networks)) == len(networks)


def test_regions_of_production_answer_to_one_name_in_one_zone() -> None:
    regions = [load(name).names for name in names() if name.startswith("production")]
    assert len({(each.domain, each.zone_id) for each in regions}) == 1
    assert regions[0].zone_id is not None


def test_no_stack_names_anybody() -> None:
    for name in names():
        of = load(name)
        assert of.names.domain.endswith("example.com")
        assert of.monitoring.email.endswith("@example.com")
        assert of.account is None


def test_pulumi_finds_the_program_and_the_stacks_where_they_are() -> None:
    root = STACKS.parents[2]
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert root / project["stackConfigDir"] == STACKS
    assert (root / project["main"] / "__main__.py").exists()
    assert project["name"] == "simplicity"


def test_a_stack_that_is_unknown_is_refused_with_those_that_there_are(directory: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load("main", directory)
    assert caught.value.lines == ("main: no such stack, did you mean mine; there are: mine",)


def test_every_mistake_is_a_line_of_its_own_that_names_its_setting() -> None:
    values = GOOD | {
        "aws:region": "nowhere",
        "simplicity:databse": {},
        "simplicity:database": {"reader": 1, "readers": 9},
        "simplicity:cache": "small",
        "simplcity:chain": "main",
    }
    assert mistakes(values) == (
        "simplcity:chain: no such namespace, did you mean simplicity",
        "simplicity:databse: no such setting, did you mean database",
        "simplicity:database.reader: no such setting, did you mean readers",
        "aws:region: String should match pattern '^[a-z]{2}-[a-z]+-\\d$', not 'nowhere'",
        "simplicity:database.readers: Input should be less than or equal to 5, not 9",
        "simplicity:cache: Input should be a valid dictionary or instance of CacheSettings, not 'small'",
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"environment": "a--b"}, "environment: has to have no two hyphens in a row and none at its end, not 'a--b'"),
        ({"environment": "mine-"}, "environment: has to have no two hyphens in a row and none at its end, not 'mine-'"),
        (
            {"environment": "internal-x"},
            "environment: must not begin with internal: a balancer's name cannot, not 'internal-x'",
        ),
        (
            {"owner": "me & you"},
            "owner: String should match pattern '^[A-Za-z0-9 _.:/=+@-]{1,256}$', not 'me & you'",
        ),
        (
            {"cost_center": "c" * 257},
            f"cost_center: String should match pattern '^[A-Za-z0-9 _.:/=+@-]{{1,256}}$', not '{'c' * 257}'",
        ),
        ({"network": {"zones": ["us-east-1a"]}}, f"network.zones: {THREE_ZONES}"),
        ({"network": {"zones": ["us-east-1a", "us-east-1b", "us-east-1a"]}}, f"network.zones: {THREE_ZONES}"),
        (
            {"network": {"zones": ["us-east-1a", "us-east-1b", "us-east-1-bos-1a"]}},
            "network.zones: us-east-1-bos-1a is no name of a zone, as us-east-1a is",
        ),
        (
            {"network": {"zones": ["us-east-1a", "us-east-1b", "us-west-2c"]}},
            "settings: network.zones: us-west-2c is not in us-east-1",
        ),
        (
            {"database": {"kind": "rds", "readers": 1}},
            f"settings: database.readers has to be 0 with kind rds: {NO_COPIES}",
        ),
        (
            {"grafana": {"admins": ["me"]}},
            "grafana: metadata_url, admins and editors are of kind managed alone",
        ),
        ({"grafana": {"kind": "managed", "admins": ["me"]}}, f"grafana: {NEEDS_METADATA}"),
        (
            {"grafana": {"kind": "managed", "sign_in": "sso", "metadata_url": IDP, "admins": ["me"]}},
            f"grafana: {NEEDS_METADATA}",
        ),
        (
            {"grafana": {"kind": "managed", "metadata_url": IDP}},
            "grafana: kind managed needs admins, or nobody could set it up",
        ),
        (
            {"grafana": {"kind": "managed", "metadata_url": IDP, "admins": ["me"]}},
            "settings: grafana.kind managed needs monitoring.kind managed: it asks Amazon's store and no host",
        ),
        ({"pipelines": {"repository": "ours/simplicity"}}, f"pipelines: {NEEDS_STATE}"),
        ({"pipelines": {"state": "ours", "state_key": STATE_KEY}}, f"pipelines: {NEEDS_STATE}"),
    ],
)
def test_what_aws_would_refuse_later_is_refused_before_anything_is_planned(changes: dict[str, Any], line: str) -> None:
    given = {f"simplicity:{name}": value for name, value in changes.items()}
    assert mistakes(GOOD | given) == (f"simplicity:{line}",)


@pytest.mark.parametrize("repository", ["simplicity", "ours/simplicity:ref", "ours/*", "https://github.com/ours/it"])
def test_a_repository_is_one_and_no_pattern(repository: str) -> None:
    given = {"repository": repository, "state": "ours", "state_key": STATE_KEY}
    (line,) = mistakes(GOOD | {"simplicity:pipelines": given})
    assert line.startswith("simplicity:pipelines.repository: String should match pattern")


def test_rds_without_readers_is_taken() -> None:
    assert checked(GOOD | {"simplicity:database": {"kind": "rds", "readers": 0}}).database.kind == "rds"


@pytest.mark.parametrize("path", ["network.flow_log_days", "balancer.log_days"])
def test_logs_are_kept_for_as_long_as_cloudwatch_offers(path: str) -> None:
    group, _, name = path.partition(".")
    for days in RETENTIONS:
        checked(GOOD | {f"simplicity:{group}": {name: days}})
    (line,) = mistakes(GOOD | {f"simplicity:{group}": {name: 100}})
    assert line.startswith(f"simplicity:{path}: CloudWatch keeps logs for one of these: 1, 3, 5, ")
    assert line.endswith("3653 days, not 100")


def test_an_unknown_setting_alone_is_a_mistake_too() -> None:
    assert mistakes(GOOD | {"simplicity:reigon": "us-east-1"})[0].startswith("simplicity:reigon: no such setting")
    assert mistakes(GOOD | {"simplicity:region": "us-east-1"}) == (
        "simplicity:region: no such setting; the region is aws:region",
    )


def test_a_missing_region_is_told_under_the_name_that_it_has() -> None:
    values = {key: value for key, value in GOOD.items() if key != "aws:region"}
    assert mistakes(values) == ("aws:region: has to be set",)


def test_an_account_is_a_text_even_where_yaml_reads_a_number() -> None:
    assert checked(GOOD | {"simplicity:account": 123456789012}).account == "123456789012"


def test_settings_of_the_plugin_and_of_the_engine_are_left_to_them() -> None:
    more = {"aws:endpoints": [{"ec2": "http://127.0.0.1:5000"}], "pulumi:tags": {"a": "b"}}
    assert checked(GOOD | more) == checked(GOOD)


def test_a_name_without_a_namespace_is_the_projects(directory: Path) -> None:
    write(directory, {key.removeprefix("simplicity:"): value for key, value in GOOD.items()})
    assert load("mine", directory) == checked(GOOD)


def test_what_pulumi_writes_about_its_secrets_is_no_mistake_but_anything_else_is(directory: Path) -> None:
    write(directory, GOOD, encryptionsalt="v1:abc=")
    assert load("mine", directory) == checked(GOOD)
    write(directory, GOOD, confg={})
    with pytest.raises(SettingsError, match=r"^Pulumi.mine.yaml: confg: is nothing that a stack has$"):
        load("mine", directory)


@pytest.mark.parametrize("text", ["", "config:", "- a", "config: [a]"])
def test_a_file_without_settings_says_where_they_have_to_be(directory: Path, text: str) -> None:
    (directory / "Pulumi.mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="under `config:`"):
        load("mine", directory)


def test_a_file_that_is_no_yaml_is_one_line(directory: Path) -> None:
    (directory / "Pulumi.mine.yaml").write_text("config: {a: [", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load("mine", directory)
    assert len(caught.value.lines) == 1
    assert "\n" not in caught.value.lines[0]


@pytest.mark.parametrize("name", names())
@pytest.mark.usefixtures("engine")
def test_the_program_reads_from_pulumi_what_the_file_says(name: str) -> None:
    as_text = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in configuration(name).items()
    }
    config.set_all_config(as_text)
    assert from_pulumi() == load(name)


@pytest.mark.usefixtures("engine")
def test_the_program_reads_what_the_engine_passes_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    config.set_all_config({})
    as_text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in GOOD.items()}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(as_text))
    assert from_pulumi() == checked(GOOD)


@pytest.mark.usefixtures("engine")
def test_the_program_refuses_an_unknown_setting_as_the_file_does() -> None:
    config.set_all_config({**{key: json.dumps(value) for key, value in GOOD.items()}, "simplicity:extra": "1"})
    with pytest.raises(SettingsError, match="simplicity:extra: no such setting"):
        from_pulumi()
