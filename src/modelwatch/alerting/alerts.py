"""What an alert is: one incident of a model in an environment, and everything that is remembered of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from modelwatch.findings import SEVERITIES, Finding, FindingSeverity, Kind, Times

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
# The steps with which an incident ends for those who were told of it.
ENDS: frozenset[Step] = frozenset({"resolved", "accepted", "calmed"})
Belief = Literal["nothing", "firing", "resolved"]
MemberKey = tuple[str, str]

MICROSECONDS = 1_000_000
# The actor of what nobody did by hand.
SERVICE = "modelwatch"


class Size(msgspec.Struct, frozen=True):
    """How large a member was when its size was news last: the largest value so far of the score of this name.

    grown: the step at which it escalated to this, and before: from what. 0: it has not, or it is past.
    """

    score_name: str
    score: float
    grown: int = 0
    before: float = 0.0


class Member(msgspec.Struct, frozen=True):
    """A finding that is in force, of one version.

    news: the step at which it became something to tell of. size: see Size; None in what earlier releases stored.
    """

    version: str
    verdict_id: str
    finding: Finding
    news: int
    size: Size | None = None

    @property
    def key(self) -> MemberKey:
        return self.version, self.finding.subject


class Recovered(msgspec.Struct, frozen=True):
    """A member that is gone. since, until: seconds of event time. size: as of the member.

    news: as of the member; 0 if nobody was told.
    """

    version: str
    subject: str
    severity: FindingSeverity
    since: int
    until: int
    news: int
    size: Size | None = None

    @property
    def key(self) -> MemberKey:
        return self.version, self.subject


class Dismissed(msgspec.Struct, frozen=True):
    """A member that a person has declared resolved, and that is still being found. severity, size: as it was then."""

    member: Member
    severity: FindingSeverity
    size: Size | None = None


class LastWord(msgspec.Struct, frozen=True):
    """The newest evaluation of a version: its window end in seconds, and the verdicts there."""

    window_end: int
    verdict_ids: tuple[str, ...]


class Acknowledgement(msgspec.Struct, frozen=True):
    """Who has taken it on, and when (microseconds)."""

    actor: str
    note: str | None
    at: int


class Waiting(msgspec.Struct, frozen=True):
    """What was put in the outbox for the end of quiet hours, `until` (microseconds); it may have gone out since.

    belief, sequence and peak: what the channel knows then. rows: how many notices they are.
    """

    until: int
    belief: Belief
    sequence: int
    peak: FindingSeverity
    rows: int


class Told(msgspec.Struct, frozen=True):
    """What a channel knows of the incident: whether it is on, its news up to a step, and the worst severity so far."""

    belief: Belief = "nothing"
    sequence: int = 0
    peak: FindingSeverity | None = None
    waiting: Waiting | None = None


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """One incident: what is wrong with one model in one environment, in one respect.

    members: the findings in force, worst first; of a resolved alert, those at its end. recovered: what was a member and
    is none now. dismissed: see Dismissed. severity: that of the worst member.
    sequence: the last step. revision: grows whenever it is written. risen, flapped: the step at which the severity rose
    to what it is, and at which the alert began to flap. reopened: event times of reopenings within the flap window.
    words: each version's last word. told: what each channel knows.
    Times in microseconds: opened_at, updated_at (of the last step), resolved_at, assessed_at, told_at (when people were
    or will be told last) by the wall clock; started_at, ended_at, data_until in event time.
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
    told_at: int | None = None
    resolved_by: str | None = None
    acknowledgement: Acknowledgement | None = None
    silenced_by: tuple[str, ...] = ()
    reopenings: int = 0
    reopened: tuple[int, ...] = ()
    flapping: bool = False
    risen: int = 0
    flapped: int = 0
    recovered: tuple[Recovered, ...] = ()
    dismissed: tuple[Dismissed, ...] = ()
    words: dict[str, LastWord] = {}
    told: dict[str, Told] = {}

    @property
    def is_open(self) -> bool:
        return self.state != "resolved"

    @property
    def times(self) -> Times:
        """The three times of the members together; of a resolved alert, of those at its end."""
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
    def added(self) -> int:
        """The last step that brought a member of now."""
        return max(member.news for member in self.members)

    @property
    def grown(self) -> int:
        """The last step at which a member of now escalated by its size; 0: none has."""
        return max(member.size.grown if member.size is not None else 0 for member in self.members)


class Change(msgspec.Struct, frozen=True):
    """One step in the life of an alert. added: members that it brought. at: microseconds by the wall clock."""

    sequence: int
    event: Step
    at: int
    actor: str = SERVICE
    note: str | None = None
    added: tuple[MemberKey, ...] = ()


def fingerprint(model: str, environment: str, kind: Kind) -> str:
    """The same for every incident of a model, environment and kind, whichever process or release computes it.

    >>> fingerprint("fraud", "production", "feature_drift")[:16]
    '962d2274ad0cafb6'
    """
    return hashlib.sha256(msgspec.json.encode([model, environment, kind])).hexdigest()


def rank(severity: FindingSeverity) -> int:
    """Its place among the severities, the worst last."""
    return SEVERITIES.index(severity)


def worst(severities: Iterable[FindingSeverity]) -> FindingSeverity:
    """The worst of at least one."""
    return max(severities, key=rank)


def worst_first(members: Iterable[Member]) -> tuple[Member, ...]:
    """By severity, then by how far the score is beyond its threshold, then by name."""
    return tuple(sorted(members, key=_badness))


def _badness(member: Member) -> tuple[int, float, str, str]:
    finding = member.finding
    beyond = finding.score / finding.threshold if finding.threshold > 0 else finding.score
    return -rank(finding.severity), -beyond, member.version, finding.subject
