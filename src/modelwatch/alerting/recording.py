"""Writes down a change: the alert, the step in its life, and what is to be delivered, in one transaction."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alerts import Alert, Change, Step
from modelwatch.alerting.lifecycle import Transition
from modelwatch.alerting.notices import Event
from modelwatch.alerting.records import StepRecord, TellingRecord, event_row, row_of
from modelwatch.alerting.routing import AlertPolicy
from modelwatch.alerting.tallying import begun
from modelwatch.alerting.telling import Hearing, tell
from modelwatch.alerting.wording import notice_of, summary_of, title_of
from modelwatch.storage.alerts.alerts import append_alert_events, save_alert
from modelwatch.storage.alerts.finding_counters import count_findings
from modelwatch.storage.alerts.outbox import OutboxRow, delivery_key, enqueue, withhold
from modelwatch.storage.engine.store import Store

_encode = msgspec.json.Encoder().encode
# A step that is not told, or not under its own name, reads like the notice that comes nearest.
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
    """Writes into a store. public_url: where people reach this service; empty: links are left out."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    def enter(
        self,
        connection: Connection,
        before: Alert | None,
        transition: Transition,
        policy: AlertPolicy,
        *,
        now: int,
        earlier: Change | None = None,
    ) -> Alert:
        """Writes what has become of the alert. Returns it as it is written.

        earlier: a change that came before the transition's own, in the same moment.
        """
        alert, last = transition
        changes = [change for change in (earlier, last) if change is not None]
        if alert == before and not changes:
            return alert
        identity = alert.id

        def take_back(channel: str, sequence: int) -> int:
            return withhold(connection, identity, channel, sequence)

        events, rows = [], []
        for change in changes:
            hearing = tell(alert, change, policy, now=now, withhold=take_back)
            alert = hearing.alert
            events.append(event_row(alert, change, _step(alert, change, hearing, policy)))
            rows += self._deliveries(alert, change, hearing, policy, now)
        alert = msgspec.structs.replace(alert, revision=alert.revision + 1)
        save_alert(connection, self._store, row_of(alert))
        append_alert_events(connection, events)
        enqueue(connection, self._store, rows)
        count_findings(connection, self._store, alert.model, begun(before, alert))
        return alert

    def _deliveries(
        self, alert: Alert, change: Change, hearing: Hearing, policy: AlertPolicy, now: int
    ) -> list[OutboxRow]:
        notices = {
            event: _encode(notice_of(alert, change, event, policy, self._public_url))
            for event in {telling.event for telling in hearing.tellings}
        }
        return [
            OutboxRow(
                key=delivery_key(alert.id, change.sequence, telling.channel),
                channel=telling.channel,
                alert_id=alert.id,
                sequence=change.sequence,
                event=telling.event,
                created_at=now,
                not_before=telling.not_before,
                notice=notices[telling.event],
            )
            for telling in hearing.tellings
        ]


def _step(alert: Alert, change: Change, hearing: Hearing, policy: AlertPolicy) -> StepRecord:
    return StepRecord(
        state=alert.state,
        severity=alert.severity,
        title=title_of(alert),
        summary=summary_of(alert, change, _READS_LIKE[change.event], policy),
        added=change.added,
        told=tuple(TellingRecord(each.channel, each.event, each.not_before) for each in hearing.tellings),
        withheld=hearing.withheld,
        reason=hearing.reason,
    )
