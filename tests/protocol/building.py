"""Vectors made real: keys for holders, funding, signed transactions, and the rows expected of them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from infra.local.node.wire import Output, compact_size, decode_transaction
from infra.local.traffic.address import address
from infra.local.traffic.keys import Kind, make_key, script_of
from infra.local.traffic.tx import SINGLE_ANYONECANPAY, Coin, Spend, push
from infra.local.traffic.tx import build as sign
from tests.protocol.specs import NOBODY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.node.wire import Input
    from tests.protocol.specs import BlockSpec, InputSpec, OutputSpec, RowSpec, TxSpec

FUNDED, PAID = 100_000, 2_000
DEFAULT_KIND = "p2wpkh"
SIGHASHES = {"": None, "all": 0x01, "0x83": SINGLE_ANYONECANPAY, "ends83": None}
# Scripts that consensus lets anybody spend and that still have an address: witness programs of no version known yet.
FUTURE = {"witness2": b"\x52\x20", "witness16": b"\x60\x20"}
MOST_VERSIONS = 20_000

Outpoint: TypeAlias = tuple[bytes, int]
Fund: TypeAlias = Callable[[Sequence[Output]], Sequence[Outpoint]]


@dataclass(frozen=True)
class ExpectedRow:
    """A row as it must be recorded, every field as section 10.1 writes it before escaping."""

    txid: str
    vout: int
    step: int | None
    op: str
    ticker: str
    amount: str
    sender: str
    recipient: str
    error: str

    @property
    def event(self) -> bytes:
        """The line of section 10.1."""
        step = "" if self.step is None else str(self.step)
        valid = "0" if self.error else "1"
        parts = [self.txid, str(self.vout), step, _escape(self.op), _escape(self.ticker), self.amount]
        return ";".join([*parts, self.sender, self.recipient, valid, f"{self.error}\n"]).encode()


@dataclass(frozen=True)
class BuiltBlock:
    """Signed transactions in block order (without coinbase), and the rows in the order of application."""

    transactions: tuple[bytes, ...]
    coinbase: bytes | None
    rows: tuple[ExpectedRow, ...]


@dataclass(frozen=True)
class BuiltVector:
    """A vector as it goes onto a chain; `scripts` are the outputs that were funded for it."""

    blocks: tuple[BuiltBlock, ...]
    scripts: Mapping[Outpoint, bytes]
    network: str

    def address(self, holder: str) -> str:
        """Return the address of a holder, empty for "-"."""
        return holder_address(holder, self.network)


@dataclass(frozen=True, slots=True)
class OddCoin(Coin):
    """A coin whose script no wallet of the traffic knows, spent without a signature."""

    odd: bytes = b""

    @property
    def script(self) -> bytes:
        """The output's script."""
        return self.odd


def holder_script(holder: str) -> bytes:
    """Return the script that pays "alice" or "bob/p2tr"; what follows "=" is the script itself, in hex."""
    if holder.startswith("="):
        return bytes.fromhex(holder[1:])
    name, _, kind = holder.partition("/")
    key = make_key(f"vectors {name}")
    if kind in FUTURE:
        return FUTURE[kind] + key.taproot_output
    return script_of(Kind(kind or DEFAULT_KIND), key)


def holder_address(holder: str, network: str) -> str:
    """Return a holder's address, empty for "-"; what follows "=" is the address itself (as it must be off regtest)."""
    if holder == NOBODY:
        return ""
    if holder.startswith("="):
        return holder[1:]
    if network != "regtest":
        raise ValueError(f"on {network} a vector spells out its addresses, {holder} is a name")
    found = address(holder_script(holder))
    if found is None:
        raise ValueError(f"{holder} has no address: expect - instead")
    return found


def coin(outpoint: Outpoint, value: int, holder: str) -> Coin:
    """Return the coin of a holder at an outpoint."""
    name, _, kind = holder.partition("/")
    key = make_key(f"vectors {name}")
    if kind in FUTURE or holder.startswith("="):
        return OddCoin(*outpoint, value, key, Kind.BARE_TRUE, holder_script(holder))
    return Coin(*outpoint, value, key, Kind(kind or DEFAULT_KIND))


def offline_funding(outputs: Sequence[Output]) -> list[Outpoint]:
    """Return outpoints of a transaction that nobody made; the same outputs always give the same."""
    content = b"".join(struct.pack("<q", output.value) + output.script for output in outputs)
    return [(hashlib.sha256(content).digest(), vout) for vout in range(len(outputs))]


def build(blocks: Sequence[BlockSpec], fund: Fund, network: str) -> BuiltVector:
    """Fund, sign and number everything."""
    wanted = [
        Output(FUNDED, holder_script(item.owner))
        for block in blocks
        for tx in block.transactions
        for item in tx.inputs
        if not item.owner.startswith("@")
    ]
    outpoints = list(fund(wanted))
    builder = _Builder(iter(outpoints), {}, network)
    built = tuple(builder.block(block) for block in blocks)
    scripts = {outpoint: output.script for outpoint, output in zip(outpoints, wanted, strict=True)}
    return BuiltVector(built, scripts, network)


@dataclass
class _Builder:
    outpoints: Iterator[Outpoint]
    made: dict[str, tuple[bytes, int, tuple[OutputSpec, ...]]]
    network: str

    def block(self, spec: BlockSpec) -> BuiltBlock:
        raws = [self.transaction(tx) for tx in spec.transactions]
        numbered = [
            (number if tx.applied is None else tx.applied, number) for number, tx in enumerate(spec.transactions)
        ]
        rows = [
            self.row(row, decode_transaction(raws[number]).txid)
            for _, number in sorted(numbered)
            for row in spec.transactions[number].rows
        ]
        return BuiltBlock(tuple(raws), spec.coinbase, tuple(rows))

    def transaction(self, spec: TxSpec) -> bytes:
        spends = [self.spend(item) for item in spec.inputs]
        # An output of an output must still leave something to pay with.
        value = min(PAID, sum(spend.coin.value for spend in spends) // (2 * len(spec.outputs)))
        outputs = [
            Output(value, holder_script(item.to)) if item.to else Output(0, item.script) for item in spec.outputs
        ]
        grind = any(item.sighash == "ends83" for item in spec.inputs)
        raw = _ground(spends, outputs, spec.inputs) if grind else sign(spends, outputs)
        raw = _with_firsts(raw, spends, outputs, spec.inputs)
        if spec.name:
            self.made[spec.name] = decode_transaction(raw).txid, value, spec.outputs
        return raw

    def spend(self, item: InputSpec) -> Spend:
        if item.owner.startswith("@"):
            name, _, vout = item.owner[1:].partition(":")
            txid, value, outputs = self.made[name]
            found = coin((txid, int(vout)), value, outputs[int(vout)].to)
        else:
            found = coin(next(self.outpoints), FUNDED, item.owner)
        script_sig = b"" if isinstance(found, OddCoin) else None
        return Spend(found, SIGHASHES[item.sighash], script_sig=script_sig)

    def row(self, row: RowSpec, txid: bytes) -> ExpectedRow:
        return ExpectedRow(
            txid[::-1].hex(),
            row.vout,
            row.step,
            row.op,
            row.ticker,
            row.amount,
            holder_address(row.sender, self.network),
            holder_address(row.recipient, self.network),
            row.error,
        )


def _ground(spends: list[Spend], outputs: list[Output], inputs: Sequence[InputSpec]) -> bytes:
    """Return the transaction under the first version number that makes the wanted signatures end in 83."""
    places = [number for number, item in enumerate(inputs) if item.sighash == "ends83"]
    for version in range(2, MOST_VERSIONS):
        raw = sign(spends, outputs, version=version)
        witnesses = [decode_transaction(raw).inputs[place].witness[0] for place in places]
        if all(len(witness) == 64 and witness[-1] == SINGLE_ANYONECANPAY for witness in witnesses):
            return raw
    raise ValueError("no version number gives a Schnorr signature that ends in 83")


def _with_firsts(raw: bytes, spends: list[Spend], outputs: list[Output], inputs: Sequence[InputSpec]) -> bytes:
    """Put the `first` items in: pushed before the scriptSig of a legacy input, as the first witness item elsewhere.

    Consensus wants no clean stack of legacy scripts, so a P2PKH input stays valid with anything pushed before it.
    """
    if all(item.first is None for item in inputs):
        return raw
    signed = decode_transaction(raw).inputs
    patched = []
    for spend, found, item in zip(spends, signed, inputs, strict=True):
        if item.first is None:
            patched.append(found)
        elif isinstance(spend.coin, OddCoin):
            patched.append(replace(found, witness=(bytes.fromhex(item.first), *found.witness)))
        else:
            patched.append(replace(found, script=push(bytes.fromhex(item.first)) + found.script))
    return serialise(patched, outputs)


def serialise(inputs: Sequence[Input], outputs: Sequence[Output]) -> bytes:
    """Return a transaction in wire form, whatever its witnesses are worth."""
    segwit = any(item.witness for item in inputs)
    parts = [struct.pack("<i", 2), b"\x00\x01" if segwit else b"", compact_size(len(inputs))]
    parts += [item.outpoint + _sized(item.script) + struct.pack("<I", item.sequence) for item in inputs]
    parts += [compact_size(len(outputs))]
    parts += [struct.pack("<q", output.value) + _sized(output.script) for output in outputs]
    if segwit:
        parts += [compact_size(len(item.witness)) + b"".join(map(_sized, item.witness)) for item in inputs]
    return b"".join([*parts, struct.pack("<I", 0)])


def _sized(data: bytes) -> bytes:
    return compact_size(len(data)) + data


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\s").replace("\n", "\\n")
