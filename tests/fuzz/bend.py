"""Blocks changed with a thought for what they mean, so that a decoder takes them and the rules have to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.node.mining import merkle_root
from infra.local.node.wire import Input, Output, compact_size, decode_block
from infra.local.traffic.tx import op_return
from tests.fuzz.grounds import SCRIPTS
from tests.fuzz.mutate import mutate
from tests.fuzz.payloads import bent, payload
from tests.fuzz.plain import HEADER, CutShortError, read_transaction
from tests.fuzz.plain import Reader as PlainReader
from tests.naive.payload import payload_of
from tests.protocol.building import serialise

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

_SIGNATURES = tuple(
    map(
        bytes.fromhex,
        ("300602010102010183", "00" * 64 + "83", "", "83", "300602010102010101", "00" * 63 + "83", "02" + "11" * 32),
    )
)
_ODD = (b"\x6a", b"\x6a\x5d", b"\x6a\x5d\x01\x01", b"\x6a\x05hello", b"", b"\x6a\x4e", b"\x51", b"\x6a\x06brc-20\x01")
_STYLES = ("minimal", "pushdata2", "pushdata4")
_LENGTHS = (252, 253, 254, 256, 520, 2000, 2001, 65_535, 65_536)
_MANY = (252, 253, 300)


@dataclass
class Draft:
    """A transaction that can still be changed."""

    inputs: list[Input]
    outputs: list[Output]

    def raw(self) -> bytes:
        return serialise(self.inputs, self.outputs)


def bend(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    """Return a block that decodes, its transactions changed; `other` is a block that pieces are taken from."""
    drafts, others = _drafts(raw), _drafts(other)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if not drafts or rng.random() < 0.1:
            _bend_list(rng, drafts, others)
        else:
            rng.choice(_WAYS)(rng, rng.choice(drafts))
    block = decode_block(raw)
    return sealed(raw, [block.transactions[0].raw, *(draft.raw() for draft in drafts)])


def bend_bytes(rng: random.Random, raw: bytes, other: bytes) -> bytes:
    """Return a block of which a transaction's bytes were changed, and the merkle root with them where that can be."""
    block, at = decode_block(raw), HEADER + len(compact_size(1))
    txs = [tx.raw for tx in block.transactions]
    place = rng.randrange(len(txs))
    txs[place] = mutate(rng, txs[place], other[at:], 2)
    return sealed(raw, txs)


def sealed(raw: bytes, txs: Sequence[bytes]) -> bytes:
    """Return the transactions under the block's header with their merkle root, the old one if they cannot be read."""
    try:
        ids = [_txid(tx) for tx in txs]
    except CutShortError:
        root = raw[36:68]
    else:
        root = merkle_root(ids)
    return raw[:36] + root + raw[68:HEADER] + compact_size(len(txs)) + b"".join(txs)


def _txid(tx: bytes) -> bytes:
    reader = PlainReader(tx)
    found = read_transaction(reader)
    if not reader.is_at_end():
        raise CutShortError
    return found.txid


def transactions(raw: bytes) -> list[bytes]:
    """Return the raw transactions of a block."""
    return [tx.raw for tx in decode_block(raw).transactions]


def _drafts(raw: bytes) -> list[Draft]:
    return [Draft(list(tx.inputs), list(tx.outputs)) for tx in decode_block(raw).transactions[1:]]


def _bend_list(rng: random.Random, drafts: list[Draft], others: list[Draft]) -> None:
    at = rng.randrange(len(drafts) + 1)
    match rng.randrange(5):
        case 0 if drafts:
            drafts.insert(at, rng.choice(drafts))  # the same transaction twice
        case 1 if drafts:
            spender, parent = rng.choice(drafts), rng.choice(drafts)
            spender.inputs.insert(0, Input(_txid(parent.raw()), rng.randrange(4), b"", 0))
        case 2 if drafts:
            drafts.pop(rng.randrange(len(drafts)))
        case 3:
            rng.shuffle(drafts)
        case _:
            drafts[at:at] = others[: rng.randint(1, 4)]


def _payload(rng: random.Random, draft: Draft) -> None:
    """Change what an output says; make one say something where none does."""
    places = [at for at, output in enumerate(draft.outputs) if payload_of(output.script)]
    if not places:
        draft.outputs.insert(rng.randrange(len(draft.outputs) + 1), Output(0, carrier(rng, payload(rng))))
        return
    at = rng.choice(places)
    draft.outputs[at] = Output(0, carrier(rng, bent(rng, payload_of(draft.outputs[at].script) or b"")))


def carrier(rng: random.Random, said: bytes) -> bytes:
    """Return an output script that carries a payload, in one of the ways that there are."""
    after = rng.choice((b"", b"", b"", b"", b"\x00", b"\x50", b"\x01\xaa", b"\x61", b"\x05"))
    return op_return(said[:65_535], rng.choice(_STYLES), after=after)


def _script(rng: random.Random, draft: Draft) -> None:
    at = rng.randrange(len(draft.outputs) + 1)
    old = draft.outputs[at].script if at < len(draft.outputs) else b""
    draft.outputs[at : at + 1] = [Output(0, mutate(rng, old, rng.choice(SCRIPTS), 2))]


def _outputs(rng: random.Random, draft: Draft) -> None:
    at = rng.randrange(len(draft.outputs) + 1)
    match rng.randrange(5):
        case 0 if draft.outputs:
            draft.outputs.insert(at, rng.choice(draft.outputs))
        case 1 if draft.outputs:
            draft.outputs.pop(rng.randrange(len(draft.outputs)))
        case 2:
            rng.shuffle(draft.outputs)
        case 3:
            draft.outputs.insert(at, Output(0, rng.choice(_ODD)))
        case _:
            draft.outputs.insert(at, Output(0, rng.choice(SCRIPTS)))


def _steps(rng: random.Random, draft: Draft) -> None:
    """Make a multi-transfer of what the transaction says, or of a transfer."""
    said = next((found for output in draft.outputs if (found := payload_of(output.script))), b"")
    if rng.random() < 0.5:
        said = b'{"p":"brc-20","op":"transfer","tick":"ordi","amt":"%d"}' % rng.choice((0, 1, 40, 60))
    steps = [op_return(said if rng.random() < 0.8 else bent(rng, said)[:65_535]) for _ in range(rng.randint(2, 4))]
    draft.outputs = [Output(0, script) for step in steps for script in (step, rng.choice(SCRIPTS))]
    if rng.random() < 0.15:
        draft.outputs.pop(rng.randrange(len(draft.outputs)))


def _inputs(rng: random.Random, draft: Draft) -> None:
    old = rng.choice(draft.inputs) if draft.inputs else Input(bytes(32), 0, b"", 0)
    match rng.randrange(4):
        case 0:
            draft.inputs.append(old)
        case 1 if len(draft.inputs) > 1:
            draft.inputs.pop(rng.randrange(len(draft.inputs)))
        case 2:
            draft.inputs.insert(0, Input(rng.randbytes(32), rng.choice((0, 1, 0xFFFF_FFFF)), b"", 0))
        case _:
            draft.inputs.append(Input(old.txid, old.vout ^ 1, old.script, 0, old.witness))


def _signatures(rng: random.Random, draft: Draft) -> None:
    """Sign some inputs as a sale does, or nearly so."""
    for at, spent in enumerate(draft.inputs):
        if rng.random() < 0.7:
            signature = rng.choice(_SIGNATURES[:2]) if rng.random() < 0.7 else rng.choice(_SIGNATURES)
            signature = mutate(rng, signature, most=1) if rng.random() < 0.2 else signature
            pushed = bytes([len(signature)]) + signature if len(signature) < 76 else signature
            script, witness = rng.choice(((spent.script, (signature, b"\x02")), (pushed, ()), (b"", ())))
            draft.inputs[at] = Input(spent.txid, spent.vout, script, spent.sequence, witness)


def _sale(rng: random.Random, draft: Draft) -> None:
    """Give the transaction the inputs of a sale: two of the seller, one of somebody else, and one of a third."""
    fresh = [Input(bytes(31) + bytes([owner]), rng.randrange(3), b"", 0) for owner in (0, 0, 1, 2)]
    draft.inputs = fresh if rng.random() < 0.7 else fresh[rng.randrange(3) :]
    _signatures(rng, draft)


def _long(rng: random.Random, draft: Draft) -> None:
    """Go where numbers get another length, and where scripts and lists get long."""
    filler = Output(0, (b"\x6a" if rng.random() < 0.5 else b"") + bytes(rng.choice(_LENGTHS)))
    if rng.random() < 0.5:
        draft.outputs.append(filler)
    else:
        draft.outputs += [Output(0, rng.choice(SCRIPTS))] * rng.choice(_MANY)


_WAYS: tuple[Callable[[random.Random, Draft], None], ...] = (
    *(_payload,) * 8,
    *(_script,) * 2,
    *(_outputs,) * 3,
    *(_steps,) * 3,
    *(_inputs,) * 2,
    *(_signatures,) * 2,
    *(_sale,) * 2,
    _long,
)
