"""What the envelope is at: each component's state, the tip and the state hash."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import httpx2

from infra.local.assembly import ensure_secrets, merged, remembered_ports
from infra.local.bring_up import judged
from infra.local.component import Envelope, components, http
from infra.local.components import haproxy
from infra.local.layout import read_object
from infra.local.processes import envelope_processes
from infra.local.supervisor import State, Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.layout import Layout


class Overall(StrEnum):
    """The envelope in one word."""

    RUNNING = "running"
    WRONG = "something is wrong"
    DOWN = "not up"


@dataclass(frozen=True, slots=True)
class Row:
    """One component as a person wants to see it: `pid` is 0 when it does not run."""

    component: str
    state: str
    pid: int
    url: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Tip:
    """The last indexed block, the node's best one, and the last block that had an operation."""

    height: int
    node_height: int
    last_operation: int
    state_hash: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The whole envelope at one moment; `tip` is None before the first indexed block, `api` what people open.

    `leftovers` counts processes that no supervisor looks after, when none answers.
    """

    overall: Overall
    rows: tuple[Row, ...] = ()
    tip: Tip | None = None
    api: str = ""
    leftovers: int = 0


def existing(layout: Layout) -> Envelope | None:
    """Return the envelope that an earlier `up` has made, None if there is none."""
    ports = remembered_ports(layout)
    everything = components()
    if any(port.name not in ports for component in everything for port in component.ports):
        return None
    secrets = ensure_secrets(layout, (name for component in everything for name in component.secrets))
    return Envelope(layout=layout, ports=ports, options=merged(read_object(layout.options)), secrets=secrets)


def picture(layout: Layout) -> Picture:
    """Look at every component; takes a moment, longer where one hangs."""
    states = Supervisor(layout).states()
    envelope = existing(layout)
    if envelope is None or not states:
        left = len(envelope_processes(layout.data))
        return Picture(Overall.WRONG if left else Overall.DOWN, leftovers=left)
    found = rows(envelope, states)
    healthy = all(row.state == "running" for row in found)
    overall = Overall.RUNNING if healthy else Overall.WRONG
    return Picture(overall, found, tip(envelope), haproxy.base_url(envelope))


def rows(envelope: Envelope, states: Mapping[str, State]) -> tuple[Row, ...]:
    """Probe every wanted component, those that others need first; `states` is what supervisor says of them."""
    found = []
    for component in components():
        if not component.wanted(envelope.options):
            continue
        state = states.get(component.name) or State(component.name, "MISSING", 0, "`simplicity up` starts it")
        probe = judged(component, state, envelope)
        word = (
            "running" if probe.ready else "not ready" if state.state in {"RUNNING", "STARTING"} else state.state.lower()
        )
        found.append(Row(component.name, word, state.pid, component.url(envelope), probe.detail, component.hint))
    return tuple(found)


def tip(envelope: Envelope) -> Tip | None:
    """Ask the API for the last indexed block; None when there is none, or no API that answers."""
    try:
        answer = http().get(f"{haproxy.base_url(envelope)}/v1/indexer/brc20/status")
        fields = answer.raise_for_status().json()
        if not fields["state_hash"]:
            return None
        return Tip(
            height=int(fields["last_indexed_block_main_chain"]),
            node_height=int(fields["current_block_height_network"]),
            last_operation=int(fields["last_indexed_brc20_op_block"]),
            state_hash=str(fields["state_hash"]),
        )
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None
