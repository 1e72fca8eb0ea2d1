"""Targets: blocks and payloads on their whole way, from bytes to rows, on top of a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer.bitcoin.block import BlockDecodeError, OutPoint, Tx, TxIn, decode
from indexer.bitcoin.rpc import NodeError
from indexer.protocol.fields import read_fields
from indexer.protocol.parse import MAX_PAYLOAD, bind, parse
from indexer.protocol.rules import BUILT_IN
from indexer.sync.prepare import Prepared
from infra.local.traffic.tx import op_return
from tests.fuzz.agreement import is_candidate, same_as_btclib, same_block, same_fields, same_outcome, storable
from tests.fuzz.bend import bend, bend_bytes
from tests.fuzz.bounds import time_for
from tests.fuzz.case import Case, Depth, Reached
from tests.fuzz.grounds import SCRIPTS, ground, pick
from tests.fuzz.mutate import mutate
from tests.fuzz.payloads import payload
from tests.fuzz.plain import PlainInput, PlainTx, read_block, twice

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from indexer.protocol.model import Applied
    from tests.fuzz.grounds import Ground

_STATES = ("hostile 0 1", "hostile 1 2")  # on which single payloads fall


@dataclass(frozen=True)
class Blocks:
    """A block from its bytes to its rows; `bend` makes another one of two."""

    name: str
    bend: Callable[[random.Random, bytes, bytes], bytes]

    def draw(self, rng: random.Random) -> Case:
        name, other = pick(rng), pick(rng)
        raw = ground(name).block
        return Case(self.bend(rng, raw, ground(other).block) if rng.random() < 0.93 else raw, name)

    def run(self, case: Case) -> Reached:
        at = ground(case.context)
        expected = read_block(case.data)
        with time_for(case.data):
            try:
                block = decode(case.data)
            except BlockDecodeError as error:
                block, reason = None, _kind(error)
        if block is None or expected is None:
            assert (block is None) == (expected is None), "one reading accepts what the other refuses"
            _refused_whole(at, case.data)
            return Reached(Depth.REFUSED, (reason,))
        same_block(block, expected)
        same_as_btclib(case.data, expected)
        if not block.candidates:
            return Reached(Depth.DECODED)
        with time_for(case.data):
            prepared = at.prepare(case.data)
            delta = at.apply(prepared)
            storable(at.height, delta.rows)
        same_outcome(delta, expected.transactions, at)
        return _reached(delta.rows)


def _refused_whole(at: Ground, raw: bytes) -> None:
    """Assert that the follower is told that the node failed, and nothing else."""
    try:
        at.prepare(raw)
    except NodeError:
        return
    raise AssertionError("a block that does not decode was prepared")


def _kind(error: BlockDecodeError) -> str:
    return " ".join(word for word in str(error).split() if not word.isdigit())


def _reached(rows: tuple[Applied, ...]) -> Reached:
    if not rows:
        return Reached(Depth.CANDIDATE)
    met = tuple({row.error or f"valid {row.operation.op}" for row in rows})
    return Reached(Depth.VALID if any(row.valid for row in rows) else Depth.OPERATION, met)


class Payloads:
    """A payload in a transaction of its own: the shortest way to the rules."""

    name = "payload"

    def draw(self, rng: random.Random) -> Case:
        return Case(payload(rng), rng.choice(_STATES))

    def run(self, case: Case) -> Reached:
        at, said = ground(case.context), case.data
        spent = OutPoint(twice(said)[::-1], 0)
        outputs = (op_return(said, "pushdata4"), SCRIPTS[len(said) % len(SCRIPTS)])
        tx = Tx(1, twice(said), (TxIn(spent, b"", None),), outputs)
        with time_for(said):
            # A longer one is none: nothing may read its fields.
            fields = read_fields(said, BUILT_IN) if len(said) <= MAX_PAYLOAD else None
            candidate = parse(tx, at.rules)
            scripts = {spent: at.script(*spent)}
            operations = () if candidate is None else bind(candidate, scripts, at.rules, at.height)
            delta = at.apply(Prepared(at.height, bytes(32), bytes(32), _TIME, operations))
            storable(at.height, delta.rows)
        if len(said) <= MAX_PAYLOAD:
            same_fields(fields, said)
        plain = PlainTx(tx.txid, (PlainInput(*spent, b"", None),), outputs)
        same_outcome(delta, (_COINBASE, plain), at)
        if fields is None:
            return Reached(Depth.REFUSED)
        if not is_candidate(outputs[0]):
            return Reached(Depth.DECODED)
        return _reached(delta.rows)


def _bytes(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    return mutate(rng, raw, other)


_COINBASE = PlainTx(bytes(32), (), ())
_TIME = ground(_STATES[0]).prepare(ground(_STATES[0]).block).time
BLOCKS = (Blocks("block-bytes", _bytes), Blocks("block-sealed", bend_bytes), Blocks("block-bent", bend))
