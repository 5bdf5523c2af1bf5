"""Recording of a change: the alert, the step in its life and its rows of the outbox, in one transaction."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Change, Step, StepRecord, alert_row, step_row
from modelwatch.alerting.lifecycle import Transition
from modelwatch.alerting.members import new_findings
from modelwatch.alerting.notification import Event, Trend
from modelwatch.alerting.notification_plan import NotificationPlan, plan_notifications
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.alerting.trends import trend_of
from modelwatch.alerting.wording import notification_of, summary_of, title_of
from modelwatch.storage.alerts.alerts import append_alert_events, save_alert
from modelwatch.storage.alerts.finding_counters import count_findings
from modelwatch.storage.alerts.outbox import OutboxRow, delivery_key, enqueue, failing_channels, withhold
from modelwatch.storage.engine.store import Store

_encode = msgspec.json.Encoder().encode
# A step that is not sent, or not under its own name, reads like the event that comes nearest.
_READS_LIKE: dict[Step, Event] = {
    "firing": "firing",
    "updated": "updated",
    "escalated": "escalated",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "accepted": "resolved",
    "reminder": "reminder",
    "silenced": "updated",
    "unsilenced": "updated",
    "calmed": "resolved",
}


class Recorder:
    """Writer of changes into a store. public_url: where people reach this service; empty: links are left out."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    def record(
        self,
        connection: Connection,
        before: Alert | None,
        transition: Transition,
        policy: AlertPolicy,
        *,
        now: int,
        earlier: Change | None = None,
    ) -> Alert:
        """Writes the alert after a transition, with its steps and notifications. Returns it as it is written.

        earlier: a change that came before the transition's own, in the same moment. now: microseconds.
        """
        alert, last = transition
        changes = [change for change in (earlier, last) if change is not None]
        if alert == before and not changes:
            return alert
        identity = alert.id

        def recall(channel: str, sequence: int) -> int:
            return withhold(connection, identity, channel, sequence)

        events, rows = [], []
        for change in changes:
            failing = failing_channels(connection, identity) if change.event == "reminder" else ()
            plan = plan_notifications(alert, change, policy, now=now, recall=recall, failing=failing)
            alert = plan.alert
            events.append(step_row(alert, change, _step(alert, change, plan, policy)))
            if plan.notifications:
                rows += self._outbox_rows(alert, change, plan, policy, now, trend_of(connection, alert))
        alert = msgspec.structs.replace(alert, revision=alert.revision + 1)
        save_alert(connection, self._store, alert_row(alert))
        append_alert_events(connection, events)
        enqueue(connection, self._store, rows)
        count_findings(connection, self._store, alert.model, new_findings(before, alert))
        return alert

    def _outbox_rows(
        self,
        alert: Alert,
        change: Change,
        plan: NotificationPlan,
        policy: AlertPolicy,
        now: int,
        trend: Trend | None,
    ) -> list[OutboxRow]:
        encoded = {
            event: _encode(notification_of(alert, change, event, policy, self._public_url, trend))
            for event in {planned.event for planned in plan.notifications}
        }
        return [
            OutboxRow(
                key=delivery_key(alert.id, change.sequence, planned.channel),
                channel=planned.channel,
                alert_id=alert.id,
                sequence=change.sequence,
                event=planned.event,
                created_at=now,
                not_before=planned.not_before,
                notice=encoded[planned.event],
            )
            for planned in plan.notifications
        ]


def _step(alert: Alert, change: Change, plan: NotificationPlan, policy: AlertPolicy) -> StepRecord:
    return StepRecord(
        state=alert.state,
        severity=alert.severity,
        title=title_of(alert),
        summary=summary_of(alert, change, _READS_LIKE[change.event], policy),
        added=change.added,
        notifications=plan.notifications,
        recalled=plan.recalled,
        reason=plan.reason,
        event_time=change.event_time,
    )
