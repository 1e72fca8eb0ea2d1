"""Where the chain stands: told by NOTIFY, asked once a second where that fails. Also what operators switched."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import dict_row

from indexer import log
from indexer.api.maintenance import CHANNEL as MAINTENANCE_CHANNEL
from indexer.api.maintenance import NOT_ON, Maintenance
from indexer.auth.store import RECORDS_SINCE, record_of
from indexer.store import queries
from indexer.store.chain import TIP_CHANNEL
from indexer.store.connection import CONNECT_TIMEOUT, LIVELINESS
from indexer.store.pools import bounded, read_only_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from indexer.auth.authenticator import Authenticator
    from indexer.settings import Settings
    from indexer.store.pools import Connection, Pools, Row

logger = log.get(__name__)

CHANNELS = (TIP_CHANNEL, "simplicity_auth", MAINTENANCE_CHANNEL)
PULSE_TIMEOUT = 2  # seconds
KEYS_TIMEOUT = 10  # seconds: 100 000 keys take one
CONFIRMED_FOR = 5.0  # seconds that a tip counts as known after the database named it last


@dataclass(frozen=True, slots=True)
class Tip:
    """The chain as the primary has it: hashes in internal order, the tip's time, and the node's height by sync."""

    height: int
    block_hash: bytes
    state_hash: bytes | None
    time: datetime | None
    node_height: int


@dataclass(slots=True)
class Watcher:
    """Follows the primary. `tip` is None until it was seen once; `maintenance` outlasts the database's outages."""

    settings: Settings
    pools: Pools
    authenticator: Authenticator
    tip: Tip | None = None
    maintenance: Maintenance = NOT_ON
    on_reorg: Callable[[], None] = lambda: None
    _confirmed: float = -CONFIRMED_FOR
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _problem: str = ""
    _is_lost: bool = False

    @property
    def is_confirmed(self) -> bool:
        """Whether the database has named the tip as lately as it is asked."""
        return not self.is_down and self.unconfirmed_for < CONFIRMED_FOR + self.settings.API_POLL_INTERVAL

    @property
    def unconfirmed_for(self) -> float:
        """How many seconds ago the database named the tip last."""
        return time.monotonic() - self._confirmed

    @property
    def problem(self) -> str:
        """Why the database does not answer, empty where it does."""
        return self._problem

    @property
    def primary_answers(self) -> bool:
        """Whether the primary has been met, and answered when it was asked last."""
        return not self._problem and self._confirmed >= 0  # a clock that only grows from 0 on

    @property
    def is_down(self) -> bool:
        """Whether no database is there to ask."""
        return bool(self._problem) and not self.pools.replica_is_fit

    @property
    def stale_left(self) -> float:
        """For how many seconds answers of the last known tip may still be given while no database is there."""
        return max(0.0, self.settings.API_STALE_SECONDS - self.unconfirmed_for)

    @property
    def tip_hash(self) -> bytes | None:
        """The hash of the block that answers have to be of."""
        return self.tip.block_hash if self.tip else None

    async def changed(self, seen: bytes | None, within: float) -> bool:
        """Wait until the tip is another than `seen`; False where that took too long, or who waits is to look around."""
        if self.tip_hash == seen:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._changed.wait()
        return self.tip_hash != seen

    def wake(self) -> None:
        """Let everybody who waits look again."""
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def run(self) -> None:
        """Follow until cancelled; outlast every failure of the database."""
        while True:
            try:
                await self._follow()
            except Exception as error:
                # Whatever it is: without its watcher a process would tell old news for ever.
                if not isinstance(error, psycopg.Error | OSError | TimeoutError):
                    logger.exception("watcher failed")
                # The connection alone may be lost: the database is away when a new one is not to be had either.
                if not self._is_lost:
                    self._is_lost = True
                    continue
                said = " ".join(str(error).split()) or type(error).__name__
                if not self._problem:
                    logger.warning("database lost", reason=said)
                self._problem = said
                self.pools.primary_is_away = True
            await asyncio.sleep(min(self.settings.API_POLL_INTERVAL, 1.0))

    async def _follow(self) -> None:
        async with asyncio.timeout(PULSE_TIMEOUT):
            connection = await self._connect()
        try:
            await bounded(_listen(connection), PULSE_TIMEOUT)
            # Anew with each connection: after a failover or a restore the count of changes may stand lower.
            await bounded(self._read_keys(connection, whole=True), KEYS_TIMEOUT)
            while True:
                await bounded(self._pulse(connection), PULSE_TIMEOUT)
                # A pooler in transaction mode takes LISTEN and never tells: then this merely waits.
                async for _ in connection.notifies(timeout=self.settings.API_POLL_INTERVAL, stop_after=1):
                    pass
        finally:
            await connection.close()

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(
            self.settings.DATABASE_URL.get_secret_value(),
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_TIMEOUT,
            **LIVELINESS,
            application_name="simplicity-api-watcher",
            options=read_only_options(PULSE_TIMEOUT),
        )

    async def _pulse(self, connection: Connection) -> None:
        seen = self.tip
        given = {"height": seen.height if seen else -1, "hash": seen.block_hash if seen else b""}
        row = await (await connection.execute(queries.PULSE, given)).fetchone()
        if row is None:
            return
        if row["keys_changed"] > self.authenticator.newest:
            await self._read_keys(connection, whole=False)
        if self._problem:
            logger.info("database is back")
            self._problem = ""
            self.pools.primary_is_away = False
        self._is_lost = False
        self.maintenance = Maintenance.of(row)
        self.confirm(row)

    async def _read_keys(self, connection: Connection, *, whole: bool) -> None:
        since = -1 if whole else self.authenticator.newest
        cursor = await connection.execute(RECORDS_SINCE, {"since": since})
        self.authenticator.update([record_of(row) for row in await cursor.fetchall()], whole=whole)

    def confirm(self, row: Row) -> None:
        """Take in where a database says that the chain stands."""
        self._confirmed = time.monotonic()
        if not row["tip_hash"]:
            return  # nothing is indexed yet
        before = self.tip
        self.pools.replica_floor = row["tip_height"] - self.settings.REPLICA_MAX_LAG
        self.tip = Tip(row["tip_height"], row["tip_hash"], row["state_hash"], row["time"], row["node_height"])
        if before is None or before.block_hash != self.tip.block_hash:
            if before is not None and not row["stands"]:
                self.on_reorg()
            self.wake()


async def _listen(connection: Connection) -> None:
    try:
        for channel in CHANNELS:
            await connection.execute(f"LISTEN {channel}")
    except psycopg.DatabaseError as error:
        if connection.closed:
            raise
        # A standby takes none: it is asked all the same.
        logger.info("nothing will be told here", reason=" ".join(str(error).split()))
