"""Whether the replica may be read: it answers, and is on the primary's chain and near enough to its tip."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexer import log
from indexer.store import queries
from indexer.store.connection import StoreUnavailableError
from indexer.store.pools import Kind, QueryTimeoutError

if TYPE_CHECKING:
    from indexer.api.tip import Watcher
    from indexer.store.pools import Row

logger = log.get(__name__)


@dataclass(slots=True)
class ReplicaWatcher:
    """Looks as often as the primary is looked at, and by itself: a replica that hangs must not keep news back."""

    watcher: Watcher
    _said: str = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                reason = await self._look()
            except (StoreUnavailableError, QueryTimeoutError) as error:
                reason = str(error)
            self.watcher.pools.replica_is_fit = not reason
            self._say(reason)
            await asyncio.sleep(min(self.watcher.settings.API_POLL_INTERVAL, 1.0))

    async def _look(self) -> str:
        """Return why the replica may not be read, empty where it may."""
        tip, pools = self.watcher.tip, self.watcher.pools
        seen = {"height": tip.height if tip else -1, "hash": tip.block_hash if tip else b""}
        row = await self._one(Kind.REPLICA, queries.PULSE, seen)
        if row is None or not row["tip_hash"]:
            return "it has no index"
        behind = tip.height - row["tip_height"] if tip is not None else 0
        if behind > self.watcher.settings.REPLICA_MAX_LAG:
            return f"it is {behind} blocks behind"
        if pools.primary_is_away:
            # Nothing is written meanwhile: if it has all that the primary was seen to have, it is the present.
            if behind <= 0:
                self.watcher.confirm(row)
            return ""
        if tip is None:
            return "the primary was not asked yet"
        if tip.block_hash == row["tip_hash"]:
            return ""
        place = {"height": row["tip_height"], "hash": row["tip_hash"]}
        return "" if await self._one(Kind.PAGE, queries.IS_BLOCK, place) is not None else "it is on another branch"

    async def _one(self, kind: Kind, query: str, parameters: Row) -> Row | None:
        pools = self.watcher.pools
        async with pools.connection(kind) as connection:
            rows = await pools.rows(kind, connection, query, parameters)
        return rows[0] if rows else None

    def _say(self, reason: str) -> None:
        # Of a lag the number changes, and what is said of it does not.
        kind = "lag" if "behind" in reason else reason
        if kind != self._said:
            logger.info(
                "reads go to the primary" if reason else "reads go to the replica", reason=reason or "it is fit"
            )
            self._said = kind
