"""An index that grows while backups of it are made, with a reorg, switches of WAL and an audit trail."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg

from audit import trail
from audit.entry import entry
from audit.objects import open_store
from indexer.store.schema import migrate
from indexer.store.writer import Writer
from infra.local.components import sync
from infra.local.traffic.chain import OfflineChain
from runbooks.backup import checkpoints, restore, wal
from runbooks.backup.checkpoints import Checkpoint, Log
from runbooks.backup.create import Wanted, create
from runbooks.backup.keys import Opening, Sealing, load_opening, load_sealing
from runbooks.backup.manifest import Kind, Manifest, new_id
from runbooks.backup.repository import Repository
from runbooks.backup.restoring import known_of
from runbooks.backup.scratch import Scratch, scratch
from runbooks.backup.target import Plan, Target, plan
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Archiving

WITHIN = 60  # seconds for a recovery
# Words that stand in the database and nowhere else.
MARK = "a-mark-that-only-the-trail-has"


@dataclass(frozen=True)
class Story:
    """The server, a copy of its repository in `folder`, and what was true when.

    `exports` has the whole index by the hash of its tip, `moment` is after block `moment_height` and before the next.
    `before` are the names of WAL files that were kept before the first backup.
    """

    server: Archiving
    folder: Path
    chain: OfflineChain
    full: Manifest
    incremental: Manifest
    differential: Manifest
    recorded: list[Checkpoint]
    left: Checkpoint
    exports: dict[str, bytes]
    moment: datetime
    moment_height: int
    before: list[str]

    @property
    def repository(self) -> Repository:
        return Repository(open_store(self.folder.as_uri()), self.full.cluster)

    @property
    def sealing(self) -> Sealing:
        return load_sealing(self.server.place.keys)

    @property
    def opening(self) -> Opening:
        return load_opening(self.server.place.keys)

    @property
    def backups(self) -> list[Manifest]:
        return [self.full, self.incremental, self.differential]


@dataclass
class _Teller:
    server: Archiving
    repository: Repository
    sealing: Sealing
    chain: OfflineChain
    exports: dict[str, bytes]
    log: Log | None = None
    made: int = 0

    def grow(self, blocks: int) -> None:
        self.chain.extend(blocks, 6)
        index(self.server.writer_url, self.chain)

    def record(self) -> Checkpoint:
        """Record the blocks that are new, and keep the index as it is at the last of them."""
        self.log = self.log or Log(self.repository, self.sealing)
        with self.server.source.connected() as connection:
            self.log.add(checkpoints.since(connection, self.log.last))
        self.exports[self.log.last[-1].block_hash] = exported(self.server.writer_url)
        return self.log.last[-1]

    def back_up(self, kind: Kind) -> Manifest:
        self.made += 1  # ids sort by the second, and more than one backup may be made within one
        backup = new_id(datetime.now(UTC) + timedelta(seconds=self.made), kind)
        wanted = Wanted(backup, kind, sync.CLUSTER, self.server.place.configuration())
        return create(self.server.source, self.repository, self.sealing, wanted)


def index(url: str, chain: OfflineChain) -> None:
    """Let the index follow a chain, each block in a transaction of its own."""
    who = identity(cluster=sync.CLUSTER)
    writer = Writer.try_open(url, who, undo_window=100)
    assert writer is not None
    try:
        follow_to_tip(MemoryNode(chain.blocks), writer, blocks_a_step=1)
    finally:
        writer.close()


def note(server: Archiving, target: str) -> None:
    """Append an entry to the audit trail."""
    with psycopg.connect(server.writer_url) as connection, connection.transaction():
        trail.append(connection, entry("test.note", target, after={"notes": [{"mark": MARK}]}))


def told(server: Archiving, folder: Path) -> Story:
    migrate(server.writer_url)
    repository, sealing = server.place.repository(), load_sealing(server.place.keys)
    chain = OfflineChain(31, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    teller = _Teller(server, repository, sealing, chain, {})
    teller.grow(7)
    server.archived()
    before = wal.names(repository)
    full = teller.back_up("full")
    note(server, "first")
    teller.record()
    teller.grow(4)
    teller.record()
    server.archived()
    incremental = teller.back_up("incremental")
    teller.grow(3)
    left = teller.record()
    server.archived()
    differential = teller.back_up("differential")
    chain.fork(2, 4, 6)
    index(server.writer_url, chain)
    teller.record()
    note(server, "second")
    for _ in range(2):
        teller.grow(1)
        teller.record()
        server.archived()
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    moment_height = chain.height
    teller.grow(2)
    server.archived()
    teller.record()  # as by an agent that was away: where it notes a position, nothing is archived yet
    shutil.copytree(server.envelope.layout.backups, folder)
    assert teller.log is not None
    return Story(
        server=server,
        folder=folder,
        chain=chain,
        full=full,
        incremental=incremental,
        differential=differential,
        recorded=list(checkpoints.read(repository, sealing.trusted)),
        left=left,
        exports=teller.exports,
        moment=row[0].astimezone(UTC),
        moment_height=moment_height,
        before=before,
    )


def planned(story: Story, target: Target, backups: list[Manifest] | None = None) -> Plan:
    known = known_of(story.repository, story.opening, story.backups if backups is None else backups, None)
    return plan(target, known)


@contextmanager
def restored(story: Story, chosen: Plan, folder: Path, repository: Repository | None = None) -> Iterator[Scratch]:
    """Provide the server that a plan leads to."""
    restore.fetch(repository or story.repository, chosen, story.opening, folder)
    with scratch(folder / restore.DATA, folder / "log") as server:
        restore.recover(server, chosen, folder, within=WITHIN)
        yield server
