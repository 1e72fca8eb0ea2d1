"""Blocks that nobody means well with: payloads, scripts, witnesses and whole chains, each following from a seed.

Nothing is signed here: the rules look at bytes, and a node that would refuse them is not asked.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import TypeVar

from infra.local.node.mining import block_hash, build_block
from infra.local.node.wire import Input, Output, decode_transaction
from tests.protocol.building import FUTURE, holder_script, serialise
from tests.protocol.specs import compact, op_return

_T = TypeVar("_T")

BLOCKS, TRANSACTIONS = 3, 12
_TIME, _SEQUENCE = 1_700_000_000, 0xFFFFFFFD
_OWNERS = ("alice", "bob/p2tr", "carol/p2pkh", *(f"dave/{kind}" for kind in FUTURE), "erin/p2pk")
_SCRIPTS = tuple(map(holder_script, _OWNERS))
_TICKERS = ("ordi",) * 6 + ("ORDI", "OrDi", "sats", "yordi", "Y", "ß", "ord%", "a;b\\c\nd", " ", "\u0131")
_AMOUNTS = ("0", "1", "5.5", "40", "60", "100", "100.00000001", "0.00000001")
_BAD_AMOUNTS = ("0.000000001", "1000000000000000000000000000000", "-1", "1.", "", "1e3", "101")
_OPERATIONS = ("transfer",) * 5 + ("mint", "mint", "deploy", "burn", "Mint")
_JUNK: tuple[object, ...] = (None, 5, True, [], {}, float("nan"), "\ud800", "\0", "")
_SIGNATURES = tuple(
    map(
        bytes.fromhex,
        ("300602010102010183", "00" * 64 + "83", "", "83", "300602010102010101", "00" * 63 + "83", "02" + "11" * 32),
    )
)
_ODD_SCRIPTS = (b"\x6a", b"\x6a\x5d", b"\x6a\x5d\x01\x01", b"\x6a\x05hello", b"", b"\x6a\x4e", b"\x51")


@dataclass(frozen=True)
class HostileChain:
    """Raw blocks and the scripts of the outputs that were there before them."""

    blocks: tuple[bytes, ...]
    scripts: dict[tuple[bytes, int], bytes]

    def prevouts(self, txid: bytes, vout: int) -> bytes:
        """Return the script of an output made before the first block."""
        return self.scripts[txid, vout]


def hostile_payload(rng: random.Random) -> bytes:
    """Return a payload: mostly an operation, its fields more or less sound, its text more or less JSON."""
    return _Maker(rng).payload()


def hostile_chain(seed: int) -> HostileChain:
    """Return a chain whose first block makes two tokens and some holders, and whose others do what they like."""
    maker = _Maker(random.Random(f"hostile {seed}"))
    blocks = [_block([], 0, maker.founding())]
    for number in range(1, 1 + BLOCKS):
        blocks.append(_block(blocks, number, [maker.transaction() for _ in range(TRANSACTIONS)]))
    return HostileChain(tuple(blocks), maker.funded)


def _block(before: list[bytes], number: int, txs: list[bytes]) -> bytes:
    unique = list({decode_transaction(raw).txid: raw for raw in txs}.values())
    return build_block(block_hash(before[-1]) if before else bytes(32), number, _TIME + number, b"\x51", unique)


@dataclass
class _Maker:
    rng: random.Random
    funded: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    def rarely(self, rare: tuple[_T, ...], usual: tuple[_T, ...]) -> _T:
        return self.rng.choice(rare if self.rng.random() < 0.08 else usual)

    def payload(self, operations: tuple[str, ...] = _OPERATIONS, tickers: tuple[str, ...] = _TICKERS) -> bytes:
        rng = self.rng
        fields: list[tuple[str, object]] = [("p", self.rarely(("brc-21", None, 1), ("brc-20",)))]
        fields.append(("op", self.rarely(_JUNK, operations)))
        fields.append(("tick", self.rarely(_JUNK, tickers)))
        names: tuple[str, ...] = ("m", "l") if fields[1][1] == "deploy" else ("amt",)
        names = self.rarely((("m",), ("amt", "amt"), ("m", "l", "amt"), ()), (names,))
        fields += [(name, self.rarely((*_JUNK, *_BAD_AMOUNTS), _AMOUNTS)) for name in names]
        if rng.random() < 0.08:
            fields.append((rng.choice(("p", "op", "tick", "x", "\ud800")), rng.choice((*_JUNK, "transfer", "ordi"))))
        colon = self.rarely((": ", " :"), (":",))
        payload = ("{" + ",".join(f"{json.dumps(k)}{colon}{json.dumps(v)}" for k, v in fields) + "}").encode()
        if rng.random() < 0.05:
            at = rng.randrange(len(payload))
            payload = payload[:at] + rng.randbytes(rng.randrange(3)) + payload[at + rng.randrange(3) :]
        return payload

    def script(self) -> bytes:
        after = self.rarely(("ac", "4c", "50", "01aa", "05"), ("",))
        push = self.rng.choice(("minimal", "pushdata2", "pushdata4"))
        carried = op_return(self.payload(), push, "", after)
        return self.rng.choices(
            (carried, self.rng.choice(_SCRIPTS), self.rng.choice(_ODD_SCRIPTS), self.rng.randbytes(9)), (8, 10, 3, 1)
        )[0]

    def outputs(self) -> list[bytes]:
        """Return one payload with a recipient, steps that are well-formed but for what they say, or anything."""
        match self.rng.choices(("single", "steps", "anything"), (6, 4, 2))[0]:
            case "single":
                return [op_return(self.payload()), self.rng.choice(_SCRIPTS)]
            case "steps":
                ticker = (self.rng.choice(_TICKERS),)
                steps = [op_return(self.payload(("transfer",), ticker)) for _ in range(self.rng.randint(2, 4))]
                made = [part for step in steps for part in (step, self.rng.choice(_SCRIPTS))]
                return made[: len(made) - self.rarely((1,), (0,))]
            case _:
                return [self.script() for _ in range(self.rng.randint(1, 4))]

    def owners(self) -> list[bytes]:
        """Return whom the inputs belong to; two of one owner and two of others are what sales look like."""
        first, second, third = self.rng.sample(_SCRIPTS, 3)
        some = self.rng.choices(_SCRIPTS, k=self.rng.randint(1, 4))
        return self.rng.choice(([first], [first], [first, first, second, third], [first, second, third], some))

    def transaction(self) -> bytes:
        owners = self.owners()
        signed = self.rng.random() < (0.6 if len(owners) > 2 else 0.1)
        inputs = []
        for number, owner in enumerate(owners):
            usual = _SIGNATURES[:2] if signed and number < 2 else (b"",)
            witness = self.rarely(((), (b"", b"x")), ((self.rarely(_SIGNATURES, usual),),))
            script_sig = self.rarely((self.rng.randbytes(9), b"\x09" + _SIGNATURES[0]), (b"",))
            inputs.append(self.spend(owner, script_sig, witness))
        return serialise(inputs, [Output(0, script) for script in self.outputs()])

    def spend(self, script: bytes, script_sig: bytes = b"", witness: tuple[bytes, ...] = ()) -> Input:
        outpoint = (len(self.funded).to_bytes(32, "big"), len(self.funded) % 3)
        self.funded[outpoint] = script
        return Input(*outpoint, script_sig, _SEQUENCE, witness)

    def founding(self) -> list[bytes]:
        """Return transactions that deploy two tickers and give 100 of both to each holder."""
        texts = [f"deploy {tick} m=2000 l=100" for tick in ("ordi", "sats")]
        outputs = [[Output(0, op_return(compact(text).encode()))] for text in texts]
        outputs += [
            [Output(0, op_return(compact(f"mint {tick} 100").encode())), Output(0, script)]
            for tick in ("ordi", "sats")
            for script in _SCRIPTS
        ]
        return [serialise([self.spend(_SCRIPTS[0])], made) for made in outputs]
