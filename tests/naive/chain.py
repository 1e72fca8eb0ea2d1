"""Raw blocks in, rows and hashes out: decoding by btclib, sections 9 and 10 by the letter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from btclib.block.block import Block
from btclib.script.script_pub_key import address

from tests.naive.payload import is_83, show_amount
from tests.naive.rules import Row, State, Token, Transaction, apply_block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from btclib.tx.tx import Tx

NETWORKS = {"main": "mainnet", "test": "testnet", "signet": "signet", "regtest": "regtest"}
SHORT_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True)
class BlockResult:
    """What one block left behind; hashes are 32 bytes, the digest is a number below 2^256."""

    height: int
    events: list[bytes]
    events_hash: bytes
    state_hash: bytes
    state_digest: int
    rows: list[Row]


@dataclass(frozen=True)
class Result:
    """All blocks, and the state after the last: balances other than zero in units by (ticker, address)."""

    blocks: list[BlockResult]
    balances: dict[tuple[str, str], int]
    deploys: dict[str, Token]


def run(
    blocks: Sequence[bytes],
    start_height: int,
    prevouts: Callable[[bytes, int], bytes],
    *,
    network: str = "regtest",
    marketplace_height: int,
) -> Result:
    """Apply raw blocks in chain order, the first at `start_height`.

    `prevouts(txid, vout)` (txid in internal order) gives the script of an output that was made before the first block.
    """
    state = State()
    known: dict[tuple[bytes, int], bytes] = {}
    state_hash = bytes(32)
    results = []
    for height, raw in enumerate(blocks, start_height):
        block = Block.parse(raw, check_validity=False)
        for tx in block.transactions:
            known.update({(wire_id(tx.id), n): output.script_pub_key.script for n, output in enumerate(tx.vout)})
        readings = [read_transaction(tx, known, prevouts, network) for tx in block.transactions[1:]]
        rows = apply_block(readings, height, state, marketplace_height)
        events = [event_of(row) for row in rows]
        events_hash = hashlib.sha256(b"".join(events)).digest()
        state_hash = hashlib.sha256(state_hash + events_hash).digest()
        results.append(BlockResult(height, events, events_hash, state_hash, state_digest(state), rows))
    balances = {key: units for key, units in state.balances.items() if units != 0}
    return Result(results, balances, state.tokens)


def wire_id(displayed: bytes) -> bytes:
    return bytes(displayed)[::-1]


def read_transaction(
    tx: Tx, known: dict[tuple[bytes, int], bytes], prevouts: Callable[[bytes, int], bytes], network: str
) -> Transaction:
    senders: list[str | None] = []
    for item in tx.vin:
        outpoint = (wire_id(item.prev_out.tx_id), item.prev_out.vout)
        script = known[outpoint] if outpoint in known else prevouts(*outpoint)
        senders.append(address_of(script, network))
    scripts = [output.script_pub_key.script for output in tx.vout]
    return Transaction(
        txid=bytes(tx.id).hex(),
        senders=senders,
        marks=[is_83(item.script_sig, list(item.script_witness.stack)) for item in tx.vin],
        scripts=scripts,
        addresses=[address_of(script, network) for script in scripts],
    )


def address_of(script: bytes, network: str) -> str | None:
    return address(script, NETWORKS[network]) or None


def event_of(row: Row) -> bytes:
    step = "" if row.step is None else str(row.step)
    valid = "0" if row.error else "1"
    fields = [row.txid, str(row.vout), step, escape(row.op), escape(row.ticker), row.amount]
    return (";".join([*fields, row.sender, row.recipient, valid, row.error]) + "\n").encode()


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\s").replace("\n", "\\n")


def state_digest(state: State) -> int:
    """Return the digest of the whole state, recomputed from nothing."""
    rows = []
    for ticker, token in state.tokens.items():
        limit = "null" if token.limit is None else quote(show_amount(token.limit))
        deployer = "null" if token.deployer is None else quote(token.deployer)
        amounts = [quote(show_amount(token.maximum)), limit, quote(show_amount(token.minted))]
        rows.append([quote("deploys"), quote(ticker), *amounts, str(token.height), quote(token.txid), deployer])
    for (ticker, owner), units in state.balances.items():
        if units != 0:
            rows.append([quote("balances"), quote(ticker), quote(owner), quote(show_amount(units))])
    total = 0
    for row in rows:
        text = "[" + ",".join(row) + "]"
        total += int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return total % 2**256


def quote(text: str) -> str:
    return '"' + "".join(quote_char(char) for char in text) + '"'


def quote_char(char: str) -> str:
    if char in SHORT_ESCAPES:
        return SHORT_ESCAPES[char]
    return f"\\u{ord(char):04x}" if char < " " else char
