"""The audit trail forged in every way, by somebody who owns the database: each forgery found and named."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from audit import trail
from audit.anchor import Anchor
from audit.chain import Kind, examine
from audit.entry import entry
from audit.objects import open_store
from indexer.store.schema import migrate
from tests.audit.forging import forge
from tests.support.postgres import Cluster

if TYPE_CHECKING:
    import random

    from tests.prove.backups.figures import Figures

ENTRIES = 40
TIMES = {Kind.CHANGED: 5, Kind.DROPPED: 5, Kind.REORDERED: 5, Kind.TRUNCATED: 5, Kind.ADDED: 5, Kind.REWRITTEN: 1}


def prove(figures: Figures, rng: random.Random) -> None:
    """Forge a trail of 40 entries that was copied to a second place before."""
    with Cluster.create() as cluster, tempfile.TemporaryDirectory() as folder:
        for kind, times in TIMES.items():
            named = 0
            for number in range(times):
                url = cluster.new_database()
                migrate(url)
                with psycopg.connect(url, autocommit=True) as connection:
                    for each in range(ENTRIES):
                        with connection.transaction():
                            trail.append(connection, entry("proof.write", f"thing {each}", after={"number": each}))
                    anchor = Anchor(open_store(Path(folder).as_uri()), f"{kind}-{number}")
                    anchor.extend(connection)
                    expected = forge(connection, kind, rng)
                    found = examine(trail.links(connection), anchor.links())
                named += (expected.kind, expected.seq) in {(each.kind, each.seq) for each in found}
            figures.count(f"forgeries of the trail: {kind}, found and named by kind and entry", named, times)
