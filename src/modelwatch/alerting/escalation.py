"""When a member of an open alert has got so much larger that it is news: once for each time its size is multiplied."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from modelwatch.alerting.alerts import Member, Size
from modelwatch.findings import Finding, Kind

FACTOR = 2.0
# Silence grows with the clock alone: reminders tell that it lasts.
NEVER_LARGER: frozenset[Kind] = frozenset({"freshness"})


def size_of(finding: Finding) -> Size:
    """The size of what has not escalated."""
    return Size(finding.score_name, finding.score)


def is_larger(finding: Finding, size: Size, factor: float) -> bool:
    """Whether the finding has reached `factor` times the size. factor 0: never.

    Scores of different names don't compare, and a finding that only holds on is none that evidence shows now.
    """
    if factor <= 0 or finding.holding or finding.kind in NEVER_LARGER or finding.score_name != size.score_name:
        return False
    return size.score > 0 and finding.score >= factor * size.score


def escalated(members: Iterable[Member], *, factor: float, step: int) -> list[Member]:
    """The members with their sizes as of this step: what is larger by the factor has grown, for as long as it stays so.

    The size that counts never falls, so what comes and goes is told once.
    """
    return [replace(member, size=_size(member, factor, step)) for member in members]


def told_again(members: Iterable[Member]) -> tuple[Member, ...]:
    """The members after a step that tells how large all of them are: from here on it takes more than that."""
    return tuple(replace(member, size=_at_least(member)) for member in members)


def _size(member: Member, factor: float, step: int) -> Size:
    finding, size = member.finding, member.size
    if size is None or size.score_name != finding.score_name:
        return size_of(finding)
    if is_larger(finding, size, factor):
        return Size(finding.score_name, finding.score, step, size.score)
    if size.grown and finding.score <= size.before:
        return replace(size, grown=0, before=0.0)
    return size


def _at_least(member: Member) -> Size:
    size = member.size or size_of(member.finding)
    if member.finding.holding or size.score_name != member.finding.score_name:
        return size
    return replace(size, score=max(size.score, member.finding.score))
