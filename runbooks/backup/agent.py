"""The agent beside the database: records every block's state outside of it, copies the audit trail, has metrics.

What it records is the measure of every restore, so it only ever reads the database.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from audit import trail
from audit.anchor import Anchor, AnchorMismatchError
from audit.chain import ChainError
from audit.objects import ObjectStoreError
from indexer import log
from indexer.store.chain import TIP_CHANNEL
from indexer.store.connection import StoreError, StoreUnavailableError, connect
from runbooks.backup import checkpoints
from runbooks.backup.comparing import Comparison
from runbooks.backup.errors import BackupError
from runbooks.backup.metrics import Metrics
from runbooks.backup.repository import Repository

if TYPE_CHECKING:
    from threading import Event

    from audit.objects import ObjectStore
    from indexer.store.connection import Connection
    from runbooks.backup.keys import Sealing

WAIT_SECONDS = 1.0
# Listing a repository costs calls to an object store; nothing that is read of it changes faster.
REFRESH_SECONDS = 15.0
STATEMENT_SECONDS = 30

logger = log.get(__name__)


@dataclass(slots=True)
class Agent:
    """Watches one database until it is told to stop; what goes away meanwhile is looked for again."""

    database_url: str = field(repr=False)
    store: ObjectStore
    sealing: Sealing
    anchor: ObjectStore | None
    metrics: Metrics = field(default_factory=Metrics)
    comparison: Comparison = field(default_factory=Comparison)
    refreshed: float = 0.0

    def run(self, stop: Event) -> None:
        """Watch until `stop` is set."""
        while not stop.is_set():
            try:
                with connect(self.database_url, statement_timeout=STATEMENT_SECONDS) as connection:
                    self._watch(connection, stop)
            except (psycopg.OperationalError, StoreError, StoreUnavailableError) as error:
                logger.warning("the database is away", reason=" ".join(str(error).split()))
            except (ObjectStoreError, BackupError) as error:
                self.metrics.repository_up.set(0)
                logger.warning("the repository cannot be used", reason=str(error))
            self.metrics.connected.set(0)
            stop.wait(WAIT_SECONDS)

    def _watch(self, connection: Connection, stop: Event) -> None:
        repository = Repository(self.store, trail.cluster_id(connection))
        recorded: checkpoints.Log | None = None
        for channel in (TIP_CHANNEL, trail.CHANNEL):
            connection.execute(f"LISTEN {channel}")
        self.metrics.connected.set(1)
        logger.info("watching", cluster=repository.cluster, repository=self.store.url)
        self.refreshed = 0.0
        while not stop.is_set():
            self.metrics.looked.set_to_current_time()
            self._refresh(repository)
            if recorded is None and repository.is_begun:
                recorded = checkpoints.Log(repository, self.sealing)
                self.metrics.recorded(recorded.last)
            if recorded is not None and _has_index(connection):
                self._record(connection, recorded)
                self.comparison.look(connection, recorded)
                self.metrics.state_mismatch.set(self.comparison.verdict)
            self._copy_trail(connection, repository.cluster)
            # More than one notification may wait: all of them are answered by the next look.
            for _ in connection.notifies(timeout=WAIT_SECONDS, stop_after=1):
                pass

    def _refresh(self, repository: Repository) -> None:
        if time.monotonic() - self.refreshed < REFRESH_SECONDS:
            return
        self.metrics.refresh(repository, self.sealing.trusted)
        self.metrics.repository_up.set(1)
        self.refreshed = time.monotonic()

    def _record(self, connection: Connection, recorded: checkpoints.Log) -> None:
        while found := checkpoints.since(connection, recorded.last):
            recorded.add(found)
            self.metrics.recorded(recorded.last)
            self.metrics.looked.set_to_current_time()  # a whole chain takes minutes, and is no hanging

    def _copy_trail(self, connection: Connection, cluster: str) -> None:
        if not trail.is_there(connection):
            self.metrics.entries.set(0)
            return
        head = trail.head(connection)
        self.metrics.entries.set(0 if head is None else head.seq)
        if self.anchor is None:
            self.metrics.anchored.set(0)
            self.metrics.mismatch.set(0)
            return
        anchor = Anchor(self.anchor, cluster)
        try:
            anchor.extend(connection)
            self.metrics.mismatch.set(0)
        except (AnchorMismatchError, ChainError) as error:
            self.metrics.mismatch.set(1)
            logger.warning("trail and copy contradict one another", reason=str(error))
        copied = anchor.head()
        self.metrics.anchored.set(0 if copied is None else copied.seq)


def _has_index(connection: Connection) -> bool:
    row = connection.execute("SELECT to_regclass('index.blocks') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])
