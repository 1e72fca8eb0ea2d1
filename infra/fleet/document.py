"""The fleet's Environment document: what it is and where it answers; secrets are named by their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra import environment as document
from infra.local.components.sync import START_HEIGHT

if TYPE_CHECKING:
    from infra.fleet.plan import Plan, Role
    from infra.fleet.storage import Storage

API_PORT, NODE_PORT, STORE_PORT = 443, 18443, 9000
BACKUP_BUCKET, REGION = "simplicity-backups", "us-east-1"
NODE_USER, NODE_SECRET = "simplicity", "node_rpc_password"
DATABASE, WRITER, READER, DATABASE_PORT = "simplicity", "simplicity_sync", "simplicity_api", 5432
PROMETHEUS_PORT, ALERTMANAGER_PORT, SYNC_PORT = 9090, 9093, 9102
# What only these know: made once, by name, on the control node.
SECRETS = (
    "database_writer_password", "database_reader_password", "database_backup_password", "database_monitoring_password",
    "database_superuser_password", "database_replication_password", "database_rewind_password",
    "database_pooler_password", "cache_password", "auth_pepper", "balancer_password", "backup_cipher", "vrrp_password",
    "cache_monitoring_password", "s3_access_key", "s3_secret_key",
    "operations_token", "node_rpc_password",
)  # fmt: skip
ROLES: dict[str, Role] = {
    "database": "database",
    "indexer": "application",
    "api": "application",
    "balancer": "balancer",
    "cache": "monitoring",
    "monitoring": "monitoring",
}


def document_of(plan: Plan, storage: Storage, *, name: str = "fleet") -> document.Environment:
    """Describe a fleet; the leader, the live colour and the like are asked of its drivers."""
    databases = ",".join(plan.address(host.number) for host in plan.of("database"))
    application, monitoring = plan.of("application")[0], plan.of("monitoring")[0]
    prometheus = f"https://{plan.address(monitoring.number)}:{PROMETHEUS_PORT}"
    return document.Environment(
        name=name,
        place="fleet",
        network="regtest",
        start_height=START_HEIGHT,
        endpoints=document.Endpoints(
            api=f"https://{plan.virtual}:{API_PORT}",
            sync_metrics=f"https://{plan.address(application.number)}:{SYNC_PORT}",
            node_rpc=f"http://{plan.control}:{NODE_PORT}",
            prometheus=prometheus,
            database=document.Database(
                host=databases, port=DATABASE_PORT, name=DATABASE, writer_role=WRITER, reader_role=READER
            ),
            alertmanager=f"https://{plan.address(monitoring.number)}:{ALERTMANAGER_PORT}",
        ),
        hosts={
            role: tuple(document.Host(name=host.name, address=plan.address(host.number)) for host in plan.of(of))
            for role, of in ROLES.items()
        },
        secrets={each: document.SecretReference(source="file", name=str(storage.secrets / each)) for each in SECRETS},
        metrics=document.MetricSource(kind="prometheus", url=prometheus, labels={"cluster": name}),
        drivers={
            "hosts": document.Driver(
                kind="ssh",
                settings={
                    "config": str(storage.ssh_config),
                    "network": f"/run/netns/{plan.prefix}",
                    "from": plan.control,
                },
            ),
            "node": document.Driver(kind="rpc", settings={"user": NODE_USER, "secret": NODE_SECRET}),
            "certificates": document.Driver(kind="private", settings={"directory": str(storage.pki)}),
            "backup": document.Driver(
                kind="pgbackrest",
                settings={
                    "host": plan.control,
                    "port": str(STORE_PORT),
                    "bucket": BACKUP_BUCKET,
                    "region": REGION,
                    "stanza": name,
                    "authority": str(storage.store_certificate),
                },
            ),
            "service_control": document.Driver(kind="systemd"),
            "traffic_switch": document.Driver(kind="haproxy"),
            "failover": document.Driver(kind="patroni"),
            "scaler": document.Driver(kind="hosts"),
            "overrides": document.Driver(kind="file", settings={"file": str(storage.overrides)}),
            "deploy": document.Driver(
                kind="blue-green",
                settings={
                    "signing_key": str(storage.secrets / "release_signing_key"),
                    "trusted": str(storage.run / "release_signing_key.pub"),
                },
            ),
        },
    )
