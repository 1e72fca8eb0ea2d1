"""Values that cannot work are refused, with a line each that says what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.infra.kubernetes.chart import CHART, MINIMAL, PRODUCTION, ROOT, render

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_what_has_no_default_is_asked_for_all_at_once() -> None:
    lines = render("").error.splitlines()
    assert [line.partition(": ")[0] for line in lines if ": " in line][1:] == [
        "image.repository",
        "image",
        "secrets.api",
        "secrets.sync",
        "secrets.keyRing",
        "bitcoin.url",
        "database.readerRole",
        "api.internalNetworks",
        "network.database",
        "network.node",
        "network.cache",
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('image.tag="latest"', "image.tag: latest is another image tomorrow; give a version or a digest"),
        ('image.tag="LATEST"', "image.tag: LATEST is another image tomorrow; give a version or a digest"),
        ('image.tag=""', "image: give a tag or a digest: what runs has to be known"),
        ('secrets.api=""', "secrets.api: name an existing Secret with DATABASE_URL of the reading role"),
        ('secrets.sync="simplicity-api"', "secrets: api and sync are the same; the API must not have"),
        ('secrets.keyRing=""', "secrets.keyRing: name an existing Secret with auth_key_ring.json, or set"),
        ('api.internalNetworks=["0.0.0.0/0"]', "api.internalNetworks: 0.0.0.0/0 is everybody; name the networks of"),
        ('api.trustedProxies=["::/0"]', "api.trustedProxies: ::/0 is everybody; name the networks of"),
        ("autoscaling.maxReplicas=1", "autoscaling.maxReplicas: 1 is less than minReplicas, 2"),
        ("monitoring.enabled=true", "api.internalNetworks: name the networks of Prometheus' pods"),
        ('network.node={"namespace": ""}', "network.node: say where it is: its namespace, or its networks as cidrs"),
        ('network.ingressNamespace=""', "network.ingressNamespace: name the namespace whose pods send requests"),
        (
            'settings.OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318"',
            "network.collector: say where it is: its namespace, or its networks as cidrs",
        ),
    ],
)
def test_a_value_that_contradicts_another_is_one_line(setting: str, said: str) -> None:
    lines = [line for line in render(MINIMAL, setting).error.splitlines() if line.startswith(said)]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("replicas=2", "- at '': additional properties 'replicas' not allowed"),
        ("api.replica=2", "- at '/api': additional properties 'replica' not allowed"),
        ('api.replicas="two"', "- at '/api/replicas': got string, want integer"),
        ("settings.QUERY_TIME=5", "- at '/settings': additional properties 'QUERY_TIME' not allowed"),
        ('settings.DATABASE_URL="x"', "- at '/settings': additional properties 'DATABASE_URL' not allowed"),
        ("settings.QUERY_TIMEOUT=[5]", "- at '/settings/QUERY_TIMEOUT': got array, want"),
        (
            'image.repository="registry/simplicity:latest"',
            "- at '/image/repository': 'registry/simplicity:latest'",
        ),
        ("image.tag=1", "- at '/image/tag': got number, want string"),
        ('image.digest="sha256:1"', "- at '/image/digest': 'sha256:1' does not match pattern"),
        ('bitcoin.url="http://user:password@node:8332"', "- at '/bitcoin/url':"),
        ('bitcoin.network="mainnet"', "- at '/bitcoin/network': value must be one of 'main'"),
        ('api.trustedProxies=["10.0.0.1"]', "- at '/api/trustedProxies/0': '10.0.0.1' does not match pattern"),
        ('api.resources.requests.cpu=""', "- at '/api/resources/requests/cpu': '' does not match pattern"),
        ("api.resources.requests=null", "- at '/api/resources': missing property 'requests'"),
        ("api.drainSeconds=0", "- at '/api/drainSeconds': minimum: got 0, want 1"),
        ('monitoring.exporters=["haproxy"]', "- at '/monitoring/exporters/0': value must be one of"),
        ("monitoring.intervalSeconds=600", "- at '/monitoring/intervalSeconds': maximum: got 600, want 120"),
    ],
)
def test_a_value_of_the_wrong_form_is_one_line(setting: str, said: str) -> None:
    lines = [line for line in render(PRODUCTION, setting).error.splitlines() if line.lstrip().startswith("- at")]
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_no_value_of_the_chart_is_a_secret_or_an_image() -> None:
    text = (CHART / "values.yaml").read_text("utf-8")
    assert 'tag: ""' in text
    assert not any(word in text.lower() for word in ("password:", "pepper:", "token:", "postgresql://"))


def test_the_page_tells_every_value() -> None:
    page = (ROOT / "docs/kubernetes.md").read_text("utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    names = [
        name if not isinstance(value, dict) or not value else f"{name}.{key}"
        for name, value in values.items()
        for key in (value if isinstance(value, dict) and value else [""])
    ]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert schema["properties"].keys() == values.keys()
    for name, value in values.items():
        known = schema["properties"][name].get("properties")
        if known and value:
            assert known.keys() == value.keys()
    # Labels and the like have any names; what has fields has no other.
    assert all(form["additionalProperties"] is False for form in objects(schema) if "properties" in form)


def objects(schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from objects(each)
