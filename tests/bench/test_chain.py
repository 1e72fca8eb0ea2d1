from __future__ import annotations

from typing import TYPE_CHECKING

import pbk  # type: ignore[import-untyped]  # the binding ships no types
import pytest

from indexer.bitcoin.source import NodeTip
from indexer.sync.prepare import Preparer
from tests.bench import chain as making
from tests.bench.chain import chain
from tests.bench.files import BLOCKS, FACTS, LEAD, START_HEIGHT, facts
from tests.bench.opening import RULES
from tests.bench.source import FileBlockSource
from tests.bench.stages import Ledger
from tests.support.ours import outputs_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("shape", "blocks"), [("default", 5), ("mainnet", 2), ("tip", 1)])
def test_every_block_of_a_chain_passes_bitcoin_cores_own_validation(shape: str, blocks: int, tmp_path: Path) -> None:
    source = FileBlockSource(chain(shape, 7, blocks, cache=tmp_path))
    manager = pbk.load_chainman(tmp_path / "kernel", pbk.ChainType.REGTEST)
    for raw in source.raw_blocks(1):
        manager.process_block(pbk.Block(raw))
    active = manager.get_active_chain()
    assert active.height == LEAD + blocks
    assert bytes(active.block_tree_entries[active.height].block_hash) == source.tip().hash


def test_a_seed_gives_the_same_chain_every_time_and_another_seed_another(tmp_path: Path) -> None:
    first, again = (chain("default", 3, 4, cache=tmp_path / name) for name in ("first", "again"))
    other = chain("default", 4, 4, cache=tmp_path)
    assert (first / BLOCKS).read_bytes() == (again / BLOCKS).read_bytes()
    assert facts(first) == facts(again)
    assert facts(first).digest != facts(other).digest


def test_a_longer_chain_begins_with_the_shorter_one(tmp_path: Path) -> None:
    short, long = (chain("default", 3, blocks, cache=tmp_path) for blocks in (2, 5))
    assert (long / BLOCKS).read_bytes().startswith((short / BLOCKS).read_bytes())


def test_the_facts_of_a_chain_are_what_the_rules_find_in_it(tmp_path: Path) -> None:
    folder = chain("default", 5, 30, cache=tmp_path)
    told = facts(folder)
    source = FileBlockSource(folder)
    preparer, ledger = Preparer(source, RULES), Ledger()
    named: list[str] = []
    seen: set[str] = set()
    for height, block_hash in enumerate(source.hashes(START_HEIGHT, told.blocks), start=START_HEIGHT):
        prepared = preparer.prepare(height, block_hash)
        ledger.take(prepared)
        for operation in prepared.operations:
            named += [address for address in (operation.sender, operation.recipient) if address]
    first_seen = sum(not (address in seen or seen.add(address)) for address in named)  # type: ignore[func-returns-value]  # always None
    assert (ledger.operations, ledger.rejected) == (told.operations, told.rejected)
    assert len(named) == told.addresses
    # Recipients alone; some senders of mints, and those of the first blocks, are new as well.
    assert 0.3 <= told.first_seen_share <= first_seen / len(named)
    assert 0.02 < told.rejected / told.operations < 0.08


def test_a_chain_for_mainnets_size_has_its_size_and_runestones(tmp_path: Path) -> None:
    source = FileBlockSource(chain("mainnet", 1, 2, cache=tmp_path))
    raw = source.raw_block(source.tip().hash)
    assert 1_300_000 < len(raw) < 1_700_000
    assert sum(script.startswith(b"\x6a\x5d") for script in outputs_of(raw).values()) == 150


def test_what_is_interrupted_leaves_no_chain_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "mine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        chain("default", 1, 2, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_chain_made_by_other_code_is_made_anew(tmp_path: Path) -> None:
    folder = chain("default", 1, 2, cache=tmp_path)
    made = (folder / FACTS).read_text()
    (folder / FACTS).write_text(made.replace(facts(folder).made_by, "other code"))
    assert chain("default", 1, 2, cache=tmp_path) == folder
    assert (folder / FACTS).read_text() == made


def test_a_source_of_files_ends_where_it_is_told_to(tmp_path: Path) -> None:
    folder = chain("default", 1, 4, cache=tmp_path)
    source = FileBlockSource(folder, START_HEIGHT + 1)
    whole = FileBlockSource(folder)
    assert source.tip() == NodeTip("regtest", START_HEIGHT + 1, whole.hashes(START_HEIGHT + 1, 1)[0])
    assert source.hashes(START_HEIGHT, 10) == whole.hashes(START_HEIGHT, 2)
    assert source.hashes(START_HEIGHT + 2, 1) == []
    assert len(whole.hashes(START_HEIGHT, 10)) == 4
