"""The read API: paths and fields as clients of the public reference know them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from indexer.api import openapi, problems
from indexer.api.call import call_of, template
from indexer.api.errors import ERRORS, Responses
from indexer.api.front import Front
from indexer.api.health import Health, Serving, not_ready
from indexer.api.kept import Reads
from indexer.api.routes import address, brc20, bulk, docs, meta, stream
from indexer.api.routes.meta import RELEASE
from indexer.api.service import Service
from indexer.auth.routes import auth_router
from indexer.telemetry.sink import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from indexer.settings import Settings


class Api:
    """The ASGI application: the front, and behind it the routes. `routes` is FastAPI's, for its OpenAPI document."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.service = Service.from_settings(settings, sink)
        routers = _routers(self.service)
        self.routes = _routes(self.service, routers)
        service = self.service
        reads = Reads(
            self.routes,
            settings,
            service.watcher,
            service.local,
            service.shared,
            service.telemetry.metrics.observe_cache,
        )
        self.front = Front(
            self.routes,
            settings,
            service.telemetry,
            service.watcher,
            service.authenticator,
            service.limiter,
            reads,
            _Endpoints(router for router, _ in routers),
        )
        self.routes.state.serving = self.serving
        self.routes.state.health = Health(service.checks(), RELEASE, lambda: self.serving().stale_seconds > 0)
        metrics = service.telemetry.metrics
        metrics.pull(metrics.ready, lambda: not not_ready(self.serving()))
        metrics.pull(metrics.requests_in_flight, lambda: self.front.in_flight)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer."""
        await self.front(scope, receive, send)

    def serving(self) -> Serving:
        """Return what decides whether requests should be sent here."""
        watcher = self.service.watcher
        return Serving(self.front.is_draining, watcher.tip is not None, not watcher.is_down, watcher.stale_left)

    def drain(self) -> None:
        """Say from now on that this process is not ready; let clients leave and event streams end."""
        self.front.is_draining = True
        self.service.events.draining.set()
        self.service.watcher.wake()


def create_app(settings: Settings, sink: Sink | None = None) -> Api:
    """Return the application, which logs into `sink`; it connects to what it reads when it starts."""
    return Api(settings, sink or Sink.on_stderr())


class _Endpoints:
    """The template of the route that a path leads to, for requests that are turned away before one is looked for."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        routes = [route for router in routers for route in router.routes if isinstance(route, Route)]
        self._templates = [(route.path_regex, template(route.path)) for route in routes]

    def __call__(self, path: str) -> str | None:
        return next((name for regex, name in self._templates if regex.match(path)), None)


def _routers(service: Service) -> list[tuple[APIRouter, Responses]]:
    """Return the routers and the errors of their routes. Paths are tried in this order: the busiest come first."""
    reads = (brc20.router, address.router, bulk.router, stream.router)
    auth = auth_router(service.authenticator, lambda request: call_of(request).principal, ERRORS)
    return [*((router, ERRORS) for router in reads), (meta.router, {}), (docs.router, {}), (auth, {})]


def _routes(service: Service, routers: list[tuple[APIRouter, Responses]]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="Simplicity",
        version=RELEASE,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.service = service
    app.state.reader = service.reader
    app.state.node = service.node
    app.state.events = service.events
    app.state.network = service.settings.BITCOIN_NETWORK
    app.state.reorg_depth = service.settings.MAX_REORG_DEPTH
    problems.install(app)
    openapi.install(app)
    for router, errors in routers:
        app.include_router(router, responses=errors)
    return app
