"""Accepting what is found as the new normal: a window of stored predictions becomes the reference and ends alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Member, alert_from_row
from modelwatch.alerting.service import AlertService
from modelwatch.errors import Conflict, UnknownResource, excerpt
from modelwatch.findings import Kind
from modelwatch.monitoring.references.windows import TakenWindow, WindowOfReference, set_reference_from_window
from modelwatch.storage.alerts.alerts import alert_by_id
from modelwatch.storage.counts.streams import last_window_end, streams_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.outcome_references import outcomes_in_force
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import OUTCOMES, Subject
from modelwatch.times import MICROS_PER_SECOND

# What is compared with earlier weeks, or with the clock, has no reference to replace.
WITHOUT_REFERENCE: frozenset[Kind] = frozenset({"volume", "freshness"})
OF_LABELS: frozenset[Kind] = frozenset({"performance", "label_drift"})


@dataclass(frozen=True, slots=True)
class Accepted:
    """The windows that became references, and the alerts that this ended."""

    windows: tuple[TakenWindow, ...]
    ended: tuple[Alert, ...]


def accept_window(
    store: Store,
    alerts: AlertService,
    window: WindowOfReference,
    *,
    actor: str,
    note: str | None,
    now: int,
    new_id: Callable[[], str],
) -> Accepted:
    """Makes the window the reference and ends the alerts of its environment that are about nothing else.

    Raises as `set_reference_from_window`, and InvalidInput for an actor or a note that is too long. now: microseconds.
    """
    alerts.check_action(actor, note)
    taken = set_reference_from_window(store, window, actor=actor, note=note, now=now, new_id=new_id)
    with store.read() as connection:
        version_references = _versions_of_their_own(connection, window.model)
    renewed = taken.subjects | ({OUTCOMES} if taken.labels else frozenset())

    def is_covered(kind: Kind, member: Member) -> bool:
        subject = subject_of(kind, member)
        if subject not in renewed:
            return False
        return (
            (member.version, subject) not in version_references
            if window.version is None
            else member.version == window.version
        )

    return Accepted(
        (taken,), tuple(alerts.accept(window.model, window.environment, is_covered, actor=actor, note=note))
    )


def accept_alert(
    store: Store,
    alerts: AlertService,
    alert_id: str,
    *,
    actor: str,
    note: str | None,
    now: int,
    new_id: Callable[[], str],
) -> Accepted:
    """Makes the data that an open alert is about the reference of what it is about, which ends it.

    The window is from when it was first found to the newest data, and at least the one that decided. The reference is
    for all versions when the alert is about all that have data there and none of them has one of its own; otherwise for
    those that the alert is about.
    Raises UnknownResource, Conflict for an alert that is over or that no reference could end, and as `accept_window`.
    now: microseconds.
    """
    with store.read() as connection:
        row = alert_by_id(connection, alert_id)
        if row is None:
            raise UnknownResource(f"There is no alert with the id {excerpt(alert_id)!r}.")
        alert = alert_from_row(row)
        if not alert.is_open:
            raise Conflict("The alert is resolved already.")
        subjects = {subject_of(alert.kind, member) for member in alert.members}
        if alert.kind in WITHOUT_REFERENCE or None in subjects:
            raise Conflict("Alerts of this kind have no reference to replace. Resolve the alert instead.")
        start, end = _window_of(alert)
        versions = _versions_for(connection, alert, start)
    windows: list[TakenWindow] = []
    ended: list[Alert] = []
    for version in versions:
        window = WindowOfReference(
            alert.model,
            alert.environment,
            version,
            start,
            end,
            subjects=frozenset(each for each in subjects if each is not None and each != OUTCOMES),
            labels=alert.kind in OF_LABELS,
        )
        accepted = accept_window(store, alerts, window, actor=actor, note=note, now=now, new_id=new_id)
        windows += accepted.windows
        ended += accepted.ended
    if all(each.id != alert.id for each in ended):
        # Its members are of several versions: each has a reference of its own now.
        ended += alerts.accept(
            alert.model, alert.environment, lambda kind, _: kind == alert.kind, actor=actor, note=note
        )
    return Accepted(tuple(windows), tuple(ended))


def subject_of(kind: Kind, member: Member) -> Subject | None:
    """The subject of a member's reference; None when it has none."""
    name = member.finding.subject
    match kind:
        case "feature_drift":
            return Subject("feature", name)
        case "prediction_drift":
            return Subject("score" if name == "score" else "prediction", "")
        case "latency_drift":
            return Subject("latency", "")
        case "data_quality":
            feature, separator, _rule = name.rpartition(": ")
            return Subject("feature", feature) if separator else None
        case "performance" | "label_drift":
            return OUTCOMES
        case _:
            return None


def _versions_of_their_own(connection: Connection, model: str) -> set[tuple[str, Subject]]:
    """Versions with a reference of their own, and of what."""
    version_references = {(each.version, each.subject) for each in in_force(connection, model)}
    version_references |= {(each.version, OUTCOMES) for each in outcomes_in_force(connection, model)}
    return {(version, subject) for version, subject in version_references if version is not None}


def _window_of(alert: Alert) -> tuple[int, int]:
    """Start and end in microseconds; of labels, which lag behind, the windows that decided."""
    findings = [member.finding for member in alert.members]
    if alert.kind in OF_LABELS:
        start, end = min(each.window_start for each in findings), max(each.window_end for each in findings)
        return start * MICROS_PER_SECOND, end * MICROS_PER_SECOND
    deciding = findings[0].window_end - findings[0].window_start
    return min(alert.started_at, alert.data_until - deciding * MICROS_PER_SECOND), alert.data_until


def _versions_for(connection: Connection, alert: Alert, start: int) -> list[str | None]:
    about = {member.version for member in alert.members}
    version_references = {version for version, _ in _versions_of_their_own(connection, alert.model)}
    others = [
        stream.version
        for stream in streams_of(connection, alert.model)
        if stream.environment == alert.environment
        and stream.version not in about
        and (last_window_end(connection, alert.model, alert.environment, stream.version) or 0) * MICROS_PER_SECOND
        > start
    ]
    return [*sorted(about)] if others or about & version_references else [None]
