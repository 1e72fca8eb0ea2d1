"""Methods about transactions and the mempool."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from infra.local.node.errors import Code, RpcError
from infra.local.node.mempool import MAX_MONEY, MAX_WEIGHT
from infra.local.node.methods_chain import HASH_DIGITS, parse_hash, parse_hex
from infra.local.node.present import Json, amount, displayed, transaction_json
from infra.local.node.rpc import Argument, Method
from infra.local.node.undo import unspendable
from infra.local.node.wire import Transaction, WireError, decode_block, decode_transaction

if TYPE_CHECKING:
    from infra.local.node.node import Node
    from infra.local.node.store import View
    from infra.local.node.undo import Coin

_NO_INDEX = "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain transaction queries"
_NOT_FOUND = "No such mempool or blockchain transaction"
_NOT_IN_BLOCK = "No such transaction found in the provided block"
GENESIS_COINBASE = bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")[::-1]
_SATOSHI = 100_000_000
# bitcoind's own mempool limit; a regtest mempool never comes near it.
_MAX_MEMPOOL = 300_000_000


def parse_transaction(text: str) -> Transaction | None:
    """Return a transaction given in hexadecimal; None when it does not decode."""
    raw = parse_hex(text)
    try:
        return decode_transaction(raw) if raw and len(raw) <= MAX_WEIGHT else None
    except WireError:
        return None


def getrawtransaction(node: Node, txid: str, verbosity: int | bool, blockhash: str | None) -> Json | str:  # noqa: FBT001 - bitcoind's signature
    """Return a transaction of the mempool, of the index, or of a given block."""
    wanted = parse_hash("parameter 1", txid)
    level = int(verbosity)
    with node.lock:
        waiting = node.mempool.get(wanted) if blockhash is None else None
    if waiting is not None:
        return transaction_json(waiting.tx) if level >= 1 else waiting.tx.raw.hex()
    with node.store.reader() as view:
        if wanted == GENESIS_COINBASE:
            message = "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved"
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, message)
        block_hash, raw = _find(node, view, wanted, blockhash)
        if level <= 0:
            return raw.hex()
        tx = decode_transaction(raw)
        found: Json = {}
        if blockhash is not None:
            entry = view.entry(block_hash)
            found["in_active_chain"] = entry is not None and view.active_hash(entry.height) == block_hash
        spent = _spent_by(view, block_hash, tx) if level >= 2 else None
        found |= transaction_json(tx, spent, prevouts=True)
        return found | _place(view, block_hash)


def _find(node: Node, view: View, txid: bytes, blockhash: str | None) -> tuple[bytes, bytes]:
    if blockhash is not None:
        block_hash = parse_hash("parameter 3", blockhash)
        raw = view.raw_block(block_hash)
        if raw is None:
            raise RpcError(Code.INVALID_ADDRESS_OR_KEY, "Block hash not found")
        found = next((tx for tx in decode_block(raw).transactions if tx.txid == txid), None)
        if found is None:
            raise _missing(_NOT_IN_BLOCK)
        return block_hash, found.raw
    if not node.transaction_index:
        raise _missing(_NO_INDEX)
    indexed = view.find_transaction(txid)
    if indexed is None:
        raise _missing(_NOT_FOUND)
    return indexed[1], indexed[0]


def _missing(what: str) -> RpcError:
    message = f"{what}. Use gettransaction for wallet transactions."
    return RpcError(Code.INVALID_ADDRESS_OR_KEY, message)


def _spent_by(view: View, block_hash: bytes, tx: Transaction) -> list[Coin] | None:
    raw, spent = view.raw_block(block_hash), view.spent_coins(block_hash)
    if raw is None or spent is None or tx.is_coinbase:
        return None
    position = [other.txid for other in decode_block(raw).transactions].index(tx.txid)
    return spent[position - 1]


def _place(view: View, block_hash: bytes) -> Json:
    entry = view.entry(block_hash)
    if entry is None or view.active_hash(entry.height) != block_hash:
        return {"blockhash": displayed(block_hash), "confirmations": 0}
    stamp = entry.header.time
    confirmations = view.height() - entry.height + 1
    return {"blockhash": displayed(block_hash), "confirmations": confirmations, "time": stamp, "blocktime": stamp}


def sendrawtransaction(node: Node, hexstring: str, maxfeerate: float | str, maxburnamount: float | str) -> str:
    """Check a transaction, keep it in the mempool, return its txid."""
    tx = parse_transaction(hexstring)
    if tx is None or not tx.inputs:
        message = "TX decode failed. Make sure the tx has at least one input."
        raise RpcError(Code.DESERIALIZATION, message)
    burnt = sum(output.value for output in tx.outputs if unspendable(output.script))
    if burnt > _satoshi(maxburnamount):
        raise RpcError(Code.VERIFY, "Unspendable output exceeds maximum configured by user (maxburnamount)")
    rate = _satoshi(maxfeerate)
    node.accept(tx, rate * tx.vsize // 1000 if rate else MAX_MONEY)
    return displayed(tx.txid)


def _satoshi(value: float | str) -> int:
    try:
        found = Decimal(str(value)) * _SATOSHI
    except InvalidOperation:
        raise RpcError(Code.TYPE, "Invalid amount") from None
    if not found.is_finite() or found != found.to_integral_value() or found < 0:
        raise RpcError(Code.TYPE, "Amount out of range")
    return int(found)


def getrawmempool(node: Node, verbose: bool) -> list[str] | Json:  # noqa: FBT001 - bitcoind's signature
    """Return the mempool's txids, or with `verbose` an object with the main figures of each."""
    with node.lock:
        waiting = node.mempool.all()
    if not verbose:
        return [displayed(item.tx.txid) for item in waiting]
    inside = {item.tx.txid for item in waiting}
    return {
        displayed(item.tx.txid): {
            "vsize": item.tx.vsize,
            "weight": item.tx.weight,
            "time": item.time,
            "height": item.height,
            "fees": {"base": amount(item.fee)},
            "depends": sorted({displayed(spend.txid) for spend in item.tx.inputs if spend.txid in inside}),
        }
        for item in waiting
    }


def getmempoolinfo(node: Node) -> Json:
    """Return the mempool's size."""
    with node.lock:
        waiting = node.mempool.all()
    return {
        "loaded": True,
        "size": len(waiting),
        "bytes": sum(item.tx.vsize for item in waiting),
        "usage": sum(len(item.tx.raw) for item in waiting),
        "total_fee": amount(sum(item.fee for item in waiting)),
        "maxmempool": _MAX_MEMPOOL,
        "mempoolminfee": amount(0),
        "minrelaytxfee": amount(0),
        "unbroadcastcount": 0,
        "fullrbf": False,
    }


def decoderawtransaction(_node: Node, hexstring: str) -> Json:
    """Return a transaction given in hexadecimal as an object."""
    tx = parse_transaction(hexstring)
    if tx is None:
        raise RpcError(Code.DESERIALIZATION, "TX decode failed. Make sure the tx has at least one input.")
    found = transaction_json(tx)
    del found["hex"]
    return found


_AMOUNT = (float, int, str)
METHODS = (
    Method(
        "getrawtransaction",
        getrawtransaction,
        (
            Argument("txid", (str,)),
            Argument("verbosity", (int, bool), default=0),
            Argument("blockhash", (str,), default=None),
        ),
        "Returns a transaction: 0 hexadecimal, 1 an object, 2 also with its fee and what each input spent.\n"
        f"txid has {HASH_DIGITS} hexadecimal digits; blockhash says in which block to look.",
    ),
    Method(
        "sendrawtransaction",
        sendrawtransaction,
        (
            Argument("hexstring", (str,)),
            Argument("maxfeerate", _AMOUNT, default="0.10"),
            Argument("maxburnamount", _AMOUNT, default="0"),
        ),
        "Checks a transaction (consensus rules; no relay policy) and keeps it in the mempool; returns its txid.",
    ),
    Method("decoderawtransaction", decoderawtransaction, (Argument("hexstring", (str,)),), "Returns it as an object."),
    Method(
        "getrawmempool",
        getrawmempool,
        (Argument("verbose", (bool,), default=False),),
        "Returns the txids in the mempool; with verbose=true the main figures of each.",
    ),
    Method("getmempoolinfo", getmempoolinfo, (), "Returns the size of the mempool."),
)
