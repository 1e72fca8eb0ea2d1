"""What other people put into the node's mempool, in an order in which a block may hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.node.wire import Transaction, decode_transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.local.traffic.rpc import Rpc

# Far below what a block holds; the rest waits for the next one.
_MOST = 200


def waiting_transactions(rpc: Rpc) -> list[bytes]:
    """Return the mempool's raw transactions, at most 200, each behind those that it spends."""
    txids = sorted(rpc.call("getrawmempool"))
    # One may be gone since the list was made.
    raws = rpc.try_batch("getrawtransaction", [(txid,) for txid in txids])
    return [tx.raw for tx in in_order([decode_transaction(bytes.fromhex(raw)) for raw in raws])[:_MOST]]


def in_order(transactions: Sequence[Transaction]) -> list[Transaction]:
    """Return the transactions so that each follows those of them that it spends."""
    left = {tx.txid: tx for tx in transactions}
    ordered: list[Transaction] = []
    while left:
        ready = [tx for tx in left.values() if not any(item.txid in left for item in tx.inputs)]
        ordered += ready
        for tx in ready:
            del left[tx.txid]
    return ordered
