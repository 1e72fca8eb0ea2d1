"""The exporter of PostgreSQL's metrics, as a role that may read statistics and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from infra.local.component import Component, http_probe
from infra.local.components import postgresql
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "postgresql-exporter"
PORT = "postgresql_exporter"
JOB = "postgresql"
PROGRAM = "prometheus-postgres-exporter"

# In milliseconds: below the scrape's time-out. Sizes wait for locks, and one table must not take all metrics away.
LIMITS = {"statement_timeout": 1_500, "lock_timeout": 300}
WANTED = ("database_wraparound",)
UNWANTED = ("replication_slot", "roles", "wal")


def metrics_url(envelope: Envelope) -> str:
    """Return where PostgreSQL's metrics are."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}/metrics"


def _command(envelope: Envelope) -> tuple[str, ...]:
    return (
        str(envelope.tools[PROGRAM]),
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
        *(f"--collector.{name}" for name in WANTED),
        *(f"--no-collector.{name}" for name in UNWANTED),
        "--log.level=error",
    )


def _environment(envelope: Envelope) -> dict[str, str]:
    where = f"{LOOPBACK}:{envelope.ports[postgresql.PORT]}/{postgresql.DATABASE}"
    how = urlencode({"sslmode": "disable", "connect_timeout": 1, "application_name": NAME} | LIMITS)
    return {
        "DATA_SOURCE_URI": f"{where}?{how}",
        "DATA_SOURCE_USER": postgresql.MONITORING,
        "DATA_SOURCE_PASS_FILE": str(envelope.layout.secrets / postgresql.MONITORING_PASSWORD),
    }


COMPONENTS = (
    Component(
        name=NAME,
        job=JOB,
        ports=(Port(PORT, 9_187),),
        tools=(PROGRAM,),
        needs=("postgresql",),
        command=_command,
        environment=_environment,
        metrics=PORT,
        probe=lambda envelope: http_probe(metrics_url(envelope), expect="pg_up ", otherwise="has not asked yet"),
        url=metrics_url,
        hint=f"`simplicity logs {NAME}` tells why",
    ),
)
