"""The whole program: every stack by every rule, and the document that comes of it."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pulumi
import pulumi_aws as aws
import pytest

from infra.cloud import stacks
from infra.cloud.document import Facts, document_of
from infra.cloud.policies.rules import faults, stack_faults
from infra.cloud.program import build, survey
from infra.cloud.rehearsal.kinds import KINDS
from infra.environment import Environment
from tests.infra.cloud.recording import Registered, components, recorded

if TYPE_CHECKING:
    from infra.cloud.settings import Settings
    from tests.infra.cloud.conftest import Places

ADMIN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-1-AbCdEf"
FACTS = Facts(
    account="123456789012",
    backups="simplicity-test-backups-123456789012",
    sessions="simplicity-test-sessions-123456789012",
    database_identifier="simplicity-test-database",
    database_admin_secret=ADMIN,
    database_writer="simplicity-test-database.cluster-x.us-east-1.rds.amazonaws.com",
    database_port=5432,
    database_addresses=(),
    cache_host="master.cache.amazonaws.com",
    cache_port=6379,
    node_url="http://10.20.64.10:8332",
    node_address="10.20.64.10",
    prometheus_url="https://10.20.80.11:9090",
    monitoring_address="10.20.80.11",
)


def graph(stack: str) -> list[Registered]:
    settings = stacks.load(stack)
    return recorded(lambda: build(settings))


@pytest.mark.parametrize("stack", stacks.names())
def test_no_resource_of_any_stack_is_refused_by_a_rule(stack: str) -> None:
    made = graph(stack)
    assert [f"{each.name}: {fault}" for each in made for fault in faults(each.type, each.inputs)] == []
    assert stack_faults([(each.type, each.inputs) for each in made]) == []


def test_every_type_and_every_property_that_a_stack_uses_is_in_the_table_of_the_rehearsal() -> None:
    unknown = {
        f"{each.type}.{name}"
        for stack in stacks.names()
        for each in graph(stack)
        for name in each.inputs
        if each.type not in KINDS or name not in KINDS[each.type].properties
    }
    assert unknown == set()


def test_production_is_protected_where_it_holds_data_and_the_rehearsal_is_not() -> None:
    protected = Counter(each.type for each in graph("production") if each.protect)
    assert {"aws:rds/cluster:Cluster", "aws:ebs/volume:Volume", "aws:s3/bucket:Bucket"} <= set(protected)
    assert not [each for each in graph("rehearsal") if each.protect]


def test_the_program_is_refused_in_another_account(at: Places) -> None:
    with pytest.raises(
        pulumi.RunError, match=r"credentials of account 123456789012; simplicity:account is 999999999999"
    ):
        recorded(lambda: _surveyed(at(account="999999999999").settings))


def test_zones_are_those_of_the_settings_or_the_first_three_by_name(at: Places) -> None:
    assert zones(at().settings) == ("us-east-1a", "us-east-1b", "us-east-1c")
    pinned = at(network={"zones": ["us-east-1c", "us-east-1a", "us-east-1b"]}).settings
    assert zones(pinned) == ("us-east-1c", "us-east-1a", "us-east-1b")


def test_a_zone_that_cannot_be_used_is_refused_with_those_that_can(at: Places) -> None:
    settings = at(network={"zones": ["us-east-1a", "us-east-1b", "us-east-1e"]}).settings
    said = "simplicity:network.zones: us-east-1e cannot be used; it can be us-east-1a, us-east-1b, us-east-1c"
    with pytest.raises(pulumi.RunError, match=said):
        zones(settings)


def test_neither_local_zones_nor_the_zone_that_lacks_hosts_nor_an_outage_count(
    at: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    real = aws.get_availability_zones

    def ask(**arguments: Any) -> Any:  # noqa: ANN401 - the SDK's own
        asked.update(arguments)
        return real(**arguments)

    monkeypatch.setattr(aws, "get_availability_zones", ask)
    zones(at().settings)
    assert [(each.name, each.values) for each in asked["filters"]] == [("opt-in-status", ["opt-in-not-required"])]
    assert asked["exclude_zone_ids"] == ["use1-az3"]
    assert "state" not in asked


def zones(settings: Settings) -> tuple[str, ...]:
    found: list[tuple[str, ...]] = []
    recorded(lambda: found.append(survey(settings)[0].zones))
    return found[0]


@pytest.mark.parametrize("stack", [each for each in stacks.names() if each.startswith("production")])
def test_production_says_which_its_zones_are(stack: str) -> None:
    assert stacks.load(stack).network.zones is not None


def test_the_balancer_waits_for_the_way_to_the_internet_and_goes_before_it(at: Places) -> None:
    settings = at().settings
    waits = components(lambda: build(settings))["balancer"].dependencies
    assert any("InternetGateway::internet" in urn for urn in waits)


@pytest.mark.parametrize("database", ["aurora", "rds", "patroni"])
@pytest.mark.parametrize("monitoring", ["hosts", "managed"])
def test_cloudwatch_may_use_the_key_of_logs_for_each_group_that_is_under_it(
    database: str, monitoring: str, at: Places
) -> None:
    settings = at(database={"kind": database, "readers": 0}, monitoring={"kind": monitoring}).settings
    made = recorded(lambda: build(settings))
    (key,) = [each for each in made if each.type == "aws:kms/key:Key" and each.name == "logs"]
    (write,) = [each for each in json.loads(key.inputs["policy"])["Statement"] if each["Sid"] == "Logs"]
    patterns = write["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    groups = [each.inputs for each in made if each.type == "aws:cloudwatch/logGroup:LogGroup"]
    names = [str(each["name"]) for each in groups if each.get("kmsKeyId")]
    assert len(names) == len(groups) >= 2
    for name in names:
        arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{name}"
        assert any(fnmatchcase(arn, each) for each in patterns), name


def _surveyed(settings: Any) -> None:  # noqa: ANN401 - settings
    survey(settings)


@pytest.mark.parametrize("kind", ["aurora", "rds", "patroni"])
def test_the_document_of_a_stack_is_one_that_this_release_reads_and_holds_no_secret(kind: str, at: Places) -> None:
    settings = at(database={"kind": kind}).settings
    document = document_of(settings, FACTS)
    assert Environment.model_validate(document.model_dump(mode="json")) == document
    assert (document.place, document.drivers["failover"].kind) == ("cloud", kind)
    assert {each.source for each in document.secrets.values()} == {"store"}


def test_no_role_of_a_host_reads_what_passes_to_other_hosts(at: Places) -> None:
    settings = at(database={"kind": "patroni"}).settings
    made = recorded(lambda: build(settings))
    policies = [each for each in made if each.type == "aws:iam/rolePolicy:RolePolicy"]
    assert len(policies) > 4
    assert not [each.name for each in policies if "-sessions-" in json.dumps(each.inputs["policy"])]
    (bucket,) = [each for each in made if each.type == "aws:s3/bucket:Bucket" and each.name == "sessions"]
    (backups,) = [each for each in made if each.type == "aws:s3/bucket:Bucket" and each.name == "backups"]
    assert (bucket.inputs["bucket"], backups.inputs["bucket"]) == (FACTS.sessions, FACTS.backups)


@pytest.mark.parametrize("kind", ["aurora", "rds"])
def test_the_administrators_secret_is_named_and_never_held(kind: str, at: Places) -> None:
    document = document_of(at(database={"kind": kind}).settings, FACTS)
    failover = document.drivers["failover"].settings
    assert failover == {"identifier": FACTS.database_identifier, "admin_secret": ADMIN}
    assert document.drivers["backup"].settings == {"identifier": FACTS.database_identifier}
    assert ADMIN not in {each.name for each in document.secrets.values()}


def test_metrics_of_sync_are_asked_where_there_is_somebody(at: Places) -> None:
    asked = urlsplit(document_of(at().settings, FACTS).endpoints.sync_metrics)
    assert f"{asked.scheme}://{asked.netloc}" == FACTS.prometheus_url
    assert (asked.path, parse_qs(asked.query)) == ("/federate", {"match[]": ['{job="sync"}']})


def test_production_takes_only_what_staging_ran_and_cannot_be_stopped_for_the_night(at: Places) -> None:
    production = document_of(at(environment="production-eu").settings, FACTS)
    staging = document_of(at(environment="staging").settings, FACTS)
    assert (production.drivers["deploy"].settings["after"], "power" in production.drivers) == ("staging", False)
    assert ("after" in staging.drivers["deploy"].settings, "power" in staging.drivers) == (False, True)


def test_somebody_elses_node_is_said_to_be(at: Places) -> None:
    settings = at(node={"kind": "external", "url": "https://node.example.com:8332"}).settings
    assert document_of(settings, FACTS).drivers["node"].settings["owner"] == "external"
