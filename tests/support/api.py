"""The API in this process, asked without HTTP or by it, against a database whose chain a test moves."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import unquote

import uvicorn

from indexer.api import server
from indexer.api.app import create_app
from indexer.settings import Settings
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode, hash_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from starlette.types import Message, Scope

    from indexer.api.app import Api

SOON = 5.0  # seconds in which what should happen at once has happened on a busy machine

Headers: TypeAlias = "Mapping[str, str] | Sequence[tuple[str, str]]"


def settings(url: str, **changes: object) -> Settings:
    """Settings of a regtest API without limits."""
    given = {"BITCOIN_NETWORK": "regtest", "API_RATE_LIMITS": "", "API_KEY_RATE_LIMITS": ""}
    return Settings(_env_file=None, DATABASE_URL=url, **(given | changes))  # type: ignore[arg-type]  # as given


async def until(happens: Callable[[], bool], *, within: float = SOON, what: str = "it") -> None:
    """Wait for what tells nobody."""
    try:
        async with asyncio.timeout(within):
            while not happens():  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {within} s") from None


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The only header of a name."""
        found = [value for each, value in self.headers if each == name]
        assert len(found) <= 1, found
        return found[0] if found else None

    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.body)

    @property
    def cache(self) -> str:
        """How the cache answered: hit, miss or stale; nothing where it had no part."""
        status = self.header("cache-status") or ""
        if "detail=" in status:
            return "stale"
        return "miss" if "fwd=" in status else "hit" if status else ""

    @property
    def height(self) -> int:
        """The block that the answer is of."""
        return int(self.header("simplicity-height") or -1)

    @property
    def next(self) -> str | None:
        """Where the next page is."""
        link = self.header("link")
        return None if link is None else link.removeprefix("<").partition(">")[0]


def answer_of(messages: Sequence[Message]) -> Answer:
    start, *parts = messages
    headers = tuple((name.decode(), value.decode("latin-1")) for name, value in start["headers"])
    return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in parts))


@dataclass
class Lines:
    """Stands in for standard error: what was logged."""

    all: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0

    def put(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.all.append(json.loads(line))

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["logger"] == f"simplicity.{logger}"]


@dataclass
class App:
    """An API that runs; `port` is 0 where it is asked without HTTP."""

    api: Api
    log: Lines
    port: int = 0
    uvicorn: uvicorn.Server | None = None

    @property
    def tip_height(self) -> int:
        """The tip that the watcher knows."""
        tip = self.api.service.watcher.tip
        return -1 if tip is None else tip.height

    async def ask(
        self, target: str, *, method: str = "GET", headers: Headers = (), peer: str | None = "127.0.0.1"
    ) -> Answer:
        """Send a request and wait for all of its answer."""
        messages: list[Message] = []

        async def send(message: Message) -> None:
            messages.append(message)

        begun = False

        async def receive() -> Message:
            nonlocal begun
            if begun:
                await asyncio.Event().wait()  # the client stays
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async with asyncio.timeout(60):
            await self.api(scope_of(target, method, headers, peer), receive, send)
        assert messages, "no answer"
        assert not messages[-1].get("more_body"), "half an answer"
        return answer_of(messages)

    async def read(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        """The body of a good answer below /v1/indexer."""
        answer = await self.ask(f"/v1/indexer{path}", **options)
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    async def at(self, height: int, *, within: float = SOON) -> None:
        """Wait until the watcher knows a tip."""
        await until(lambda: self.tip_height == height, within=within, what=f"tip {height}")

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now, 0 where there is no such series."""
        return self.api.service.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def metrics(self) -> str:
        return self.api.service.telemetry.metrics.exposition().decode()


def scope_of(target: str, method: str = "GET", headers: Headers = (), peer: str | None = "127.0.0.1") -> Scope:
    """A request as uvicorn hands it on."""
    path, _, query = target.partition("?")
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": None if peer is None else (peer, 5),
        "server": ("127.0.0.1", 80),
        "state": {},
    }


@asynccontextmanager
async def running(url: str, *, known: bool = True, **changes: object) -> AsyncIterator[App]:
    """Run the API without HTTP; `known`: from the moment on at which it knows the tip."""
    app = _made(url, changes)
    async with app.api.service.running():
        if known:
            assert await app.api.service.watcher.changed(None, SOON), "no tip"
        yield app


@asynccontextmanager
async def serving(url: str, *, known: bool = True, **changes: object) -> AsyncIterator[App]:
    """Run the API behind real HTTP on a free port of the loopback address."""
    app = _made(url, changes)
    config = server._config(app.api, app.api.front.settings)  # noqa: SLF001 - the real one is what is tested
    config.timeout_graceful_shutdown = 1
    listener = socket.create_server(("127.0.0.1", 0))
    app.port = listener.getsockname()[1]
    app.uvicorn = uvicorn.Server(config)
    task = asyncio.create_task(app.uvicorn._serve([listener]))  # noqa: SLF001 - without its signal handlers
    try:
        await until(lambda: task.done() or (app.uvicorn is not None and app.uvicorn.started), what="the start")
        if known:
            assert await app.api.service.watcher.changed(None, SOON), "no tip"
        yield app
    finally:
        app.uvicorn.should_exit = True
        await task


def _made(url: str, changes: dict[str, object]) -> App:
    log = Lines()
    return App(create_app(settings(url, **changes), log), log)  # type: ignore[arg-type]  # it takes lines as a sink does


class Chain:
    """A chain that grows and forks, indexed into a database as sync does it."""

    def __init__(self, url: str, seed: int | str = 5, *, blocks: int = 4, operations: int = 4) -> None:
        self.url = url
        self.source = OfflineChain(seed, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
        self.source.extend(blocks, operations)
        self.node = MemoryNode(self.source.blocks)
        self.writer = open_writer(url)
        self.follow()

    @property
    def height(self) -> int:
        return len(self.source.blocks)

    @property
    def tip_hash(self) -> bytes:
        """In internal order."""
        return hash_of(self.source.blocks[-1])

    def extend(self, blocks: int = 1, operations: int = 3) -> Self:
        self.source.extend(blocks, operations)
        return self.follow()

    def fork(self, depth: int = 1, blocks: int = 2, operations: int = 3, name: str = "fork") -> Self:
        self.source.fork(depth, blocks, operations, name=name)
        return self.follow()

    def follow(self) -> Self:
        self.node.switch_to(self.source.blocks)
        follow_to_tip(self.node, self.writer)
        return self

    def close(self) -> None:
        self.writer.close()


@contextmanager
def chained(url: str, seed: int | str = 5, *, blocks: int = 4, operations: int = 4) -> Iterator[Chain]:
    """A chain for the time of a `with`."""
    chain = Chain(url, seed, blocks=blocks, operations=operations)
    try:
        yield chain
    finally:
        chain.close()
