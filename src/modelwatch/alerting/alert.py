"""The alert: one incident of a model in an environment, what is remembered of it, and its form in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from modelwatch.alerting.notification import Event
from modelwatch.findings import SEVERITIES, Finding, FindingSeverity, Kind, Times
from modelwatch.storage.alerts.alerts import FLAPPING, RESOLVED, StoredAlert, StoredAlertEvent
from modelwatch.storage.engine.damage import LEFT_OUT, decoded, readable

State = Literal["firing", "acknowledged", "silenced", "resolved"]
Step = Literal[
    "firing",
    "updated",
    "escalated",
    "acknowledged",
    "resolved",
    "accepted",
    "reminder",
    "silenced",
    "unsilenced",
    "calmed",
]
# The steps with which an incident ends for those who were notified of it.
ENDS: frozenset[Step] = frozenset({"resolved", "accepted", "calmed"})
ChannelStatus = Literal["nothing", "firing", "resolved"]
MemberKey = tuple[str, str]

# The actor of a step that no person took.
SERVICE = "modelwatch"


# Where a struct has `rename`, the store keeps the field under its earlier name.
class Size(msgspec.Struct, frozen=True, rename={"growth_step": "grown", "previous_score": "before"}):
    """Size of a member as it was last notified: the largest value so far of the score of this name.

    growth_step: the step at which it escalated to this, and previous_score: from what. 0: it has not, or it is past.
    """

    score_name: str
    score: float
    growth_step: int = 0
    previous_score: float = 0.0


class Member(msgspec.Struct, frozen=True, rename={"added_step": "news"}):
    """Finding in force, of one version.

    added_step: the step that added it. size: see Size; None in what earlier releases stored.
    """

    version: str
    verdict_id: str
    finding: Finding
    added_step: int
    size: Size | None = None

    @property
    def key(self) -> MemberKey:
        return self.version, self.finding.subject


class Recovered(msgspec.Struct, frozen=True, rename={"added_step": "news"}):
    """Former member. since, until: seconds of event time. size: as of the member.

    added_step: as of the member; 0 when no notification has named it.
    """

    version: str
    subject: str
    severity: FindingSeverity
    since: int
    until: int
    added_step: int
    size: Size | None = None

    @property
    def key(self) -> MemberKey:
        return self.version, self.subject


class Dismissed(msgspec.Struct, frozen=True):
    """Member that a person has resolved and that is still being found. severity, size: as they were then."""

    member: Member
    severity: FindingSeverity
    size: Size | None = None


class LastAssessment(msgspec.Struct, frozen=True):
    """Newest evaluation of a version: the end of its window in seconds of event time, and the verdicts there."""

    window_end: int
    verdict_ids: tuple[str, ...]


class Acknowledgement(msgspec.Struct, frozen=True):
    """Person who has taken the alert on. at: microseconds."""

    actor: str
    note: str | None
    at: int


class Deferred(msgspec.Struct, frozen=True, rename={"status": "belief", "count": "rows"}):
    """Notifications in the outbox that wait for the end of quiet hours; they may have been sent since.

    until: microseconds. status, sequence and peak: what the channel knows then. count: how many notifications.
    """

    until: int
    status: ChannelStatus
    sequence: int
    peak: FindingSeverity
    count: int


class ChannelState(msgspec.Struct, frozen=True, rename={"status": "belief", "deferred": "waiting"}):
    """Knowledge of a channel: whether the incident is on, the last step it was sent, and the worst severity so far."""

    status: ChannelStatus = "nothing"
    sequence: int = 0
    peak: FindingSeverity | None = None
    deferred: Deferred | None = None


class Alert(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "severity_step": "risen",
        "flapping_step": "flapped",
        "last_assessments": "words",
        "channels": "told",
        "notified_at": "told_at",
    },
):
    """Incident: what is wrong with one model in one environment, in one respect.

    members: the findings in force, worst first; of a resolved alert, those at its end. recovered: former members.
    dismissed: see Dismissed. severity: that of the worst member.
    sequence: the last step. revision: grows with every write. severity_step, flapping_step: the step at which the
    severity rose to what it is, and at which the alert began to flap. reopened: event times (seconds) of reopenings
    within the flap window. last_assessments: by version. channels: what each channel knows.
    Times in microseconds: opened_at, updated_at (of the last step), resolved_at, assessed_at, notified_at (when the
    last notification was or will be sent) by the wall clock; started_at, ended_at, data_until in event time. began: the
    earliest of the estimates of when a member began, in event time; None while there is none.
    """

    id: str
    fingerprint: str
    model: str
    environment: str
    kind: Kind
    state: State
    severity: FindingSeverity
    members: tuple[Member, ...]
    sequence: int
    revision: int
    opened_at: int
    updated_at: int
    assessed_at: int
    started_at: int
    data_until: int
    resolved_at: int | None = None
    ended_at: int | None = None
    notified_at: int | None = None
    resolved_by: str | None = None
    acknowledgement: Acknowledgement | None = None
    silenced_by: tuple[str, ...] = ()
    reopenings: int = 0
    reopened: tuple[int, ...] = ()
    flapping: bool = False
    severity_step: int = 0
    flapping_step: int = 0
    recovered: tuple[Recovered, ...] = ()
    dismissed: tuple[Dismissed, ...] = ()
    last_assessments: dict[str, LastAssessment] = {}
    channels: dict[str, ChannelState] = {}
    began: int | None = None

    @property
    def is_open(self) -> bool:
        return self.state != "resolved"

    @property
    def times(self) -> Times:
        """The times of the members together, in seconds; of a resolved alert, of those at its end."""
        times = [member.finding.times for member in self.members]
        return Times(
            bad_from=min(each.bad_from for each in times),
            bad_until=max(each.bad_until for each in times),
            detected_at=min(each.detected_at for each in times),
            judged_until=max(each.judged_until for each in times),
        )

    @property
    def uncertain_since(self) -> int | None:
        """Since when no member is certain any more, in seconds of event time; None while one is."""
        doubted = [member.finding.uncertain_since for member in self.members]
        known = [since for since in doubted if since is not None]
        return max(known) if self.is_open and len(known) == len(doubted) else None

    @property
    def newest_member_step(self) -> int:
        """The last step that added one of the members of now."""
        return max(member.added_step for member in self.members)

    @property
    def newest_growth_step(self) -> int:
        """The last step at which a member of now escalated by its size; 0: none has."""
        return max(member.size.growth_step if member.size is not None else 0 for member in self.members)


class Change(msgspec.Struct, frozen=True):
    """Step in the life of an alert. added: the members that it brought. at: microseconds by the wall clock. event_time:
    seconds, the end of the window whose evaluation took it; None where a person or the clock did."""

    sequence: int
    event: Step
    at: int
    actor: str = SERVICE
    note: str | None = None
    added: tuple[MemberKey, ...] = ()
    event_time: int | None = None


class PlannedNotification(msgspec.Struct, frozen=True):
    """Notification of a step for one channel. not_before: the step's time or the end of quiet hours, microseconds."""

    channel: str
    event: Event
    not_before: int


class StepRecord(msgspec.Struct, frozen=True, rename={"notifications": "told", "recalled": "withheld"}):
    """Record of a step: the alert's state and severity then, its text, and the notifications.

    recalled: channels of deferred notifications that were taken back, once for each. reason: why nothing was sent.
    event_time: as of the change; None also in what earlier releases stored.
    """

    state: State
    severity: FindingSeverity
    title: str
    summary: str
    added: tuple[MemberKey, ...]
    notifications: tuple[PlannedNotification, ...]
    recalled: tuple[str, ...]
    reason: str | None
    event_time: int | None = None


_encode = msgspec.json.Encoder().encode
_decode_alert = msgspec.json.Decoder(Alert).decode
_decode_step = msgspec.json.Decoder(StepRecord).decode


def alert_row(alert: Alert) -> StoredAlert:
    """Row of an alert. One that is resolved but flapping is not over, see storage/alerts."""
    over = not alert.is_open and not alert.flapping
    return StoredAlert(
        id=alert.id,
        fingerprint=alert.fingerprint,
        model=alert.model,
        environment=alert.environment,
        kind=alert.kind,
        state=FLAPPING if alert.flapping and alert.state == RESOLVED else alert.state,
        severity=alert.severity,
        revision=alert.revision,
        opened_at=alert.opened_at,
        updated_at=alert.updated_at,
        resolved_at=alert.resolved_at if over else None,
        body=_encode(alert),
    )


def alert_from_row(row: StoredAlert) -> Alert:
    """Alert of a row. Raises DamagedData for one that is damaged, or that a later release has written otherwise."""
    return decoded(f"The stored alert {row.id}", _decode_alert, row.body)


def readable_alerts(rows: Iterable[StoredAlert], consequence: str = LEFT_OUT) -> Iterator[Alert]:
    """Alerts of rows; one that can't be read is logged, with the consequence, and left out."""
    return readable(rows, alert_from_row, consequence)


def step_row(alert: Alert, change: Change, step: StepRecord) -> StoredAlertEvent:
    """Row of a step."""
    return StoredAlertEvent(
        alert.id, change.sequence, change.at, change.event, change.actor, change.note, _encode(step)
    )


def step_from_row(row: StoredAlertEvent) -> StepRecord:
    """Record of the step of a row. Raises DamagedData when it can't be read."""
    return decoded(f"The step {row.sequence} of the alert {row.alert_id}", _decode_step, row.body)


def fingerprint(model: str, environment: str, kind: Kind) -> str:
    """SHA-256 of model, environment and kind: the same for every incident of them, on each process and release.

    >>> fingerprint("fraud", "production", "feature_drift")[:16]
    '962d2274ad0cafb6'
    """
    return hashlib.sha256(msgspec.json.encode([model, environment, kind])).hexdigest()


def rank(severity: FindingSeverity) -> int:
    """Place among the severities, the worst last."""
    return SEVERITIES.index(severity)


def worst(severities: Iterable[FindingSeverity]) -> FindingSeverity:
    """The worst of at least one severity. Raises ValueError for none."""
    return max(severities, key=rank)


def worst_first(members: Iterable[Member]) -> tuple[Member, ...]:
    """Members by severity, then by how far the score is beyond its threshold, then by name."""
    return tuple(sorted(members, key=_badness))


def _badness(member: Member) -> tuple[int, float, str, str]:
    finding = member.finding
    beyond = finding.score / finding.threshold if finding.threshold > 0 else finding.score
    return -rank(finding.severity), -beyond, member.version, finding.subject
