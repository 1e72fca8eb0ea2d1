"""The document tells the truth: every example is executed, and what it says of classes, scopes and headers is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jsonschema_rs
import pytest
from fastapi.routing import iter_route_contexts

from indexer.api import components
from indexer.api.classes import NEED_READ, RouteClass, route_class
from indexer.api.errors import problem_example
from indexer.auth import ring_file
from indexer.auth.ring import create
from indexer.settings import Settings
from indexer.store.reader import Reader
from tests.indexer.api.example_chain import index_examples
from tests.indexer.api.live import Live, serving
from tests.indexer.auth.world import PEPPER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from tests.support.postgres import Cluster

Json = dict[str, Any]

DOCUMENT: Json = json.loads((Path(__file__).parents[3] / "docs/openapi.json").read_text(encoding="utf-8"))
OPERATIONS: dict[str, tuple[str, str, Json]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
# What no client of the API is meant to call.
UNDOCUMENTED = {"/metrics", "/docs", "/docs/{name}", "/openapi.json"}
GOES_ON = {"cursor", "last_event_id", "Last-Event-ID"}  # an example of these leads past what the example shows
# What differs each time, by operation.
VOLATILE = {"detailed_health": {"timestamp", "version", "details"}, "root": {"version"}, "token": {"access_token"}}
STANDARD = {
    "access-control-allow-origin",
    "access-control-expose-headers",
    "connection",
    "content-length",
    "content-type",
    "date",
    "referrer-policy",
    "server",
    "transfer-encoding",
    "x-accel-buffering",
    "x-content-type-options",
}


@pytest.fixture(scope="module")
def settings(cluster: Cluster, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    url = cluster.new_database(migrated_template)
    index_examples(url)
    ring = tmp_path_factory.mktemp("ring") / "ring.json"
    ring_file.create(ring, create(0))
    release = "0.1.0-3f9c2a1b7d60"
    return Settings(_env_file=None, DATABASE_URL=url, AUTH_PEPPER=PEPPER, AUTH_KEY_RING=ring, RELEASE_ID=release)


@pytest.fixture(scope="module")
def live(settings: Settings) -> Iterator[Live]:
    with serving(settings) as live:
        yield live


@pytest.fixture(scope="module")
def closed(settings: Settings) -> Iterator[Live]:
    """Reads need a scope, and nobody is inside."""
    outside = settings.model_copy(update={"API_PUBLIC_READS": False, "API_INTERNAL_NETWORKS": ()})
    with serving(outside) as live:
        yield live


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[httpx2.Client]:
    with live.client() as client:
        yield client


def resolved(part: Json) -> Json:
    while "$ref" in part:
        found: Any = DOCUMENT
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def example_request(operation: str, *, going_on: bool = False) -> tuple[str, str, dict[str, str]]:
    """Return method, path with query, and headers as the document's examples have them."""
    method, path, described = OPERATIONS[operation]
    query: list[str] = []
    headers: dict[str, str] = {}
    for parameter in described.get("parameters", []):
        name, [value] = parameter["name"], parameter["schema"]["examples"]
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif name not in GOES_ON or going_on:
            query += [f"{name}={quote(text, safe='')}"] if parameter["in"] == "query" else []
            headers |= {name: text} if parameter["in"] == "header" else {}
    return method, f"{path}?{'&'.join(query)}" if query else path, headers


def assert_described(answer: httpx2.Response, operation: Json) -> Json:
    """The answer's status, type, body and headers are as the document has them; return the content's description."""
    described = resolved(operation["responses"][str(answer.status_code)])
    media_type = answer.headers["Content-Type"]
    content: Json = described["content"][media_type]
    if media_type.endswith("json"):
        schema = {**content["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer.json())
    known = {name.lower(): resolved(header) for name, header in described.get("headers", {}).items()}
    assert set(answer.headers) - STANDARD <= set(known)
    assert {name for name, header in known.items() if header.get("required")} <= set(answer.headers)
    return content


def masked(value: Any, operation: str) -> Any:  # noqa: ANN401 - JSON
    hidden = VOLATILE.get(operation, set())
    return {name: field for name, field in value.items() if name not in hidden} if hidden else value


def test_the_committed_document_is_what_the_api_says_of_itself(client: httpx2.Client) -> None:
    assert client.get("/openapi.json").json() == DOCUMENT


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"events"}))
def test_an_example_is_what_the_api_answers(live: Live, client: httpx2.Client, operation: str) -> None:
    method, target, headers = example_request(operation)
    key = live.key("operator")
    if operation == "token":
        headers["X-API-Key"] = key
    if operation == "me":
        token = client.post("/v1/auth/token", headers={"X-API-Key": key}).json()["access_token"]
        headers["Authorization"] = f"Bearer {token}"
    answer = client.request(method, target, headers=headers)
    content = assert_described(answer, OPERATIONS[operation][2])
    expected, found = masked(content["example"], operation), masked(answer.json(), operation)
    if operation == "detailed_health":
        assert expected["dependencies"].items() <= found["dependencies"].items()
    else:
        assert found == expected


@pytest.mark.parametrize(
    "operation",
    [name for name, (_, _, found) in OPERATIONS.items() if "Link" in found["responses"]["200"].get("headers", {})],
)
def test_a_list_goes_on_by_the_cursor_of_the_example(client: httpx2.Client, operation: str) -> None:
    _, target, _ = example_request(operation)
    _, further, _ = example_request(operation, going_on=True)
    cursor = client.get(target).links["next"]["url"].rpartition("cursor=")[2]
    assert f"cursor={cursor}" in further
    answer = client.get(further)
    assert answer.status_code == 200
    assert_described(answer, OPERATIONS[operation][2])


def test_the_stream_begins_as_its_example_does_and_goes_on_from_its_event(live: Live) -> None:
    _, target, _ = example_request("events")
    operation = OPERATIONS["events"][2]
    expected = operation["responses"]["200"]["content"]["text/event-stream"]["example"]
    with live.client() as client, client.stream("GET", target) as answer:
        assert answer.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        text = ""
        for part in answer.iter_text():
            text += part
            if len(text) >= len(expected):
                break
        assert text == expected
    _, target, headers = example_request("events", going_on=True)
    with live.client() as client, client.stream("GET", target, headers=headers) as answer:
        # The example's event is the tip: there is nothing to tell.
        assert next(answer.iter_text()) == components.STREAM.partition("id:")[0]


def test_an_answer_that_is_known_is_not_modified(client: httpx2.Client) -> None:
    for operation, (_, _, described) in OPERATIONS.items():
        if "304" not in described["responses"]:
            continue
        _, target, _ = example_request(operation)
        known = client.get(target).headers["ETag"]
        answer = client.get(target, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        documented = {name.lower() for name in resolved(described["responses"]["304"])["headers"]}
        assert set(answer.headers) - STANDARD <= documented


def assert_example(answer: httpx2.Response, status: int, operation: str) -> None:
    """The answer is the problem that the document shows for a status."""
    assert answer.status_code == status
    assert_described(answer, OPERATIONS[operation][2])
    # Python names some statuses otherwise since 3.13.
    assert answer.json() | {"title": ""} == problem_example(status) | {"title": ""}


@pytest.mark.parametrize(
    ("status", "operation", "change", "more"),
    [
        (401, "ticker_info", ("", ""), {"headers": {"X-API-Key": f"sk_{'0' * 12}_{'0' * 43}"}}),
        (404, "ticker_info", ("ordi", "nothing"), {}),
        (413, "token", ("", ""), {"content": b"x" * 16_385}),
        (414, "ticker_info", ("ordi", "x" * 8_192), {}),
        (422, "ticker_history", ("limit=1", "limit=1001"), {}),
    ],
)
def test_a_wrong_request_gets_the_example_of_its_problem(
    client: httpx2.Client, status: int, operation: str, change: tuple[str, str], more: Json
) -> None:
    method, target, _ = example_request(operation)
    assert_example(client.request(method, target.replace(*change), **more), status, operation)


def test_a_missing_scope_a_reached_limit_and_a_lost_database_get_the_examples_of_their_problems(
    closed: Live, settings: Settings
) -> None:
    with closed.client() as client:
        answer = client.get("/health/detailed", headers={"X-API-Key": closed.key("reader")})
        assert_example(answer, 403, "detailed_health")
    _, target, _ = example_request("status")
    with serving(settings) as live, live.client() as client:
        for _ in range(600):
            verdict = live.api.service.limiter.take_now("addr:127.0.0.1", "read")
            assert verdict is not None
            assert verdict.allowed
        assert_example(client.get(target), 429, "status")
        live.api.service.watcher._problem = "gone"  # noqa: SLF001 - as when the connection is lost
        with_key = {"X-API-Key": live.key("reader")}
        assert_example(client.get(target, headers=with_key), 503, "status")


@pytest.mark.usefixtures("said")
def test_an_unexpected_error_gets_the_example_of_its_problem(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "status", None)
    # A query that nobody else sends: the answer to another may be kept.
    answer = client.get(example_request("status")[1] + "?unexpected")
    assert answer.status_code == 500
    assert_described(answer, OPERATIONS["status"][2])
    found, expected = answer.json(), problem_example(500)
    assert len(found.pop("trace_id")) == len(expected.pop("trace_id"))
    assert found == expected


def test_every_operation_says_what_it_is_and_has_examples() -> None:
    for name, (method, path, operation) in OPERATIONS.items():
        assert operation["description"], name
        assert operation["summary"], name
        assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}, name
        for parameter in operation.get("parameters", []):
            place = f"{method} {path} {parameter['name']}"
            assert parameter["schema"]["examples"], place
            schema = jsonschema_rs.validator_for(parameter["schema"])
            assert schema.is_valid(parameter["schema"]["examples"][0]), place
            assert parameter["in"] != "path" or parameter["example"] == parameter["schema"]["examples"][0], place
        for answer in operation["responses"].values():
            assert resolved(answer)["description"]
    assert len(OPERATIONS) == sum(len(methods) for methods in DOCUMENT["paths"].values()), "an operationId twice"


def test_nothing_is_described_that_nobody_refers_to() -> None:
    text = json.dumps(DOCUMENT["paths"]) + json.dumps(DOCUMENT["components"])
    for kind in ("schemas", "responses", "headers"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_every_route_is_documented_and_each_has_a_class(live: Live) -> None:
    routes = {
        (method, context.path_format)
        for context in iter_route_contexts(live.api.routes.routes)
        for method in context.methods or ()
    }
    documented = {(method, path) for method, path, _ in OPERATIONS.values()}
    assert {(method, path) for method, path in routes if path not in UNDOCUMENTED} == documented
    assert {route_class(path) for _, path in routes} == set(RouteClass) - {RouteClass.OTHER}


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"events"}))
def test_a_closed_api_asks_for_exactly_the_scopes_that_are_documented(closed: Live, operation: str) -> None:
    method, target, headers = example_request(operation)
    _, path, described = OPERATIONS[operation]
    kind, security = route_class(path), described.get("security", [])
    statuses = {}
    with closed.client() as client:
        for role in ("nobody", "unheard-of", "reader", "operator"):
            credential = {} if role == "nobody" else {"X-API-Key": closed.key(role, f"{len(role):012x}")}
            answer = client.request(method, target, headers=headers | credential)
            assert_described(answer, described)
            statuses[role] = answer.status_code
    scopes = {scope for each in security for named in each.values() for scope in named}
    if kind in NEED_READ:
        assert (scopes, statuses) == ({"read"}, {"nobody": 401, "unheard-of": 403, "reader": 200, "operator": 200})
    elif kind is RouteClass.INTERNAL:
        assert (scopes, statuses) == ({"operate"}, {"nobody": 401, "unheard-of": 403, "reader": 403, "operator": 200})
    else:
        needs_one = bool(security) and {} not in security
        nobody = 401 if needs_one else 200
        others = {"unheard-of": 200, "reader": 200, "operator": 200}
        assert (scopes, statuses) == (set(), {"nobody": nobody, **others})
    documented = set(described["responses"])
    assert (kind is RouteClass.PROBE) == ("401" not in documented)
    assert ("403" in documented) == bool(scopes or operation == "token")
