"""What answers here, how it is, and what it tells Prometheus."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from indexer.api import health, models, problems
from indexer.api.answers import JSON
from indexer.api.errors import UNAVAILABLE, Responses

router = APIRouter(tags=["Service"])

RELEASE = version("simplicity")
UNHEALTHY: Responses = {
    503: {"model": models.DetailedHealth, "description": "Neither the database nor kept answers can be given."}
}


@router.get("/", response_model=models.Root)
async def root() -> dict[str, str]:
    """Say what answers here."""
    return {"message": "Universal BRC-20 indexer", "version": RELEASE}


@router.get("/health", response_model=models.Alive, response_model_exclude_none=True)
async def alive(request: Request) -> health.Document:
    """Tell that the process answers, whatever else is down."""
    return health.alive(request.app.state.service.settings.RELEASE_ID)


@router.get("/health/ready", response_model=models.Ready, responses=UNAVAILABLE)
async def ready(request: Request) -> Response:
    """Tell a balancer whether to send requests here: not before the index is known, not while draining."""
    status, document = health.readiness(health.not_ready(request.app.state.serving()))
    media_type = JSON if status == HTTPStatus.OK else problems.MEDIA_TYPE
    return Response(orjson.dumps(document), status, media_type=media_type)


@router.get("/health/detailed", response_model=models.DetailedHealth, responses=UNHEALTHY)
async def detailed_health(request: Request) -> Response:
    """Ask every dependency; for operators and inner networks."""
    status, document = await request.app.state.health.detailed()
    return Response(orjson.dumps(document), status, media_type=JSON)


@router.get("/v1/indexer/brc20/health", response_model=models.Brc20Health)
async def brc20_health() -> dict[str, str]:
    """Tell that the API answers."""
    return {"status": "healthy", "message": "the BRC-20 API answers"}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format."""
    return Response(request.app.state.service.telemetry.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
