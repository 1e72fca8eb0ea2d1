"""Blocks and transactions as the JSON that bitcoind answers with: same names, same order, same number formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from infra.local.node.mining import target
from infra.local.node.scripts import assembly, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.local.node.store import Entry, View
    from infra.local.node.undo import Coin
    from infra.local.node.wire import Block, Input, Transaction

Json = dict[str, Any]
_SATOSHI = 100_000_000


def displayed(block_hash: bytes) -> str:
    """Return a hash as people write it: hexadecimal, bytes reversed."""
    return block_hash[::-1].hex()


def amount(satoshi: int) -> orjson.Fragment:
    """Return satoshi as a JSON number of bitcoins with eight decimals, exact to the last."""
    sign = "-" if satoshi < 0 else ""
    whole, part = divmod(abs(satoshi), _SATOSHI)
    return orjson.Fragment(f"{sign}{whole}.{part:08d}")


def difficulty(bits: int) -> orjson.Fragment:
    """Return the difficulty relative to the main network's first target, with bitcoind's sixteen digits."""
    shift = 29 - (bits >> 24)
    return orjson.Fragment(f"{0xFFFF / (bits & 0xFFFFFF) * 256.0**shift:.16g}")


def header_json(view: View, entry: Entry) -> Json:
    """Return `getblockheader`'s object."""
    header = entry.header
    active = view.active_hash(entry.height) == entry.hash
    following = view.active_hash(entry.height + 1) if active else None
    found: Json = {
        "hash": displayed(entry.hash),
        "confirmations": view.height() - entry.height + 1 if active else -1,
        "height": entry.height,
        "version": header.version,
        "versionHex": f"{header.version & 0xFFFFFFFF:08x}",
        "merkleroot": displayed(header.merkle_root),
        "time": header.time,
        "mediantime": view.median_time(entry),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "target": f"{target(header.bits):064x}",
        "difficulty": difficulty(header.bits),
        "chainwork": f"{entry.work:064x}",
        "nTx": entry.transactions,
    }
    if entry.height > 0:
        found["previousblockhash"] = displayed(header.prev_hash)
    if following:
        found["nextblockhash"] = displayed(following)
    return found


def block_json(view: View, entry: Entry, block: Block, verbosity: int) -> Json:
    """Return `getblock`'s object: 1 lists txids, 2 transactions with fees, 3 also what each input spent."""
    found = header_json(view, entry)
    found |= {"strippedsize": block.stripped_size, "size": len(block.raw), "weight": block.weight}
    if verbosity <= 1:
        found["tx"] = [displayed(tx.txid) for tx in block.transactions]
        return found
    spent = view.spent_coins(entry.hash)
    # A block that never was active has no record of what it spent: bitcoind leaves fee and prevout out, too.
    none: list[list[Coin] | None] = [None]
    coins = none + (none * (len(block.transactions) - 1) if spent is None else list(spent))
    found["tx"] = [
        transaction_json(tx, spends, prevouts=verbosity >= 3)
        for tx, spends in zip(block.transactions, coins, strict=True)
    ]
    return found


def transaction_json(tx: Transaction, spent: Sequence[Coin] | None = None, *, prevouts: bool = False) -> Json:
    """Return one transaction; `spent` are its inputs' coins, shown with `prevouts`."""
    found: Json = {
        "txid": displayed(tx.txid),
        "hash": displayed(tx.wtxid),
        "version": tx.version,
        "size": len(tx.raw),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.locktime,
        "vin": [
            _input_json(item, spent[index] if prevouts and spent else None, coinbase=tx.is_coinbase)
            for index, item in enumerate(tx.inputs)
        ],
        "vout": [
            {"value": amount(output.value), "n": index, "scriptPubKey": describe(output.script)}
            for index, output in enumerate(tx.outputs)
        ],
    }
    if spent is not None:
        found["fee"] = amount(sum(coin.value for coin in spent) - sum(output.value for output in tx.outputs))
    found["hex"] = tx.raw.hex()
    return found


def _input_json(item: Input, coin: Coin | None, *, coinbase: bool) -> Json:
    found: Json = {"coinbase": item.script.hex()} if coinbase else {"txid": displayed(item.txid), "vout": item.vout}
    if not coinbase:
        found["scriptSig"] = {"asm": assembly(item.script, signature=True), "hex": item.script.hex()}
    if item.witness:
        found["txinwitness"] = [element.hex() for element in item.witness]
    if coin is not None:
        found["prevout"] = {
            "generated": coin.coinbase,
            "height": coin.height,
            "value": amount(coin.value),
            "scriptPubKey": describe(coin.script),
        }
    found["sequence"] = item.sequence
    return found
