"""The parts of the chart agree with one another, and with the service that they run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from indexer.api import classes, server
from indexer.settings import Settings
from indexer.sync import metrics as sync_metrics
from indexer.telemetry.metrics import Metrics
from runbooks.cli import MOUNTS
from runbooks.deploy import building
from tests.infra.kubernetes.chart import CHART, MINIMAL, PRODUCTION, environment, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infra.kubernetes.chart import Object

EXAMPLES = pytest.mark.parametrize("example", [MINIMAL, PRODUCTION])


def selects(selector: Mapping[str, str], pods: Mapping[str, Object]) -> list[str]:
    return [name for name, pod in pods.items() if selector.items() <= pod["metadata"]["labels"].items()]


@EXAMPLES
def test_every_selector_is_of_its_own_pods_alone(example: str) -> None:
    found = render(example)
    for kind, path in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        for name, each in found.of(kind).items():
            if name != "deny":
                assert selects(each["spec"][path]["matchLabels"], found.pods) == [name]
    for name, each in found.of("Service").items():
        assert selects(each["spec"]["selector"], found.pods) == [name]
    for name, each in found.of("Deployment").items():
        for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"]["matchLabels"], found.pods) == [name]


def test_every_monitor_finds_a_service_with_its_port_and_every_scaler_its_deployment() -> None:
    found = render(PRODUCTION)
    monitors = found.of("ServiceMonitor")
    assert set(monitors) == {"api", "sync"}
    for name, monitor in monitors.items():
        service, spec = found.of("Service")[name], monitor["spec"]
        assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert spec["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
        # The name of the job is what rules ask for.
        assert service["metadata"]["labels"][spec["jobLabel"]] == name
    (scaler,) = found.of("HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"]["name"] == found.of("Deployment")["api"]["metadata"]["name"]
    assert "replicas" not in found.of("Deployment")["api"]["spec"]


@EXAMPLES
def test_ports_are_the_same_from_the_setting_to_the_service(example: str) -> None:
    found = render(example, "api.port=9000", "sync.metricsPort=9001")
    for name, setting, port in (("api", "API_PORT", 9000), ("sync", "SYNC_METRICS_PORT", 9001)):
        (container,) = found.pods[name]["spec"]["containers"]
        (listened,) = container["ports"]
        assert environment(found.pods[name])[setting]["value"] == str(port) == str(listened["containerPort"])
        (served,) = found.of("Service")[name]["spec"]["ports"]
        assert (served["port"], served["targetPort"]) == (port, listened["name"])
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
        assert {probe["port"] for probe in probes} == {listened["name"]}
        assert {probe["scheme"] for probe in probes} == {"HTTPS" if example == PRODUCTION else "HTTP"}


@EXAMPLES
def test_settings_are_those_of_the_service(example: str) -> None:
    for pod in render(example).pods.values():
        assert environment(pod).keys() <= Settings.model_fields.keys()


def test_values_take_every_setting_that_the_chart_does_not_decide_itself() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    free = set(schema["properties"]["settings"]["properties"])
    own = {name for pod in render(PRODUCTION).pods.values() for name in environment(pod)} - free
    # A cookie is a file of the node's host.
    assert free | own | {"BITCOIN_RPC_COOKIE_FILE"} == set(Settings.model_fields)


def test_the_service_can_be_told_what_the_chart_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "DATABASE_URL": "postgresql://reader:secret@db/simplicity",
        "DATABASE_REPLICA_URL": "postgresql://reader:secret@replica/simplicity",
        "REDIS_URL": "rediss://:secret@cache/0",
        "AUTH_PEPPER": "p" * 32,
    }
    for name, each in environment(render(PRODUCTION, 'secrets.tls=""').pods["api"]).items():
        monkeypatch.setenv(name, each.get("value", given.get(name, "secret")))
    settings = Settings(_env_file=None)
    assert settings.API_DRAIN_SECONDS == 10
    assert [str(each) for each in settings.API_TRUSTED_PROXIES] == ["10.64.0.0/14"]
    assert [str(each) for each in settings.API_INTERNAL_NETWORKS] == ["127.0.0.0/8", "::1/128", "10.64.0.0/14"]
    assert (settings.RELEASE_ID, settings.CLUSTER_NAME) == ("0.1.0-913b4168719f", "production")


def test_commands_are_those_of_the_program() -> None:
    given = [pod["spec"]["containers"][0]["args"] for pod in render(MINIMAL).pods.values()]
    assert sorted(given) == [["api"], ["migrate"], ["sync"]]
    # What comes with the extra that a release carries.
    assert {MOUNTS[word].extra for words in given for word in words} == {building.EXTRA}


def test_probes_ask_what_is_always_answered() -> None:
    (container,) = render(MINIMAL).pods["api"]["spec"]["containers"]
    paths = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health", "liveness": "/health", "readiness": "/health/ready"}
    assert {classes.route_class(path) for path in paths.values()} == {classes.RouteClass.PROBE}


@pytest.mark.parametrize("seconds", [1, 10, 300])
def test_a_pod_has_the_time_to_drain_and_to_end_what_is_in_flight(seconds: int) -> None:
    spec = render(MINIMAL, f"api.drainSeconds={seconds}").pods["api"]["spec"]
    assert spec["terminationGracePeriodSeconds"] >= seconds + server.IN_FLIGHT + 5


def test_the_operators_own_labels_push_none_of_ours_aside() -> None:
    """By default it calls the port `endpoint`, and a label of that name becomes `exported_endpoint`."""
    monitor = render(PRODUCTION).of("ServiceMonitor")["api"]["spec"]["endpoints"][0]
    dropped = {each["regex"] for each in monitor["relabelings"] if each["action"] == "labeldrop"}
    targets = {"container", "endpoint", "instance", "job", "namespace", "node", "pod", "service", "cluster", "place"}
    assert label_names() & targets == {"endpoint"} == dropped


def label_names() -> set[str]:
    """Return the labels of all metrics of the API and of sync."""
    api = Metrics().registry._collector_to_names  # noqa: SLF001 - a registry lists them nowhere else
    collectors = [*api, *vars(sync_metrics).values()]
    return {name for each in collectors for name in getattr(each, "_labelnames", ())}


def test_production_spreads_pods_and_loses_one_at_a_time() -> None:
    found = render(PRODUCTION)
    for name, each in found.of("Deployment").items():
        keys = {spread["topologyKey"] for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert each["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert found.of("PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert found.of("Deployment")["sync"]["spec"]["replicas"] == 2


def test_the_api_scales_from_two_to_ten_by_requests_processor_and_memory() -> None:
    (scaler,) = render(MINIMAL).of("HorizontalPodAutoscaler").values()
    spec = scaler["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
    found = {
        each.get("resource", each.get("pods", {}).get("metric"))["name"]: each[each["type"].lower()]["target"]
        for each in spec["metrics"]
    }
    assert found["cpu"]["averageUtilization"] == 70
    assert found["memory"]["averageUtilization"] == 80
    assert found["http_requests_per_second"] == {"type": "AverageValue", "averageValue": "300"}


def test_large_whole_numbers_stay_whole() -> None:
    pod = render(MINIMAL, "settings.START_BLOCK_HEIGHT=895534", "settings.API_CACHE_BYTES=17179869184").pods["sync"]
    found = environment(pod)
    assert (found["START_BLOCK_HEIGHT"]["value"], found["API_CACHE_BYTES"]["value"]) == ("895534", "17179869184")
