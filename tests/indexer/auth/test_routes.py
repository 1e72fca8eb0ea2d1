from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from indexer.auth.authenticator import Authenticator
from indexer.auth.principal import Principal
from indexer.auth.routes import AccessToken, Caller, auth_router
from tests.indexer.auth.world import PEPPER, World

if TYPE_CHECKING:
    from collections.abc import Callable

    Client = Callable[[Authenticator], TestClient]


@pytest.fixture
def client() -> Client:
    def serving(authenticator: Authenticator) -> TestClient:
        def principal_of(request: Request) -> Principal:
            return authenticator.authenticate(request.headers.get("authorization"), request.headers.get("x-api-key"))

        app = FastAPI()
        app.include_router(
            auth_router(authenticator, principal_of, {401: {"description": "Refused."}, 403: {"description": "No."}})
        )
        return TestClient(app)

    return serving


def test_a_key_is_exchanged_for_a_token_that_is_accepted(world: World, client: Client) -> None:
    text, record = world.known("operator")
    api = client(world.authenticator)
    for headers in ({"X-API-Key": text}, {"Authorization": f"Bearer {text}"}):
        answer = api.post("/v1/auth/token", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert AccessToken(**body).model_dump() == body
        token = body.pop("access_token")
        told = {"token_type": "Bearer", "expires_in": 900, "scope": "read operate", "key_id": record.key_id}
        assert body == told
        me = api.get("/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert me.json() == {"user_id": record.key_id, "scopes": ["read", "operate"], "kind": "token"}
        assert me.headers["cache-control"] == "no-store"
    assert world.issued == 2


def test_a_caller_learns_what_it_is_taken_for(world: World, client: Client) -> None:
    text, record = world.known("admin")
    api = client(world.authenticator)
    assert api.get("/v1/auth/me").json() == {"user_id": None, "scopes": [], "kind": "anonymous"}
    me = api.get("/v1/auth/me", headers={"X-API-Key": text}).json()
    assert me == {"user_id": record.key_id, "scopes": ["read", "operate", "admin"], "kind": "key"}
    assert Caller(**me).model_dump() == me


def test_nobody_and_a_token_get_no_token(world: World, client: Client) -> None:
    api = client(world.authenticator)
    answer = api.post("/v1/auth/token")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    token = world.token(world.known()[0])
    answer = api.post("/v1/auth/token", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "a token is given for an API key, not for another token",
    )
    assert world.issued == 1


def test_without_a_ring_there_are_no_tokens_yet(world: World, client: Client) -> None:
    text, record = world.known()
    bare = Authenticator(PEPPER, None, 900)
    bare.update([record])
    answer = client(bare).post("/v1/auth/token", headers={"X-API-Key": text})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.json()["detail"] == "tokens are not set up here"


def test_a_key_that_ends_while_the_request_is_on_its_way_gets_no_token(world: World) -> None:
    _, record = world.known(expires_at=world.clock.now + 1)
    app = FastAPI()
    principal = Principal(record.key_id, frozenset())
    app.include_router(auth_router(world.authenticator, lambda _request: principal, {}))
    world.clock.now += 2
    answer = TestClient(app).post("/v1/auth/token")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_the_schema_names_both_ways_to_authenticate_and_carries_valid_examples(world: World, client: Client) -> None:
    schema = client(world.authenticator).get("/openapi.json").json()
    assert schema["components"]["securitySchemes"].keys() == {"Bearer", "ApiKey"}
    operation = schema["paths"]["/v1/auth/token"]["post"]
    assert operation["security"] == [{"Bearer": []}, {"ApiKey": []}]
    assert operation["responses"].keys() == {"200", "401", "403"}
    assert schema["paths"]["/v1/auth/me"]["get"]["responses"].keys() == {"200", "401"}
    shapes = schema["components"]["schemas"]
    for model in (AccessToken, Caller):
        fields = shapes[model.__name__]["properties"]
        example = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
        assert model(**example).model_dump(exclude={"token_type"}) == example
