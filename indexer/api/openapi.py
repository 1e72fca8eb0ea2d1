"""The OpenAPI document: what FastAPI knows of the routes, completed by what the front does before them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from indexer.api import components
from indexer.api.classes import NEED_READ, RouteClass, route_class
from indexer.api.errors import header_refs, name_of, responses
from indexer.api.models import Problem

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.routing import APIRoute

Json = dict[str, Any]

_TURNED = (401, 403, 429, 500, 503)
# What the front may answer in the place of a route.
_ANSWERS: dict[RouteClass, tuple[int, ...]] = {
    RouteClass.PROBE: (),
    RouteClass.INTERNAL: _TURNED,
    RouteClass.READ: (304, *_TURNED),
    RouteClass.BULK: _TURNED,
    RouteClass.STREAM: _TURNED,
    RouteClass.AUTH: (401, 429, 500, 503),
    RouteClass.DOCS: (401, 429, 500, 503),
}
_HEADERS: dict[RouteClass, tuple[str, ...]] = {
    RouteClass.READ: components.READ,
    RouteClass.BULK: ("Cache-Control", *components.SNAPSHOT, *components.LIMITED),
    RouteClass.STREAM: ("Cache-Control", *components.LIMITED),
    RouteClass.AUTH: ("Cache-Control", *components.LIMITED),
}


def operation_id(route: APIRoute) -> str:
    """Return what clients call an operation: a name that moving its path does not change."""
    return route.name


def install(app: FastAPI) -> None:
    """Let an application describe itself so; the document is made once."""
    made: list[Json] = []

    def described() -> Json:
        if not made:
            made.append(document(app))
        return made[0]

    app.openapi = described  # type: ignore[method-assign] # the way that FastAPI documents


def document(app: FastAPI) -> Json:
    """Return the document of an application's routes."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=components.DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=components.TAGS,
        routes=app.routes,
    )
    schemas = found["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(operation, method, route_class(path), schemas)
    # Not in the order in which routes are tried, which may change.
    found["paths"] = dict(sorted(found["paths"].items()))
    found["components"] |= {
        "schemas": dict(sorted(schemas.items())),
        "headers": components.HEADERS,
        "responses": responses(components.READ),
        "securitySchemes": components.SECURITY_SCHEMES,
    }
    return found


def _complete(operation: Json, method: str, kind: RouteClass, schemas: Json) -> None:
    first = operation["description"].partition("\n")[0].rstrip(".").removeprefix("Return ")
    operation["summary"] = first[0].upper() + first[1:]
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        _exemplify(parameter, operation["operationId"])
    own = operation["responses"]
    statuses = {int(status) for status in own} - {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY} | {*_ANSWERS[kind]}
    statuses |= {414, 422} if parameters else set()
    statuses |= {408, 413} if method == "post" else set()
    answers = {"200": _answer(own["200"], kind, parameters, schemas)}
    for status in sorted(statuses):
        answers[str(status)] = _other(status, own.get(str(status), {}), schemas)
    operation["responses"] = answers
    security = _security(method, kind)
    if security:
        operation["security"] = security


def _exemplify(parameter: Json, operation: str) -> None:
    name = parameter["name"]
    cursor = components.CURSORS.get(operation, components.OPERATIONS_CURSOR)
    example = cursor if name == "cursor" else components.PARAMETERS[name]
    parameter["schema"]["examples"] = [example]
    if parameter["required"]:
        parameter["example"] = example


def _answer(own: Json, kind: RouteClass, parameters: list[Json], schemas: Json) -> Json:
    headers = ["X-Request-ID", "X-Release", *_HEADERS.get(kind, ())]
    if any(parameter["name"] == "cursor" for parameter in parameters):
        headers.append("Link")
    content = own["content"]
    for media in content.values():
        if "example" not in media:
            media["schema"].pop("title", None)
            media["example"] = _example(media["schema"], schemas)
    return {"description": "The answer.", "headers": header_refs(*headers), "content": content}


def _other(status: int, own: Json, schemas: Json) -> Json:
    """Refer to what all routes have; a route that answers more in this case says so itself."""
    common = {"$ref": f"#/components/responses/{name_of(status)}"}
    if "content" not in own:
        return common
    found = _answer(own, RouteClass.INTERNAL, [], schemas)
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {**found, "description": own["description"], "content": {**found["content"], **problem}}


def _security(method: str, kind: RouteClass) -> list[Json]:
    """Return who may; `{}` where a setting or the network decides whether nobody in particular may too."""
    if kind in NEED_READ or kind is RouteClass.INTERNAL:
        scope = "read" if kind in NEED_READ else "operate"
        return [{}, {"Bearer": [scope]}, {"ApiKey": [scope]}]
    if kind is RouteClass.AUTH:
        both: list[Json] = [{"Bearer": []}, {"ApiKey": []}]
        return both if method == "post" else [{}, *both]
    return []


def _example(schema: Json, schemas: Json) -> object:
    """Return the example of a schema, put together from those of its fields."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas)]
    if "additionalProperties" in schema:
        return {"database": _example(schema["additionalProperties"], schemas)}
    if "properties" in schema:
        return {name: _example(field, schemas) for name, field in schema["properties"].items()}
    return schema["enum"][0] if "enum" in schema else schema["const"]
