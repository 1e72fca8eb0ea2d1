"""Methods about blocks and the chain they form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from infra.local.node.errors import Code, RpcError
from infra.local.node.mining import target
from infra.local.node.present import Json, amount, block_json, difficulty, displayed, header_json
from infra.local.node.rpc import Argument, Method
from infra.local.node.scripts import describe
from infra.local.node.wire import decode_block

if TYPE_CHECKING:
    from infra.local.node.node import Node
    from infra.local.node.store import Entry, View

HASH_DIGITS = 64
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def parse_hash(name: str, text: str) -> bytes:
    """Return a displayed hash in wire order; raise RpcError as bitcoind's ParseHashV."""
    if len(text) != HASH_DIGITS:
        message = f"{name} must be of length {HASH_DIGITS} (not {len(text)}, for '{text}')"
        raise RpcError(Code.INVALID_PARAMETER, message)
    if not _HEX_DIGITS.issuperset(text):
        raise RpcError(Code.INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')")
    return bytes.fromhex(text)[::-1]


def parse_hex(text: str) -> bytes | None:
    """Return the bytes of a hexadecimal string without blanks; None when it is not one."""
    return bytes.fromhex(text) if len(text) % 2 == 0 and _HEX_DIGITS.issuperset(text) else None


def find_block(view: View, name: str, text: str) -> Entry:
    """Return a block by its displayed hash; raise RpcError when the node does not have it."""
    entry = view.entry(parse_hash(name, text))
    if entry is None:
        raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "Block not found")
    return entry


def getblockchaininfo(node: Node) -> Json:
    """Return the state of the chain."""
    with node.store.reader() as view:
        tip = view.tip()
        return {
            "chain": "regtest",
            "blocks": tip.height,
            "headers": tip.height,
            "bestblockhash": displayed(tip.hash),
            "bits": f"{tip.header.bits:08x}",
            "target": f"{target(tip.header.bits):064x}",
            "difficulty": difficulty(tip.header.bits),
            "time": tip.header.time,
            "mediantime": view.median_time(tip),
            "verificationprogress": 1,
            # As bitcoind: a chain whose tip is older than a day counts as still downloading.
            "initialblockdownload": time.time() - tip.header.time > 24 * 3600,
            "chainwork": f"{tip.work:064x}",
            "size_on_disk": view.size_on_disk(),
            "pruned": False,
            "warnings": [],
        }


def getblockcount(node: Node) -> int:
    """Return the height of the active chain."""
    with node.store.reader() as view:
        return view.height()


def getbestblockhash(node: Node) -> str:
    """Return the hash of the tip."""
    with node.store.reader() as view:
        return displayed(view.tip().hash)


def getblockhash(node: Node, height: int) -> str:
    """Return the hash of the active chain's block at a height."""
    with node.store.reader() as view:
        found = view.active_hash(height) if 0 <= height <= view.height() else None
    if found is None:
        raise RpcError(Code.INVALID_PARAMETER, "Block height out of range")
    return displayed(found)


def getblockheader(node: Node, blockhash: str, verbose: bool) -> Json | str:  # noqa: FBT001 - bitcoind's signature
    """Return a header as an object, or in hexadecimal."""
    with node.store.reader() as view:
        entry = find_block(view, "hash", blockhash)
        return header_json(view, entry) if verbose else entry.header.raw.hex()


def getblock(node: Node, blockhash: str, verbosity: int | bool) -> Json | str:  # noqa: FBT001 - bitcoind's signature
    """Return a block: 0 in hexadecimal, 1 with txids, 2 with transactions, 3 also with what inputs spent."""
    with node.store.reader() as view:
        entry = find_block(view, "blockhash", blockhash)
        raw = view.raw_block(entry.hash)
        if raw is None:
            raise RpcError(Code.MISC, "Block not available")
        return raw.hex() if int(verbosity) <= 0 else block_json(view, entry, decode_block(raw), int(verbosity))


def getchaintips(node: Node) -> list[Json]:
    """Return every branch's last block."""
    with node.store.reader() as view:
        tip = view.tip()
        found: list[Json] = []
        for leaf, height, was_active in view.leaves():
            fork: Entry | None = view.entry(leaf)
            while fork is not None and view.active_hash(fork.height) != fork.hash:
                fork = view.entry(fork.header.prev_hash)
            status = "active" if leaf == tip.hash else "valid-fork" if was_active else "valid-headers"
            length = height - fork.height if fork else height
            found.append({"height": height, "hash": displayed(leaf), "branchlen": length, "status": status})
        return found


def gettxout(node: Node, txid: str, index: int, include_mempool: bool) -> Json | None:  # noqa: FBT001 - bitcoind's
    """Return an unspent output; null when it is spent or never was."""
    outpoint = parse_hash("txid", txid) + (index & 0xFFFFFFFF).to_bytes(4, "little")
    with node.lock:
        if include_mempool and node.mempool.is_spent(outpoint):
            return None
        tip = node.store.tip()
        coin = node.store.coin(outpoint)
        confirmations = tip.height - coin.height + 1 if coin else 0
        coin = coin or (node.mempool.created_coin(outpoint) if include_mempool else None)
    if coin is None:
        return None
    return {
        "bestblock": displayed(tip.hash),
        "confirmations": confirmations,
        "value": amount(coin.value),
        "scriptPubKey": describe(coin.script),
        "coinbase": coin.coinbase,
    }


def waitfornewblock(node: Node, timeout: int, current_tip: str | None) -> Json:
    """Wait for the tip to change, at most `timeout` milliseconds (0: no limit); return the tip."""
    if timeout < 0:
        raise RpcError(Code.MISC, "Negative timeout")
    before = parse_hash("current_tip", current_tip) if current_tip is not None else None
    node.wait_for_new_tip(before, timeout / 1000 if timeout else None)
    with node.store.reader() as view:
        tip = view.tip()
        return {"hash": displayed(tip.hash), "height": tip.height}


_HASH: tuple[Any, ...] = (str,)
METHODS = (
    Method("getblockchaininfo", getblockchaininfo, (), "Returns the state of the chain."),
    Method("getblockcount", getblockcount, (), "Returns the height of the active chain."),
    Method("getbestblockhash", getbestblockhash, (), "Returns the hash of the tip."),
    Method("getblockhash", getblockhash, (Argument("height", (int,)),), "Returns the hash of the block at a height."),
    Method(
        "getblockheader",
        getblockheader,
        (Argument("blockhash", _HASH), Argument("verbose", (bool,), default=True)),
        "Returns a block's header as an object; with verbose=false in hexadecimal.",
    ),
    Method(
        "getblock",
        getblock,
        (Argument("blockhash", _HASH), Argument("verbosity", (int, bool), default=1)),
        "Returns a block: 0 hexadecimal, 1 with txids, 2 with transactions, 3 also with what each input spent.",
    ),
    Method("getchaintips", getchaintips, (), "Returns the last block of every branch."),
    Method(
        "gettxout",
        gettxout,
        (Argument("txid", _HASH), Argument("n", (int,)), Argument("include_mempool", (bool,), default=True)),
        "Returns an unspent output, or null.",
    ),
    Method(
        "waitfornewblock",
        waitfornewblock,
        (Argument("timeout", (int,), default=0), Argument("current_tip", _HASH, default=None)),
        "Waits until the tip changes, or for that many milliseconds (0: without limit); returns the tip.",
    ),
)
