"""Assessments and an alert service for tests, with time and identity under control."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import select, update

from modelwatch.alerting.alert import Alert, alert_from_row
from modelwatch.alerting.notification import Notification
from modelwatch.alerting.policy import AlertPolicy
from modelwatch.alerting.service import AlertService
from modelwatch.findings import Assessment, Finding, FindingSeverity, Kind
from modelwatch.storage.alerts.alerts import alerts_page
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON, Clock, numbered

HOUR = 3_600
T0 = NOON // 1_000_000
EVERY_KIND: tuple[Kind, ...] = ("feature_drift", "prediction_drift", "latency_drift")


def finding(
    subject: str = "amount", severity: FindingSeverity = "warning", *, kind: Kind = "feature_drift", **changes: object
) -> Finding:
    """A finding with sensible numbers."""
    given = {
        "kind": kind,
        "subject": subject,
        "severity": severity,
        "since": T0,
        "score_name": "PSI",
        "score": 0.31 if severity == "alert" else 0.12,
        "threshold": 0.25 if severity == "alert" else 0.1,
        "p_value": 1e-9,
        "alpha": 1e-5,
        "sample_size": 1_200,
        "reference_size": 10_000,
        "window_start": T0 - HOUR,
        "window_end": T0,
        "lookback": "1h",
        "detail": "28 % of values are above 310.5 (reference: 10 %)",
    }
    return msgspec.convert(given | changes, Finding)


def assessment(
    at: int,
    found: Mapping[str, FindingSeverity] | None = None,
    *,
    version: str = "1",
    model: str = "fraud",
    environment: str = "production",
    kinds: tuple[Kind, ...] = ("feature_drift",),
    departed: tuple[str, ...] = (),
    verdict_id: str | None = None,
) -> Assessment:
    """Assessment `at` so many hours after T0: subjects of feature drift and their severities."""
    end = T0 + at * HOUR
    return Assessment(
        model=model,
        version=version,
        environment=environment,
        verdict_id=verdict_id or f"{version}@{at}",
        window_end=end,
        evaluated_at=end * 1_000_000,
        kinds=kinds,
        findings=tuple(finding(name, how, window_end=end, since=end) for name, how in (found or {}).items()),
        departed=departed,
    )


@dataclass
class Sent:
    """One row of the outbox, with its notification."""

    channel: str
    alert_id: str
    sequence: int
    event: str
    state: str
    not_before: int
    notice: Notification


@dataclass
class Desk:
    """Alert service on a store, and what can be seen of it from outside. One policy for all models."""

    store: Store
    policy: AlertPolicy = field(default_factory=lambda: AlertPolicy(channels=("chat",)))
    clock: Clock = field(default_factory=Clock)
    new_id: Callable[[], str] = field(default_factory=lambda: numbered("id"))
    public_url: str = "https://modelwatch.example"

    def __post_init__(self) -> None:
        self.book = self.another_book()
        self._hours = itertools.count()

    def another_book(self) -> AlertService:
        """Service of another process, or of the next one."""
        return AlertService(
            self.store,
            policy=lambda _connection, _model: self.policy,
            public_url=self.public_url,
            clock=self.clock,
            new_id=self.new_id,
        )

    def take(self, *assessments: Assessment) -> None:
        for each in assessments:
            with self.store.write() as connection:
                self.book.apply(connection, each)

    def found(self, found: Mapping[str, FindingSeverity] | None = None, *, version: str = "1") -> None:
        """The next evaluation, an hour of event time and of the clock after the one before."""
        hour = next(self._hours)
        self.clock.now = max(self.clock.now, NOON + hour * HOUR * 1_000_000)
        self.take(assessment(hour, found, version=version))

    def four_alerts(self) -> None:
        """Four incidents, a second apart: of m0 … m3; m1 in staging, m2 severe, m3 resolved."""
        for index in range(4):
            self.clock.advance(1)
            environment = "staging" if index == 1 else "production"
            severity: FindingSeverity = "alert" if index == 2 else "warning"
            self.take(assessment(0, {"amount": severity}, model=f"m{index}", environment=environment))
        self.take(assessment(1, model="m3"))

    def alerts(self) -> list[Alert]:
        """All incidents, oldest first."""
        with self.store.read() as connection:
            return [alert_from_row(row) for row in reversed(alerts_page(connection, limit=1_000))]

    def alert(self) -> Alert:
        """The only incident."""
        [alert] = self.alerts()
        return alert

    def sent(self, channel: str | None = None, *, withheld: bool = False) -> list[Sent]:
        """Notifications in the outbox, in the order in which they were written."""
        table = tables.outbox
        statement = select(table).order_by(table.c.created_at, table.c.alert_id, table.c.sequence, table.c.channel)
        with self.store.read() as connection:
            rows = connection.execute(statement).all()
        return [
            Sent(
                row.channel,
                row.alert_id,
                row.sequence,
                row.event,
                row.state,
                row.not_before,
                msgspec.json.decode(row.notice, type=Notification),
            )
            for row in rows
            if channel in (None, row.channel) and (withheld or row.state != "withheld")
        ]

    def events(self, channel: str = "chat") -> list[str]:
        """Events that the channel is sent, in order."""
        return [sent.event for sent in self.sent(channel)]

    def steps(self) -> list[str]:
        """The steps in the life of the only incident."""
        table = tables.alert_event
        with self.store.read() as connection:
            return list(
                connection.execute(select(table.c.event).order_by(table.c.alert_id, table.c.sequence)).scalars()
            )

    def deliver(self) -> None:
        """Delivers all that is due."""
        table = tables.outbox
        with self.store.write() as connection:
            due = (table.c.state == "pending") & (table.c.not_before <= self.clock.now)
            connection.execute(
                update(table).where(due).values(state="delivered", attempts=1, finished_at=self.clock.now)
            )

    def dump(self) -> list[object]:
        """Everything in the tables of alerts, to see that nothing has changed."""
        with self.store.read() as connection:
            return [
                connection.execute(select(table).order_by(*table.primary_key.columns)).all()
                for table in (tables.alert, tables.alert_event, tables.outbox, tables.silence, tables.audit)
            ]
