"""Coins (unspent outputs) and the record of those a block spent, by which it can be taken back."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.node.wire import Output, Reader, Transaction, compact_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OP_RETURN = b"\x6a"
_MAX_SCRIPT_SIZE = 10_000
_COIN = struct.Struct("<qI?")
_VALUE_SIZE = 8


@dataclass(frozen=True, slots=True)
class Coin:
    """An output: value in satoshi, its script, the height that created it and whether a coinbase did."""

    value: int
    script: bytes
    height: int
    coinbase: bool


def unspendable(script: bytes) -> bool:
    """Return whether no input can ever spend the script, as Core's CScript::IsUnspendable."""
    return script.startswith(_OP_RETURN) or len(script) > _MAX_SCRIPT_SIZE


def created(tx: Transaction) -> Iterator[tuple[bytes, Output]]:
    """Yield (outpoint, output) of every output that can be spent."""
    for index, output in enumerate(tx.outputs):
        if not unspendable(output.script):
            yield tx.txid + struct.pack("<I", index), output


def encode(spent: Sequence[Sequence[Coin]]) -> bytes:
    """Serialise the coins that each transaction after the coinbase spent."""
    parts = [compact_size(len(spent))]
    for coins in spent:
        parts.append(compact_size(len(coins)))
        for coin in coins:
            parts += [_COIN.pack(coin.value, coin.height, coin.coinbase), compact_size(len(coin.script)), coin.script]
    return b"".join(parts)


def decode(data: bytes) -> list[list[Coin]]:
    """Return what `encode` was given."""
    reader = Reader(data)
    return [[_coin(reader) for _ in range(reader.compact())] for _ in range(reader.compact())]


def outputs(data: bytes) -> bytes:
    """Return the spent outputs alone as bitcoind's REST serialises them: a list a transaction, the coinbase's first."""
    reader = Reader(data)
    count = reader.compact()
    parts = [compact_size(count + 1), compact_size(0)]
    for _ in range(count):
        coins = reader.compact()
        parts.append(compact_size(coins))
        for _ in range(coins):
            start = reader.position
            # The height and the coinbase's mark stand between value and script.
            script = start + _COIN.size
            # Nearly every script is shorter than 253 bytes; a reader's calls for each would be most of the work.
            reader.position = script + 1 + data[script]
            if data[script] >= 0xFD:
                reader.position = script
                reader.blob()
            parts += (data[start : start + _VALUE_SIZE], data[script : reader.position])
    return b"".join(parts)


def _coin(reader: Reader) -> Coin:
    value, height, coinbase = _COIN.unpack(reader.take(_COIN.size))
    return Coin(value, reader.blob(), height, coinbase)
