"""The indexer's writer: follows the chain and writes the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.components import bitcoin_node, postgresql
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from infra.local.component import Envelope

PORT = "sync_metrics"
NETWORK = "regtest"
CLUSTER = "local"
# The first block whose coinbase-funded transactions can exist.
START_HEIGHT = 102
# Low, so that traffic meets both of the protocol's marketplace templates within minutes.
MARKETPLACE_HEIGHT = 160
MAX_REORG_DEPTH = 100
NODE_SECONDS = 10  # its blocks are small: one that says nothing for longer hangs
# Only the writer has brought the schema and the reader's grants, which the API needs.
WRITER = 'simplicity_sync_role{simplicity_sync_role="writer"} 1.0'


def settings(envelope: Envelope) -> dict[str, str]:
    """Return the writer's environment, with secrets."""
    return {
        "DATABASE_URL": postgresql.url(envelope, postgresql.WRITER),
        "DATABASE_READER_ROLE": postgresql.READER,
        "BITCOIN_NETWORK": NETWORK,
        "BITCOIN_RPC_URL": bitcoin_node.rpc_url(envelope),
        "BITCOIN_RPC_COOKIE_FILE": str(bitcoin_node.cookie_file(envelope)),
        "BITCOIN_RPC_TIMEOUT": str(NODE_SECONDS),
        "START_BLOCK_HEIGHT": str(START_HEIGHT),
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT),
        "MAX_REORG_DEPTH": str(MAX_REORG_DEPTH),
        "CLUSTER_NAME": CLUSTER,
        "SYNC_METRICS_HOST": LOOPBACK,
        "SYNC_METRICS_PORT": str(envelope.ports[PORT]),
        "LOG_LEVEL": "INFO",
    }


def metrics_url(envelope: Envelope) -> str:
    """Return where the writer's metrics are."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}/metrics"


COMPONENTS = (
    Component(
        name="sync",
        ports=(Port(PORT, 9_108),),
        needs=("postgresql", "bitcoin-node"),
        command=lambda _: simplicity_command("sync"),
        environment=settings,
        metrics=PORT,
        probe=lambda envelope: http_probe(metrics_url(envelope), expect=WRITER, otherwise="does not write yet"),
        url=metrics_url,
        hint="`simplicity logs sync` tells why; it needs the database and the node",
    ),
)
