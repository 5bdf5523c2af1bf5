"""What operators and their machines ask: is it alive, is it ready, which version, and its metrics."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import METRICS_CONTENT, answers
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.errors import StoreUnavailable

router = APIRouter(tags=["operations"])

SERVICE_NAME = "modelwatch"


class Health(msgspec.Struct):
    """`healthy` when the service can do its work."""

    status: str
    service: str
    version: str
    checks: dict[str, str]


class Alive(msgspec.Struct):
    """The process answers."""

    status: str


class Version(msgspec.Struct):
    """The versions of the service and of its store's schema."""

    version: str
    schema_version: str


async def _health(request: Request) -> Response:
    state = state_of(request)
    try:
        await asyncio.to_thread(state.store.ping)
    except StoreUnavailable as error:
        checks = {"store": error.detail}
    else:
        checks = {"store": "ok"}
    if not state.batcher.alive:
        checks["writer"] = "the writer thread has ended"
    healthy = all(text == "ok" for text in checks.values())
    status = "healthy" if healthy else "unhealthy"
    return json_answer(Health(status, SERVICE_NAME, state.version, checks), 200 if healthy else 503)


@router.get("/readyz", summary="Ready to serve", operation_id="ready", responses=answers({200: Health, 503: Health}))
async def ready(request: Request) -> Response:
    """200 when the store answers and the writer runs, else 503."""
    return await _health(request)


@router.get(
    "/health", summary="The same as /readyz", operation_id="health", responses=answers({200: Health, 503: Health})
)
async def health(request: Request) -> Response:
    """200 when the store answers and the writer runs, else 503."""
    return await _health(request)


@router.get("/livez", summary="Alive", operation_id="alive", responses=answers({200: Alive}))
async def alive() -> Response:
    """200 as long as the process answers; it does not look at the store, so a lost database restarts nothing."""
    return json_answer(Alive("alive"))


@router.get("/version", summary="Versions", operation_id="version", responses=answers({200: Version}))
async def version(request: Request) -> Response:
    """The versions of the service and of its store's schema."""
    state = state_of(request)
    return json_answer(Version(state.version, state.schema_version))


@router.get("/metrics", summary="Prometheus metrics", operation_id="metrics", responses=METRICS_CONTENT)
async def metrics(request: Request) -> Response:
    """Event counters of this process and state gauges of the store, in the Prometheus or OpenMetrics format."""
    state = state_of(request)
    content, content_type = await asyncio.to_thread(state.metrics.render, request.headers.get("accept"))
    return Response(content, headers={"content-type": content_type})
