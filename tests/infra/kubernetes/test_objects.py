"""What the chart renders is what the API accepts: by real helm, and by the strict schemas of two versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.infra.kubernetes.chart import MINIMAL, NEWEST, OLDEST, PRODUCTION, judged, lint, render, schemas_of

if TYPE_CHECKING:
    from pathlib import Path

# What can be switched, the other way than the examples have it.
VARIANTS = (
    (MINIMAL,),
    (PRODUCTION,),
    (MINIMAL, "autoscaling.enabled=false", "network.enabled=false", "api.cache=false", "api.authentication=false"),
    (PRODUCTION, "monitoring.rules=false", "monitoring.dashboards=false", 'secrets.tls=""', "api.replicas=3"),
    (
        MINIMAL,
        'image.tag=""',
        f'image.digest="sha256:{"0" * 64}"',
        'listen="::"',
        'scheduling={"nodeSelector": {"pool": "indexer"}, "tolerations": [{"key": "pool", "operator": "Exists"}]}',
        "autoscaling.requestsPerSecond=0",
        "settings.START_BLOCK_HEIGHT=895534",
    ),
)


@pytest.fixture(scope="module", params=[OLDEST, NEWEST])
def schemas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schemas_of(request.param, tmp_path_factory.mktemp("schemas"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_what_the_api_accepts(schemas: Path, variant: tuple[str, ...]) -> None:
    found = render(*variant)
    assert not found.error
    assert judged(found.text, schemas) == []


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("Deployment", "maxSkew: 1", "maxSkeew: 1"),
        ("Deployment", "capabilities:", "capability:"),
        ("Deployment", "containerPort: 8083", 'containerPort: "8083"'),
        ("Job", "backoffLimit: 3", "backOffLimit: 3"),
        ("NetworkPolicy", "policyTypes:", "policyType:"),
        ("PodDisruptionBudget", "maxUnavailable: 1", "maxUnavaiIable: 1"),
        ("HorizontalPodAutoscaler", "averageUtilization: 70", "averageUtilisation: 70"),
        ("Service", "clusterIP: None", "clusterIp: None"),
        ("ServiceAccount", "automountServiceAccountToken: false", "automountToken: false"),
        ("ServiceMonitor", "scrapeTimeout: 4s", "scrapeTimeOut: 4s"),
        ("PrometheusRule", "- alert: ApiDown", "- alrt: ApiDown"),
        ("ConfigMap", "data:", "dta:"),
    ],
)
def test_a_mistake_in_any_kind_of_object_is_seen(
    tmp_path_factory: pytest.TempPathFactory, kind: str, old: str, new: str
) -> None:
    folder = schemas_of(NEWEST, tmp_path_factory.mktemp("schemas"))
    text = render(PRODUCTION).text
    assert old in text
    assert any(line.startswith(f"{kind} ") for line in judged(text.replace(old, new), folder))


@pytest.mark.parametrize("example", [MINIMAL, PRODUCTION])
def test_helm_finds_nothing_to_say(example: str) -> None:
    assert lint(example) == ""


def test_a_cluster_that_is_too_old_is_refused() -> None:
    assert "chart requires kubeVersion: >=1.30.0-0" in render(MINIMAL, version="1.29.4").error


def test_objects_have_names_of_their_own_and_two_releases_share_none() -> None:
    found = render(PRODUCTION).objects
    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"demo-simplicity-[a-z-]+", name) for _, name in names)
    assert all(each["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo" for each in found)


def test_the_same_values_render_the_same_text() -> None:
    assert render(PRODUCTION).text == render(PRODUCTION, "api.drainSeconds=10").text
