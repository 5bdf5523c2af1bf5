"""GET and POST /silences, GET and DELETE /silences/{id}."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.alerting.queries import list_silences, read_silence
from modelwatch.alerting.views.operations import SilenceLine, silence_line
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import SilenceBody, decode_action, silence_request
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import SILENCE_CONTENT, answers
from modelwatch.api.routes.common import API, Actor, Cursor, Limit, Name, cursor_of, json_answer, position_of, state_of
from modelwatch.storage.alerts.silences import SilenceState

router = APIRouter(tags=["alerts"])


class SilenceList(msgspec.Struct):
    """Silences, those created last first. next_cursor: where the next page begins."""

    silences: list[SilenceLine]
    next_cursor: str | None


@router.get(
    "/silences", summary="Silences", operation_id="list_silences", responses=answers({200: SilenceList}, 422, 503)
)
async def get_silences(
    request: Request,
    state: Annotated[SilenceState | None, Query(description="State of the silence.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Pending, active and expired silences."""
    service = state_of(request)
    before = None if cursor is None else position_of(cursor)

    def work() -> SilenceList:
        with service.store.read() as connection:
            page = list_silences(connection, now=service.clock(), state=state, before=before, limit=limit)
        return SilenceList(list(page.lines), None if page.following is None else cursor_of(page.following))

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/silences/{silence_id:segment}",
    summary="One silence",
    operation_id="get_silence",
    responses=answers({200: SilenceLine}, 404, 422, 503),
)
async def get_silence(request: Request, silence_id: Name) -> Response:
    """One silence, also one that has expired."""
    service = state_of(request)

    def work() -> SilenceLine:
        with service.store.read() as connection:
            return read_silence(connection, silence_id, now=service.clock())

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/silences",
    summary="Create a silence",
    operation_id="create_silence",
    status_code=201,
    openapi_extra={"requestBody": SILENCE_CONTENT},
    responses=answers({201: SilenceLine}, 400, 413, 422, 503),
)
async def create_silence(request: Request) -> Response:
    """While it is active, matching alerts send no notifications, except their end."""
    service = state_of(request)
    raw = await read_body(request, service.settings.max_body_bytes, service.settings.request_timeout_seconds)
    body = decode_action(raw, SilenceBody)
    actor = grant_of(request).actor(body.actor, API)

    def work() -> SilenceLine:
        silence = service.alerts.silence(silence_request(body, service.clock()), actor=actor)
        return silence_line(silence, service.clock())

    return json_answer(await asyncio.to_thread(work), 201)


@router.delete(
    "/silences/{silence_id:segment}",
    summary="End a silence",
    operation_id="end_silence",
    responses=answers({200: SilenceLine}, 404, 422, 503),
)
async def end_silence(request: Request, silence_id: Name, actor: Actor = None) -> Response:
    """Ends the silence now and keeps it. One that has ended already stays as it is."""
    service = state_of(request)
    who = grant_of(request).actor(actor, API)

    def work() -> SilenceLine:
        return silence_line(service.alerts.end_silence(silence_id, actor=who), service.clock())

    return json_answer(await asyncio.to_thread(work))
