"""Prometheus: scrapes every component that has metrics, itself included, and evaluates the rules of the alerts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alerts import render, rulebook
from alerts.model import Links, Scale
from infra.local.component import SCRAPE_SECONDS, Component, components, http_probe
from infra.local.components import alertmanager, grafana, operations
from infra.local.components.sync import CLUSTER
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.local.component import Envelope

PORT = "prometheus"
# Rules that somebody puts there beside ours; `up` leaves them alone, SIGHUP makes Prometheus read them.
OWN_RULES = "rules/own/*.yaml"
LABELS = {"cluster": CLUSTER, "place": "local"}


def base_url(envelope: Envelope) -> str:
    """Return the root URL of Prometheus."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def configuration(
    targets: Mapping[str, Mapping[str, int]], *, alerts_to: int, load_targets: str, rules: Iterable[str] = ()
) -> str:
    """Return prometheus.yml (as JSON, which is YAML) for ports by component and job.

    `alerts_to` is Alertmanager's port, `load_targets` where load tests name themselves, `rules` are files of rules.
    """
    jobs: list[dict[str, object]] = [
        {
            "job_name": job,
            "static_configs": [
                {"targets": [f"{LOOPBACK}:{port}"], "labels": LABELS | {"instance": name}}
                for name, port in sorted(ports.items())
            ],
        }
        for job, ports in sorted(targets.items())
    ]
    # The file says the labels too; it is looked at again in case the notice of a change was missed.
    loads = {"files": [f"{load_targets}/*.json"], "refresh_interval": "5s"}
    jobs.append({"job_name": "loadtest", "file_sd_configs": [loads]})
    interval = f"{SCRAPE_SECONDS}s"
    document = {
        # What has no cluster of its own, such as the Watchdog, is told as of this one.
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
            "external_labels": LABELS,
        },
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{LOOPBACK}:{alerts_to}"]}]}]},
        "rule_files": [*rules, OWN_RULES],
        "scrape_configs": jobs,
    }
    return json.dumps(document, indent=2) + "\n"


def links(envelope: Envelope) -> Links:
    """Return where runbooks and dashboards are opened: on the operations page, dashboards in Grafana where it runs."""
    page = operations.base_url(envelope)
    boards = f"{grafana.base_url(envelope)}/d" if grafana.is_there() else f"{page}/dashboards"
    return Links(runbook=f"{page}/runbooks/{{name}}", dashboard=f"{boards}/{{uid}}")


def _targets(envelope: Envelope) -> dict[str, dict[str, int]]:
    targets: dict[str, dict[str, int]] = {}
    for component in components():
        if component.metrics and component.wanted(envelope.options):
            # Components that do the same work are one job.
            job = component.job or component.group or component.name
            targets.setdefault(job, {})[component.name] = envelope.ports[component.metrics]
    return targets


def _rules(envelope: Envelope) -> dict[str, str]:
    scale, where = Scale(factor=envelope.options.alert_scale), links(envelope)
    return {
        f"rules/{group.name}.yaml": render.as_yaml(group, scale=scale, links=where, place="local")
        for group in rulebook.groups()
    }


def _files(envelope: Envelope) -> dict[str, str]:
    rules = _rules(envelope)
    text = configuration(
        _targets(envelope),
        alerts_to=envelope.ports[alertmanager.PORT],
        load_targets=str(envelope.layout.load_targets),
        rules=rules,
    )
    # So the directory is there: one that comes later is not watched.
    note = f"{envelope.layout.load_targets.name}/README"
    return rules | {"prometheus.yml": text, note: "A load test that runs names itself here, in a file of file_sd.\n"}


def _command(envelope: Envelope) -> tuple[str, ...]:
    directory = envelope.directory("prometheus")
    return (
        str(envelope.tools["prometheus"]),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        # A budget is of 30 days; where the size does not let them all stay, it is of those that did.
        "--storage.tsdb.retention.time=31d",
        "--storage.tsdb.retention.size=1GB",
        # What fires before Alertmanager was found at the start would else wait for a minute.
        "--rules.alert.resend-delay=10s",
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
        f"--web.external-url={base_url(envelope)}/",
        "--log.level=warn",
    )


COMPONENTS = (
    Component(
        name="prometheus",
        ports=(Port(PORT, 9_090),),
        tools=("prometheus",),
        files=_files,
        command=_command,
        metrics=PORT,
        probe=lambda envelope: http_probe(f"{base_url(envelope)}/-/ready"),
        url=base_url,
        hint="`simplicity logs prometheus` tells why",
    ),
)
