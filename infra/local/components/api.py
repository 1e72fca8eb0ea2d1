"""The read API, as a role that owns nothing in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.components import postgresql
from infra.local.components.sync import CLUSTER, NETWORK, START_HEIGHT
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from infra.local.component import Envelope

PORT = "api"


def base_url(envelope: Envelope) -> str:
    """Return the root URL of the API."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def _environment(envelope: Envelope) -> dict[str, str]:
    return {
        "DATABASE_URL": postgresql.url(envelope, postgresql.READER),
        "BITCOIN_NETWORK": NETWORK,
        "START_BLOCK_HEIGHT": str(START_HEIGHT),
        "CLUSTER_NAME": CLUSTER,
        "API_HOST": LOOPBACK,
        "API_PORT": str(envelope.ports[PORT]),
        "LOG_LEVEL": "INFO",
    }


COMPONENT = Component(
    name="api",
    ports=(Port(PORT, 8_083),),
    # Not sync, though that brings the schema: until then the API answers that nothing is indexed.
    needs=("postgresql",),
    command=lambda _: simplicity_command("api"),
    environment=_environment,
    metrics=PORT,
    probe=lambda envelope: http_probe(f"{base_url(envelope)}/health"),
    url=base_url,
    hint="`simplicity logs api` tells why; it needs the database with the schema that sync brings",
)
