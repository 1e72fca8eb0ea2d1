"""Rows say enough to run their blocks again: every verdict, hash and digest comes out as it was recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from indexer.bitcoin.script import Network
from indexer.protocol.rules import Rules
from indexer.state.replay import Replay, operations_of
from indexer.store.replayed import operation_row
from indexer.store.rows import BlockRow, first_op_id
from infra.local.traffic.chain import random_chain
from tests.protocol.harness import START_HEIGHT, raw_blocks
from tests.protocol.hostile import hostile_chain
from tests.protocol.vectors import Vector, build, load
from tests.support.ours import Result, run

if TYPE_CHECKING:
    from indexer.store.replayed import OperationRow
    from tests.support.ours import BlockResult

CHAINS = 12


def rows_of(block: BlockResult) -> list[OperationRow]:
    return [operation_row(first_op_id(block.height) | number, row) for number, row in enumerate(block.rows)]


def assert_runs_again(result: Result, rules: Rules) -> None:
    replay = Replay(rules, result.blocks[0].height)
    for block in result.blocks:
        rows = rows_of(block)
        header = BlockRow(block.height, b"", b"", datetime.now(UTC), len(rows), b"", b"", b"")
        delta = replay.apply(header, operations_of(rows, rules))
        replay.settle(delta)
        again = [operation_row(first_op_id(block.height) | number, row) for number, row in enumerate(delta.rows)]
        assert again == rows, f"block {block.height}"
        assert (delta.events_hash, delta.after.state_hash) == (block.events_hash, block.state_hash)
        assert int.from_bytes(delta.after.state_digest) == block.state_digest
    assert replay.deploys == result.deploys
    assert {tuple(key): units for key, units in replay.balances.items() if units} == result.balances


@pytest.mark.proof
@pytest.mark.parametrize("vector", load(), ids=lambda vector: vector.id)
def test_the_rows_of_every_vector_run_again(vector: Vector) -> None:
    built, height = build(vector), START_HEIGHT + vector.marketplace_from
    result = run(
        raw_blocks(built),
        START_HEIGHT,
        lambda txid, vout: built.scripts[txid, vout],
        network=vector.network,
        marketplace_height=height,
    )
    assert_runs_again(result, Rules(Network(vector.network), height))


def nothing_before(txid: bytes, vout: int) -> bytes:
    raise AssertionError(f"{txid[::-1].hex()}:{vout} was spent, but nobody made it")


@pytest.mark.parametrize("seed", range(CHAINS))
def test_the_rows_of_a_random_chain_run_again(seed: int) -> None:
    height, blocks = random_chain(f"replay {seed}", 6, 16, maturity=0, marketplace_height=5)
    result = run(blocks, height, nothing_before, marketplace_height=5)
    assert_runs_again(result, Rules(Network.REGTEST, 5))


@pytest.mark.parametrize("seed", range(CHAINS))
def test_the_rows_of_a_hostile_chain_run_again(seed: int) -> None:
    chain = hostile_chain(seed)
    result = run(chain.blocks, 0, chain.prevouts, marketplace_height=2)
    assert_runs_again(result, Rules(Network.REGTEST, 2))


@pytest.mark.proof
@pytest.mark.parametrize("first", range(0, 400, 20))
def test_the_rows_of_many_chains_run_again(first: int) -> None:
    for seed in range(first, first + 20):
        test_the_rows_of_a_hostile_chain_run_again(1000 + seed)
        test_the_rows_of_a_random_chain_run_again(1000 + seed)
