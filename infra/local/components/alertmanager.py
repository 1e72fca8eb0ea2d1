"""Alertmanager: groups what fires, leaves out what follows from something worse, and delivers it to the receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.alertmanager import Receivers, Webhook, configuration
from alerts.model import Scale
from infra.local.component import Component, http_probe
from infra.local.components import operations
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "alertmanager"
PORT = "alertmanager"
PROGRAM = "alertmanager"
CONFIG = "alertmanager.yml"


def base_url(envelope: Envelope) -> str:
    """Return the root URL of Alertmanager."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def _files(envelope: Envelope) -> dict[str, str]:
    everything = Receivers(webhook=Webhook(url=operations.receiver_url(envelope)))
    return {CONFIG: configuration(everything, scale=Scale(factor=envelope.options.alert_scale))}


def _command(envelope: Envelope) -> tuple[str, ...]:
    directory = envelope.directory(NAME)
    return (
        str(envelope.tools[PROGRAM]),
        f"--config.file={directory / CONFIG}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address={LOOPBACK}:{envelope.ports[PORT]}",
        f"--web.external-url={base_url(envelope)}/",
        "--cluster.listen-address=",  # one alone: else it would listen to the whole network for others
        "--log.level=warn",
    )


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 9_093),),
        tools=(PROGRAM,),
        files=_files,
        command=_command,
        metrics=PORT,
        probe=lambda envelope: http_probe(f"{base_url(envelope)}/-/ready"),
        url=base_url,
        hint=f"`simplicity logs {NAME}` tells why",
    ),
)
