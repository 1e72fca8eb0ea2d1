"""Targets: what reads bytes without a chain around them."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from btclib.script.script_pub_key import ScriptPubKey, address

from indexer.bitcoin.block import BlockDecodeError, OutPoint, TxIn, decode_output_scripts, is_candidate_script
from indexer.bitcoin.rest import spent_scripts
from indexer.bitcoin.script import Network, address_of, first_push, is_nulldata, push_at
from indexer.protocol.signature import is_der, is_single_anyonecanpay
from infra.local.node.wire import compact_size
from infra.local.traffic.tx import op_return
from tests.fuzz import plain
from tests.fuzz.agreement import is_candidate
from tests.fuzz.bend import transactions
from tests.fuzz.bounds import time_for
from tests.fuzz.case import Case, Depth, Reached
from tests.fuzz.grounds import SCRIPTS, ground, pick
from tests.fuzz.mutate import mutate
from tests.fuzz.payloads import payload
from tests.naive import payload as naive

if TYPE_CHECKING:
    import random

_NETWORKS = {
    Network.MAIN: "mainnet",
    Network.TEST: "testnet",
    Network.TESTNET4: "testnet",
    Network.SIGNET: "signet",
    Network.REGTEST: "regtest",
}
_R, _S = "0220" + "11" * 32, "0221" + "00" + "99" * 32
_SCRIPTS = tuple(
    map(
        bytes.fromhex,
        (
            f"3045{_R}{_S}83",
            f"3045{_R}{_S}01",
            "300602010102010183",
            "11" * 64 + "83",
            "76a914" + "00" * 20 + "88ac",
            "a914" + "ff" * 20 + "87",
            "0014" + "01" * 20,
            "0020" + "02" * 32,
            "5120" + "03" * 32,
            "5202aabb",
            "6028" + "04" * 40,
            "21" + "02" * 33 + "ac",
            "6a5d0101",
        ),
    )
)
_POSITIONS = 64  # of a script, at which a push is read


class Transactions:
    """`decode_output_scripts`: a transaction that a node hands out by itself."""

    name = "transaction"

    def draw(self, rng: random.Random) -> Case:
        raws, others = (_transactions(pick(rng)) for _ in range(2))
        raw = rng.choice(raws)
        return Case(mutate(rng, raw, rng.choice(others)) if rng.random() < 0.95 else raw)

    def run(self, case: Case) -> Reached:
        expected = plain.read_outputs(case.data)
        with time_for(case.data):
            try:
                found = decode_output_scripts(case.data)
            except BlockDecodeError:
                found = None
        assert found == expected
        if found is None:
            return Reached(Depth.REFUSED)
        return Reached(Depth.CANDIDATE if any(map(is_candidate_script, found)) else Depth.DECODED)


class SpentOutputs:
    """`spent_scripts`: what a node's REST interface says that a block spends."""

    name = "spent"

    def draw(self, rng: random.Random) -> Case:
        lists = [[], *([_script(rng) for _ in range(rng.choice((1, 1, 2, 5)))] for _ in range(rng.randint(1, 5)))]
        data = compact_size(len(lists)) + b"".join(map(_spent_list, lists))
        places = [(at, rng.randrange(len(some))) for at, some in enumerate(lists) if some]
        wanted = rng.sample(places, rng.randint(1, len(places)))
        if rng.random() < 0.1:
            wanted.append((rng.randrange(7), rng.randrange(7)))
        data = mutate(rng, data) if rng.random() < 0.9 else data
        return Case(data, " ".join(f"{index}.{number}" for index, number in wanted))

    def run(self, case: Case) -> Reached:
        places = [
            (int(index), int(number)) for index, _, number in (each.partition(".") for each in case.context.split())
        ]
        spends = {OutPoint(bytes(32), vout): place for vout, place in enumerate(places)}
        scripts = plain.read_spent(case.data, places)
        expected = None if scripts is None else dict(zip(spends, scripts, strict=True))
        with time_for(case.data):
            try:
                found = spent_scripts(case.data, spends)
            except BlockDecodeError:
                found = None
        assert found == expected
        return Reached(Depth.REFUSED if found is None else Depth.DECODED)


class Scripts:
    """Everything that looks at a single script or signature."""

    name = "script"

    def draw(self, rng: random.Random) -> Case:
        script = _script(rng)
        return Case(mutate(rng, script, rng.choice(_SCRIPTS), 2) if rng.random() < 0.7 else script)

    def run(self, case: Case) -> Reached:
        script = case.data
        with time_for(script):
            carries = is_nulldata(script)
            payload_found = first_push(script, 1) if carries else None
            addresses = {network: address_of(script, network) for network in Network}
            pushes = [push_at(script, position) for position in range(min(len(script), _POSITIONS) + 2)]
            is_sale = [is_single_anyonecanpay(spent) for spent in _signed(script)]
            signature = is_der(script)
            candidate = is_candidate_script(script)
        assert carries == naive.is_nulldata(script)
        if carries and (payload_found is None or len(payload_found) <= naive.LONGEST_PAYLOAD):
            assert payload_found == naive.payload_of(script)
        assert candidate == is_candidate(script)
        assert signature == (len(script) > 0 and naive.is_der(script[:-1]))
        assert is_sale == [naive.is_83(b"", [script]), naive.is_83(script, [])]
        assert all(push is None or (push[0] in script and push[1] <= len(script)) for push in pushes)
        for network, found in addresses.items():
            _same_address(script, network, found)
        if candidate:
            return Reached(Depth.CANDIDATE)
        return Reached(Depth.DECODED if carries or signature or addresses[Network.MAIN] else Depth.REFUSED)


def _same_address(script: bytes, network: Network, found: str | None) -> None:
    assert found == (address(script, _NETWORKS[network]) or None)
    if found is not None:
        back: bytes | None = None
        with suppress(Exception):  # btclib reads less than it writes: an address of a version it does not know
            back = bytes(ScriptPubKey.from_address(found).script)
        assert back in {script, None}


def _signed(signature: bytes) -> tuple[TxIn, TxIn]:
    """Return an input signed by a witness and one signed by a scriptSig."""
    nowhere = OutPoint(bytes(32), 0)
    return TxIn(nowhere, b"", signature), TxIn(nowhere, signature, None)


def _script(rng: random.Random) -> bytes:
    draw = rng.random()
    if draw < 0.2:
        return op_return(payload(rng)[:65_535], rng.choice(("minimal", "pushdata2", "pushdata4")))
    if draw < 0.3:
        return rng.randbytes(rng.choice((0, 1, 5, 22, 23, 25, 34, 80, 252, 253, 300)))
    return rng.choice(_SCRIPTS if draw < 0.8 else SCRIPTS)


def _spent_list(scripts: list[bytes]) -> bytes:
    return compact_size(len(scripts)) + b"".join(bytes(8) + compact_size(len(script)) + script for script in scripts)


@cache
def _transactions(name: str) -> list[bytes]:
    return transactions(ground(name).block)
