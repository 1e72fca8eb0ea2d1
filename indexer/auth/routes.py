"""`/v1/auth`: a token for an API key, and who I am."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel, Field

from indexer.auth.principal import SCOPES, Kind, Principal, Reason, Refused, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.auth.authenticator import Authenticator

RETRY_AFTER = 60  # seconds: setting tokens up is an operator's work

_NO_STORE = "no-store"
_CREDENTIALS = [
    Security(HTTPBearer(auto_error=False, scheme_name="Bearer", description="An API key or a token.")),
    Security(APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="ApiKey", description="An API key.")),
]


class AccessToken(BaseModel):
    """A token, to be sent as `Authorization: Bearer …`; `expires_in` in seconds, scopes separated by spaces."""

    access_token: str = Field(repr=False, examples=["eyJhbGciOiJFZERTQSIsImtpZCI6IjE2…"])
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(examples=[900])
    scope: str = Field(examples=["read operate"])
    key_id: str = Field(examples=["3f9a1c5b7d20"])


class Caller(BaseModel):
    """Who calls: the id of the API key, null for nobody in particular."""

    user_id: str | None = Field(examples=["3f9a1c5b7d20"])
    scopes: list[Scope] = Field(examples=[["read", "operate"]])
    kind: Kind = Field(examples=["token"])


def auth_router(
    authenticator: Authenticator, principal_of: Callable[[Request], Principal], errors: dict[int | str, dict[str, Any]]
) -> APIRouter:
    """Return the routes; `principal_of` says who sent a request, `errors` describes problems by status for OpenAPI."""
    # What the front answers in front of both.
    responses: dict[int | str, dict[str, Any]] = {
        status: errors[status] for status in (401, 429, 503) if status in errors
    }
    router = APIRouter(prefix="/v1/auth", tags=["auth"], dependencies=_CREDENTIALS, responses=responses)

    @router.post("/token", responses={status: errors[status] for status in (403,) if status in errors})
    async def token(request: Request, response: Response) -> AccessToken:
        """Exchange an API key for a token of the same scopes that any process verifies without the database.

        It ends early where its API key is revoked or expires.
        """
        principal = principal_of(request)
        if principal.user_id is None:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, "a token is given for an API key: send one", {"WWW-Authenticate": "Bearer"}
            )
        if principal.via_token:
            raise HTTPException(HTTPStatus.FORBIDDEN, "a token is given for an API key, not for another token")
        try:
            issued = authenticator.issue(principal)
        except Refused as refused:
            raise _problem(refused) from None
        response.headers["Cache-Control"] = _NO_STORE
        return AccessToken(
            access_token=issued.text, expires_in=issued.expires_in, scope=issued.scope, key_id=issued.key_id
        )

    @router.get("/me")
    async def me(request: Request, response: Response) -> Caller:
        """Say who the API takes the caller for."""
        principal = principal_of(request)
        response.headers["Cache-Control"] = _NO_STORE
        scopes = [scope for scope in SCOPES if scope in principal.scopes]
        return Caller(user_id=principal.user_id, scopes=scopes, kind=principal.kind)

    return router


def _problem(refused: Refused) -> HTTPException:
    if refused.reason is Reason.UNAVAILABLE:
        return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(refused), {"Retry-After": str(RETRY_AFTER)})
    # The key ended after the request had been let in.
    return HTTPException(HTTPStatus.UNAUTHORIZED, str(refused), {"WWW-Authenticate": 'Bearer error="invalid_token"'})
