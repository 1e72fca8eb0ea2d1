from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.local import display
from infra.local.assembly import merged
from infra.local.component import Component, Envelope, Options, Probe, components, in_order, named
from infra.local.document import document_of, env_file_of
from infra.local.layout import Layout

HOME = Path("/srv/home")
SECRETS = {name: f"secret-{name}" for component in components() for name in component.secrets}


def envelope() -> Envelope:
    ports = {port.name: port.default for component in components() for port in component.ports}
    tools = {tool: Path("/usr/bin") / tool for component in components() for tool in component.tools}
    return Envelope(Layout(HOME, HOME / "tools"), ports, Options(), SECRETS, tools)


def component(name: str, *needs: str) -> Component:
    return Component(
        name=name,
        needs=needs,
        command=lambda _: (),
        probe=lambda _: Probe(ready=True, detail=""),
        url=lambda _: "",
        hint="",
    )


def test_components_stand_after_what_they_need() -> None:
    found = {c.name: c for c in (component("a", "c"), component("b"), component("c", "b"))}
    assert [c.name for c in in_order(found)] == ["b", "c", "a"]


def test_components_that_need_each_other_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="circle"):
        in_order({c.name: c for c in (component("a", "b"), component("b", "a"))})


def test_every_file_of_the_folder_gives_its_components() -> None:
    assert {c.name for c in components()} == {
        "alertmanager",
        "api-1",
        "api-2",
        "backup",
        "bitcoin-node",
        "grafana",
        "haproxy",
        "node-exporter",
        "operations",
        "postgresql",
        "postgresql-exporter",
        "prometheus",
        "sync",
        "traffic",
        "valkey",
        "valkey-exporter",
    }
    assert max(len(c.name) for c in components()) == display.NAME_WIDTH


def test_a_group_stands_for_all_components_that_do_its_work() -> None:
    assert [c.name for c in named("api")] == ["api-1", "api-2"]
    assert [c.name for c in named("api-2")] == ["api-2"]
    assert named("") == named("moon") == ()
    assert not {c.name for c in components()} & {c.group for c in components()}, "a name means one thing"


def test_no_two_components_wish_for_the_same_port() -> None:
    wishes = [port.default for c in components() for port in c.ports]
    assert len(set(wishes)) == len(wishes)


def test_no_secret_stands_in_a_command_line_an_address_or_the_environment_document() -> None:
    made = envelope()
    shown = [text for c in components() if c.name != "grafana" for text in (*c.command(made), c.url(made))]
    shown.append(json.dumps(document_of(made).model_dump(mode="json")))
    shown.append(repr(made))
    for secret in SECRETS.values():
        assert not any(secret in text for text in shown)


def test_the_api_logs_in_as_a_role_that_owns_nothing() -> None:
    by_name = {c.name: c for c in components()}
    for name in ("api-1", "api-2"):
        assert "//simplicity_api:" in by_name[name].environment(envelope())["DATABASE_URL"]
    assert "//simplicity_sync:" in by_name["sync"].environment(envelope())["DATABASE_URL"]


def test_traffic_is_left_out_when_it_is_not_wanted() -> None:
    names = [c.name for c in components() if c.wanted(Options(traffic=False))]
    assert "traffic" not in names
    assert "sync" in names


def test_the_env_file_makes_commands_work_on_the_envelope_as_its_writer() -> None:
    lines = dict(line.split("=", 1) for line in env_file_of(envelope()).splitlines() if not line.startswith("#"))
    assert lines["DATABASE_URL"].startswith("'postgresql://simplicity_sync:secret-sync_password@127.0.0.1:")
    assert lines["AUTH_PEPPER"] == "'secret-auth_pepper'"
    assert lines["BITCOIN_NETWORK"] == "'regtest'"


def test_people_open_the_balancer_and_the_document_names_what_is_behind_it() -> None:
    endpoints = document_of(envelope()).endpoints
    assert endpoints.api == "http://127.0.0.1:8083"
    assert endpoints.api_instances == ("http://127.0.0.1:18083", "http://127.0.0.1:18084")
    assert endpoints.cache == "redis://127.0.0.1:16379/0"
    assert endpoints.alertmanager == "http://127.0.0.1:9093"
    assert endpoints.operations == "http://127.0.0.1:8090"


def test_the_document_names_where_a_load_test_says_that_it_is_to_be_scraped() -> None:
    made = document_of(envelope())
    assert made.drivers["load_metrics"].kind == "file_sd"
    assert made.drivers["load_metrics"].settings == {"directory": "/srv/home/local/prometheus/targets"}
    assert made.secrets["database_monitoring_password"].name == "/srv/home/local/secrets/monitoring_password"


def test_options_stay_as_they_were_unless_others_are_wished_for() -> None:
    assert merged({}) == Options()
    assert merged({"traffic": False, "seed": "x"}, rate=2.0, traffic=None) == Options(traffic=False, rate=2.0, seed="x")
    assert merged({"alert_scale": 1440.0}).alert_scale == 1440.0
    assert merged({"rate": "much", "unknown": 1}) == Options(), "a damaged memory is no reason to fail"
