"""Pages of alerts and runbooks, and what the forms on them do."""

from __future__ import annotations

import asyncio

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.alerting.queries import Page, list_alerts, open_alerts, read_alert, read_silence
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.api.ingest.acceptance import accept_alert
from modelwatch.errors import FieldError, InvalidInput, StoreUnavailable
from modelwatch.storage.counts.streams import streams_of
from modelwatch.storage.maintenance.deletion import deletions_under_way
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.storage.verdicts.standing import latest_severities, overall_standing
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.web.alerts.alert_cells import cells_of
from modelwatch.web.alerts.alert_chart import alert_chart
from modelwatch.web.alerts.alert_page import AlertPage
from modelwatch.web.alerts.list_page import (
    ListPage,
    chosen_kind,
    chosen_severity,
    chosen_tab,
    position_of,
)
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.site import (
    Site,
    action,
    actor_of,
    dashboard_of,
    identity_of,
    page,
    seen_other,
    segment_of,
    site_of,
)

SILENCES = {"1h": SECONDS_PER_HOUR, "8h": 8 * SECONDS_PER_HOUR, "7d": 7 * SECONDS_PER_DAY}
RESOLVED_A_PAGE = 50
SILENCES_SHOWN = 10


async def runbooks(request: Request) -> Response:
    """Page of the runbooks; without the number of alerts while the store is away, since then it is needed most."""
    site = site_of(request)
    try:
        return await site.show(request, "alerts/runbooks.html", lambda _: None)
    except StoreUnavailable:
        return site.say(request, "alerts/runbooks.html", page=None)


async def alerts(request: Request) -> Response:
    """Page with a list of alerts."""
    site, query = site_of(request), dict(request.query_params)
    return await site.show(
        request,
        "alerts/alerts.html",
        lambda connection: _list_page(connection, query, site.state.clock()),
        twin="api/v1/alerts",
    )


async def alert(request: Request) -> Response:
    """Page of an alert."""
    site, alert_id = site_of(request), identity_of(request, "alert_id")
    return await site.show(
        request,
        "alerts/alert.html",
        lambda connection: _alert_page(connection, site, alert_id),
        twin=f"api/v1/alerts/{segment_of(alert_id)}",
    )


async def acknowledge(request: Request) -> Response:
    """Acknowledges the alert."""
    site, form, alert_id = await _sent(request)
    await asyncio.to_thread(
        site.state.alerts.acknowledge, alert_id, actor=actor_of(request, form), note=form.get("note")
    )
    return seen_other(f"../{segment_of(alert_id)}")


async def resolve(request: Request) -> Response:
    """Resolves the alert."""
    site, form, alert_id = await _sent(request)
    await asyncio.to_thread(site.state.alerts.resolve, alert_id, actor=actor_of(request, form), note=form.get("note"))
    return seen_other(f"../{segment_of(alert_id)}")


async def accept(request: Request) -> Response:
    """Makes what the alert found the reference."""
    site, form, alert_id = await _sent(request)
    state = site.state
    await asyncio.to_thread(
        accept_alert,
        state.store,
        state.alerts,
        alert_id,
        actor=actor_of(request, form),
        note=form.get("note"),
        now=state.clock(),
        new_id=state.new_id,
    )
    return seen_other(f"../{segment_of(alert_id)}")


async def silence(request: Request) -> Response:
    """Silences alerts such as this one for a while."""
    site, form, alert_id = await _sent(request)
    await asyncio.to_thread(_silence, site, alert_id, form, actor_of(request, form))
    return seen_other(f"../{segment_of(alert_id)}")


async def end_silence(request: Request) -> Response:
    """Ends a silence that covers the alert."""
    site, form, alert_id = await _sent(request)
    silence_id = identity_of(request, "silence_id")
    await asyncio.to_thread(site.state.alerts.end_silence, silence_id, actor=actor_of(request, form))
    return seen_other(f"../../../{segment_of(alert_id)}")


ROUTES = (
    page("/runbooks", runbooks),
    page("/alerts", alerts),
    page("/alerts/{alert_id:segment}", alert),
    action("/alerts/{alert_id:segment}/acknowledge", acknowledge),
    action("/alerts/{alert_id:segment}/resolve", resolve),
    action("/alerts/{alert_id:segment}/accept", accept),
    action("/alerts/{alert_id:segment}/silence", silence),
    action("/alerts/{alert_id:segment}/silences/{silence_id:segment}/end", end_silence),
)


async def _sent(request: Request) -> tuple[Site, dict[str, str], str]:
    site = site_of(request)
    form = await read_form(request)
    return site, form, identity_of(request, "alert_id")


def _list_page(connection: Connection, query: dict[str, str], now: int) -> ListPage:
    tab = chosen_tab(query.get("state", "open"))
    model = query.get("model") or None
    kind, severity = chosen_kind(query.get("kind", "")), chosen_severity(query.get("severity", ""))
    before = position_of(query["before"]) if "before" in query else None
    if model is not None and "\0" in model:
        raise InvalidInput("There is no such list of alerts.", (FieldError("/model", "Expected a model's name"),))
    progress = evaluation_progress(connection)
    under_way = [] if model is None else deletions_under_way(connection)
    resolved: Page[AlertLine] = Page((), None)
    if tab == "resolved":
        resolved = list_alerts(
            connection,
            state="resolved",
            model=model,
            kind=kind,
            severity=severity,
            before=before,
            limit=RESOLVED_A_PAGE,
        )
    everything = open_alerts(connection)
    return ListPage(
        tab=tab,
        model=model,
        open_alerts=[
            each
            for each in everything
            if model in (None, each.model_name) and kind in (None, each.kind) and severity in (None, each.severity)
        ],
        resolved=resolved.lines,
        following=resolved.following,
        failures=evaluation_failures(connection, model),
        standing=overall_standing(connection, None if model is None else [model]),
        severities=latest_severities(connection, model),
        waiting=0 if progress is None else progress.waiting,
        now=now,
        streams=[] if model is None else streams_of(connection, model),
        deleting=[each.part for each in under_way if each.model == model],
        is_whole=query.get("show") == "all",
        kind=kind,
        severity=severity,
        models=sorted({each.model_name for each in everything} | ({model} if model is not None else set())),
    )


def _alert_page(connection: Connection, site: Site, alert_id: str) -> AlertPage:
    report, now = read_alert(connection, alert_id), site.state.clock()
    ids = report.alert.silenced_by[:SILENCES_SHOWN]
    of_model = report.alert.model_name, report.alert.environment
    return AlertPage(
        report,
        [read_silence(connection, silence_id, now=now) for silence_id in ids],
        cells_of(connection, [*report.members, *report.still_found]),
        now,
        alert_chart(site.state, report),
        [
            each
            for each in open_alerts(connection)
            if (each.model_name, each.environment) == of_model and each.alert_id != alert_id
        ],
        site.paths,
        dashboard_of(site.state.settings.grafana_url, report.alert.model_name),
    )


def _silence(site: Site, alert_id: str, form: dict[str, str], actor: str) -> None:
    duration = SILENCES.get(form.get("duration", ""))
    if duration is None:
        problem = FieldError("/duration", f"Expected one of {', '.join(SILENCES)}")
        raise InvalidInput("The silence is not valid.", (problem,))
    with site.state.store.read() as connection:
        found = read_alert(connection, alert_id).alert
    request = SilenceRequest(
        matchers=(
            Matcher("model", found.model_name),
            Matcher("environment", found.environment),
            Matcher("kind", found.kind),
        ),
        ends_at=site.state.clock() + duration * MICROS_PER_SECOND,
        comment=form.get("note") or f"From the page of alert {found.alert_id}",
    )
    site.state.alerts.silence(request, actor=actor)
