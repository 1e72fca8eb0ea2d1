"""The operations page: what is wrong, since when and what to do; it also receives what Alertmanager delivers here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "operations"
PORT = "operations"


def base_url(envelope: Envelope) -> str:
    """Return the root URL of the page."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def receiver_url(envelope: Envelope) -> str:
    """Return where alerts are delivered to."""
    return f"{base_url(envelope)}/alerts"


def _command(envelope: Envelope) -> tuple[str, ...]:
    return simplicity_command(
        "operations",
        "serve",
        f"--listen={LOOPBACK}:{envelope.ports[PORT]}",
        f"--environment={envelope.layout.environment}",
    )


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 8_090),),
        # It needs nobody: it has to be there when the others are not.
        command=_command,
        # Else it would look for its home where this checkout has its own.
        environment=lambda envelope: {"SIMPLICITY_HOME": str(envelope.layout.home)},
        metrics=PORT,
        probe=lambda envelope: http_probe(f"{base_url(envelope)}/health"),
        url=base_url,
        hint=f"`simplicity logs {NAME}` tells why",
    ),
)
