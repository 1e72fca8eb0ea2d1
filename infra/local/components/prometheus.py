"""Prometheus: scrapes every component that has metrics, itself included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.local.component import Component, components, http_probe
from infra.local.components.sync import CLUSTER
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.component import Envelope

PORT = "prometheus"
SCRAPE_SECONDS = 2  # short: a person who has just typed `up` looks for data at once


def base_url(envelope: Envelope) -> str:
    """Return the root URL of Prometheus."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def configuration(targets: Mapping[str, Mapping[str, int]]) -> str:
    """Return prometheus.yml (as JSON, which is YAML) for ports by component and job."""
    labels = {"cluster": CLUSTER, "place": "local"}
    jobs = [
        {
            "job_name": job,
            "static_configs": [
                {"targets": [f"{LOOPBACK}:{port}"], "labels": labels | {"instance": name}}
                for name, port in sorted(ports.items())
            ],
        }
        for job, ports in sorted(targets.items())
    ]
    interval = f"{SCRAPE_SECONDS}s"
    document = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": jobs,
    }
    return json.dumps(document, indent=2) + "\n"


def _files(envelope: Envelope) -> dict[str, str]:
    targets: dict[str, dict[str, int]] = {}
    for component in components():
        if component.metrics and component.wanted(envelope.options):
            # Components that do the same work are one job.
            job = component.group or component.name
            targets.setdefault(job, {})[component.name] = envelope.ports[component.metrics]
    return {"prometheus.yml": configuration(targets)}


def _command(envelope: Envelope) -> tuple[str, ...]:
    directory = envelope.directory("prometheus")
    return (
        str(envelope.tools["prometheus"]),
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=7d",
        "--storage.tsdb.retention.size=1GB",
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
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
