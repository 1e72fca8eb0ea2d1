"""Two implementations that were written apart, on the same chains: every event, hash, digest and balance is equal."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.local.traffic.chain import random_chain
from tests.naive import __file__ as naive_package
from tests.protocol.harness import Outcome, run
from tests.protocol.hostile import hostile_chain

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAINS, BLOCKS, OPERATIONS = 240, 6, 16
HOSTILE_CHAINS = 200
BATCH = 20
# The traffic begins at height 2, so that each chain sees both templates of marketplace transfers.
TEMPLATE_CHANGES = 5
ERRORS = frozenset(
    {
        "MISSING_PROTOCOL",
        "INVALID_PROTOCOL",
        "MISSING_OPERATION",
        "INVALID_OPERATION",
        "MISSING_TICKER",
        "EMPTY_TICKER",
        "NO_STANDARD_OUTPUT",
        "TICKER_ALREADY_EXISTS",
        "TICKER_NOT_DEPLOYED",
        "INVALID_AMOUNT",
        "EXCEEDS_MINT_LIMIT",
        "EXCEEDS_MAX_SUPPLY",
        "INSUFFICIENT_BALANCE",
        "INVALID_MARKETPLACE_TRANSACTION",
        "INVALID_OUTPUT_POSITION",
        "NO_RECEIVER_OUTPUT",
        "MULTI_TRANSFER_MIXED_TICKERS",
    }
)

# What a batch of hostile chains must run into; the rarer ones the random chains have all.
HOSTILE_ERRORS = frozenset(
    {
        "NO_STANDARD_OUTPUT",
        "TICKER_NOT_DEPLOYED",
        "INVALID_AMOUNT",
        "INSUFFICIENT_BALANCE",
        "INVALID_MARKETPLACE_TRANSACTION",
        "INVALID_OUTPUT_POSITION",
        "MULTI_TRANSFER_MIXED_TICKERS",
    }
)


def assert_equal(naive: Outcome, ours: Outcome) -> None:
    for left, right in zip(naive.blocks, ours.blocks, strict=True):
        assert left.events == right.events, f"block {left.height}"
        assert left.events_hash == right.events_hash
        assert left.state_hash == right.state_hash
        assert left.state_digest == right.state_digest, f"block {left.height}"
    assert dict(naive.balances) == dict(ours.balances)
    assert dict(naive.deploys) == dict(ours.deploys)


def test_the_naive_implementation_shares_no_code_with_the_indexer() -> None:
    allowed = {"btclib", "tests.naive", "__future__", *sys.stdlib_module_names}
    for path in Path(naive_package).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            foreign = [name for name in names if not {name, name.split(".")[0], name.rpartition(".")[0]} & allowed]
            assert foreign == [], path.name


def nothing_before(txid: bytes, vout: int) -> bytes:
    raise AssertionError(f"{txid[::-1].hex()}:{vout} was spent, but nobody made it")


def codes_of(outcome: Outcome) -> Iterator[str]:
    """Yield the error code of each row, empty for a valid one."""
    for block in outcome.blocks:
        yield from (event.decode()[:-1].rsplit(";", 1)[1] for event in block.events)


@pytest.mark.parametrize("first_seed", range(0, CHAINS, BATCH))
def test_both_say_the_same_of_random_chains(first_seed: int) -> None:
    codes: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + BATCH):
        height, blocks = random_chain(seed, BLOCKS, OPERATIONS, maturity=0, marketplace_height=TEMPLATE_CHANGES)
        naive, ours = (
            run(name, blocks, nothing_before, start_height=height, marketplace_height=TEMPLATE_CHANGES)
            for name in ("naive", "ours")
        )
        assert_equal(naive, ours)
        codes.update(codes_of(naive))
    # A chain on which nothing happens would prove nothing.
    assert codes[""] > BATCH * BLOCKS
    assert set(codes) - {""} >= ERRORS


@pytest.mark.parametrize("first_seed", range(0, HOSTILE_CHAINS, BATCH))
def test_both_say_the_same_of_hostile_chains(first_seed: int) -> None:
    codes: Counter[str] = Counter()
    for seed in range(first_seed, first_seed + BATCH):
        chain = hostile_chain(seed)
        naive, ours = (
            run(name, chain.blocks, chain.prevouts, start_height=0, marketplace_height=2) for name in ("naive", "ours")
        )
        assert_equal(naive, ours)
        codes.update(codes_of(naive))
    assert codes[""] > BATCH
    assert set(codes) - {""} >= HOSTILE_ERRORS
