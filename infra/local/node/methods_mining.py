"""Methods that make blocks, or take them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.node.errors import Code, RpcError
from infra.local.node.methods_chain import HASH_DIGITS, parse_hash, parse_hex
from infra.local.node.methods_transactions import parse_transaction
from infra.local.node.present import Json, displayed
from infra.local.node.rpc import Argument, Method
from infra.local.node.scripts import script_for

if TYPE_CHECKING:
    from infra.local.node.node import Node

_MAX_BLOCKS = 100_000


def submitblock(node: Node, hexdata: str, _dummy: str | None) -> str | None:
    """Validate a block; return null when it is the new tip, else BIP22's reason."""
    raw = parse_hex(hexdata)
    if raw is None:
        raise RpcError(Code.DESERIALIZATION, "Block decode failed")
    return node.submit(raw)


def generatetoaddress(node: Node, nblocks: int, address: str, _maxtries: int) -> list[str]:
    """Mine blocks with what waits in the mempool; return their hashes."""
    script = script_for(address)
    if script is None:
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "Error: Invalid address")
    if nblocks > _MAX_BLOCKS:
        raise RpcError(Code.INVALID_PARAMETER, f"nblocks must be at most {_MAX_BLOCKS}")
    return [displayed(node.generate(script)) for _ in range(nblocks)]


def generateblock(node: Node, output: str, transactions: list[object]) -> Json:
    """Mine one block with exactly the given transactions; return its hash."""
    script = script_for(output)
    if script is None:
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "Error: Invalid address or descriptor")
    return {"hash": displayed(node.mine(script, [_chosen(node, item) for item in transactions]))}


def _chosen(node: Node, item: object) -> bytes:
    if not isinstance(item, str):
        raise RpcError(Code.TYPE, "transactions must be strings: txids of the mempool, or raw transactions")
    if len(item) == HASH_DIGITS:
        waiting = node.mempool.get(parse_hash("transaction", item))
        if waiting is None:
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, f"Transaction {item} not in mempool.")
        return waiting.tx.raw
    tx = parse_transaction(item)
    if tx is None:
        message = f"Transaction decode failed for {item}. Make sure the tx has at least one input."
        raise RpcError(Code.DESERIALIZATION, message)
    return tx.raw


def reorg(node: Node, depth: int) -> Json:
    """Take blocks off the chain; return the hashes that went and those that came."""
    done = node.reorganise(depth)
    return {
        "disconnected": [displayed(item) for item in done.disconnected],
        "connected": [displayed(item) for item in done.connected],
    }


METHODS = (
    Method(
        "submitblock",
        submitblock,
        (Argument("hexdata", (str,)), Argument("dummy", (str,), default=None)),
        "Validates a block with Bitcoin Core's code and takes it in. Returns null, or BIP22's reason.",
    ),
    Method(
        "generatetoaddress",
        generatetoaddress,
        (
            Argument("nblocks", (int,)),
            Argument("address", (str,)),
            Argument("maxtries", (int,), default=1_000_000),
        ),
        "Mines blocks that pay to an address, with what waits in the mempool. Returns their hashes.",
    ),
    Method(
        "generateblock",
        generateblock,
        (Argument("output", (str,)), Argument("transactions", (list,))),
        "Mines one block with exactly these transactions (txids of the mempool, or raw). Returns its hash.",
    ),
    Method(
        "reorg",
        reorg,
        (Argument("depth", (int,)),),
        "Not a method of bitcoind, for tests only: takes the last `depth` blocks off the chain by mining\n"
        "depth + 1 empty blocks beside them. Returns the hashes that went and those that came.",
    ),
)
