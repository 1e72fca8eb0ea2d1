"""Methods about the node itself, and the table of all methods."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from infra.local.node import methods_chain, methods_mining, methods_transactions
from infra.local.node.present import Json, amount
from infra.local.node.rpc import Argument, Method

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.local.node.node import Node

# The release of bitcoind whose answers this node gives.
_VERSION = 300000
_PROTOCOL_VERSION = 70016


def uptime(node: Node) -> int:
    """Return the seconds since the node started."""
    return int(time.time() - node.started)


def getnetworkinfo(_node: Node) -> Json:
    """Return the network's state: this node has no peers."""
    return {
        "version": _VERSION,
        "subversion": f"/Simplicity:{version('simplicity')}/",
        "protocolversion": _PROTOCOL_VERSION,
        "localservices": "0000000000000009",
        "localservicesnames": ["NETWORK", "WITNESS"],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": False,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": amount(0),
        "incrementalfee": amount(0),
        "localaddresses": [],
        "warnings": [],
    }


def getindexinfo(node: Node, index_name: str | None) -> Json:
    """Return the state of the transaction index."""
    if not node.transaction_index or index_name not in {None, "", "txindex"}:
        return {}
    with node.store.reader() as view:
        return {"txindex": {"synced": True, "best_block_height": view.height()}}


def table(request_stop: Callable[[], None]) -> dict[str, Method]:
    """Return every method by name; `request_stop` asks the process to stop cleanly."""

    def stop(_node: Node) -> str:
        request_stop()
        return "Bitcoin Core stopping"

    def help_(_node: Node, command: str | None) -> str:
        if command is None:
            return "\n".join(method.usage for method in sorted(methods.values(), key=lambda item: item.name))
        if command not in methods:
            return f"help: unknown command: {command}"
        return f"{methods[command].usage}\n\n{methods[command].help}"

    own = (
        Method("uptime", uptime, (), "Returns the seconds since the node started."),
        Method("getnetworkinfo", getnetworkinfo, (), "Returns the network's state; this node has no peers."),
        Method(
            "getindexinfo",
            getindexinfo,
            (Argument("index_name", (str,), default=None),),
            "Returns the state of the transaction index; nothing when there is none.",
        ),
        Method("stop", stop, (), "Stops the node cleanly."),
        Method("help", help_, (Argument("command", (str,), default=None),), "Lists the methods, or explains one."),
    )
    everything = (*methods_chain.METHODS, *methods_transactions.METHODS, *methods_mining.METHODS, *own)
    methods = {method.name: method for method in everything}
    return methods
