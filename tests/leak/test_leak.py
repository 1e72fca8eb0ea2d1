"""The check of memory at a small size: a clean run is flat, planted leaks are caught, in each process."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from indexer.bitcoin.block import decode
from infra.local.traffic.ledger import REGTEST_GENESIS
from tests.leak.__main__ import main
from tests.leak.chain import FORK_EVERY, MAIN, ORPHAN, Chain, fork_depth, is_forked, transactions
from tests.leak.check import Leg, Plant, watch
from tests.leak.report import BYTES_A_BLOCK, NOISE_BYTES, NOISE_OBJECTS, OBJECTS_A_BLOCK, Series, series
from tests.support.indexing import exported

BLOCKS, FEWER = 800, 400
FULL = 20_000


def growing(found: list[Series]) -> set[tuple[str, str, str]]:
    return {(each.leg, each.process, each.quantity) for each in found if each.grows}


def test_a_clean_run_is_flat_and_meets_all_that_it_is_about(database_url: str) -> None:
    watched = watch(database_url, BLOCKS, workers=1)
    found = series(watched)
    assert growing(found) == set()
    assert {(each.leg, each.process) for each in found} == {
        (Leg.BEHIND, "main"),
        (Leg.BEHIND, "workers"),
        (Leg.AT_TIP, "main"),
    }
    assert watched.reorgs == (BLOCKS - 1) // FORK_EVERY
    assert watched.failures > 0
    told = [json.loads(line) for line in exported(database_url).splitlines()]
    assert told[0]["height"] == BLOCKS
    rows = [each for each in told if each["type"] == "operation"]
    assert len(rows) > 7 * (BLOCKS - 20)
    assert {row["error"] for row in rows} == {None, "INVALID_OPERATION"}
    assert len({each["address"] for each in told if each["type"] == "balance"}) > 5 * BLOCKS


def test_planted_leaks_are_caught_in_each_process(database_url: str) -> None:
    found = growing(series(watch(database_url, FEWER, workers=1, plants=list(Plant))))
    assert found >= {
        (Leg.BEHIND, "main", "objects"),
        (Leg.BEHIND, "workers", "objects"),
        (Leg.AT_TIP, "main", "objects"),
    }


@pytest.mark.proof
def test_memory_is_flat_over_20_000_blocks(database_url: str) -> None:
    watched = watch(database_url, FULL, workers=1)
    found = series(watched)
    assert growing(found) == set(), [(each.leg, each.process, each.slope) for each in found if each.grows]
    # Tight enough that one object a block would be seen, however small.
    assert all(each.bound < 1 for each in found if each.quantity == "objects")


@pytest.mark.parametrize(("grown", "expected"), [(0, False), (BYTES_A_BLOCK - 1, False), (2 * BYTES_A_BLOCK, True)])
def test_the_slope_is_not_moved_by_a_step_and_a_spike_but_by_a_drift(grown: int, *, expected: bool) -> None:
    heights = tuple(range(0, 20_000, 100))
    values = [50_000_000 + grown * height + (1_000_000 if height > 11_000 else 0) for height in heights]
    values[70] += 80_000_000
    found = Series("", "main", "resident", heights, tuple(values))
    assert found.grows is expected
    assert found.bound == BYTES_A_BLOCK + NOISE_BYTES / 19_900
    assert Series("", "main", "objects", heights, heights).bound == OBJECTS_A_BLOCK + NOISE_OBJECTS / 19_900
    assert Series("", "main", "objects", heights, heights).grows


def test_the_chain_follows_from_heights_and_forks() -> None:
    chain = Chain.make(2 * FORK_EVERY + 5)
    previous = REGTEST_GENESIS
    for height in range(1, chain.blocks + 1):
        block = decode(chain.raw(height, MAIN))
        assert (block.hash, block.prev_hash) == (chain.hash(height, MAIN), previous)
        assert chain.find(block.hash) == (height, MAIN)
        assert len(block.candidates) == len(transactions(height, MAIN))
        previous = block.hash
    depth = fork_depth(FORK_EVERY)
    first = FORK_EVERY - depth + 1
    assert [height for height in range(1, FORK_EVERY + 1) if is_forked(height)] == [*range(first, FORK_EVERY + 1)]
    orphan = decode(chain.raw(first, ORPHAN))
    assert orphan.prev_hash == chain.hash(first - 1, MAIN)
    assert orphan.hash != chain.hash(first, MAIN)
    assert chain.find(orphan.hash) == (first, ORPHAN)


def test_too_few_blocks_are_refused() -> None:
    app = typer.Typer()
    app.command()(main)
    ran = CliRunner().invoke(app, ["--blocks", "10"])
    assert ran.exit_code == 2
    assert "--blocks" in ran.output
