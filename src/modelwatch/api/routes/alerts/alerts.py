"""GET /alerts and /alerts/{id}; POST /alerts/{id}/acknowledge and /resolve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.alerting.alert import Alert, State
from modelwatch.alerting.queries import list_alerts, read_alert
from modelwatch.alerting.views.alerts import AlertLine, AlertReport, alert_line
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import ActionBody, decode_action
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import ACTION_CONTENT, answers
from modelwatch.api.routes.common import (
    API,
    Cursor,
    Limit,
    Name,
    Text,
    cursor_of,
    how_far,
    json_answer,
    position_of,
    state_of,
)
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.storage.verdicts.standing import overall_standing

router = APIRouter(tags=["alerts"])


class AlertList(msgspec.Struct):
    """Alerts, those opened last first. next_cursor: where the next page begins.

    data_until: time of the newest prediction of the model, or of all. evaluated_until: the end of the newest window
    that was evaluated.
    """

    alerts: list[AlertLine]
    next_cursor: str | None
    data_until: str | None
    evaluated_until: str | None


@router.get("/alerts", summary="Alerts", operation_id="list_alerts", responses=answers({200: AlertList}, 422, 503))
async def get_alerts(
    request: Request,
    state: Annotated[State | None, Query(description="State of the alert.")] = None,
    model: Text = None,
    environment: Text = None,
    kind: Kind | None = None,
    severity: FindingSeverity | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """One alert is one incident of a model, environment and kind. Those opened last come first."""
    store, grant = state_of(request).store, grant_of(request)
    before = None if cursor is None else position_of(cursor)

    def work() -> AlertList:
        with store.read() as connection:
            page = list_alerts(
                connection,
                state=state,
                model=model,
                environment=environment,
                kind=kind,
                severity=severity,
                only=grant.models,
                before=before,
                limit=limit,
            )
            visible = grant.models if model is None else [model] if grant.is_for(model) else []
            standing = overall_standing(connection, visible)
        following = None if page.following is None else cursor_of(page.following)
        return AlertList(list(page.lines), following, *how_far(standing))

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/alerts/{alert_id:segment}",
    summary="An alert with its history",
    operation_id="get_alert",
    responses=answers({200: AlertReport}, 404, 422, 503),
)
async def get_alert(request: Request, alert_id: Name) -> Response:
    """Members with their numbers, the steps so far, and the deliveries of each."""
    store, grant = state_of(request).store, grant_of(request)

    def work() -> AlertReport:
        with store.read() as connection:
            return read_alert(connection, alert_id, only=grant.models)

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/alerts/{alert_id:segment}/acknowledge",
    summary="Acknowledge an alert",
    operation_id="acknowledge_alert",
    openapi_extra={"requestBody": ACTION_CONTENT},
    responses=answers({200: AlertLine}, 400, 404, 409, 413, 422, 503),
)
async def acknowledge(request: Request, alert_id: Name) -> Response:
    """Notifies the channels that were notified of the alert; reminders become rare. 409 when the alert is resolved."""
    return await _act(request, alert_id, state_of(request).alerts.acknowledge)


@router.post(
    "/alerts/{alert_id:segment}/resolve",
    summary="Resolve an alert",
    operation_id="resolve_alert",
    openapi_extra={"requestBody": ACTION_CONTENT},
    responses=answers({200: AlertLine}, 400, 404, 409, 413, 422, 503),
)
async def resolve(request: Request, alert_id: Name) -> Response:
    """Accepts the current findings: the alert reopens only for new or worse ones. 409 when it is resolved already."""
    return await _act(request, alert_id, state_of(request).alerts.resolve)


async def _act(request: Request, alert_id: str, action: Callable[..., Alert]) -> Response:
    settings = state_of(request).settings
    raw = await read_body(request, settings.max_body_bytes, settings.request_timeout_seconds)
    body = decode_action(raw, ActionBody)
    grant = grant_of(request)

    def work() -> Alert:
        if grant.models is not None:
            with state_of(request).store.read() as connection:
                read_alert(connection, alert_id, only=grant.models)
        return action(alert_id, actor=grant.actor(body.actor, API), note=body.note)

    return json_answer(alert_line(await asyncio.to_thread(work)))
