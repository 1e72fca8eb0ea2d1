"""An index of half a million operations, backed up, lost and restored: seconds, and how much smaller it is stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx2

from tests.bench.chain import chain
from tests.bench.files import facts
from tests.bench.progress import Progress
from tests.bench.source import FileBlockSource
from tests.prove.backups.site import site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.prove.backups.figures import Figures
    from tests.prove.backups.site import Site

BLOCKS, OPERATIONS = 1_010, 500_000
RESTORE_SECONDS = 60.0
SAVED = 0.6
BATCH = 20  # blocks of one call


def prove(figures: Figures, *, blocks: int = BLOCKS) -> None:
    """Measure one backup and one restore of a chain of `blocks` blocks with 500 operations each."""
    made = chain("dense", 7, blocks)
    count = facts(made).operations
    with site("--no-traffic") as here:
        here.key("of-large")
        first = here.done("backup", "create")["facts"]
        feed(here, made)
        here.reaches(facts(made).height, within=900)
        began = time.monotonic()
        backup = here.done("backup", "create")["facts"]
        figures.add(f"backup of {count} operations", f"{time.monotonic() - began:.1f} s", "< 600 s", holds=True)
        figures.add(
            "of them the copy itself",
            f"{backup['seconds']} s, {backup['size'] / 1e6:.0f} MB of {backup['data_size'] / 1e6:.0f} MB",
            "figures only",
            holds=True,
        )
        figures.add("smaller than the data", f"{backup['saved']:.1%}", ">= 60 %", holds=backup["saved"] >= SAVED)
        here.anchored()
        here.lose_the_database()
        began = time.monotonic()
        proof = here.done("backup", "restore")["facts"]["proof"]
        seconds = time.monotonic() - began
        figures.add(
            f"restore of {count} operations to proven state, source gone",
            f"{seconds:.1f} s",
            f"< {RESTORE_SECONDS:.0f} s" if blocks == BLOCKS else "figures only",
            holds=blocks != BLOCKS or seconds < RESTORE_SECONDS,
        )
        began = time.monotonic()
        wal = here.done("backup", "restore", f"--backup={first['backup']}")["facts"]["proof"]
        figures.add(
            "the same by WAL alone, from a backup of the empty index",
            f"{time.monotonic() - began:.1f} s",
            "the same tip",
            holds=wal["tip"] == proof["tip"],
        )


def feed(here: Site, folder: Path) -> None:
    """Let the envelope's node validate a chain's blocks."""
    source = FileBlockSource(folder)
    user, _, password = here.environment.secret("node_rpc_cookie").partition(":")
    with (
        Progress(f"the node takes {source.height} blocks", source.height) as progress,
        httpx2.Client(auth=(user, password), timeout=60, trust_env=False) as node,
    ):
        calls = []
        for number, raw in enumerate(source.raw_blocks(1), 1):
            calls.append({"jsonrpc": "1.0", "id": number, "method": "submitblock", "params": [raw.hex()]})
            if len(calls) == BATCH or number == source.height:
                answers = node.post(here.environment.endpoints.node_rpc, json=calls).raise_for_status().json()
                assert all(each["result"] is None and not each["error"] for each in answers), answers
                calls = []
            progress.at(number)
    source.close()
