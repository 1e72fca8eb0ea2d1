"""Alertmanager's webhook: what is posted here has been delivered."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from indexer import log
from runbooks.operations.deliveries import LARGEST_BYTES, Deliveries, MalformedError, parsed

if TYPE_CHECKING:
    from starlette.requests import Request

    from runbooks.operations.gate import Gate
    from runbooks.operations.metrics import Metrics

LOG = log.get("operations")
OK, UNAUTHORIZED = 200, 401


def _threads() -> ThreadPoolExecutor:
    # Its own: those that answer pages may all be waiting for Prometheus, just when alerts come.
    return ThreadPoolExecutor(2, thread_name_prefix="receiver")


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes deliveries in: admitted, checked, on disk, counted."""

    deliveries: Deliveries
    metrics: Metrics
    gate: Gate
    threads: ThreadPoolExecutor = field(default_factory=_threads)

    async def receive(self, request: Request) -> PlainTextResponse:
        """Answer one delivery: 200 when it is on disk, 4xx with one line when it is none, 503 when it is refused."""
        answer = await self._answer(request)
        if answer.status_code != OK:
            self.metrics.refused.inc()
            LOG.warning("alert delivery refused", status=answer.status_code)
        return answer

    async def _answer(self, request: Request) -> PlainTextResponse:
        # A page of another site can post here only what needs no preflight: text, and forms.
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return PlainTextResponse("post application/json\n", 415)
        run = asyncio.get_running_loop().run_in_executor
        refusal = await run(self.threads, self.gate.refusal, request.headers.get("authorization", ""))
        if refusal is not None:
            asks = {"WWW-Authenticate": "Bearer"} if refusal.status == UNAUTHORIZED else None
            return PlainTextResponse(f"{refusal.text}\n", refusal.status, asks)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BYTES:
                return PlainTextResponse(f"at most {LARGEST_BYTES} bytes\n", 413)
        return await run(self.threads, self._kept, bytes(body))

    def _kept(self, body: bytes) -> PlainTextResponse:
        if self.deliveries.refuses:
            return PlainTextResponse("refused: there is a file `refuse` beside the deliveries; remove it\n", 503)
        try:
            delivery = parsed(body, datetime.now(UTC))
            self.deliveries.append(delivery)
        except MalformedError as error:
            return PlainTextResponse(f"{error}\n", 400)
        except OSError as error:
            # Alertmanager tries a 5xx again, so nothing is lost while a disk is full.
            return PlainTextResponse(f"cannot be kept ({error.strerror}); make room, or mend the disk\n", 503)
        self.metrics.delivered(delivery)
        return PlainTextResponse("delivered\n")
