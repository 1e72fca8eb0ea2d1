"""Whether a real envelope is watched: every target is scraped, every rule evaluated, and an alert arrives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from infra import environment as document
from infra.local.component import components

if TYPE_CHECKING:
    from infra.environment import Endpoints
    from tests.support.envelope import Throwaway

pytestmark = pytest.mark.xdist_group("envelope")


def endpoints(envelope: Throwaway) -> Endpoints:
    return document.load(envelope.layout.environment).endpoints


def asked(url: str) -> Any:  # noqa: ANN401 - JSON
    return httpx2.get(url, timeout=5, trust_env=False).raise_for_status().json()


def targets(envelope: Throwaway) -> dict[str, str]:
    """Return what is wrong with each target, by instance; empty where it is up."""
    answer = asked(f"{endpoints(envelope).prometheus}/api/v1/targets?state=active")
    return {
        each["labels"]["instance"]: "" if each["health"] == "up" else each["lastError"] or each["health"]
        for each in answer["data"]["activeTargets"]
    }


def test_every_component_that_has_metrics_is_scraped(envelope: Throwaway) -> None:
    wanted = {c.name for c in components() if c.metrics and c.name in envelope.pids()}
    envelope.wait(lambda: targets(envelope) == dict.fromkeys(wanted, ""), within=20)
    assert {"node-exporter", "postgresql-exporter", "valkey-exporter", "alertmanager", "operations"} <= wanted


def test_every_rule_is_evaluated_without_an_error(envelope: Throwaway) -> None:
    def wrong() -> list[str]:
        groups = asked(f"{endpoints(envelope).prometheus}/api/v1/rules")["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert len(rules) > 50
        return [f"{rule['name']}: {rule['health']} {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]

    envelope.wait(lambda: wrong() == [], within=20)


def test_the_alert_that_always_fires_reaches_alertmanager_and_the_page_that_receives(envelope: Throwaway) -> None:
    where = endpoints(envelope)
    envelope.wait(
        lambda: "Watchdog" in [each["labels"]["alertname"] for each in asked(f"{where.alertmanager}/api/v2/alerts")],
        within=30,
    )

    def arrived() -> bool:
        text = httpx2.get(f"{where.operations}/metrics", timeout=5, trust_env=False).text
        beats = [line for line in text.splitlines() if line.startswith("simplicity_watchdog_last_timestamp_seconds ")]
        return bool(beats) and float(beats[0].split()[1]) > 0

    envelope.wait(arrived, within=30)


def test_a_load_test_that_names_itself_is_scraped_under_its_labels_and_forgotten_when_it_is_gone(
    envelope: Throwaway,
) -> None:
    made = document.load(envelope.layout.environment)
    file = envelope.layout.load_targets / "test.json"
    assert made.drivers["load_metrics"].settings["directory"] == str(file.parent)
    labels = {"cluster": "local", "place": "local", "instance": "loadtest", "job": "loadtest"}
    target = made.endpoints.prometheus.removeprefix("http://")
    file.write_text(json.dumps([{"targets": [target], "labels": labels}]))
    try:
        envelope.wait(lambda: targets(envelope).get("loadtest") == "", within=20)
    finally:
        file.unlink()
    envelope.wait(lambda: "loadtest" not in targets(envelope), within=20)
