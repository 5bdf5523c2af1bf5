"""GET /livez, /readyz, /health, /version and /metrics at the root, and GET /service of the API."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import METRICS_CONTENT, answers
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.api.state import ServiceState
from modelwatch.errors import StoreUnavailable
from modelwatch.views.service import EvaluationState, ServiceReport, evaluation_state, service_report

probes = APIRouter(tags=["operations"])
router = APIRouter(tags=["operations"])

SERVICE_NAME = "modelwatch"
# A commit needs pages and the log before them; below this it may fail at any moment.
LEAST_FREE_BYTES = 2_000_000
# A store that hangs must not take up, probe by probe, the threads that answer everything else.
PROBE_SECONDS = 3.0


class Health(msgspec.Struct):
    """`healthy` when the service can do its work. evaluation: absent when the store can't be read."""

    status: str
    service: str
    version: str
    checks: dict[str, str]
    evaluation: EvaluationState | msgspec.UnsetType = msgspec.UNSET


class Alive(msgspec.Struct):
    """The process answers."""

    status: str


class Version(msgspec.Struct):
    """The versions of the service and of its store's schema."""

    version: str
    schema_version: str


async def _health(request: Request) -> Response:
    state = state_of(request)
    evaluation: EvaluationState | msgspec.UnsetType = msgspec.UNSET
    try:
        within = partial(state.probes.within, PROBE_SECONDS, partial(_evaluation, state))
        evaluation = await asyncio.get_running_loop().run_in_executor(state.probe_threads, within)
    except StoreUnavailable as error:
        checks = {"store": error.detail}
    else:
        checks = {"store": "ok"}
    if (short := _short_of_disk(state.settings.database_url)) is not None:
        checks["disk"] = short
    if not state.batcher.alive:
        checks["writer"] = "the writer thread has ended"
    healthy = all(text == "ok" for text in checks.values())
    status = "healthy" if healthy else "unhealthy"
    return json_answer(Health(status, SERVICE_NAME, state.version, checks, evaluation), 200 if healthy else 503)


def _short_of_disk(database_url: str) -> str | None:
    """That the disk of a SQLite file is full, or nearly; None when it is not, or the store is a server."""
    if not database_url.startswith("sqlite:"):
        return None
    folder = Path(database_url.removeprefix("sqlite:///").partition("?")[0]).parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        # A store that is not there is reported by the store's own check.
        return None
    if free >= LEAST_FREE_BYTES:
        return None
    return f"{free // 1_000_000} MB are free on the disk of {folder}: what can't be written is refused with 503"


def _evaluation(state: ServiceState) -> EvaluationState:
    """Raises StoreUnavailable when the store does not answer."""
    with state.store.read() as connection:
        return evaluation_state(connection, state.clock())


@probes.get("/readyz", summary="Readiness", operation_id="ready", responses=answers({200: Health, 503: Health}))
async def ready(request: Request) -> Response:
    """200 when the store answers and the writer runs, otherwise 503."""
    return await _health(request)


@probes.get(
    "/health", summary="The same as /readyz", operation_id="health", responses=answers({200: Health, 503: Health})
)
async def health(request: Request) -> Response:
    """200 when the store answers and the writer runs, otherwise 503."""
    return await _health(request)


@probes.get("/livez", summary="Liveness", operation_id="alive", responses=answers({200: Alive}))
async def alive() -> Response:
    """200 as long as the process answers; it does not check the store, so a lost database restarts nothing."""
    return json_answer(Alive("alive"))


@probes.get("/version", summary="Versions", operation_id="version", responses=answers({200: Version}))
async def version(request: Request) -> Response:
    """The versions of the service and of its store's schema."""
    state = state_of(request)
    return json_answer(Version(state.version, state.schema_version))


@probes.get("/metrics", summary="Prometheus metrics", operation_id="metrics", responses=METRICS_CONTENT)
async def metrics(request: Request) -> Response:
    """Event counters of this process and state gauges of the store, in the Prometheus or OpenMetrics format."""
    state = state_of(request)
    render = partial(state.metrics.render, request.headers.get("accept"))
    content, content_type = await asyncio.get_running_loop().run_in_executor(state.scrape_threads, render)
    return Response(content, headers={"content-type": content_type})


@router.get(
    "/service", summary="The service", operation_id="get_service", responses=answers({200: ServiceReport}, 422, 503)
)
async def get_service(request: Request) -> Response:
    """Accepted and refused predictions, by reason; progress of evaluations; the store by table; leases and
    processes."""
    state = state_of(request)

    def work() -> ServiceReport:
        with state.store.read() as connection:
            return service_report(connection, state.store, state.settings, state.process, state.clock())

    return json_answer(await asyncio.to_thread(work))
