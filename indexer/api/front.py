"""What every request goes through before a route is looked for: who it is, what it may, how often, and kept answers.

One ASGI middleware and not a stack of them: an answer from the cache costs a fraction of a route, and on that way
nothing waits for anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from indexer import log
from indexer.api import problems
from indexer.api.call import Call, template_of
from indexer.api.classes import NEED_READ, RouteClass, route_class
from indexer.api.client import client_address, limit_key, within
from indexer.api.hostile import sign_of
from indexer.api.limiter import headers as limit_headers
from indexer.api.refusals import BodyRefusedError, whole_body
from indexer.api.sending import PREFLIGHT, Sender, always, head_of, text_of
from indexer.auth.principal import ANONYMOUS, Principal, Reason, Refused
from indexer.settings import LIMITED
from indexer.store.connection import StoreUnavailableError
from indexer.store.pools import QueryTimeoutError
from indexer.telemetry.access import request_id
from indexer.telemetry.security import Event
from indexer.telemetry.traces import trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from indexer.api.kept import Reads
    from indexer.api.limiter import Limiter
    from indexer.api.refusals import Kind
    from indexer.api.sending import Head, Headers
    from indexer.api.service import Telemetry
    from indexer.api.tip import Watcher
    from indexer.auth.authenticator import Authenticator
    from indexer.settings import Settings

logger = log.get(__name__)

GIVEN = frozenset({"GET", "HEAD"})
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
# What the protocol and the body's bounds turn away, as security events.
REFUSED: dict[Kind, Event] = {
    "malformed": Event.MALFORMED_REQUEST,
    "uri_too_long": Event.OVERSIZED_REQUEST,
    "head_too_large": Event.OVERSIZED_REQUEST,
    "body_too_large": Event.OVERSIZED_REQUEST,
    "head_timeout": Event.SLOW_REQUEST,
    "body_timeout": Event.SLOW_REQUEST,
    "slow_reader": Event.SLOW_REQUEST,
}
CLIENT_LEFT = 499  # in logs and metrics alone: nobody is there to read a status


class _Turned(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered here with a problem."""

    def __init__(self, status: int, detail: str, headers: Headers | None = None, **more: str) -> None:
        super().__init__(detail)
        self.status, self.headers, self.more = status, headers or [], more


@dataclass(slots=True)
class Front:
    """The middleware. Nothing that a client sends makes it raise."""

    app: ASGIApp
    settings: Settings
    telemetry: Telemetry
    watcher: Watcher
    authenticator: Authenticator
    limiter: Limiter
    reads: Reads
    endpoint_of: Callable[[str], str | None]
    is_draining: bool = False
    in_flight: int = 0
    always: Headers = field(init=False)

    def __post_init__(self) -> None:
        # For every answer, whoever asks: a cache in between gives it to others.
        self.always = always(cross=self.settings.API_CORS, release=self.settings.RELEASE_ID)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count it, log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        head = head_of(scope["headers"])
        call = self._call(scope, head)
        is_head = scope["method"] == "HEAD"
        sender = Sender(send, call, bare=is_head, closing=self.is_draining, always=self.always)
        traced = self.telemetry.traces.begin(scope["method"], scope["path"], head.traceparent)
        self.in_flight += 1
        try:
            await self._answer(call, scope, receive, sender, head)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log its trace
            await self._failed(call, sender, error)
        finally:
            self.in_flight -= 1
            if call.endpoint is None:  # turned away before a route was looked for
                call.endpoint = self.endpoint_of(scope["path"])
            if traced is not None:
                traced.end(call.endpoint, call.status, call.request_id)
            if call.route_class is not RouteClass.PROBE:
                self._look_for_attacks(call, scope)
            # How long a client listens to a stream says nothing of how quick we are.
            is_stream = call.route_class is RouteClass.STREAM and sender.started_at
            self._note(call, scope["method"], (sender.started_at if is_stream else time.perf_counter()) - started)

    def _call(self, scope: Scope, head: Head) -> Call:
        peer = scope["client"][0] if scope.get("client") else None
        trusted = self.settings.API_TRUSTED_PROXIES
        client = client_address(peer, head.forwarded, trusted)
        # Only a proxy of ours names requests: a stranger could make many requests pass for one in the logs.
        named = head.request_id if head.request_id is not None and peer and within(peer, trusted) else None
        call = Call(request_id(named), client, route_class(scope["path"]))
        scope["call"] = call
        log.request_id.set(call.request_id)
        return call

    async def _answer(self, call: Call, scope: Scope, receive: Receive, sender: Sender, head: Head) -> None:
        if scope["method"] == "OPTIONS" and head.origin is not None and self.settings.API_CORS:
            await sender.whole(HTTPStatus.NO_CONTENT, PREFLIGHT, b"")
            return
        try:
            if call.route_class is not RouteClass.PROBE:
                await self._admit(call, head)
            if scope["method"] not in BODILESS:
                receive = await whole_body(scope, receive)
            if self.watcher.maintenance.covers(call.route_class):
                await self._maintain(call, scope, sender, head)
                return
            if call.route_class is RouteClass.READ and scope["method"] in GIVEN:
                await self.reads.answer(call, scope, head, sender)
                return
        except BodyRefusedError as refused:
            self._event(REFUSED[refused.kind], call, str(refused))
            status, headers, body = problems.prepared(refused.status, str(refused))
            await sender.whole(status, [*headers, problems.NO_STORE], body)
            return
        except _Turned as turned:
            status, headers, body = problems.prepared(turned.status, str(turned), **turned.more)
            await sender.whole(status, [*headers, *turned.headers, problems.NO_STORE], body)
            return
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            await self.app(inner, receive, sender)
        finally:
            call.endpoint = template_of(inner)

    async def _admit(self, call: Call, head: Head) -> None:
        call.principal = await self._who(call, head)
        self._require_scope(call)
        if call.route_class.value in LIMITED:
            await self._limit(call, call.route_class.value)

    async def _who(self, call: Call, head: Head) -> Principal:
        if head.authorization is None and head.api_key is None:
            return ANONYMOUS
        # Guessing is bounded like asking for tokens is, whatever route it is tried on. Whoever has used that up is
        # turned away before a signature is looked at, which costs a hundred times more.
        if self.limiter.is_spent(_by_address(call), RouteClass.AUTH.value):
            await self._limit(call, RouteClass.AUTH.value)
        try:
            return self.authenticator.authenticate(text_of(head.authorization), text_of(head.api_key))
        except Refused as refused:
            self._refused(call, refused)
            if refused.reason is Reason.UNAVAILABLE:
                raise _Turned(HTTPStatus.SERVICE_UNAVAILABLE, str(refused), [problems.RETRY]) from None
            await self._limit(call, RouteClass.AUTH.value)
            raise _unauthorized(str(refused), reason=refused.reason.value) from None

    def _refused(self, call: Call, refused: Refused) -> None:
        self.telemetry.metrics.authentication_failures.labels(refused.reason.value).inc()
        self.telemetry.security.event(
            Event.AUTHENTICATION_FAILED,
            client=call.client,
            request_id=call.request_id,
            # Whose secret is wrong is nobody proven.
            user_id=None if refused.reason is Reason.SIGNATURE else refused.key_id,
            detail=f"{refused.reason.value}: {refused}",
        )

    def _require_scope(self, call: Call) -> None:
        wanted = None
        if call.route_class in NEED_READ and not self.settings.API_PUBLIC_READS:
            wanted = "read"
        elif call.route_class is RouteClass.INTERNAL and not within(call.client, self.settings.API_INTERNAL_NETWORKS):
            wanted = "operate"
        if wanted is None or wanted in call.principal.scopes:
            return
        if call.principal.user_id is None:
            raise _unauthorized(f"this needs an API key or a token with the scope {wanted}")
        self._event(Event.ACCESS_DENIED, call, f"needs the scope {wanted}")
        challenge = f'Bearer error="insufficient_scope", scope="{wanted}"'.encode()
        raise _Turned(
            HTTPStatus.FORBIDDEN, f"this needs the scope {wanted}", [(b"www-authenticate", challenge)], scope=wanted
        )

    async def _limit(self, call: Call, name: str) -> None:
        user = call.principal.user_id
        identity = _by_address(call) if user is None else f"key:{user}"
        verdict = self.limiter.take_now(identity, name) or await self.limiter.take(identity, name)
        call.headers = limit_headers(verdict)
        if not verdict.allowed:
            self.telemetry.metrics.rate_limited.labels(name).inc()
            self._event(Event.RATE_LIMITED, call, f"more than {verdict.limit} {name} requests in {verdict.window} s")
            raise _Turned(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {verdict.limit} {name} requests in {verdict.window} seconds; slow down or use an API key",
            )

    async def _maintain(self, call: Call, scope: Scope, sender: Sender, head: Head) -> None:
        maintenance = self.watcher.maintenance
        is_read = call.route_class is RouteClass.READ and scope["method"] in GIVEN
        if maintenance.serve_cached and is_read and await self.reads.from_cache(call, scope, head, sender):
            return
        raise _Turned(
            HTTPStatus.SERVICE_UNAVAILABLE,
            maintenance.message or "under maintenance",
            [(b"retry-after", str(maintenance.retry_after).encode())],
            type="urn:simplicity:maintenance",
        )

    def refused(self, kind: Kind, client: str | None) -> None:
        """Note what the protocol turned away before it was a request."""
        self.telemetry.security.event(REFUSED[kind], client=client, request_id=None, detail=kind.replace("_", " "))

    def _look_for_attacks(self, call: Call, scope: Scope) -> None:
        sign = sign_of(scope["raw_path"], scope["query_string"], call.status)
        if sign is not None:
            self._event(Event.HOSTILE_INPUT, call, sign)

    def _event(self, event: Event, call: Call, detail: str) -> None:
        self.telemetry.security.event(
            event, client=call.client, request_id=call.request_id, user_id=call.principal.user_id, detail=detail
        )

    async def _failed(self, call: Call, sender: Sender, error: Exception) -> None:
        if sender.is_done:
            return  # HEAD: nothing else was asked for
        if sender.client_left:
            call.status = CLIENT_LEFT
            return
        if sender.started and isinstance(error.__cause__ or error, StoreUnavailableError | QueryTimeoutError):
            logger.warning("answer broken off", reason=str(error.__cause__ or error))
            call.status = HTTPStatus.SERVICE_UNAVAILABLE
            return
        logger.error("unexpected error", request_id=call.request_id, trace_id=trace_id(), exc_info=error)
        call.status = HTTPStatus.INTERNAL_SERVER_ERROR
        if not sender.started:
            await sender.whole(*problems.unexpected())

    def _note(self, call: Call, method: str, seconds: float) -> None:
        telemetry = self.telemetry
        telemetry.metrics.observe_request(call.endpoint, method, call.status, seconds)
        telemetry.access.write(
            call.endpoint,
            method,
            call.status,
            seconds,
            request_id=call.request_id,
            user_id=call.principal.user_id,
        )


def _by_address(call: Call) -> str:
    return f"addr:{limit_key(call.client)}"


def _unauthorized(detail: str, **more: str) -> _Turned:
    challenge = b"Bearer"
    if more:
        quoted = detail.replace("\\", "").replace('"', "'").encode("ascii", "replace")
        challenge += b' error="invalid_token", error_description="' + quoted + b'"'
    return _Turned(HTTPStatus.UNAUTHORIZED, detail, [(b"www-authenticate", challenge)], **more)
