"""Notifications and outbox rows for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import insert, select

from modelwatch.alerting.notification import Notification, NotificationMember
from modelwatch.findings import Finding
from modelwatch.storage.alerts.outbox import OutboxRow, delivery_key, enqueue
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON

FINDING = Finding(
    kind="feature_drift",
    subject="amount",
    severity="alert",
    since=NOON // 1_000_000,
    score_name="PSI",
    score=0.31,
    threshold=0.25,
    p_value=1e-30,
    alpha=1e-4,
    sample_size=1_200,
    reference_size=10_000,
    window_start=NOON // 1_000_000 - 3_600,
    window_end=NOON // 1_000_000,
    lookback="1h",
    detail="28 % of values are above 310.5 (reference: 10 %)",
)
NOTIFICATION = Notification(
    alert_id="a1",
    fingerprint="f" * 64,
    sequence=1,
    event="firing",
    state="firing",
    severity="alert",
    model="fraud",
    environment="production",
    kind="feature_drift",
    labels={
        "model": "fraud",
        "environment": "production",
        "kind": "feature_drift",
        "severity": "alert",
        "team": "risk",
    },
    title="fraud (production): amount has drifted",
    summary="amount has drifted since 12:00: PSI 0.31, alert from 0.25.",
    members=(NotificationMember("2.1.0", "v1", FINDING),),
    recovered=(),
    started_at=NOON,
    ended_at=None,
    data_until=NOON,
    occurred_at=NOON,
    actor=None,
    note=None,
    page_url="https://mw.example.org/ui/alerts/a1",
    bad_from=NOON - 3_600_000_000,
    bad_until=NOON,
    detected_at=NOON,
    judged_until=NOON,
    evidence_url="https://mw.example.org/api/v1/alerts/a1",
)


def notification(**changes: Any) -> Notification:
    """Notification of an alert that fires, with changes."""
    return msgspec.structs.replace(NOTIFICATION, **changes)


def row(channel: str, *, alert: str = "a1", sequence: int = 1, at: int = NOON, **changes: Any) -> OutboxRow:
    """An outbox row that is due at once. `not_before` may be changed, and anything of the notification."""
    not_before = changes.pop("not_before", at)
    told = notification(**{"alert_id": alert, "sequence": sequence, "occurred_at": at, **changes})
    key = delivery_key(alert, sequence, channel)
    return OutboxRow(key, channel, alert, sequence, told.event, at, not_before, msgspec.json.encode(told))


def put(store: Store, *rows: OutboxRow) -> None:
    """Adds rows to the outbox."""
    with store.write() as connection:
        enqueue(connection, store, rows)


def outbox(store: Store) -> dict[str, Any]:
    """Every row of the outbox by its key."""
    with store.read() as connection:
        return {each.key: each for each in connection.execute(select(tables.outbox))}


def states(store: Store) -> dict[str, str]:
    """The state of every row by its key."""
    return {key: each.state for key, each in outbox(store).items()}


def open_alerts(store: Store, ids: Iterable[str], state: str = "firing") -> None:
    """Rows of alerts that are in this state."""
    with store.write() as connection:
        for each in ids:
            values = {
                "id": each,
                "fingerprint": each,
                "model": "fraud",
                "environment": "production",
                "kind": "feature_drift",
                "state": state,
                "severity": "alert",
                "revision": 1,
                "opened_at": NOON,
                "updated_at": NOON,
                "body": b"{}",
            }
            connection.execute(insert(tables.alert).values(values))
