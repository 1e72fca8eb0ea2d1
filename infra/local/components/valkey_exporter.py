"""The exporter of Valkey's metrics: it asks the server what it is at, whenever Prometheus asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.components import valkey
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "valkey-exporter"
PORT = "valkey_exporter"
JOB = "valkey"
PROGRAM = "prometheus-redis-exporter"


def metrics_url(envelope: Envelope) -> str:
    """Return where Valkey's metrics are."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}/metrics"


def _command(envelope: Envelope) -> tuple[str, ...]:
    return (
        str(envelope.tools[PROGRAM]),
        f"--redis.addr={valkey.address(envelope)}",
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
        # Below the scrape's time-out: a server that hangs has to be told as such, not to take its exporter along.
        "--connection-timeout=500ms",
        "--config-command=-",  # what is needed of the configuration is in INFO too
        "--set-client-name=false",
        "--exclude-latency-histogram-metrics",
        "--redis-only-metrics",
    )


COMPONENTS = (
    Component(
        name=NAME,
        job=JOB,
        ports=(Port(PORT, 9_121),),
        tools=(PROGRAM,),
        command=_command,
        environment=lambda envelope: {"REDIS_PASSWORD": envelope.secrets[valkey.PASSWORD]},
        metrics=PORT,
        # That the server is away is the server's to say.
        probe=lambda envelope: http_probe(metrics_url(envelope), expect="redis_up ", otherwise="has not asked yet"),
        url=metrics_url,
        hint=f"`simplicity logs {NAME}` tells why",
    ),
)
