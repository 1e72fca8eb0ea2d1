"""The agent of the backups: records each block's state outside of the database, copies the audit trail, has metrics."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.components import postgresql
from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import child_environment, simplicity_command

if TYPE_CHECKING:
    from infra.local.component import Envelope

PORT = "backup_metrics"
# The agent has begun to look at the database: before that it has no metric of its own.
WATCHING = "simplicity_backup_count"


def anchor(envelope: Envelope) -> str:
    """Return the URL of the second place that holds the audit trail."""
    return envelope.options.anchor or envelope.layout.anchor.as_uri()


def metrics_url(envelope: Envelope) -> str:
    """Return where the metrics of the backups are."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}/metrics"


def _environment(envelope: Envelope) -> dict[str, str]:
    return postgresql.object_store_environment(envelope) | {
        "BACKUP_REPOSITORY": postgresql.repository(envelope),
        "BACKUP_KEYS": str(envelope.layout.backup_keys),
        "BACKUP_DATABASE_URL": postgresql.url(envelope, postgresql.BACKUP),
        "AUDIT_ANCHOR_URL": anchor(envelope),
    }


def _prepare(envelope: Envelope) -> None:
    """Make the keys of the backups, once."""
    command = simplicity_command("backup", "keygen", "--if-missing", str(envelope.layout.backup_keys))
    environment = child_environment(envelope.layout.data)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    if done.returncode != 0:
        raise EnvelopeError(done.stderr.strip().removeprefix("simplicity: ") or "cannot make the keys of the backups")


COMPONENTS = (
    Component(
        name="backup",
        ports=(Port(PORT, 9_109),),
        needs=("postgresql",),
        prepare=_prepare,
        command=lambda envelope: simplicity_command("backup", "agent", f"--listen={LOOPBACK}:{envelope.ports[PORT]}"),
        environment=_environment,
        metrics=PORT,
        probe=lambda envelope: http_probe(metrics_url(envelope), expect=WATCHING, otherwise="does not watch yet"),
        url=metrics_url,
        hint="`simplicity logs backup` tells why; it needs the database and the repository of backups",
    ),
)
