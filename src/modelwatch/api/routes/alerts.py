"""GET /alerts and /alerts/{id}; POST /alerts/{id}/acknowledge and /resolve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.alerting.alerts import Alert, State
from modelwatch.alerting.reading import list_alerts, read_alert
from modelwatch.alerting.text import iso
from modelwatch.alerting.views import (
    AlertDetail,
    AlertLine,
    DeliveryLine,
    MemberLine,
    RecoveredLine,
    StepLine,
    alert_line,
)
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import ActionBody, decode_action
from modelwatch.api.ingest.bodies import read_body
from modelwatch.api.openapi import ACTION_CONTENT, answers
from modelwatch.api.routes.common import how_far, json_answer, state_of
from modelwatch.api.routes.parameters import API, Cursor, Limit, Name, Text, cursor_of, position_of
from modelwatch.findings import Doubt, FindingSeverity, Kind
from modelwatch.storage.verdicts.standing import overall_standing
from modelwatch.times import MICROS_PER_SECOND

router = APIRouter(tags=["alerts"])


class AlertList(msgspec.Struct):
    """Alerts, those opened last first. next_cursor: where the next page begins.

    data_until: when the newest prediction of the model, or of all, was. evaluated_until: the end of the newest window
    that was evaluated.
    """

    alerts: list[AlertLine]
    next_cursor: str | None
    data_until: str | None
    evaluated_until: str | None


class MemberReport(msgspec.Struct):
    """One subject that is not as it should be, with the numbers that say so and the verdict that they come from.

    since: event time of the first evaluation of the present run that saw it. holding: the score has come down, but has
    not been calm for long enough.
    """

    model_version: str
    subject: str
    severity: FindingSeverity
    score_name: str
    score: float
    threshold: float
    p_value: float | None
    alpha: float | None
    sample_size: int
    reference_size: int
    lookback: str | None
    window_start: str
    window_end: str
    since: str
    holding: bool
    detail: str
    verdict_id: str
    verdict: str
    verification: str
    warning_threshold: float | None
    alert_threshold: float | None
    worst: float | None
    detected_at: str
    bad_from: str
    bad_until: str
    judged_until: str
    uncertain_since: str | None
    doubt: Doubt | None


class AlertLinks(msgspec.Struct):
    """Addresses on this service: of the alert, of the page for people, of all verdicts on the model."""

    alert: str
    page: str
    verdicts: str


class AlertReport(msgspec.Struct):
    """One alert: its members with their numbers, its life step by step, and what became of each notice.

    recovered: what was a member. still_found: what is still there although a person has declared it resolved.
    """

    alert: AlertLine
    summary: str
    labels: dict[str, str]
    members: list[MemberReport]
    recovered: list[RecoveredLine]
    still_found: list[MemberReport]
    events: list[StepLine]
    deliveries: list[DeliveryLine]
    links: AlertLinks


@router.get("/alerts", summary="Alerts", operation_id="list_alerts", responses=answers({200: AlertList}, 422, 503))
async def get_alerts(
    request: Request,
    state: Annotated[State | None, Query(description="Where the alert stands.")] = None,
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
        return AlertList(list(page.alerts), following, *how_far(standing))

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/alerts/{alert_id:segment}",
    summary="One alert with its whole life",
    operation_id="get_alert",
    responses=answers({200: AlertReport}, 404, 422, 503),
)
async def get_alert(request: Request, alert_id: Name) -> Response:
    """Members with their numbers, the steps so far, and the deliveries of each."""
    store, grant = state_of(request).store, grant_of(request)

    def work() -> AlertReport:
        with store.read() as connection:
            return _report(read_alert(connection, alert_id, only=grant.models))

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/alerts/{alert_id:segment}/acknowledge",
    summary="Take an alert on",
    operation_id="acknowledge_alert",
    openapi_extra={"requestBody": ACTION_CONTENT},
    responses=answers({200: AlertLine}, 400, 404, 409, 413, 422, 503),
)
async def acknowledge(request: Request, alert_id: Name) -> Response:
    """Who was told is told of it, and nobody is reminded any more. 409 when the alert is resolved."""
    return await _act(request, alert_id, state_of(request).alerts.acknowledge)


@router.post(
    "/alerts/{alert_id:segment}/resolve",
    summary="Declare an alert over",
    operation_id="resolve_alert",
    openapi_extra={"requestBody": ACTION_CONTENT},
    responses=answers({200: AlertLine}, 400, 404, 409, 413, 422, 503),
)
async def resolve(request: Request, alert_id: Name) -> Response:
    """What is found now does not reopen it, only what is new or worse. 409 when it is over already."""
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


def _report(detail: AlertDetail) -> AlertReport:
    alert = detail.alert
    name = quote(alert.alert_id, safe="")
    return AlertReport(
        alert=alert,
        summary=detail.summary,
        labels=detail.labels,
        members=[_member(member) for member in detail.members],
        recovered=list(detail.recovered),
        still_found=[_member(member) for member in detail.still_found],
        events=list(detail.events),
        deliveries=list(detail.deliveries),
        links=AlertLinks(
            alert=f"/api/v1/alerts/{name}",
            page=f"/ui/alerts/{name}",
            verdicts=f"/api/v1/models/{quote(alert.model_name, safe='')}/drift",
        ),
    )


def _member(member: MemberLine) -> MemberReport:
    finding, times = member.finding, member.finding.times
    verdict = f"/api/v1/verdicts/{quote(member.verdict_id, safe='')}"
    return MemberReport(
        model_version=member.model_version,
        subject=finding.subject,
        severity=finding.severity,
        score_name=finding.score_name,
        score=finding.score,
        threshold=finding.threshold,
        p_value=finding.p_value,
        alpha=finding.alpha,
        sample_size=finding.sample_size,
        reference_size=finding.reference_size,
        lookback=finding.lookback,
        window_start=iso(finding.window_start * MICROS_PER_SECOND),
        window_end=iso(finding.window_end * MICROS_PER_SECOND),
        since=iso(finding.since * MICROS_PER_SECOND),
        holding=finding.holding,
        detail=finding.detail,
        verdict_id=member.verdict_id,
        verdict=verdict,
        verification=f"{verdict}/verification",
        warning_threshold=finding.warning_threshold,
        alert_threshold=finding.alert_threshold,
        worst=finding.worst,
        detected_at=iso(times.detected_at * MICROS_PER_SECOND),
        bad_from=iso(times.bad_from * MICROS_PER_SECOND),
        bad_until=iso(times.bad_until * MICROS_PER_SECOND),
        judged_until=iso(times.judged_until * MICROS_PER_SECOND),
        uncertain_since=None if finding.uncertain_since is None else iso(finding.uncertain_since * MICROS_PER_SECOND),
        doubt=finding.doubt,
    )
