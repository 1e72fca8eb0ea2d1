"""The API itself, with a collector, a database and a node that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from indexer.api.app import create_app
from indexer.settings import Settings
from indexer.store.reader import Reader
from infra.local.traffic.chain import OfflineChain
from tests.indexer.telemetry.collector import Collector, attributes
from tests.support.canned import canned
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

STATUS = "/v1/indexer/brc20/status"
NODE_TIP = {"result": {"blocks": 9, "bestblockhash": "00" * 32, "chain": "regtest"}, "error": None, "id": 0}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def settings(database_url: str, collector: Collector) -> Iterator[Settings]:
    chain = OfflineChain(7, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(3, 2)
    writer = open_writer(database_url)
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.close()
    with canned({"/": (200, NODE_TIP)}) as node:
        yield Settings(
            _env_file=None,
            DATABASE_URL=database_url,
            BITCOIN_NETWORK="regtest",
            BITCOIN_RPC_URL=f"{node.url}/",
            BITCOIN_RPC_USER="user",
            BITCOIN_RPC_PASSWORD="hunter2",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_TRACES_SAMPLER_ARG=1.0,
        )


def spans_of(collector: Collector, trace_id: str) -> dict[str, Span]:
    return {span.name: span for span in collector.spans() if span.trace_id.hex() == trace_id}


def test_one_trace_leads_from_a_request_to_its_query_and_the_nodes_answer(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.api.node.KEPT", -1.0)  # what somebody else just asked is not asked again otherwise
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with TestClient(create_app(settings)) as client:
        headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
        answer = client.get(f"{STATUS}?api_key=hunter2", headers=headers)
    assert answer.status_code == 200, answer.text
    spans = spans_of(collector, trace_id)
    request = spans.pop(f"GET {STATUS}")
    assert set(spans) == {"SQL status", "bitcoin_node getblockchaininfo"}
    assert {span.parent_span_id for span in spans.values()} == {request.span_id}
    assert attributes(request)["simplicity.request_id"] == answer.headers["X-Request-ID"]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 0 for span in (request, *spans.values()))
    assert b"hunter2" not in b"".join(collector.bodies)


def test_a_client_is_told_the_trace_of_an_unexpected_error(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_reader: Reader) -> Any:  # noqa: ANN401 - it never returns
        raise RuntimeError("hunter2")

    said: list[dict[str, Any]] = []
    monkeypatch.setattr("indexer.api.front.logger.error", lambda _message, **members: said.append(members))
    monkeypatch.setattr(Reader, "status", broken)
    with TestClient(create_app(settings)) as client:
        answer = client.get(STATUS)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    [request] = spans_of(collector, answer.json()["trace_id"]).values()
    assert said[0]["trace_id"] == answer.json()["trace_id"]
    assert request.status.code == 2
    assert attributes(request)["http.response.status_code"] == 500
