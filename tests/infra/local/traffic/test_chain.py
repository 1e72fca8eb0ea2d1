from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING

import pbk  # type: ignore[import-untyped]  # the binding ships no types
import pytest

from infra.local.node.wire import decode_block
from infra.local.traffic.chain import START_HEIGHT, OfflineChain, random_chain
from infra.local.traffic.ledger import Ledger
from infra.local.traffic.scenarios import SCENARIOS
from infra.local.traffic.wallet import make_wallet
from tests.support.ours import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MARKETPLACE_HEIGHT = 10
CHAINS = 20


class Kernel:
    """Bitcoin Core's own validation, in this process."""

    def __init__(self, directory: Path) -> None:
        self.manager = pbk.load_chainman(directory, pbk.ChainType.REGTEST)
        self.chain = self.manager.get_active_chain()

    def take(self, raw: bytes) -> bytes:
        self.manager.process_block(pbk.Block(raw))
        return bytes(self.chain.block_tree_entries[self.chain.height].block_hash)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    running = Kernel(tmp_path)
    yield running
    del running.chain, running.manager


def block_hash(raw: bytes) -> bytes:
    return decode_block(raw).header.hash


def snapshot(ledger: Ledger) -> tuple[object, ...]:
    return ledger.height, ledger.tip, dict(ledger.coins), dict(ledger.deploys), dict(ledger.balances)


def test_the_kernel_accepts_every_block_and_the_fork_that_replaces_some(kernel: Kernel) -> None:
    chain = OfflineChain("kernel")
    chain.extend(40, 15)
    for raw in chain.blocks:
        assert kernel.take(raw) == block_hash(raw)
    lost = {tx.txid for raw in chain.blocks[-6:] for tx in decode_block(raw).transactions[1:]}
    branch = chain.fork(6, 7, 15)
    for raw in branch[:-1]:
        assert kernel.take(raw) != block_hash(raw)
    assert kernel.take(branch[-1]) == block_hash(branch[-1])
    again = {tx.txid for raw in branch for tx in decode_block(raw).transactions[1:]}
    assert lost & again, "some of the lost transactions are mined again"
    assert lost - again, "some are not"


def test_the_same_arguments_give_the_same_bytes_in_any_process() -> None:
    script = (
        "import hashlib\nfrom infra.local.traffic.chain import OfflineChain\n"
        "c = OfflineChain(5, maturity=0)\nc.extend(8, 10)\nc.fork(3, 4, 10)\n"
        "print(hashlib.sha256(b''.join(c.blocks)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    chain = OfflineChain(5, maturity=0)
    chain.extend(8, 10)
    chain.fork(3, 4, 10)
    assert digests == {sha256(b"".join(chain.blocks)).hexdigest().encode() + b"\n"}


def test_another_seed_gives_another_chain() -> None:
    assert random_chain(1, 3, 5) != random_chain(2, 3, 5)


def test_without_maturity_the_traffic_begins_in_the_second_block() -> None:
    start, blocks = random_chain("early", 5, 20, maturity=0)
    assert (start, len(blocks)) == (START_HEIGHT, 6)
    assert sum(len(decode_block(raw).transactions) for raw in blocks[1:3]) > 2
    assert len(random_chain("early", 5, 20)[1]) == 105


def test_every_scenario_is_played_and_its_operations_end_as_it_says() -> None:
    """Judged by the indexer's own rules, which share nothing with the traffic's light model of them."""
    played: Counter[str] = Counter()
    codes: defaultdict[str, set[str]] = defaultdict(set)
    rows = wrong = 0
    for seed in range(CHAINS):
        chain = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
        chain.extend(20, 12)
        played.update(chain.played)
        result = run(chain.blocks, START_HEIGHT, lambda *_: b"", marketplace_height=MARKETPLACE_HEIGHT)
        for row in (row for block in result.blocks for row in block.rows):
            label, code = chain.labels[row.operation.txid], row.error.value if row.error else ""
            rows += 1
            wrong += code not in label.expect
            codes[label.scenario].add(code)
    assert set(played) >= {scenario.name for scenario in SCENARIOS}
    assert rows > 3000
    # A sale comes before all else in its block, so now and then another operation finds the balance gone.
    assert wrong <= rows / 200
    for scenario in SCENARIOS:
        assert set(scenario.expect) <= codes[scenario.name], scenario.name


def test_a_ledger_that_reads_the_blocks_knows_what_the_one_that_made_them_knows() -> None:
    chain = OfflineChain("ledger")
    chain.extend(12, 10)
    reader = Ledger(make_wallet("ledger"))
    for raw in chain.blocks:
        reader.connect(decode_block(raw))
    assert snapshot(reader) == snapshot(chain.ledger)
    assert reader.deploys
    assert reader.balances
    assert reader.coins


def test_taking_blocks_back_gives_the_ledger_of_before() -> None:
    chain = OfflineChain("undo")
    chain.extend(5, 10)
    before = snapshot(chain.ledger)
    for raw in chain.extend(5, 10):
        assert raw
    for _ in range(5):
        chain.ledger.rewind()
    assert snapshot(chain.ledger) == before


def test_a_fork_deeper_than_the_chain_is_refused() -> None:
    chain = OfflineChain("shallow", maturity=0)
    with pytest.raises(ValueError, match="1 blocks has no fork 5"):
        chain.fork(5, 6, 1)


def test_a_long_chain_keeps_few_coins_and_never_runs_dry() -> None:
    chain = OfflineChain("long", maturity=0)
    chain.extend(200, 6)
    assert len(chain.ledger.coins) < 1000
    assert "nothing possible" not in chain.played[-200:]
    assert sum(len(decode_block(raw).transactions) - 1 for raw in chain.blocks[-50:]) > 100
