"""Reading of alerts, silences, deliveries, channels and the audit trail, page by page."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, State, alert_from_row, readable_alerts
from modelwatch.alerting.onsets import first_needed
from modelwatch.alerting.silences import (
    SilenceRequest,
    matchable_labels,
    silence_from_request,
    silence_from_row,
)
from modelwatch.alerting.views.alerts import AlertLine, AlertReport, alert_line, alert_report
from modelwatch.alerting.views.operations import (
    AuditLine,
    ChannelLine,
    DeliveryLine,
    SilenceLine,
    audit_line,
    delivery_line,
    silence_line,
)
from modelwatch.alerting.wording import labels_of
from modelwatch.errors import UnknownResource, excerpt
from modelwatch.storage.alerts.alerts import (
    FLAPPING,
    RESOLVED,
    alert_by_id,
    alert_events_of,
    alerts_page,
    unfinished_alerts,
)
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.alerts.outbox import (
    DEAD,
    PENDING,
    OutboxState,
    backlog,
    deliveries_of,
    deliveries_page,
    latest_errors,
    latest_finished,
    latest_successes,
    retried,
)
from modelwatch.storage.alerts.silences import SilenceState, silence_by_id, silences_page
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros

Row = TypeVar("Row")
Line = TypeVar("Line")
Position = tuple[int, str]
# By model and environment, since when nothing has come, in microseconds.
SilentModels = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Page(Generic[Line]):
    """Some lines, and the position after them, which begins the next page; None: there are no more."""

    lines: tuple[Line, ...]
    following: Position | None


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """Configuration of a channel as it may be shown. target: where it leads, without secrets."""

    name: str
    kind: str
    target: str


def list_alerts(
    connection: Connection,
    *,
    state: State | None = None,
    model: str | None = None,
    environment: str | None = None,
    kind: str | None = None,
    severity: str | None = None,
    only: Collection[str] | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> Page[AlertLine]:
    """Alerts, those opened last first. only: of these models. before: `following` of the page before."""
    states = () if state is None else (RESOLVED, FLAPPING) if state == RESOLVED else (state,)
    rows = alerts_page(
        connection,
        states=states,
        model=model,
        environment=environment,
        kind=kind,
        severity=severity,
        only=only,
        before=before,
        limit=limit + 1,
    )
    silent = _silent_models(connection) if rows else {}
    return _page(
        rows, limit, lambda row: (row.opened_at, row.id), lambda row: _line(connection, alert_from_row(row), silent)
    )


def open_alerts(connection: Connection) -> tuple[AlertLine, ...]:
    """Every alert that is not resolved, oldest first: for gauges and overviews."""
    alerts = _all_open(connection)
    silent = _silent_since(alerts)
    return tuple(_line(connection, alert, silent) for alert in alerts)


def read_alert(
    connection: Connection,
    alert_id: str,
    own_labels: dict[str, str] | None = None,
    only: Collection[str] | None = None,
) -> AlertReport:
    """One alert with its steps and deliveries. own_labels: instead of the monitor's. only: if it is of these models.

    Raises UnknownResource, and DamagedData when it can't be read.
    """
    row = alert_by_id(connection, alert_id)
    if row is None or (only is not None and row.model not in only):
        raise UnknownResource(f"There is no alert with the id {excerpt(alert_id)!r}.")
    alert = alert_from_row(row)
    return alert_report(
        alert,
        _line(connection, alert, _silent_models(connection) if alert.is_open else {}),
        labels_of(alert, _own_labels(connection, alert.model) if own_labels is None else own_labels),
        alert_events_of(connection, alert_id),
        deliveries_of(connection, alert_id),
    )


def list_silences(
    connection: Connection,
    *,
    now: int,
    state: SilenceState | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> Page[SilenceLine]:
    """Silences, those created last first. now: microseconds. before: `following` of the page before."""
    rows = silences_page(connection, now=now, state=state, before=before, limit=limit + 1)
    return _page(
        rows, limit, lambda row: (row.created_at, row.id), lambda row: silence_line(silence_from_row(row), now)
    )


def covered_alerts(connection: Connection, request: SilenceRequest, *, now: int) -> tuple[AlertLine, ...]:
    """Open alerts that a silence would cover, oldest first. now: microseconds. Raises InvalidInput for a wrong one."""
    silence = silence_from_request(request, identity="", actor="", now=now)
    alerts = _all_open(connection)
    own = {model: _own_labels(connection, model) for model in {alert.model for alert in alerts}}
    silent = _silent_since(alerts)
    return tuple(
        _line(connection, alert, silent) for alert in alerts if silence.fits(matchable_labels(alert, own[alert.model]))
    )


def read_silence(connection: Connection, silence_id: str, *, now: int) -> SilenceLine:
    """One silence. now: microseconds. Raises UnknownResource."""
    row = silence_by_id(connection, silence_id)
    if row is None:
        raise UnknownResource(f"There is no silence with the id {excerpt(silence_id)!r}.")
    return silence_line(silence_from_row(row), now)


def list_channels(connection: Connection, channels: Iterable[ChannelFacts]) -> tuple[ChannelLine, ...]:
    """The channels, by name, with what waits for each and its last delivery."""
    waiting, latest, retrying = backlog(connection), latest_finished(connection), retried(connection)
    successes, errors = latest_successes(connection), latest_errors(connection)
    return tuple(
        ChannelLine(
            name=channel.name,
            kind=channel.kind,
            target=channel.target,
            pending=waiting.get((channel.name, PENDING), 0),
            dead=waiting.get((channel.name, DEAD), 0),
            last_delivery=delivery_line(latest[channel.name]) if channel.name in latest else None,
            last_success=iso_of_micros(successes[channel.name]) if channel.name in successes else None,
            last_error=errors[channel.name].last_error if channel.name in errors else None,
            last_error_at=iso_of_micros(errors[channel.name].created_at) if channel.name in errors else None,
            retrying=retrying.get(channel.name, 0),
        )
        for channel in sorted(channels, key=lambda channel: channel.name)
    )


def list_deliveries(
    connection: Connection,
    *,
    state: OutboxState | None = None,
    channel: str | None = None,
    alert_id: str | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> Page[DeliveryLine]:
    """Deliveries, those created last first. before: `following` of the page before."""
    rows = deliveries_page(connection, state=state, channel=channel, alert_id=alert_id, before=before, limit=limit + 1)
    return _page(rows, limit, lambda row: (row.created_at, row.key), delivery_line)


def list_audit(
    connection: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> Page[AuditLine]:
    """Actions of people, newest first. before: `following` of the page before."""
    rows = audit_page(connection, actor=actor, action=action, target=target, before=before, limit=limit + 1)
    return _page(rows, limit, lambda row: (row.at, row.id), audit_line)


def _page(
    rows: Sequence[Row], limit: int, position: Callable[[Row], Position], view: Callable[[Row], Line]
) -> Page[Line]:
    """Page of at most `limit` rows, without those that can't be read; one row more says that there is another page."""
    following = position(rows[limit - 1]) if len(rows) > limit else None
    return Page(tuple(readable(rows[:limit], view)), following)


def _silent_models(connection: Connection) -> SilentModels:
    return _silent_since(_all_open(connection))


def _all_open(connection: Connection) -> list[Alert]:
    return [alert for alert in readable_alerts(unfinished_alerts(connection)) if alert.is_open]


def _silent_since(open_alerts: Iterable[Alert]) -> SilentModels:
    """The models that send nothing at present, by their open alerts about it."""
    # One that was opened again has an earlier start: data came in between.
    return {
        (each.model, each.environment): each.members[0].finding.since * MICROS_PER_SECOND
        for each in open_alerts
        if each.kind == "freshness"
    }


def _line(connection: Connection, alert: Alert, silent: SilentModels) -> AlertLine:
    mute = alert.is_open and alert.kind != "freshness"
    silence = silent.get((alert.model, alert.environment)) if mute else None
    return alert_line(alert, silence, first_needed(connection, alert))


def _own_labels(connection: Connection, model: str) -> dict[str, str]:
    monitor = monitor_of(connection, model)
    return {} if monitor is None else dict(monitor.config.labels or {})
