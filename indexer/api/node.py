"""The Bitcoin node as requests see it: asked at most once a second, whoever asks."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from indexer.bitcoin.rpc import NodeError, NodeUnavailableError
from indexer.remote.node import METHOD
from indexer.telemetry import traces

if TYPE_CHECKING:
    from indexer.remote.node import Node, NodeTip

KEPT = 1.0  # seconds
WATCHED = 5.0  # seconds


class NodeView:
    """What the node says; `node` is None where none is configured."""

    def __init__(self, node: Node | None) -> None:
        self.node = node
        self.last: NodeTip | None = None  # whatever its age
        self._asked = -KEPT
        self._flight: asyncio.Task[NodeTip] | None = None

    async def height(self) -> int | None:
        """Return the height of the node's best block, None where it does not answer or is not configured."""
        if self.node is None:
            return None
        with suppress(NodeError):
            return (await self.asked()).height
        return None

    async def asked(self) -> NodeTip:
        """Return where the node's chain stands. Raises NodeError."""
        if self._flight is None or (self._flight.done() and time.monotonic() - self._asked > KEPT):
            self._asked = time.monotonic()
            self._flight = asyncio.create_task(self._ask())
            self._flight.add_done_callback(lambda flight: flight.cancelled() or flight.exception())
        return await asyncio.shield(self._flight)

    async def _ask(self) -> NodeTip:
        if self.node is None:
            raise NodeUnavailableError("no node is configured")
        with traces.call("bitcoin_node", METHOD):
            self.last = await self.node.tip()
        return self.last

    async def run(self) -> None:
        """Ask now and then until cancelled: the lag has to show also when nobody else asks."""
        while True:
            await self.height()
            await asyncio.sleep(WATCHED)

    async def close(self) -> None:
        """Close the connection."""
        if self.node is not None:
            await self.node.close()
