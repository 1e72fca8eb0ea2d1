"""The life of a sync process: migrate, wait for the writer's lock, follow; outlast what fails around it."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from indexer import log
from indexer.bitcoin.rest import RestBlockSource, block_source
from indexer.bitcoin.rpc import NodeError, NodeUnauthorizedError, RpcClient
from indexer.bitcoin.source import RpcBlockSource
from indexer.protocol.rules import Rules
from indexer.settings import shown
from indexer.store import schema
from indexer.store.chain import Identity
from indexer.store.connection import StoreError, StoreUnavailableError, connect, require_utf8, translated
from indexer.store.writer import StaleWriterError, UndoMissingError, Writer
from indexer.sync import metrics
from indexer.sync.ahead import InProcesses, WorkersLostError
from indexer.sync.follower import Follower, Step, WrongNetworkError
from indexer.sync.prepare import Preparer

if TYPE_CHECKING:
    from threading import Event

    from indexer.bitcoin.source import BlockSource
    from indexer.settings import Settings

logger = log.get(__name__)


def preparer(settings: Settings) -> Preparer:
    """Return what fetches and decodes blocks, in a process of its own."""
    log.configure(settings.LOG_LEVEL)  # called in a process of its own
    source, second = _ways(settings, RpcClient.from_settings(settings))
    return Preparer(source, _rules(settings), second)


def _ways(settings: Settings, rpc: RpcClient) -> tuple[BlockSource, BlockSource | None]:
    """Return the fastest way to a node's blocks, and another one where there is."""
    source = block_source(settings, rpc)
    return source, RpcBlockSource(rpc) if isinstance(source, RestBlockSource) else None


def _rules(settings: Settings) -> Rules:
    return Rules(settings.BITCOIN_NETWORK, settings.MARKETPLACE_TRANSFER_BLOCK_HEIGHT)


RETRY_SECONDS = 1.0
REPEAT_SECONDS = 10.0  # a fault that lasts is logged this often, not once a retry


class Exit(IntEnum):
    """What the exit code of `simplicity sync` means."""

    DONE = 0
    GAVE_UP = 1
    MISCONFIGURED = 2
    DAMAGED = 3


class _GaveUpError(Exception):
    """What was waited for did not come in time."""


@dataclass(frozen=True, slots=True)
class Until:
    """Where to stop: at the node's tip (None) or at a height; gives up when nothing moved for `patience` seconds."""

    height: int | None
    patience: float


@dataclass(slots=True)
class _Fault:
    """What is wrong right now, said once and then every REPEAT_SECONDS."""

    message: str = ""
    since: float = 0.0
    said: float = 0.0

    def report(self, message: str, now: float) -> float:
        """Log the fault where it is new or due again; return how long it has lasted in seconds."""
        if not self.message:
            self.since = now
        if message != self.message or now - self.said >= REPEAT_SECONDS:
            logger.warning("waiting", reason=message, seconds=round(now - self.since, 1))
            self.message, self.said = message, now
        return now - self.since

    def clear(self) -> None:
        """Note that things move again."""
        if self.message:
            logger.info("going on", after_seconds=round(time.monotonic() - self.since, 1))
            self.message = ""


@dataclass(slots=True)
class Service:
    """One sync process. `stop` ends it after the block in hand."""

    settings: Settings
    stop: Event
    until: Until | None = None
    _fault: _Fault = field(default_factory=_Fault)
    _met_node: bool = False
    _moved: int = 0

    def run(self) -> Exit:
        """Follow the chain until stopped or done."""
        rpc = RpcClient.from_settings(self.settings)
        try:
            while not self.stop.is_set():
                if self._attempt(rpc):
                    break
        except (StoreError, WrongNetworkError, NodeUnauthorizedError) as error:
            logger.error("stopped", reason=str(error))  # noqa: TRY400 - the line says all; a trace would bury it
            return Exit.MISCONFIGURED
        except psycopg.Error as error:
            # What may pass was translated: these are rows that contradict one another.
            reason = f"database refused what follows from its own rows ({error.diag.message_primary or error})"
            logger.error("stopped", reason=f"{reason}; look with: simplicity state verify")  # noqa: TRY400 - as above
            return Exit.DAMAGED
        except _GaveUpError as error:
            logger.error("gave up", reason=str(error))  # noqa: TRY400 - as above
            return Exit.GAVE_UP
        finally:
            rpc.close()
        return Exit.DONE

    def _attempt(self, rpc: RpcClient) -> bool:
        """Follow until done (True), or until the database fails in a way that may pass; then wait a moment (False)."""
        try:
            self._prepare()
            return self._follow(rpc)
        except StoreUnavailableError as error:
            metrics.DATABASE_FAILURES.inc()
            self._wait(str(error))
        except StaleWriterError as error:
            self._wait(str(error))
        return False

    def _prepare(self) -> None:
        url = self.settings.DATABASE_URL.get_secret_value()
        # Asked first, since what is wrong with a connection is said better here than through the migrations.
        connection = connect(url)
        try:
            with translated():
                require_utf8(connection)
        finally:
            connection.close()
        schema.migrate(url, reader_role=self.settings.DATABASE_READER_ROLE)

    def _follow(self, rpc: RpcClient) -> bool:
        writer = self._become_writer()
        if writer is None:
            return False
        try:
            logger.info("writing", height=writer.tip.height, node=shown(self.settings.BITCOIN_RPC_URL))
            workers = self.settings.SYNC_WORKERS
            ahead = InProcesses(partial(preparer, self.settings), workers) if workers else None
            source, second = _ways(self.settings, rpc)
            follower = Follower(source, writer, _rules(self.settings), ahead, second)
            with closing(follower):
                return self._steps(follower)
        finally:
            writer.close()
            metrics.stop_writing()

    def _become_writer(self) -> Writer | None:
        """Wait for the writer's lock; None when stopped meanwhile."""
        identity = Identity.from_settings(self.settings)
        url = self.settings.DATABASE_URL.get_secret_value()
        while not self.stop.is_set():
            writer = Writer.try_open(url, identity, undo_window=self.settings.MAX_REORG_DEPTH)
            if writer is not None:
                metrics.ROLE.state("writer")
                return writer
            metrics.ROLE.state("standby")
            self._wait("another sync writes to this database; standing by")
        return None

    def _steps(self, follower: Follower) -> bool:
        while not self.stop.is_set():
            if self._is_high_enough(follower.height):
                return True
            step = self._step(follower)
            if step is Step.AT_TIP:
                if self.until is not None and self.until.height is None:
                    return True
                self.stop.wait(self.settings.SYNC_POLL_INTERVAL)
        return False

    def _step(self, follower: Follower) -> Step | None:
        """Take a step; None after a wait, where the node failed or its chain cannot be followed for now."""
        try:
            step = follower.step(to_height=None if self.until is None else self.until.height)
        except (NodeError, UndoMissingError, WorkersLostError) as error:
            # Wrong from the start is a wrong setting; later it is a node that is being restarted or repaired.
            if isinstance(error, NodeUnauthorizedError) and not self._met_node:
                raise
            if isinstance(error, NodeError):
                metrics.NODE_FAILURES.inc()
                metrics.NODE_UP.set(0)
            metrics.REORG_TOO_DEEP.set(isinstance(error, UndoMissingError))
            self._wait(str(error))
            return None
        self._met_node = True
        metrics.NODE_UP.set(1)
        metrics.REORG_TOO_DEEP.set(0)
        if step is Step.NODE_MOVED:
            self._moved += 1
            # Once is a chain that moves; more is a node that says one thing of its tip and another of its blocks.
            if self._moved > 1:
                self._wait("node has no block where it says that its chain goes on; looking again")
            return step
        self._moved = 0
        self._fault.clear()
        return step

    def _is_high_enough(self, height: int) -> bool:
        return self.until is not None and self.until.height is not None and height >= self.until.height

    def _wait(self, reason: str) -> None:
        if self.stop.is_set():
            return  # stopped together with what it needs (its process group, the machine): that is no fault
        lasted = self._fault.report(reason, time.monotonic())
        if self.until is not None and lasted >= self.until.patience:
            raise _GaveUpError(reason)
        self.stop.wait(RETRY_SECONDS)
