"""Notification of a change of an alert: the same for every channel, before a channel puts it in its receiver's form."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwatch.charts.drawing.numbers import written_value
from modelwatch.findings import Finding, FindingSeverity, Kind
from modelwatch.measures import plain

Event = Literal["firing", "updated", "escalated", "reminder", "acknowledged", "resolved", "test"]


class Trend(msgspec.Struct, frozen=True):
    """Trend that led to a notification: a number of the worst member's stream at the last evaluations, oldest first.

    name: of the number, such as `Largest PSI`. values: at least two. steps: what each is of, `evaluations` or `hours`.
    warning, alert: from which value it would be one or the other; None where no value of this number decides. form:
    how the values are written.
    """

    name: str
    values: tuple[float, ...]
    warning: float | None = None
    alert: float | None = None
    form: Literal["number", "percent"] = "number"
    steps: str = "evaluations"

    @property
    def title(self) -> str:
        """Its name, with how much of it there is."""
        return f"{self.name}, last {len(self.values)} {self.steps}"

    def text(self, value: float) -> str:
        """A value, or a threshold, as people read it."""
        return plain(written_value(value, self.form))


class NotificationMember(msgspec.Struct, frozen=True):
    """Member of an alert: a finding, the version of the model that it is about, and the verdict that it comes from."""

    version: str
    verdict_id: str
    finding: Finding


class Notification(msgspec.Struct, frozen=True):
    """One change of one alert, in plain words and in numbers.

    alert_id: the incident; fingerprint: the same for every incident of this (model, environment, kind). sequence: the
    position of this change in the alert's life. Times are microseconds since 1970 UTC: started_at, ended_at and
    data_until in event time, occurred_at by the wall clock; bad_from, bad_until, detected_at, judged_until,
    uncertain_since and began in event time, too, as of a finding. title: one line; summary: a few sentences that say
    what moved, by how much, since when, against what and how sure. labels: model, environment, kind, severity and the
    monitor's own labels. page_url: the page for people; evidence_url: the same for programs. Empty when unknown.
    trend: None where there is none.
    """

    alert_id: str
    fingerprint: str
    sequence: int
    event: Event
    state: str
    severity: FindingSeverity
    model: str
    environment: str
    kind: Kind
    labels: dict[str, str]
    title: str
    summary: str
    members: tuple[NotificationMember, ...]
    recovered: tuple[str, ...]
    started_at: int
    ended_at: int | None
    data_until: int
    occurred_at: int
    actor: str | None
    note: str | None
    page_url: str
    evidence_url: str
    bad_from: int | None = None
    bad_until: int | None = None
    detected_at: int | None = None
    judged_until: int | None = None
    uncertain_since: int | None = None
    began: int | None = None
    trend: Trend | None = None


def sample_notification(now: int) -> Notification:
    """Notification that tests a channel. now: microseconds."""
    return Notification(
        alert_id=f"test-{now}",
        fingerprint=f"test-{now}",
        sequence=1,
        event="test",
        state="test",
        severity="warning",
        model="modelwatch-test",
        environment="test",
        kind="feature_drift",
        labels={},
        title="modelwatch can reach this channel",
        summary="This is a test notification. Nothing has drifted, and nothing needs to be done.",
        members=(),
        recovered=(),
        started_at=now,
        ended_at=None,
        data_until=now,
        occurred_at=now,
        actor=None,
        note=None,
        page_url="",
        evidence_url="",
    )
