"""What must hold on every chain, whatever its operations."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.protocol.ticker import normalise
from infra.local.node.mining import build_block
from infra.local.node.wire import Input, Output
from infra.local.traffic.chain import random_chain
from tests.naive.payload import normalise as naive_normalise
from tests.protocol.building import serialise
from tests.protocol.harness import Outcome, run
from tests.protocol.hostile import hostile_chain, hostile_payload
from tests.protocol.specs import op_return

if TYPE_CHECKING:
    from collections.abc import Callable

CHAINS, BLOCKS, OPERATIONS = 200, 4, 12
BATCH = 40
MARKETPLACE_HEIGHT = 4
LAST_CODE_POINT = 0x10FFFF
SURROGATES = range(0xD800, 0xE000)
# SHA-256 over "hex code point:upper case" of every code point but the surrogates, by the tables of Unicode 14.
UPPER_CASE_DIGEST = "b6b09d8d40ef538f011673bd041c6867e1a2994b4c5f869d83ca33c6eccb2d92"

hostile = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def nothing_before(txid: bytes, vout: int) -> bytes:
    raise AssertionError(f"{txid[::-1].hex()}:{vout} was spent, but nobody made it")


def replay(height: int, blocks: list[bytes]) -> Outcome:
    return run("ours", blocks, nothing_before, start_height=height, marketplace_height=MARKETPLACE_HEIGHT)


def assert_supply_is_held(outcome: Outcome) -> None:
    held: Counter[str] = Counter()
    for (ticker, _), units in outcome.balances.items():
        assert units > 0
        held[ticker] += units
    for ticker, token in outcome.deploys.items():
        assert held.pop(ticker, 0) == token.minted <= token.maximum
    assert not held


def digest_of(outcome: Outcome) -> int:
    """Return the digest of the final state, from its definition and nothing else."""
    rows: list[list[str | int | None]] = [
        ["deploys", tick, amount(t.maximum), amount(t.limit), amount(t.minted), t.height, t.txid, t.deployer]
        for tick, t in outcome.deploys.items()
    ]
    rows += [["balances", tick, address, amount(units)] for (tick, address), units in outcome.balances.items()]
    texts = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    return sum(int.from_bytes(hashlib.sha256(text.encode()).digest()) for text in texts) % 2**256


def amount(units: int | None) -> str | None:
    return None if units is None else f"{units // 10**8}.{units % 10**8:08d}"


@pytest.mark.rule("10.3d", "accept")
@pytest.mark.parametrize("first_seed", range(0, CHAINS, BATCH))
def test_supply_is_held_and_the_digest_is_that_of_the_tables(first_seed: int) -> None:
    for seed in range(first_seed, first_seed + BATCH):
        height, blocks = random_chain(
            f"properties {seed}", BLOCKS, OPERATIONS, maturity=0, marketplace_height=MARKETPLACE_HEIGHT
        )
        outcome = replay(height, blocks)
        assert outcome.balances
        assert_supply_is_held(outcome)
        assert outcome.blocks[-1].state_digest == digest_of(outcome)


@pytest.mark.rule("10.3d", "reject")
def test_a_state_that_differs_in_one_unit_has_another_digest() -> None:
    height, blocks = random_chain("one unit", BLOCKS, OPERATIONS, maturity=0)
    outcome = replay(height, blocks)
    holder = next(iter(outcome.balances))
    rotten = Outcome(outcome.blocks, {**outcome.balances, holder: outcome.balances[holder] + 1}, outcome.deploys)
    assert digest_of(rotten) != outcome.blocks[-1].state_digest


@pytest.mark.parametrize("seed", range(10))
def test_a_replay_of_any_prefix_gives_the_same_hashes_and_digests(seed: int) -> None:
    height, blocks = random_chain(
        f"prefix {seed}", BLOCKS, OPERATIONS, maturity=0, marketplace_height=MARKETPLACE_HEIGHT
    )
    whole = replay(height, blocks)
    for length in range(1, len(blocks) + 1):
        part = replay(height, blocks[:length])
        for left, right in zip(part.blocks, whole.blocks[:length], strict=True):
            assert left.events == right.events
            assert (left.state_hash, left.state_digest) == (right.state_hash, right.state_digest)
        assert_supply_is_held(part)
        assert part.blocks[-1].state_digest == digest_of(part)


@pytest.mark.parametrize("seed", range(40))
def test_supply_is_held_on_hostile_chains(seed: int) -> None:
    chain = hostile_chain(1_000 + seed)
    outcome = run("ours", chain.blocks, chain.prevouts, start_height=0, marketplace_height=2)
    assert_supply_is_held(outcome)
    assert outcome.blocks[-1].state_digest == digest_of(outcome)


def _block_of(script: bytes, spent: bytes, script_sig: bytes, witness: tuple[bytes, ...]) -> Callable[[str], Outcome]:
    tx = serialise([Input(bytes(32), 0, script_sig, 0, witness)], [Output(0, script), Output(0, spent)])
    block = build_block(bytes(32), 5, 1_700_000_000, b"\x51", [tx])
    return lambda name: run(name, [block], lambda _txid, _vout: spent, start_height=5)


@hostile
@given(
    script=st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda tail: b"\x6a" + tail)),
    spent=st.binary(max_size=45),
    script_sig=st.binary(max_size=80),
    witness=st.lists(st.binary(max_size=75), max_size=3).map(tuple),
)
def test_arbitrary_scripts_and_witnesses_never_raise(
    script: bytes, spent: bytes, script_sig: bytes, witness: tuple[bytes, ...]
) -> None:
    chain = _block_of(script, spent, script_sig, witness)
    assert chain("ours").blocks[0].events == chain("naive").blocks[0].events


@hostile
@given(
    before=st.binary(max_size=30),
    mark=st.sampled_from((b'"p":"brc-20"', b'"p":"brc-20","op":"burn","tick":"a"', b'"p": "brc-20"')),
    after=st.binary(max_size=30),
)
def test_arbitrary_bytes_around_the_mark_never_raise(before: bytes, mark: bytes, after: bytes) -> None:
    for payload in (before + mark + after, b"{" + before + b"," + mark + b"}", b"{" + mark + b"," + after + b"}"):
        chain = _block_of(op_return(payload), b"\x51", b"", ())
        assert chain("ours").blocks[0].events == chain("naive").blocks[0].events


@hostile
@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=12,
    ),
    field=st.sampled_from(("p", "op", "tick", "amt", "m", "l", "x")),
    ascii_only=st.booleans(),
)
def test_any_json_value_in_any_field_is_read_alike(value: object, field: str, ascii_only: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    fields = {"x": {"p": "brc-20"}, "p": "brc-20", "op": "deploy", "tick": "a", "m": "1", "l": "1", field: value}
    text = json.dumps(fields, ensure_ascii=ascii_only, separators=(",", ":"))
    chain = _block_of(op_return(text.encode("utf-8", "surrogatepass")), b"\x51", b"", ())
    assert chain("ours").blocks[0].events == chain("naive").blocks[0].events


def test_bent_operations_are_read_alike() -> None:
    rng = random.Random(20)
    for _ in range(300):
        chain = _block_of(op_return(hostile_payload(rng)), b"\x51\x20" + bytes(32), b"", ())
        assert chain("ours").blocks[0].events == chain("naive").blocks[0].events


@pytest.mark.parametrize("function", [normalise, naive_normalise], ids=["ours", "naive"])
def test_upper_casing_is_that_of_unicode_14_on_every_python(function: Callable[[str], str]) -> None:
    digest = hashlib.sha256()
    for code_point in range(LAST_CODE_POINT + 1):
        if code_point not in SURROGATES:
            digest.update(f"{code_point:x}:{function('x' + chr(code_point))[1:]}\n".encode())
    assert digest.hexdigest() == UPPER_CASE_DIGEST
