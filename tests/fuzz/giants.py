"""Target: inputs as large as they can come, of the kinds that take the most time or memory a byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.bitcoin.block import OutPoint, decode
from indexer.bitcoin.rest import spent_scripts
from indexer.bitcoin.script import Network
from indexer.protocol.parse import bind, parse
from indexer.protocol.rules import Rules
from infra.local.node.wire import compact_size
from tests.fuzz.bend import sealed
from tests.fuzz.bounds import time_for
from tests.fuzz.case import Case, Depth, Reached
from tests.fuzz.grounds import ground

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_SIZES = (100_000, 400_000, 1_000_000, 1_000_000, 4_000_000)  # the last: consensus lets no block be larger
_STEP = b'{"p":"brc-20","op":"transfer","tick":"ordi","amt":"1"}'
_MARK = b"\x6a\x06brc-20"
_RULES = Rules(Network.REGTEST, 0)


class Giants:
    """Blocks of one pattern, and lists of spent outputs."""

    name = "giant"

    def draw(self, rng: random.Random) -> Case:
        pattern, size = rng.choice(list(_PATTERNS)), rng.choice(_SIZES)
        return Case(b"", f"{pattern} {size}")

    def run(self, case: Case) -> Reached:
        pattern, size = case.context.split()
        data = _PATTERNS[pattern](int(size))
        if pattern == "spent":
            with time_for(data):
                spent_scripts(data, {OutPoint(bytes(32), 0): (0, 0)})
            return Reached(Depth.DECODED)
        with time_for(data):
            block = decode(data)
            candidates = [found for tx in block.candidates if (found := parse(tx, _RULES)) is not None]
            scripts = {out: b"\x51\x20" + bytes(32) for found in candidates for out in found.prevouts}
            operations = [each for found in candidates for each in bind(found, scripts, _RULES, 1)]
        if operations:
            return Reached(Depth.OPERATION)
        return Reached(Depth.CANDIDATE if block.candidates else Depth.DECODED)


def _block(*txs: bytes) -> bytes:
    return sealed(ground("hostile 0 1").block, [_transaction([_input(0)], [b"\x51"]), *txs])


def _input(number: int) -> bytes:
    return bytes(28) + number.to_bytes(8, "little") + b"\0" + bytes(4)


def _output(script: bytes) -> bytes:
    return bytes(8) + compact_size(len(script)) + script


def _transaction(inputs: list[bytes], scripts: list[bytes], marker: bytes = b"", witness: bytes = b"") -> bytes:
    lists = compact_size(len(inputs)) + b"".join(inputs) + compact_size(len(scripts)) + b"".join(map(_output, scripts))
    return b"\2\0\0\0" + marker + lists + witness + bytes(4)


def _push(said: bytes) -> bytes:
    return b"\x6a" + bytes([len(said)]) + said


def _tiny(size: int) -> bytes:
    # Without inputs and outputs: no node would take it, but the decoder must come to its end.
    return _block(*(number.to_bytes(4, "little") + bytes(6) for number in range(size // 10)))


def _witnesses(size: int) -> bytes:
    return _block(_transaction([_input(1)], [b"\x51"], b"\0\1", compact_size(size) + bytes(size)))


def _one_script(filler: bytes) -> Callable[[int], bytes]:
    return lambda size: _block(_transaction([_input(1)], [_MARK + filler * (size // len(filler))]))


def _outputs(script: bytes) -> Callable[[int], bytes]:
    return lambda size: _block(_transaction([_input(1)], [script] * (size // len(_output(script)))))


def _inputs(size: int) -> bytes:
    return _block(_transaction([_input(number) for number in range(size // 41)], [_push(_STEP), b"\x51"]))


def _spent(size: int) -> bytes:
    return b"\1" + compact_size(size // 9) + bytes(9) * (size // 9)


_PATTERNS: dict[str, Callable[[int], bytes]] = {
    "transactions": _tiny,
    "witnesses": _witnesses,
    "zeros": _one_script(b"\0"),
    "pushes": _one_script(b"\1\0"),
    "outputs": _outputs(b"\x51"),
    "candidates": _outputs(_MARK),
    "runestones": _outputs(b"\x6a\x5d"),
    "steps": _outputs(_push(_STEP)),
    "inputs": _inputs,
    "spent": _spent,
}
