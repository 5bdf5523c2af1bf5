"""Events of a model in a stretch of time: what a chart marks on its axis, and a list shows in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, readable_alerts
from modelwatch.alerting.queries import Page, Position
from modelwatch.alerting.wording import title_of
from modelwatch.findings import FindingSeverity
from modelwatch.storage.alerts.alerts import alerts_page
from modelwatch.storage.alerts.audit import AuditEntry, audit_page
from modelwatch.storage.counts.streams import streams
from modelwatch.storage.references.references import ReferenceSet, reference_sets
from modelwatch.storage.references.subjects import FIRST_PREDICTIONS
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros

EventKind = Literal["version_first_seen", "reference_set", "monitor_changed", "alert_opened", "alert_resolved"]

# Entries of a source that are looked through, the newest first.
MOST_LOOKED_AT = 2_000
A_PAGE = 500


class EventLine(msgspec.Struct, frozen=True):
    """One event. at: of versions and alerts in event time, of actions of people by the service's clock.

    An alert is placed at the onset of its findings, if known, otherwise at the first evaluation that found them.
    alert_id: of an alert; actor: who did it; model_version, environment: null where it is of all.
    """

    at: str
    kind: EventKind
    title: str
    model_version: str | None = None
    environment: str | None = None
    severity: FindingSeverity | None = None
    alert_id: str | None = None
    actor: str | None = None


def model_events(
    connection: Connection,
    model: str,
    *,
    start: int | None = None,
    end: int | None = None,
    version: str | None = None,
    environment: str | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> Page[EventLine]:
    """Events of a model with start <= at < end (microseconds), the newest first.

    version, environment: without those of others. before: `following` of the page before.
    """
    found = [
        (at, identity, line)
        for at, identity, line in _all(connection, model)
        if (start is None or at >= start)
        and (end is None or at < end)
        and (version is None or line.model_version in (None, version))
        and (environment is None or line.environment in (None, environment))
        and (before is None or (at, identity) < before)
    ]
    found.sort(key=lambda each: each[:2], reverse=True)
    following = found[limit - 1][:2] if len(found) > limit else None
    return Page(tuple(line for _, _, line in found[:limit]), following)


_Found = Iterator[tuple[int, str, EventLine]]


def _all(connection: Connection, model: str) -> _Found:
    """Every event with its time in microseconds and an id of its own, in no order."""
    for stream in streams(connection, model):
        at = stream.first_window * MICROS_PER_SECOND
        title = f"Version {stream.version} first seen in {stream.environment}"
        line = EventLine(iso_of_micros(at), "version_first_seen", title, stream.version, stream.environment)
        yield at, f"version {stream.environment} {stream.version}", line
    for one in reference_sets(connection, model):
        at = one.created_at
        line = EventLine(iso_of_micros(at), "reference_set", _of_reference(one), one.version)
        yield at, f"reference {one.version or ''}", line
    for entry in _changes(connection, model):
        title = "Monitor removed" if entry.action == "monitor.delete" else "Monitor changed"
        line = EventLine(iso_of_micros(entry.at), "monitor_changed", title, actor=entry.actor)
        yield entry.at, f"audit {entry.id}", line
    for alert in _alerts(connection, model):
        yield from _of_alert(alert)


def _of_reference(one: ReferenceSet) -> str:
    what = f"{one.subjects} {'subject' if one.subjects == 1 else 'subjects'}"
    if one.source == FIRST_PREDICTIONS:
        return f"Provisional reference of {what}, from the first predictions"
    return f"Reference of {what} set" + ("" if one.source == "api" else f", from: {one.source}")


def _of_alert(alert: Alert) -> _Found:
    versions = {member.version for member in alert.members}
    common: dict[str, Any] = {
        "model_version": versions.pop() if len(versions) == 1 and alert.kind != "freshness" else None,
        "environment": alert.environment,
        "severity": alert.severity,
        "alert_id": alert.id,
    }
    began, title = alert.started_at if alert.began is None else alert.began, title_of(alert)
    yield began, f"alert {alert.id} 1", EventLine(iso_of_micros(began), "alert_opened", title, **common)
    if alert.ended_at is not None:
        line = EventLine(iso_of_micros(alert.ended_at), "alert_resolved", title, actor=alert.resolved_by, **common)
        yield alert.ended_at, f"alert {alert.id} 2", line


def _alerts(connection: Connection, model: str) -> Iterator[Alert]:
    before: Position | None = None
    for _ in range(MOST_LOOKED_AT // A_PAGE):
        rows = alerts_page(connection, model=model, before=before, limit=A_PAGE)
        yield from readable_alerts(rows)
        if len(rows) < A_PAGE:
            return
        before = rows[-1].opened_at, rows[-1].id


def _changes(connection: Connection, model: str) -> Iterator[AuditEntry]:
    before: Position | None = None
    for _ in range(MOST_LOOKED_AT // A_PAGE):
        entries = audit_page(connection, target=f"monitor/{model}", before=before, limit=A_PAGE)
        yield from entries
        if len(entries) < A_PAGE:
            return
        before = entries[-1].at, entries[-1].id
