"""The operations page's routes: all are read only but the one that takes deliveries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query
from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations when it runs
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from alerts.rulebook import alerts
from dashboards.catalog import UnknownDashboardError, dashboard, dashboards
from dashboards.render_data import fill, window_of
from dashboards.source import Source
from indexer import log
from infra.environment import EnvironmentFileError
from runbooks.engine.page import page
from runbooks.engine.registry import RegistryError, runbook, runbooks
from runbooks.operations import others
from runbooks.operations.deliveries import Deliveries
from runbooks.operations.frame import headers
from runbooks.operations.gate import Gate, is_loopback, is_of_another_site
from runbooks.operations.metrics import Metrics
from runbooks.operations.now import Heard, now_page
from runbooks.operations.receiver import Receiver
from runbooks.operations.seen import ASK_SECONDS, Watch, cluster_of
from runbooks.operations.slots import BusyError, Slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dashboards.render_data import Picture
    from runbooks.operations.place import Place

LOG = log.get("operations")
TEXT = "text/plain; version=0.0.4; charset=utf-8"
FILL_SECONDS = 3.0
SHOWN = 100
MOST_SHOWN = 5_000
# A page promises five seconds, of which it may ask Prometheus for three.
WAIT_SECONDS = 1.5
DRAW_SECONDS = 10.0

From = Annotated[str, Query(alias="from", max_length=40)]
To = Annotated[str, Query(alias="to", max_length=40)]


def application(place: Place) -> FastAPI:
    """Return the application for one environment."""
    app = FastAPI(title="Operations", docs_url=None, redoc_url=None, openapi_url=None)
    deliveries, metrics = Deliveries(place.directory), Metrics()
    _recall(deliveries, metrics)
    _guard(app, place)
    _pages(app, Watch(place), deliveries, metrics)
    _lists(app)
    _pictures(app, place)
    _machines(app, Receiver(deliveries, metrics, Gate(place.host, place.token_file)))
    return app


def _recall(deliveries: Deliveries, metrics: Metrics) -> None:
    try:
        last = deliveries.recall()
    except OSError as error:
        # The page has to be there most of all when a disk is broken.
        LOG.warning("deliveries of before cannot be read", reason=error.strerror)
        return
    if last is not None:
        metrics.heard(last)


def _guard(app: FastAPI, place: Place) -> None:
    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        # A page of another site whose name is made to resolve to this machine must not read here.
        if is_loopback(place.host) and not is_loopback(request.url.hostname or ""):
            return PlainTextResponse("this page is for this machine: open it by 127.0.0.1 or localhost\n", 400)
        # Nor make it draw pictures without end, each of which takes a second of a core.
        if is_of_another_site(request.headers):
            return PlainTextResponse("another site's page asks for this: follow a link to it instead\n", 403)
        answer = await go_on(request)
        answer.headers.update(headers())
        return answer


def _pages(app: FastAPI, watch: Watch, deliveries: Deliveries, metrics: Metrics) -> None:
    began = time.time()

    @app.get("/")
    def now() -> Response:
        seen, last = watch.look(), deliveries.last
        heard = Heard(metrics.last_heard, last.at if last else None, began, refuses=deliveries.refuses)
        return HTMLResponse(now_page(seen, heard))

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/deliveries")
    def delivered() -> Response:
        try:
            return HTMLResponse(others.deliveries_page(deliveries.newest(SHOWN), time.time()))
        except OSError as error:
            return _problem("Deliveries cannot be shown", f"{deliveries.file}: {error.strerror}; mend the disk", 503)


def _lists(app: FastAPI) -> None:
    @app.get("/runbooks")
    def all_runbooks() -> Response:
        try:
            return HTMLResponse(others.runbooks_page(runbooks()))
        except RegistryError as error:
            return _problem("Runbooks cannot be shown", error, 503)

    @app.get("/runbooks/{name}")
    def one_runbook(name: str) -> Response:
        # A dashboard knows an alert by its name alone, and opens what answers it.
        answer = next((alert.runbook for alert in alerts() if alert.name == name), None)
        if answer is not None:
            return RedirectResponse(f"/runbooks/{answer}", 307)
        try:
            book = runbook(name.removesuffix(".md"))
        except RegistryError as error:
            return _problem("No such runbook", error, 404)
        return HTMLResponse(others.runbook_page(book, page(book)))

    @app.get("/dashboards")
    def all_dashboards() -> Response:
        return HTMLResponse(others.dashboards_page(dashboards()))


def _pictures(app: FastAPI, place: Place) -> None:
    # To draw takes a second of a core, to ask is mostly waiting for Prometheus.
    drawing = Slots(at_once=1, waiting=2, seconds=DRAW_SECONDS)
    asking = Slots(at_once=3, waiting=3, seconds=WAIT_SECONDS)

    @app.get("/dashboards/{uid}.png")
    def png(uid: str, start: From = "-1h", end: To = "now") -> Response:
        from dashboards.render import as_png  # noqa: PLC0415 - matplotlib only when a picture is wanted

        try:
            with drawing.one():
                picture = _picture(place, uid, start, end)
                if isinstance(picture, Response):
                    return picture
                return Response(as_png(picture), media_type="image/png")
        except BusyError as error:
            return _problem("Busy", error, 503)

    @app.get("/dashboards/{uid}")
    def html(uid: str, start: From = "-1h", end: To = "now") -> Response:
        try:
            with asking.one():
                picture = _picture(place, uid, start, end)
        except BusyError as error:
            return _problem("Busy", error, 503)
        if isinstance(picture, Response):
            return picture
        return HTMLResponse(others.dashboard_page(picture, start, end))


def _machines(app: FastAPI, receiver: Receiver) -> None:
    @app.post("/alerts")
    async def receive(request: Request) -> Response:
        return await receiver.receive(request)

    @app.get("/deliveries.json")
    def delivered(count: Annotated[int, Query(ge=1, le=MOST_SHOWN)] = SHOWN) -> Response:
        try:
            return JSONResponse([each.record() for each in receiver.deliveries.newest(count)])
        except OSError as error:
            return JSONResponse({"problem": f"{receiver.deliveries.file}: {error.strerror}; mend the disk"}, 503)

    # Without a thread: while pages wait for what hangs, there may be none left.
    @app.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "healthy"})

    @app.get("/metrics")
    async def scraped() -> Response:
        return Response(receiver.metrics.text(), media_type=TEXT)


def _picture(place: Place, uid: str, start: str, end: str) -> Picture | Response:
    try:
        board, window = dashboard(uid[:100]), window_of(start, end, time.time())
        environment = place.environment()
    except UnknownDashboardError as error:
        return _problem("No such dashboard", error, 404)
    except ValueError as error:
        return _problem("No such time", error, 400)
    except EnvironmentFileError as error:
        return _problem("No environment", error, 503)
    source = Source(environment.metrics.url, ASK_SECONDS)
    return fill(board, source, cluster=cluster_of(environment), window=window, within=FILL_SECONDS)


def _problem(title: str, text: object, status: int) -> Response:
    return HTMLResponse(others.problem_page(title, str(text)), status)
