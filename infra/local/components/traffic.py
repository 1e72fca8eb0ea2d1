"""Makes the regtest chain live: mines blocks with BRC-20 operations and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.component import Component
from infra.local.components.bitcoin_node import cookie_file, height_probe, rpc_url
from infra.local.components.sync import MARKETPLACE_HEIGHT, START_HEIGHT
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from infra.local.component import Envelope


# At the default rate a reorg every two minutes: a newcomer sees one, and it stays an exception.
REORG_EVERY, REORG_DEPTH = 60, 2


def _command(envelope: Envelope) -> tuple[str, ...]:
    options = envelope.options
    return simplicity_command(
        "traffic",
        f"--rpc-url={rpc_url(envelope)}",
        f"--rpc-cookie-file={cookie_file(envelope)}",
        f"--rate={options.rate}",
        f"--seed={options.seed}",
        f"--reorg-every={REORG_EVERY}",
        f"--reorg-depth={REORG_DEPTH}",
        "--json",
    )


COMPONENTS = (
    Component(
        name="traffic",
        needs=("bitcoin-node",),
        wanted=lambda options: options.traffic,
        command=_command,
        # Which sales are well formed depends on it: the same value as the indexer's.
        environment=lambda _: {"MARKETPLACE_TRANSFER_BLOCK_HEIGHT": str(MARKETPLACE_HEIGHT)},
        # The first blocks only mature coinbases; the chain is live when indexing can begin.
        probe=lambda envelope: height_probe(envelope, START_HEIGHT),
        url=lambda envelope: f"{envelope.options.rate:g} blocks/s to {rpc_url(envelope)}",
        hint="`simplicity logs traffic` tells why; `simplicity up --no-traffic` leaves it out",
    ),
)
