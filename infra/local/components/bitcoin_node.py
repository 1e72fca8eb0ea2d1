"""The regtest node: real blocks, validated by Bitcoin Core's own consensus code, behind bitcoind's JSON-RPC."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2

from infra.local.component import Component, Probe, http
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.component import Envelope

NAME = "bitcoin-node"
PORT = "node_rpc"


def rpc_url(envelope: Envelope) -> str:
    """Return the URL of the node's RPC, without credentials."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def cookie_file(envelope: Envelope) -> Path:
    """Return the file with the node's RPC credentials, new at each start of the node."""
    return envelope.directory(NAME) / ".cookie"


def call(envelope: Envelope, method: str) -> Any:  # noqa: ANN401 - each RPC method answers in its own shape
    """Call an RPC method without parameters; raises OSError or httpx2.HTTPError when the node does not answer."""
    user, _, password = cookie_file(envelope).read_text(encoding="ascii").strip().partition(":")
    answer = http().post(
        rpc_url(envelope),
        content=json.dumps({"jsonrpc": "1.0", "id": "up", "method": method, "params": []}),
        auth=(user, password),
    )
    answer.raise_for_status()
    return answer.json()["result"]


def height_probe(envelope: Envelope, at_least: int) -> Probe:
    """Say whether the node answers and its chain has reached a height."""
    try:
        height = int(call(envelope, "getblockcount"))
    except (OSError, ValueError, KeyError, TypeError, httpx2.HTTPError) as error:
        return Probe(ready=False, detail=f"{rpc_url(envelope)} does not answer ({type(error).__name__})")
    return Probe(ready=height >= at_least, detail=f"height {height}")


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 18_443),),
        command=lambda envelope: simplicity_command(
            "node", "--data-dir", str(envelope.directory(NAME)), "--port", str(envelope.ports[PORT]), "--rest"
        ),
        probe=lambda envelope: height_probe(envelope, 0),
        url=rpc_url,
        hint="`simplicity logs bitcoin-node` tells why; if its chain is damaged, `simplicity reset` starts a new one",
    ),
)
