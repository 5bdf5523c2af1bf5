"""From one evaluation to the next: what is wrong must persist before it is a finding, and calm must last until it is
none any more.

What is carried from evaluation to evaluation is kept with each verdict, so that it survives every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from modelwatch.findings import Finding
from modelwatch.monitoring.observations import Observation


class Persistence(Protocol):
    """So many of the last so many evaluations make a finding, and so many calm ones in a row end it."""

    @property
    def alarms_needed(self) -> int: ...

    @property
    def alarms_among(self) -> int: ...

    @property
    def resolve_after(self) -> int: ...


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one subject stands after an evaluation.

    reference: the id of the reference that it was compared with; a new one starts afresh. recent: the last evaluations
    that came to a decision, newest last: `1` drifted, `0` not. since: window end of the
    first of the present run that drifted. calm: how many evaluations in a row were calm. finding: what is in force.
    """

    kind: str
    name: str
    reference: str
    recent: str
    since: int | None = None
    calm: int = 0
    finding: Finding | None = None


def advance(
    previous: Sequence[Condition], observations: Iterable[Observation], rules: Persistence, end: int
) -> list[Condition]:
    """The conditions after an evaluation at this window end; those with nothing to remember are left out."""
    before = {(condition.kind, condition.name): condition for condition in previous}
    after = []
    for observation in observations:
        condition = _advance(before.get((observation.kind, observation.name)), observation, rules, end)
        if condition.finding is not None or "1" in condition.recent:
            after.append(condition)
    return after


def findings_of(conditions: Iterable[Condition]) -> tuple[Finding, ...]:
    """The findings in force."""
    return tuple(condition.finding for condition in conditions if condition.finding is not None)


def _advance(before: Condition | None, seen: Observation, rules: Persistence, end: int) -> Condition:
    fresh = Condition(seen.kind, seen.name, seen.reference, "")
    if before is None or before.reference != fresh.reference:
        before = fresh
    if seen.state == "undecided":
        return before
    drifted = seen.state == "drifted"
    recent = (before.recent + ("1" if drifted else "0"))[-rules.alarms_among :]
    if drifted:
        since = end if before.since is None else before.since
        finding = before.finding
        if finding is not None or recent.count("1") >= rules.alarms_needed:
            finding = _measured(seen, since, before.finding)
        return replace(fresh, recent=recent, since=since, finding=finding)
    if before.finding is None:
        return replace(fresh, recent=recent, since=before.since if "1" in recent else None)
    calm = 0 if seen.holding else before.calm + 1
    if calm >= rules.resolve_after:
        return replace(fresh, recent="0" * len(recent))
    finding = before.finding
    if seen.holding and before.since is not None:
        finding = _measured(seen, before.since, before.finding)
    kept = replace(finding, severity=before.finding.severity, holding=True)
    return replace(fresh, recent=recent, since=before.since, calm=calm, finding=kept)


def _measured(seen: Observation, since: int, before: Finding | None) -> Finding:
    """The finding as it is now. Once severe it stays so until it is clearly below: people are not told of each crossing
    of the line."""
    now = seen.finding
    if before is not None and before.severity == "alert" and seen.still_severe is not None:
        now = seen.still_severe
    assert now is not None, "what drifted or holds has a finding"
    return replace(now, since=since)
