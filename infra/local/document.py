"""The local envelope's Environment document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra import environment as document
from infra.local.components import api, bitcoin_node, postgresql, prometheus, sync
from infra.local.ports import LOOPBACK

if TYPE_CHECKING:
    from infra.local.component import Envelope


def document_of(envelope: Envelope) -> document.Environment:
    """Describe an envelope; secrets are named by their files."""
    here = document.Host(name="localhost", address=LOOPBACK)
    files = {
        "database_writer_password": envelope.layout.secrets / "sync_password",
        "database_reader_password": envelope.layout.secrets / "api_password",
        "node_rpc_cookie": bitcoin_node.cookie_file(envelope),
    }
    return document.Environment(
        name=sync.CLUSTER,
        place="local",
        network="regtest",
        start_height=sync.START_HEIGHT,
        endpoints=document.Endpoints(
            api=api.base_url(envelope),
            sync_metrics=sync.metrics_url(envelope),
            node_rpc=bitcoin_node.rpc_url(envelope),
            prometheus=prometheus.base_url(envelope),
            database=document.Database(
                host=LOOPBACK,
                port=envelope.ports[postgresql.PORT],
                name=postgresql.DATABASE,
                writer_role=postgresql.WRITER,
                reader_role=postgresql.READER,
            ),
        ),
        hosts=dict.fromkeys(("database", "node", "indexer", "api", "monitoring"), (here,)),
        secrets={name: document.SecretReference(source="file", name=str(path)) for name, path in files.items()},
        metrics=document.MetricSource(
            kind="prometheus", url=prometheus.base_url(envelope), labels={"cluster": sync.CLUSTER}
        ),
        drivers={
            "service_control": document.Driver(kind="supervisor", settings={"socket": str(envelope.layout.socket)})
        },
    )
