"""One API process put together: what reads, who watches, what keeps, and what is told of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from indexer.api.cache import LocalCache
from indexer.api.classes import MAINTAINED
from indexer.api.events import Events
from indexer.api.health import Check, Outcome, Status
from indexer.api.limiter import Limiter
from indexer.api.node import NodeView
from indexer.api.replica import ReplicaWatcher
from indexer.api.shared import SharedCache
from indexer.api.tip import Watcher
from indexer.auth.authenticator import Authenticator
from indexer.remote.node import Node
from indexer.remote.redis import RemoteRedis
from indexer.store.reader import Reader
from indexer.telemetry import traces
from indexer.telemetry.access import AccessLog
from indexer.telemetry.metrics import Metrics, Position
from indexer.telemetry.security import SecurityLog
from indexer.telemetry.traces import Traces

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from typing import Any

    from indexer.settings import Settings
    from indexer.telemetry.sink import Sink


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of requests."""

    metrics: Metrics
    access: AccessLog
    security: SecurityLog
    traces: Traces

    @classmethod
    def from_settings(cls, settings: Settings, sink: Sink) -> Self:
        """Return telemetry into `sink` and, where a collector is named, to it."""
        metrics = Metrics()
        metrics.pull_counter("log_lines_dropped_total", "Log lines that could not be written", lambda: sink.dropped)
        security = SecurityLog(sink.put, metrics.security_events)
        return cls(metrics, AccessLog(sink.put, settings.LOG_LEVEL), security, Traces.from_settings(settings))


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a process; `running` holds what runs beside the requests."""

    settings: Settings
    telemetry: Telemetry
    reader: Reader
    authenticator: Authenticator
    watcher: Watcher
    redis: RemoteRedis | None
    node: NodeView
    limiter: Limiter
    local: LocalCache
    shared: SharedCache | None
    events: Events

    @classmethod
    def from_settings(cls, settings: Settings, sink: Sink) -> Self:
        """Put the parts together; nothing connects before `running`. Raises ConfigurationError for a bad key ring."""
        telemetry = Telemetry.from_settings(settings, sink)
        metrics = telemetry.metrics
        reader = Reader.from_settings(settings)
        reader.observe, reader.span = metrics.observe_query, traces.sql
        reader.pools.observe_wait = metrics.observe_wait
        authenticator = Authenticator.from_settings(settings, metrics.tokens_issued.inc)
        watcher = Watcher(settings, reader.pools, authenticator, on_reorg=metrics.reorgs.inc)
        redis = RemoteRedis.from_settings(settings)
        has_login = settings.BITCOIN_RPC_USER is not None or settings.BITCOIN_RPC_COOKIE_FILE is not None
        # Entries must outlast the stale window, or an outage would find none.
        keep = settings.API_CACHE_TTL + settings.API_STALE_SECONDS
        namespace = f"{settings.CLUSTER_NAME}:{settings.BITCOIN_NETWORK}"
        service = cls(
            settings,
            telemetry,
            reader,
            authenticator,
            watcher,
            redis,
            NodeView(Node.from_settings(settings) if has_login else None),
            Limiter.from_settings(settings, redis),
            LocalCache(settings.API_CACHE_BYTES),
            None if redis is None or settings.API_CACHE_BYTES == 0 else SharedCache(redis, namespace, keep),
            Events(reader, watcher, settings.API_MAX_STREAMS),
        )
        service._tell()
        return service

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, watch the tip and write behind; close everything in the end."""
        await self.reader.pools.open()
        work: list[Coroutine[Any, Any, None]] = [self.watcher.run()]
        if self.shared is not None:
            work.append(self.shared.run())
        if self.reader.pools.has_replica:
            work.append(ReplicaWatcher(self.watcher).run())
        if self.node.node is not None:
            work.append(self.node.run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.node.close()
            if self.redis is not None:
                await self.redis.close()
            await self.reader.pools.close()
            await asyncio.to_thread(self.telemetry.traces.close)
            self.telemetry.security.sum_up()

    def checks(self) -> tuple[Check, ...]:
        """Return the questions behind /health/detailed."""
        checks = [Check("database", self._ask_database)]
        for name, remote, ask in (
            ("redis", self.redis, self._ask_redis),
            ("bitcoin_node", self.node.node, self._ask_node),
        ):
            breaker = None if remote is None else partial(getattr, remote.guard, "state")
            checks.append(Check(name, None if remote is None else ask, breaker))
        return tuple(checks)

    async def _ask_database(self) -> Outcome:
        answer = await self.reader.status()
        lag = answer.rows[0]["node_height"] - answer.at.height
        fit = self.reader.pools.replica_is_fit
        where = "replica" if fit else "primary"
        problem = self.watcher.problem
        if problem:
            return Outcome(Status.DEGRADED, f"reads go to the {where}; the primary does not answer: {problem}")
        return Outcome(Status.HEALTHY, f"block {answer.at.height}, {max(0, lag)} behind the node; reads: {where}")

    async def _ask_redis(self) -> Outcome:
        if self.redis is not None:
            await self.redis.ping()
        if self.limiter.degraded:
            return Outcome(Status.DEGRADED, "answers; limits are still counted by process")
        return Outcome(Status.HEALTHY, "takes writes")

    async def _ask_node(self) -> Outcome:
        tip = await self.node.asked()
        network = self.settings.BITCOIN_NETWORK
        if tip.chain != network:
            return Outcome(Status.UNHEALTHY, f"follows {tip.chain}, BITCOIN_NETWORK is {network}")
        return Outcome(Status.HEALTHY, f"block {tip.height}")

    def _tell(self) -> None:
        """Let metrics read what lives in the parts."""
        metrics = self.telemetry.metrics
        pools = self.reader.pools
        metrics.watch_pools(pools.usage)
        metrics.pull(metrics.database_reachable, lambda: self.watcher.primary_answers, "primary")
        if pools.has_replica:
            metrics.pull(metrics.database_reachable, lambda: pools.replica_is_fit, "replica")
        metrics.watch_chain(self._position)
        metrics.pull(metrics.cache_bytes, lambda: self.local.bytes_used)
        metrics.pull(metrics.limiter_degraded, lambda: self.limiter.degraded)
        metrics.pull(metrics.streams_open, lambda: self.events.open_streams)
        metrics.pull_each(
            metrics.maintenance_mode,
            MAINTAINED,
            lambda name: any(each == name and self.watcher.maintenance.covers(each) for each in MAINTAINED),
        )
        guards = [remote.guard for remote in (self.redis, self.node.node) if remote is not None]
        for guard in guards:
            guard.observe = metrics.observe_remote
        metrics.watch_breakers({guard.name: partial(getattr, guard, "state") for guard in guards})

    def _position(self) -> Position:
        tip = self.watcher.tip
        if tip is None:
            return Position()
        node_height = self.node.last.height if self.node.last is not None else tip.node_height
        seconds = tip.time.timestamp() if tip.time is not None else None
        return Position(tip.height, seconds, max(node_height, tip.node_height))
