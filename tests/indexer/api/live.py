"""The API as it is served: uvicorn with our protocol in a thread, and the lines that it logs."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2
import uvicorn

from indexer.api import server
from indexer.api.app import Api, create_app
from indexer.auth.keys import Digester, KeyRecord
from tests.indexer.auth.world import PEPPER
from tests.support.api import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.settings import Settings

SOON = 10.0  # seconds within which what should happen at once has happened on a busy machine
KEY_ID = "3f9a1c5b7d20"


@dataclass
class Live:
    """An API that is served."""

    api: Api
    log: Lines = field(repr=False)  # thousands of lines, in which a failure would not be found
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=SOON, trust_env=False)

    def key(self, role: str, key_id: str = KEY_ID) -> str:
        """Let the API know a key as its watcher would, and return it."""
        key = f"sk_{key_id}_{'k' * 43}"
        record = KeyRecord(key_id, "test", role, Digester(PEPPER).digest(key), 0.0, None, None, 0)
        self.api.service.authenticator.update([record])
        return key


@contextmanager
def serving(settings: Settings) -> Iterator[Live]:
    """Serve on a free loopback port for the time of a `with`, from when the tip is known."""
    log = Lines()
    api = create_app(settings, log)  # type: ignore[arg-type]  # it takes lines as a sink does
    uvicorn_server = uvicorn.Server(server._config(api, settings))  # noqa: SLF001 - the real one is what is tested
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=uvicorn_server.run, args=([listener],))
        thread.start()
        try:
            deadline = time.monotonic() + SOON
            while not (uvicorn_server.started and api.service.watcher.tip):
                assert thread.is_alive()
                assert time.monotonic() < deadline, "the tip is not known"
                time.sleep(0.01)
            yield Live(api, log, listener.getsockname()[1])
        finally:
            api.drain()
            uvicorn_server.should_exit = True
            thread.join(SOON)
