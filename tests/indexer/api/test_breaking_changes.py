"""`.ci/check_openapi.py` refuses what a client of the last release would stumble over, and nothing else."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_openapi", ROOT / ".ci/check_openapi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECK = load()

OP = {
    "type": "object",
    "required": ["kind", "amount"],
    "properties": {
        "kind": {"type": "string", "enum": ["mint", "burn"]},
        "amount": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "next": {"$ref": "#/components/schemas/Op"},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}
DOCUMENT: Json = {
    "paths": {
        "/list/{ticker}": {
            "get": {
                "operationId": "list",
                "parameters": [
                    {"name": "ticker", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 9}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100, "minimum": 1}},
                    {"name": "kind", "in": "query", "schema": {"type": "string", "enum": ["mint", "burn"]}},
                    {
                        "name": "cursor",
                        "in": "query",
                        "schema": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
                    },
                ],
                "security": [{}, {"Key": []}],
                "responses": {
                    "200": {
                        "headers": {"ETag": {}},
                        "content": {
                            "application/json": {
                                "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Op"}}
                            }
                        },
                    },
                    "404": {"$ref": "#/components/responses/Gone"},
                },
            },
            "post": {
                "operationId": "add",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}}}
                        }
                    }
                },
                "responses": {"200": {}},
            },
        },
        "/other": {"get": {"operationId": "other", "responses": {"200": {}}}},
    },
    "components": {
        "schemas": {"Op": OP},
        "responses": {"Gone": {"headers": {"Warning": {}}, "content": {"application/problem+json": {"schema": {}}}}},
    },
}


def op(document: Json) -> Json:
    found: Json = document["components"]["schemas"]["Op"]
    return found


def get(document: Json) -> Json:
    found: Json = document["paths"]["/list/{ticker}"]["get"]
    return found


def parameter(document: Json, number: int) -> Json:
    found: Json = get(document)["parameters"][number]
    return found


def body(document: Json) -> Json:
    found: Json = document["paths"]["/list/{ticker}"]["post"]["requestBody"]
    return found


HERE = "GET /list/{ticker}"
BREAKING: dict[str, tuple[Callable[[Json], object], str]] = {
    "a path": (lambda new: new["paths"].pop("/other"), "/other: the path is gone"),
    "an operation": (
        lambda new: new["paths"]["/list/{ticker}"].pop("get"),
        f"{HERE}: the operation is gone",
    ),
    "an operation's name": (lambda new: get(new).update(operationId="x"), f"{HERE}: operationId 'list' is now 'x'"),
    "a parameter": (lambda new: get(new)["parameters"].pop(1), f"{HERE}: parameter limit (query) is gone"),
    "a parameter that must be there": (
        lambda new: parameter(new, 1).update(required=True),
        f"{HERE}: parameter limit (query) is now required",
    ),
    "a new parameter that must be there": (
        lambda new: get(new)["parameters"].append({"name": "x", "in": "header", "required": True, "schema": {}}),
        f"{HERE}: parameter x (header) is now required",
    ),
    "a parameter's type": (
        lambda new: parameter(new, 1)["schema"].update(type="boolean"),
        f"{HERE}: parameter limit: integer is now boolean",
    ),
    "a parameter's null": (
        lambda new: parameter(new, 3)["schema"]["anyOf"].pop(),
        f"{HERE}: parameter cursor: null or string is now string",
    ),
    "a parameter's values": (
        lambda new: parameter(new, 2)["schema"]["enum"].pop(),
        f'{HERE}: parameter kind: may no longer be "burn"',
    ),
    "a parameter that takes only some values": (
        lambda new: parameter(new, 0)["schema"].update(enum=["a"]),
        f"{HERE}: parameter ticker: may no longer be any value",
    ),
    "a parameter's largest value": (
        lambda new: parameter(new, 1)["schema"].update(maximum=99),
        f"{HERE}: parameter limit: maximum 100 is now 99",
    ),
    "a parameter's smallest value": (
        lambda new: parameter(new, 1)["schema"].update(minimum=2),
        f"{HERE}: parameter limit: minimum 1 is now 2",
    ),
    "a nullable parameter's length": (
        lambda new: parameter(new, 3)["schema"]["anyOf"][0].update(maxLength=8),
        f"{HERE}: parameter cursor: maxLength 9 is now 8",
    ),
    "a parameter's form": (
        lambda new: parameter(new, 0)["schema"].update(pattern="^a$"),
        f"{HERE}: parameter ticker: pattern none is now ^a$",
    ),
    "a status": (lambda new: get(new)["responses"].pop("404"), f"{HERE}: status 404 is gone"),
    "a header": (
        lambda new: get(new)["responses"]["200"]["headers"].clear(),
        f"{HERE} 200: header ETag is gone",
    ),
    "a shared answer's type of content": (
        lambda new: new["components"]["responses"]["Gone"]["content"].clear(),
        f"{HERE} 404: application/problem+json is gone",
    ),
    "a field of an answer": (
        lambda new: op(new)["properties"].pop("more"),
        f"{HERE} 200: items: field more is gone",
    ),
    "a field that may be missing": (
        lambda new: op(new)["required"].remove("kind"),
        f"{HERE} 200: items: field kind may be missing now",
    ),
    "an answer's type": (
        lambda new: op(new)["properties"]["kind"].update(type="integer"),
        f"{HERE} 200: items: field kind: string is now integer",
    ),
    "an answer's null": (
        lambda new: op(new)["properties"].update(
            kind={"anyOf": [{"type": "string", "enum": ["mint", "burn"]}, {"type": "null"}]}
        ),
        f"{HERE} 200: items: field kind: string is now null or string",
    ),
    "an answer's new value": (
        lambda new: op(new)["properties"]["kind"]["enum"].append("wrap"),
        f'{HERE} 200: items: field kind: may now be "wrap"',
    ),
    "an answer of any value": (
        lambda new: op(new)["properties"]["kind"].pop("enum"),
        f"{HERE} 200: items: field kind: may now be any value",
    ),
    "the values of a map": (
        lambda new: op(new)["properties"]["more"]["additionalProperties"].update(type="string"),
        f"{HERE} 200: items: field more: values: integer is now string",
    ),
    "a credential": (
        lambda new: get(new)["security"].remove({}),
        f"{HERE}: a credential is now required",
    ),
    "a kind of credential": (
        lambda new: get(new).update(security=[{}, {"Other": []}]),
        f'{HERE}: {{"Key": []}} is no longer enough',
    ),
    "a body that must be there": (
        lambda new: body(new).update(required=True),
        "POST /list/{ticker}: a body is now required",
    ),
    "a field that must be sent": (
        lambda new: body(new)["content"]["application/json"]["schema"]["required"].append("b"),
        "POST /list/{ticker} body: field b is now required",
    ),
}

FINE: dict[str, Callable[[Json], object]] = {
    "a path more": lambda new: new["paths"].update({"/new": {}}),
    "a parameter more": lambda new: get(new)["parameters"].append({"name": "x", "in": "query", "schema": {}}),
    "a wider parameter": lambda new: parameter(new, 1)["schema"].update(maximum=200, minimum=0),
    "a parameter's value more": lambda new: parameter(new, 2)["schema"]["enum"].append("wrap"),
    "a parameter that may be missing": lambda new: parameter(new, 0).update(required=False),
    "a field more": lambda new: op(new)["properties"].update(x={"type": "string"}),
    "a field that is always there": lambda new: op(new)["required"].append("more"),
    "a narrower answer": lambda new: op(new)["properties"]["kind"]["enum"].pop(),
    "no null any more": lambda new: op(new)["properties"].update(amount={"type": "string"}),
    "a status more": lambda new: get(new)["responses"].update({"410": {}}),
    "a header more": lambda new: get(new)["responses"]["200"]["headers"].update(Age={}),
    "a body's field that may be missing": lambda new: body(new)["content"]["application/json"]["schema"].pop(
        "required"
    ),
    "another order": lambda new: get(new)["parameters"].reverse(),
    "other words": lambda new: get(new).update(description="x", summary="y"),
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_breaks_a_client_is_one_line(change: str) -> None:
    new = copy.deepcopy(DOCUMENT)
    act, line = BREAKING[change]
    act(new)
    assert CHECK.breaking(DOCUMENT, new) == [line]


@pytest.mark.parametrize("change", FINE)
def test_what_breaks_nobody_is_let_through(change: str) -> None:
    new = copy.deepcopy(DOCUMENT)
    FINE[change](new)
    assert CHECK.breaking(DOCUMENT, new) == []


def test_this_release_breaks_no_client_of_the_last_one() -> None:
    released, present = (
        json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))
        for name in ("openapi.released.json", "openapi.json")
    )
    assert CHECK.breaking(released, present) == []


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The document in a folder of its own, as this code gives it, and what was released."""
    monkeypatch.setattr(CHECK, "DOCUMENT", tmp_path / "openapi.json")
    monkeypatch.setattr(CHECK, "RELEASED", tmp_path / "released.json")
    monkeypatch.setattr(CHECK, "generated", lambda: json.dumps(DOCUMENT))
    assert run(monkeypatch, "--release") == 0
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["check_openapi.py", *arguments])
    code: int = CHECK.main()
    return code


def test_a_document_that_is_not_generated_anew_fails_and_says_what_to_do(
    committed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--check") == 0
    (committed / "openapi.json").write_text("{}")
    assert run(monkeypatch, "--check") == 1
    assert "run: .venv/bin/python .ci/check_openapi.py" in capsys.readouterr().err
    assert run(monkeypatch) == 0
    assert run(monkeypatch, "--check") == 0


def test_only_a_release_accepts_what_breaks_clients(
    committed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new = copy.deepcopy(DOCUMENT)
    new["paths"].pop("/other")
    monkeypatch.setattr(CHECK, "generated", lambda: json.dumps(new))
    assert run(monkeypatch) == 1
    assert capsys.readouterr().err == "breaks clients of the last release: /other: the path is gone\n"
    assert run(monkeypatch, "--release") == 0
    assert json.loads((committed / "released.json").read_text()) == new
    assert run(monkeypatch, "--check") == 0
