"""From one evaluation to the next: what is wrong must persist before it is a finding, and it takes calm that lasts, and
evidence that it is over, until it is none any more.

What is carried from evaluation to evaluation is kept with each verdict, so that it survives every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from modelwatch.findings import Doubt, Finding
from modelwatch.monitoring.checks.observations import Observation


class Persistence(Protocol):
    """So many of the last so many evaluations make a finding, and it takes so many calm ones in a row to end it."""

    @property
    def alarms_needed(self) -> int: ...

    @property
    def alarms_among(self) -> int: ...

    @property
    def resolve_after(self) -> int: ...


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """State of one subject after an evaluation.

    reference: the id of the reference that it was compared with; a new one starts afresh. recent: the last evaluations
    that came to a decision, newest last: `1` drifted, `0` not. since: window end of the
    first of the present run that drifted. calm: how many evaluations in a row were calm. finding: what is in force.
    found_until: the end of the data that it was found in first, their start where most of their labels
    had not come; None of what earlier releases stored.
    """

    kind: str
    name: str
    reference: str
    recent: str
    since: int | None = None
    calm: int = 0
    finding: Finding | None = None
    found_until: int | None = None


def advance(
    previous: Sequence[Condition], observations: Iterable[Observation], rules: Persistence, end: int
) -> list[Condition]:
    """The conditions after an evaluation at this window end; those with nothing to remember are left out.

    end: seconds.
    """
    before = {(condition.kind, condition.name): condition for condition in previous}
    after = []
    for observation in observations:
        condition = _advance(before.get((observation.kind, observation.name)), observation, rules, end)
        if condition.finding is not None or "1" in condition.recent:
            after.append(condition)
    return after


def before_again(before: Iterable[Condition], last: Iterable[Condition]) -> list[Condition]:
    """The conditions from which the evaluation at the same window end is made again.

    What the last one found is in force, and ends as any finding does. What it counted, drift and calm, is taken back.

    before: after the evaluation before the last one. last: after the last one, at this window end.
    """
    earlier = {(each.kind, each.name, each.reference): each for each in before}
    found = [each for each in last if each.finding is not None]
    again = {(each.kind, each.name): each for each in earlier.values() if each.finding is None}
    for each in found:
        known = earlier.get((each.kind, each.name, each.reference))
        recent, calm = ("", 0) if known is None else (known.recent, min(known.calm, each.calm))
        again[each.kind, each.name] = replace(each, recent=recent, calm=calm)
    return list(again.values())


def findings_of(conditions: Iterable[Condition]) -> tuple[Finding, ...]:
    """The findings in force."""
    return tuple(condition.finding for condition in conditions if condition.finding is not None)


def newly_found(previous: Iterable[Condition], now: Iterable[Condition]) -> list[Condition]:
    """Those of the conditions whose finding was not in force before."""
    known = {(each.kind, each.name, each.reference) for each in previous if each.finding is not None}
    return [each for each in now if each.finding is not None and (each.kind, each.name, each.reference) not in known]


class Began(NamedTuple):
    """An estimated onset, in seconds, and the times between which it probably is, approximately."""

    at: int
    earliest: int
    latest: int


def with_onsets(conditions: Iterable[Condition], began: Mapping[tuple[str, str], int | Began]) -> list[Condition]:
    """The conditions, with what is known of when their findings began. began: seconds, by kind and name."""
    return [
        replace(each, finding=_beginning(each.finding, began[each.kind, each.name]))
        if each.finding is not None and (each.kind, each.name) in began
        else each
        for each in conditions
    ]


def _beginning(finding: Finding, began: int | Began) -> Finding:
    if isinstance(began, int):
        return replace(finding, began=began)
    return replace(finding, began=began.at, began_earliest=began.earliest, began_latest=began.latest)


def _advance(before: Condition | None, seen: Observation, rules: Persistence, end: int) -> Condition:
    fresh = Condition(seen.kind, seen.name, seen.reference, "")
    if before is None or before.reference != fresh.reference:
        before = fresh
    if seen.state == "undecided":
        if before.finding is None:
            return before
        return replace(before, finding=_doubted(before.finding, "too_little_data", end))
    drifted = seen.state == "drifted"
    recent = (before.recent + ("1" if drifted else "0"))[-rules.alarms_among :]
    if drifted:
        since = end if before.since is None else before.since
        finding = before.finding
        if finding is not None or recent.count("1") >= rules.alarms_needed:
            finding = _measured(seen, since, before.finding, end)
        after = replace(fresh, recent=recent, since=since, finding=finding)
        return after if finding is None else replace(after, found_until=_found_until(before, finding))
    if before.finding is None:
        return replace(fresh, recent=recent, since=before.since if "1" in recent else None)
    if seen.holding and before.since is not None:
        finding = replace(_measured(seen, before.since, before.finding, end), holding=True)
        if before.finding.severity == "alert" and finding.severity != "alert":
            limit = finding.threshold if finding.alert_threshold is None else finding.alert_threshold
            finding = replace(finding, severity="alert", threshold=limit)
        found_until = _found_until(before, before.finding if before.finding.early is None else finding)
        return replace(fresh, recent=recent, since=before.since, finding=finding, found_until=found_until)
    found_until = _found_until(before, before.finding)
    calm = before.calm + 1
    judged = end if seen.judged_until is None else seen.judged_until
    # The labels that it was found on early must all be among those that are judged now.
    judges_it = before.finding.early is None or judged >= before.finding.window_end
    if calm >= rules.resolve_after and judges_it and seen.shows_end_of(before.finding, found_until):
        return replace(fresh, recent="0" * len(recent))
    kept = replace(_doubted(before.finding, "not_found", end), judged_until=judged)
    return replace(fresh, recent=recent, since=before.since, calm=calm, finding=kept, found_until=found_until)


def _found_until(before: Condition, finding: Finding) -> int:
    if before.finding is not None and before.finding.early is not None and finding.early is None:
        return finding.window_end
    if before.found_until is not None:
        return before.found_until
    if before.finding is not None:
        return finding.times.bad_from
    # All labels of the same window decide about what was found on some of them.
    return finding.window_end if finding.early is None else finding.window_start


def _doubted(finding: Finding, doubt: Doubt, end: int) -> Finding:
    """The finding of an evaluation that did not find it, with the numbers of the last that did."""
    since = end if finding.uncertain_since is None else finding.uncertain_since
    return replace(finding, holding=True, doubt=doubt, uncertain_since=since)


def _measured(seen: Observation, since: int, before: Finding | None, end: int) -> Finding:
    """The finding as it is now. Once severe it stays so until it is clearly below: not every crossing of the line is
    notified."""
    now = seen.finding
    if before is not None and before.severity == "alert" and seen.still_severe is not None:
        now = seen.still_severe
    assert now is not None, "what drifted or holds has a finding"
    worst, detected_at, bad_from = now.score, end, now.times.bad_from
    if before is not None:
        detected_at, bad_from = before.times.detected_at, min(before.times.bad_from, bad_from)
        if before.score_name == now.score_name:
            worst = max(worst, before.score, before.worst or 0.0)
    return replace(
        now,
        since=since,
        worst=worst,
        detected_at=detected_at,
        bad_from=bad_from,
        bad_until=now.window_end,
        judged_until=now.window_end if seen.judged_until is None else seen.judged_until,
        began=None if before is None else before.began,
        began_earliest=None if before is None else before.began_earliest,
        began_latest=None if before is None else before.began_latest,
    )
