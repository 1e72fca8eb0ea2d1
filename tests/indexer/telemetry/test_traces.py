from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from indexer.settings import Settings
from indexer.telemetry import traces
from indexer.telemetry.otlp import QUIET, Complaints, OtlpTracer
from indexer.telemetry.traces import ASKED_A_SECOND, NOTHING, Traces, parse, trace_id
from tests.indexer.telemetry.collector import Collector, attributes
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from starlette.types import Receive, Scope, Send

    from indexer.telemetry.traces import Parent

TRACE = "0af7651916cd43dd8448eb211c80319c"
ABOVE = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{ABOVE}-01".encode()
UNSAMPLED = f"00-{TRACE}-{ABOVE}-00".encode()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(autouse=True)
def no_request() -> None:
    """Each test starts outside of any request."""
    Traces().begin("GET", "/", None)


class App:
    """A small API: a query and a node's answer behind one route, errors behind others."""

    def __init__(self, tracing: Traces) -> None:
        self.tracing = tracing

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        traced = self.tracing.begin(scope["method"], scope["path"], headers.get(b"traceparent"))
        status, error = 200, None
        try:
            await self.answer(scope["path"])
        except RuntimeError as raised:
            status, error = 500, raised
        if traced is not None:
            traced.end("/v1/{ticker}", status, "request-1", error)
        body = json.dumps({"trace_id": trace_id()}).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def answer(self, path: str) -> None:
        with traces.sql("ticker", "primary"):
            await asyncio.sleep(0)
        # Queries that requests share run in tasks of their own.
        await asyncio.create_task(self.ask_node(path))

    async def ask_node(self, path: str) -> None:
        with traces.call("bitcoin_node", "getblockcount"):
            await asyncio.sleep(0)
            if path == "/v1/broken":
                raise RuntimeError("password=hunter2")


async def get(app: App, path: str, traceparent: bytes | None = None) -> Mapping[str, Any]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
        headers = {"traceparent": traceparent.decode()} if traceparent else {}
        body: dict[str, Any] = (await client.get(path, headers=headers)).json()
        return body


async def trace_of(collector: Collector, path: str, traceparent: bytes | None = None) -> dict[str, Span]:
    """The spans by name, of one request to the app."""
    tracing = Traces(OtlpTracer(collector.url), share=1.0)
    body = await get(App(tracing), path, traceparent)
    await asyncio.to_thread(tracing.close)
    spans = collector.spans()
    assert {span.trace_id.hex() for span in spans} == {body["trace_id"]}
    return {span.name: span for span in spans}


async def test_one_trace_leads_from_the_request_to_sql_and_to_the_node(collector: Collector) -> None:
    spans = await trace_of(collector, "/v1/ordi?key=hunter2")
    request = spans.pop("GET /v1/{ticker}")
    query, call = spans.pop("SQL ticker"), spans.pop("bitcoin_node getblockcount")
    assert not spans
    assert collector.paths == ["/v1/traces"]
    assert collector.resource()["service.name"] == "simplicity-api"
    assert request.parent_span_id == b""
    assert query.parent_span_id == call.parent_span_id == request.span_id
    assert (request.kind, query.kind, call.kind) == (2, 3, 3)  # server, client, client
    assert attributes(request) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/v1/ordi",
        "http.route": "/v1/{ticker}",
        "http.response.status_code": 200,
        "simplicity.request_id": "request-1",
    }
    assert attributes(query) == {
        "db.system.name": "postgresql",
        "db.system": "postgresql",
        "db.query.summary": "ticker",
        "db.pool": "primary",
    }
    assert attributes(call) == {"peer.service": "bitcoin_node", "rpc.method": "getblockcount"}
    starts = [span.start_time_unix_nano for span in (request, query, call)]
    assert starts == sorted(starts)
    assert request.end_time_unix_nano >= call.end_time_unix_nano > 0
    assert b"hunter2" not in b"".join(collector.bodies)


async def test_an_error_is_marked_by_its_type_alone(collector: Collector) -> None:
    spans = await trace_of(collector, "/v1/broken")
    for name in ("GET /v1/{ticker}", "bitcoin_node getblockcount"):
        assert spans[name].status.code == 2
        assert attributes(spans[name])["error.type"] == "RuntimeError"
        assert not spans[name].events
    assert spans["SQL ticker"].status.code == 0
    assert b"hunter2" not in b"".join(collector.bodies)


async def test_the_trace_of_a_caller_is_continued(collector: Collector) -> None:
    spans = await trace_of(collector, "/v1/ordi", SAMPLED)
    request = spans["GET /v1/{ticker}"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, ABOVE)
    assert spans["SQL ticker"].trace_id.hex() == TRACE


async def test_a_path_that_no_text_can_hold_loses_nothing(collector: Collector) -> None:
    tracing = Traces(OtlpTracer(collector.url), share=1.0)
    request = tracing.begin("BREW" * 100, "/\ud800" + "x" * 10_000, None)
    assert request is not None
    request.end(None, 404, "r")
    await asyncio.to_thread(tracing.close)
    [span] = collector.spans()
    assert span.name == "HTTP"
    assert attributes(span)["http.request.method"] == "_OTHER"
    assert len(str(attributes(span)["url.path"])) == 256


async def test_without_a_collector_only_the_id_is_known() -> None:
    app = App(Traces())
    assert (await get(app, "/v1/ordi", SAMPLED))["trace_id"] == TRACE
    assert (await get(app, "/v1/ordi", UNSAMPLED))["trace_id"] == TRACE
    first, second = [(await get(app, "/v1/ordi"))["trace_id"] for _ in range(2)]
    assert first != second
    assert len(first) == len(second) == 32


def test_a_request_has_one_id_however_often_it_is_asked_for() -> None:
    off = Traces()
    off.begin("GET", "/", None)
    first = trace_id()
    assert trace_id() == first
    off.begin("GET", "/", None)
    assert trace_id() != first


def test_an_untraced_request_gets_the_same_nothing_for_every_span() -> None:
    Traces().begin("GET", "/", SAMPLED)
    assert traces.sql("ticker", "primary") is NOTHING
    Traces().begin("GET", "/", None)
    assert traces.call("redis", "EVALSHA") is NOTHING


def test_where_nothing_is_traced_the_sdk_is_not_even_imported() -> None:
    program = """
import sys
from indexer.settings import Settings
from indexer.telemetry import access, metrics, security, sink, traces
tracing = traces.Traces.from_settings(Settings(_env_file=None, DATABASE_URL="postgresql://u@h/d"))
tracing.begin("GET", "/", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
with traces.sql("ticker", "primary"):
    pass
tracing.close()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_settings_name_the_collector_and_the_share(collector: Collector) -> None:
    settings = Settings(
        _env_file=None,
        DATABASE_URL="postgresql://u@h/d",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/",
        OTEL_TRACES_SAMPLER_ARG=1.0,
    )
    tracing = Traces.from_settings(settings)
    request = tracing.begin("GET", "/", None)
    assert request is not None
    request.end("/", 200, "r")
    tracing.close()
    assert [span.name for span in collector.spans()] == ["GET /"]


class Counting:
    """A tracer that counts."""

    trace_id = TRACE

    def __init__(self) -> None:
        self.started = 0

    def start(self, _method: str, _path: str, _parent: Parent | None) -> Counting:
        self.started += 1
        return self

    def child(self, _name: str, _attributes: Mapping[str, str]) -> AbstractContextManager[object]:
        return NOTHING

    def end(self, route: str | None, status: int, request_id: str, error: BaseException | None = None) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.1, 800, 1200), (1.0, 10_000, 10_000)])
def test_the_share_of_traced_requests_is_the_one_that_is_set(share: float, least: int, most: int) -> None:
    tracer = Counting()
    tracing = Traces(tracer, share)
    for _ in range(10_000):
        tracing.begin("GET", "/", None)
        tracing.begin("GET", "/", UNSAMPLED) if share == 0 else None
    assert least <= tracer.started <= most


def test_clients_that_ask_for_traces_get_few_a_second_and_slow_nobody_down() -> None:
    now = 0.0
    tracer = Counting()
    tracing = Traces(tracer, 0.0, lambda: now)
    for second in range(1, 4):
        now = float(second)
        for _ in range(1000):
            tracing.begin("GET", "/", SAMPLED)
        assert tracer.started == second * ASKED_A_SECOND


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (SAMPLED, (TRACE, ABOVE, True)),
        (UNSAMPLED, (TRACE, ABOVE, False)),
        (SAMPLED.replace(b"-01", b"-ff"), (TRACE, ABOVE, True)),
        (b"cc" + SAMPLED[2:] + b"-what-the-future-brings", (TRACE, ABOVE, True)),
        (b"ff" + SAMPLED[2:], None),
        (b"", None),
        (SAMPLED[:-1], None),
        (SAMPLED + b"0", None),
        (SAMPLED.upper(), None),
        (SAMPLED.replace(TRACE.encode(), b"0" * 32), None),
        (SAMPLED.replace(ABOVE.encode(), b"0" * 16), None),
        (SAMPLED + b"\n", None),
        (b"\xff" * 55, None),
        (b"0" * 100_000, None),
    ],
)
def test_a_traceparent_is_read_as_its_standard_says(header: bytes, read: tuple[str, str, bool] | None) -> None:
    found = parse(header)
    assert (found and (found.trace_id, found.span_id, found.sampled)) == read


def run_requests(tracing: Traces, number: int) -> float:
    """The seconds of the slowest request."""
    slowest = 0.0
    for _ in range(number):
        started = time.perf_counter()
        request = tracing.begin("GET", "/", None)
        assert request is not None
        with traces.sql("ticker", "primary"):
            pass
        request.end("/", 200, "r")
        slowest = max(slowest, time.perf_counter() - started)
    return slowest


@pytest.mark.parametrize("fault", ["gone", "hung", "refusing"])
def test_a_collector_that_fails_costs_requests_nothing_and_says_so_once(
    fault: str, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)  # as LOG_LEVEL is by default, whatever another test has set
    said: list[dict[str, Any]] = []
    monkeypatch.setattr("indexer.telemetry.otlp.logger.warning", lambda _message, **members: said.append(members))
    monkeypatch.setattr("indexer.telemetry.otlp.LAST", 0.3)
    url = f"http://127.0.0.1:{free_port()}" if fault == "gone" else collector.url
    collector.status = 400 if fault == "refusing" else 200
    if fault == "hung":
        collector.hung.clear()
    tracing = Traces(OtlpTracer(url, delay=0.01), share=1.0)
    slowest = run_requests(tracing, 3_000)  # more than fit into the queue
    started = time.perf_counter()
    tracing.close()
    # Two cores, shared: what would show is the collector's time-out of 5 s.
    assert slowest < 1.0
    assert time.perf_counter() - started < 2.0
    assert len(said) == 1 or (fault == "hung" and not said)  # its time-out may come after the end


def test_a_complaint_a_minute_says_how_many_were_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr("indexer.telemetry.otlp.logger.warning", lambda _message, **members: said.append(members))
    now = 0.0
    complaints = Complaints(lambda: now)
    record = logging.LogRecord("opentelemetry", logging.ERROR, "", 0, "no route to %s", ("host",), None)
    for _ in range(4):
        complaints.handle(record)
    now = QUIET
    complaints.handle(record)
    assert said == [{"reason": "no route to host", "withheld": 0}, {"reason": "no route to host", "withheld": 3}]
