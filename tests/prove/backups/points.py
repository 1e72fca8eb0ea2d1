"""Random points in time and height, restored after the source is gone, each held against two measures from outside.

One was recorded before: what the API said of each block while it was the tip. The other is made afterwards: a fresh
index of the node's blocks, in another server.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Self

import httpx2
import psycopg

from tests.bench.progress import Progress
from tests.support.postgres import Cluster
from tests.support.processes import simplicity

if TYPE_CHECKING:
    import random

    from tests.prove.backups.figures import Figures
    from tests.prove.backups.site import Site

# A reorg of the traffic is two blocks deep: below that a height has one block only.
SETTLED = 5
State = tuple[str, str]  # state hash and digest, by which two indexes are the same


@dataclass
class Witness:
    """Asks the API for the state of every block as it comes, in a thread; knows nothing of backups."""

    site: Site
    seen: dict[str, tuple[int, State]] = field(default_factory=dict)
    stop: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(30)

    def _watch(self) -> None:
        height = 0
        while not self.stop.wait(0.05):
            try:
                tip = self.site.tip()
                # Again from a little below: a reorg gives heights another block.
                for each in range(max(height - SETTLED, tip - 20, self.site.environment.start_height), tip + 1):
                    state = self.site.get(f"/v1/indexer/state/{each}")
                    self.seen[state["block_hash"]] = (each, (state["state_hash"], state["state_digest"]))
                height = tip
            except (httpx2.HTTPError, KeyError):
                continue  # the API has nothing to say for a moment


def prove(figures: Figures, here: Site, rng: random.Random, *, points: int, between: int = 40) -> None:
    """Back up in all three ways while blocks and keys come, lose the database, restore `points` random points."""
    with Witness(here) as witness:
        began = _first(here, between)
        here.done("backup", "create", "--kind", "incremental")
        here.key("second")
        here.reaches(here.tip() + between, within=120)
        here.done("backup", "create", "--kind", "differential")
        here.key("third")
        here.reaches(here.tip() + between, within=120)
        here.anchored()
        ended, top = datetime.now(UTC), here.tip()
        assert "is archived" in here.backups.source.archive_now(within=60)
    targets = _targets(rng, points, began, (ended, top))
    here.lose_the_database()
    fresh = fresh_index(here)
    good = orphans = 0
    worst = 0.0
    with Progress("restoring random points", points) as progress:
        for number, target in enumerate(targets):
            progress.at(number)
            started = time.monotonic()
            proof = here.done("backup", "restore", f"--to={target}")["facts"]["proof"]
            worst = max(worst, time.monotonic() - started)
            recorded, indexed = _agree(proof["tip"], witness.seen, fresh)
            good += recorded and indexed is not False and _is_at(target, proof["tip"])
            orphans += indexed is None
            shutil.rmtree(proof["folder"])
    figures.count("restores of random points in time and height, source gone, equal to what was recorded", good, points)
    note = f"{points - orphans} of {points}, {orphans} on a branch that the node had left"
    figures.add(
        "of them equal to a fresh index from blocks",
        note,
        "all on its chain, at least half",
        holds=orphans * 2 <= points,
    )
    figures.add("the slowest of them, to proven state", f"{worst:.1f} s", "figures only", holds=True)


def _first(here: Site, between: int) -> tuple[datetime, int]:
    """Make a key and the first backup; return from when, and from which height on, restores are possible."""
    here.key("first")
    here.reaches(here.environment.start_height + between, within=120)
    made = here.done("backup", "create")["facts"]
    there = {each["id"]: each for each in here.done("backup", "list")["backups"]}[made["backup"]]
    here.reaches(there["tip_height"] + between, within=120)
    return datetime.fromisoformat(there["ended_at"]), int(there["tip_height"])


def _targets(rng: random.Random, points: int, first: tuple[datetime, int], last: tuple[datetime, int]) -> list[str]:
    heights = [str(rng.randint(first[1] + 1, last[1] - SETTLED)) for _ in range((points + 1) // 2)]
    span = (last[0] - first[0]).total_seconds()
    moments = [first[0].timestamp() + 1 + rng.random() * (span - 2) for _ in range(points // 2)]
    return heights + [datetime.fromtimestamp(moment, UTC).isoformat() for moment in moments]


def fresh_index(here: Site) -> dict[str, tuple[int, State]]:
    """Index the node's chain from nothing, in a server of its own; return each block's height and state."""
    with Cluster.create() as cluster:
        url = cluster.new_database()
        settings = {"DATABASE_URL": url, "DATABASE_READER_ROLE": "postgres"}
        done = simplicity("sync", "--until", "tip", "--env-file", str(here.env_file), environment=settings, timeout=600)
        assert done.returncode == 0, done.stderr
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT hash, height, encode(state_hash, 'hex'), encode(state_digest, 'hex') FROM index.blocks"
            ).fetchall()
    return {bytes(block)[::-1].hex(): (height, (state, digest)) for block, height, state, digest in rows}


def _agree(
    tip: dict[str, Any], seen: dict[str, tuple[int, State]], fresh: dict[str, tuple[int, State]]
) -> tuple[bool, bool | None]:
    """Tell whether a restored tip is as recorded, and as in the fresh index (None: it is on a branch that was left)."""
    wanted = (tip["height"], (tip["state_hash"], tip["state_digest"]))
    indexed = fresh.get(tip["block_hash"])
    return seen.get(tip["block_hash"]) == wanted, None if indexed is None else indexed == wanted


def _is_at(target: str, tip: dict[str, Any]) -> bool:
    return not target.isdecimal() or int(target) == tip["height"]
