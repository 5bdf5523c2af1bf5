"""What there is to read: alerts, silences and the audit trail, page by page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alerts import Alert, State
from modelwatch.alerting.records import alert_of
from modelwatch.alerting.silences import restored
from modelwatch.alerting.views import (
    AlertDetail,
    AlertLine,
    AuditLine,
    SilenceLine,
    alert_line,
    audit_line,
    delivery_line,
    member_line,
    recovered_line,
    silence_line,
    step_line,
)
from modelwatch.alerting.wording import labels_of, standing_of
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
from modelwatch.storage.alerts.outbox import deliveries_of
from modelwatch.storage.alerts.silences import SilenceState, silence_by_id, silences_page
from modelwatch.storage.references.monitors import monitor_of

Position = tuple[int, str]
Silent = Mapping[tuple[str, str], int]

NOTHING_COMES = "Nothing comes any more from the model, so that nothing newer can be judged."


class AlertPage(msgspec.Struct, frozen=True):
    """Some alerts, and where those after them begin; None: there are no more."""

    alerts: tuple[AlertLine, ...]
    following: Position | None


class SilencePage(msgspec.Struct, frozen=True):
    """Some silences, and where those after them begin; None: there are no more."""

    silences: tuple[SilenceLine, ...]
    following: Position | None


class AuditPage(msgspec.Struct, frozen=True):
    """Some entries, and where those after them begin; None: there are no more."""

    entries: tuple[AuditLine, ...]
    following: Position | None


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
) -> AlertPage:
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
    following = (rows[limit - 1].opened_at, rows[limit - 1].id) if len(rows) > limit else None
    silent = _silent(connection) if rows else {}
    return AlertPage(tuple(_line(alert_of(row), silent) for row in rows[:limit]), following)


def open_alerts(connection: Connection) -> tuple[AlertLine, ...]:
    """Every alert that is not resolved, oldest first: for gauges and overviews."""
    alerts = [alert for alert in map(alert_of, unfinished_alerts(connection)) if alert.is_open]
    silent = _since(alerts)
    return tuple(_line(alert, silent) for alert in alerts)


def _silent(connection: Connection) -> Silent:
    """The models that send nothing at present, by their open alerts about it."""
    return _since(alert for alert in map(alert_of, unfinished_alerts(connection)) if alert.is_open)


def _since(open_alerts: Iterable[Alert]) -> Silent:
    """By model and environment, since when nothing has come, in microseconds."""
    return {(each.model, each.environment): each.started_at for each in open_alerts if each.kind == "freshness"}


def _line(alert: Alert, silent: Silent) -> AlertLine:
    mute = alert.is_open and alert.kind != "freshness"
    return alert_line(alert, silent.get((alert.model, alert.environment)) if mute else None)


def read_alert(
    connection: Connection,
    alert_id: str,
    own_labels: dict[str, str] | None = None,
    only: Collection[str] | None = None,
) -> AlertDetail:
    """One alert with its steps and deliveries. own_labels: instead of the monitor's. only: if it is of these models.

    Raises UnknownResource.
    """
    row = alert_by_id(connection, alert_id)
    if row is None or (only is not None and row.model not in only):
        raise UnknownResource(f"There is no alert with the id {excerpt(alert_id)!r}.")
    alert = alert_of(row)
    line = _line(alert, _silent(connection) if alert.is_open else {})
    return AlertDetail(
        alert=line,
        summary=standing_of(alert) if line.silent_since is None else f"{standing_of(alert)} {NOTHING_COMES}",
        labels=labels_of(alert, _own_labels(connection, alert.model) if own_labels is None else own_labels),
        members=tuple(map(member_line, alert.members)),
        recovered=tuple(map(recovered_line, alert.recovered)),
        still_found=tuple(member_line(each.member) for each in alert.dismissed),
        events=tuple(map(step_line, alert_events_of(connection, alert_id))),
        deliveries=tuple(map(delivery_line, deliveries_of(connection, alert_id))),
    )


def list_silences(
    connection: Connection,
    *,
    now: int,
    state: SilenceState | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> SilencePage:
    """Silences, those created last first."""
    rows = silences_page(connection, now=now, state=state, before=before, limit=limit + 1)
    following = (rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else None
    return SilencePage(tuple(silence_line(restored(row), now) for row in rows[:limit]), following)


def read_silence(connection: Connection, silence_id: str, *, now: int) -> SilenceLine:
    """One silence. Raises UnknownResource."""
    row = silence_by_id(connection, silence_id)
    if row is None:
        raise UnknownResource(f"There is no silence with the id {excerpt(silence_id)!r}.")
    return silence_line(restored(row), now)


def list_audit(
    connection: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> AuditPage:
    """What people did, newest first."""
    rows = audit_page(connection, actor=actor, action=action, target=target, before=before, limit=limit + 1)
    following = (rows[limit - 1].at, rows[limit - 1].id) if len(rows) > limit else None
    return AuditPage(tuple(map(audit_line, rows[:limit])), following)


def _own_labels(connection: Connection, model: str) -> dict[str, str]:
    monitor = monitor_of(connection, model)
    return {} if monitor is None else dict(monitor.config.labels or {})
