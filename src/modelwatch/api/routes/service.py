"""GET /service."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.views.service import ServiceReport, service_report

router = APIRouter(tags=["operations"])


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
