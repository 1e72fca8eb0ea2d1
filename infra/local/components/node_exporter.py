"""The node exporter: what this machine's processors, memory, disks and clock are at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "node-exporter"
PORT = "node_exporter"
JOB = "node"
PROGRAM = "prometheus-node-exporter"

# What rules, dashboards and runbooks use. Nothing that names the machine, its hardware, its users or its neighbours.
COLLECTORS = (
    "cpu",
    "filefd",
    "filesystem",
    "loadavg",
    "meminfo",
    "time",
    "timex",
)
# The default leaves out `overlay` as well: in a container that is the disk.
NO_DISKS = (
    "autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs"
    "|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs"
)


def metrics_url(envelope: Envelope) -> str:
    """Return where the machine's metrics are."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}/metrics"


def _command(envelope: Envelope) -> tuple[str, ...]:
    return (
        str(envelope.tools[PROGRAM]),
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
        "--web.disable-exporter-metrics",
        "--collector.disable-defaults",
        *(f"--collector.{name}" for name in COLLECTORS),
        f"--collector.filesystem.fs-types-exclude=^({NO_DISKS})$",
        # Single files that a container has mounted over its own lie on the disk that is counted already.
        "--collector.filesystem.mount-points-exclude=^/(dev|proc|sys|etc/[^/]+|run/credentials/.+)($|/)",
        "--log.level=warn",
    )


COMPONENTS = (
    Component(
        name=NAME,
        job=JOB,
        ports=(Port(PORT, 9_100),),
        tools=(PROGRAM,),
        command=_command,
        metrics=PORT,
        probe=lambda envelope: http_probe(metrics_url(envelope)),
        url=metrics_url,
        hint=f"`simplicity logs {NAME}` tells why",
    ),
)
