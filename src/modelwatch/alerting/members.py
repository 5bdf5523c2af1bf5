"""Members of an alert: the findings of all versions of a model in an environment, of one kind, and their sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from modelwatch.alerting.alert import Alert, Dismissed, LastAssessment, Member, MemberKey, Recovered, Size, rank
from modelwatch.findings import Assessment, Finding, FindingSeverity, Kind

# Of older versions, and of verdicts at one and the same window end, so many are remembered.
VERSIONS_KEPT = 200
VERDICTS_KEPT = 50
# A silence of the model grows with the clock alone: reminders say that it lasts.
NEVER_LARGER: frozenset[Kind] = frozenset({"freshness"})


def kinds_of(assessment: Assessment) -> tuple[Kind, ...]:
    """The kinds that the assessment covers, in a fixed order."""
    return tuple(sorted({*assessment.kinds, *(finding.kind for finding in assessment.findings)}))


def findings_by_subject(assessment: Assessment, kind: Kind) -> dict[str, Finding]:
    """The findings of a kind; the worst, if a subject has several."""
    found: dict[str, Finding] = {}
    for finding in assessment.findings:
        known = found.get(finding.subject)
        if finding.kind == kind and (known is None or rank(finding.severity) > rank(known.severity)):
            found[finding.subject] = finding
    return found


def is_repeat(last: Mapping[str, LastAssessment], assessment: Assessment) -> bool:
    """True when the assessment was applied before, or a newer one of its version was. last: by version."""
    known = last.get(assessment.version)
    if known is None or assessment.window_end > known.window_end:
        return False
    return assessment.window_end < known.window_end or assessment.verdict_id in known.verdict_ids


def record_assessment(last: Mapping[str, LastAssessment], assessment: Assessment) -> dict[str, LastAssessment]:
    """The last assessments by version, with this one, which is no repeat."""
    known = last.get(assessment.version)
    earlier = known.verdict_ids if known is not None and known.window_end == assessment.window_end else ()
    ids = (*earlier, assessment.verdict_id)[-VERDICTS_KEPT:]
    after = {**last, assessment.version: LastAssessment(assessment.window_end, ids)}
    newest = sorted(after, key=lambda version: after[version].window_end)[-VERSIONS_KEPT:]
    return {version: after[version] for version in after if version in newest}


def members_of_other_versions(alert: Alert, assessment: Assessment) -> dict[MemberKey, Member]:
    """The members that the assessment does not cover.

    Of a version that has departed nothing more will be known: that it sends no data is no sign that it was mended.
    """
    others = [member for member in alert.members if member.version != assessment.version]
    return {member.key: _without_data(member, assessment) for member in others}


def _without_data(member: Member, assessment: Assessment) -> Member:
    if member.version not in assessment.departed:
        return member
    since = assessment.last_data.get(member.version, member.finding.times.judged_until)
    return replace(member, finding=replace(member.finding, holding=True, doubt="no_data", uncertain_since=since))


def members_of(
    assessment: Assessment, found: Mapping[str, Finding], known: Mapping[MemberKey, Member | Recovered], step: int
) -> list[Member]:
    """The findings as members: known ones keep their step and size, the others are added at this step."""
    members = []
    for subject, finding in found.items():
        before = known.get((assessment.version, subject))
        added, size = (step, None) if before is None else (before.added_step, before.size)
        members.append(Member(assessment.version, assessment.verdict_id, finding, added, size or size_of(finding)))
    return members


def still_dismissed(
    alert: Alert, assessment: Assessment, found: Mapping[str, Finding], factor: float
) -> tuple[Dismissed, ...]:
    """Dismissed findings that have not become much worse since, with their newest numbers."""
    kept = []
    for each in alert.dismissed:
        if each.member.version in assessment.departed and each.member.version != assessment.version:
            continue
        if each.member.version == assessment.version:
            finding = found.get(each.member.finding.subject)
            if finding is None or rank(finding.severity) > rank(each.severity):
                continue
            size = each.size or size_of(finding)
            if is_larger(finding, size, factor):
                continue
            each = replace(
                each, size=size, member=replace(each.member, verdict_id=assessment.verdict_id, finding=finding)
            )
        kept.append(each)
    return tuple(kept)


def notified_members(alert: Alert) -> dict[MemberKey, Recovered]:
    """The former members of this incident that a notification has named."""
    return {each.key: each for each in alert.recovered if each.added_step}


def with_recovered(alert: Alert, members: Iterable[Member], until: int) -> tuple[Recovered, ...]:
    """Former members of the incident that are not among these. until: when the last recovered, seconds."""
    present = {member.key for member in members}
    recovered = {each.key: each for each in alert.recovered}
    notified = max((each.sequence for each in alert.channels.values()), default=0)
    for member in alert.members if alert.is_open else ():
        finding, added = member.finding, member.added_step if member.added_step <= notified else 0
        recovered[member.key] = Recovered(
            member.version, finding.subject, finding.severity, finding.since, until, added, member.size
        )
    return tuple(each for key, each in sorted(recovered.items()) if key not in present)


def size_of(finding: Finding) -> Size:
    """Size of a finding that has not escalated."""
    return Size(finding.score_name, finding.score)


def is_larger(finding: Finding, size: Size, factor: float) -> bool:
    """True when the finding has reached `factor` times the size. factor 0: never.

    Scores of different names don't compare, and a finding that only holds on is none that evidence shows now.
    """
    if factor <= 0 or finding.holding or finding.kind in NEVER_LARGER or finding.score_name != size.score_name:
        return False
    return size.score > 0 and finding.score >= factor * size.score


def with_escalations(members: Iterable[Member], *, factor: float, step: int) -> list[Member]:
    """The members with their sizes as of this step: what is larger by the factor has grown, for as long as it stays so.

    The size that counts never falls, so what comes and goes is notified once.
    """
    return [replace(member, size=_size(member, factor, step)) for member in members]


def with_notified_sizes(members: Iterable[Member]) -> tuple[Member, ...]:
    """The members after a step that notifies how large all of them are: from here on it takes more than that."""
    return tuple(replace(member, size=_at_least(member)) for member in members)


def new_findings(before: Alert | None, after: Alert) -> list[tuple[str, FindingSeverity]]:
    """Subject and severity of each member that is new in an open alert, or worse than it was."""
    if not after.is_open:
        return []
    known = {} if before is None or before.id != after.id else _severities(before)
    return [
        (member.finding.subject, member.finding.severity)
        for member in after.members
        if member.key not in known or rank(member.finding.severity) > rank(known[member.key])
    ]


def _severities(alert: Alert) -> dict[MemberKey, FindingSeverity]:
    """Severity of each known finding, also of those that a person has resolved."""
    if alert.is_open:
        return {member.key: member.finding.severity for member in alert.members}
    return {each.member.key: each.severity for each in alert.dismissed}


def _size(member: Member, factor: float, step: int) -> Size:
    finding, size = member.finding, member.size
    if size is None or size.score_name != finding.score_name:
        return size_of(finding)
    if is_larger(finding, size, factor):
        return Size(finding.score_name, finding.score, step, size.score)
    if size.growth_step and finding.score <= size.previous_score:
        return replace(size, growth_step=0, previous_score=0.0)
    return size


def _at_least(member: Member) -> Size:
    size = member.size or size_of(member.finding)
    if member.finding.holding or size.score_name != member.finding.score_name:
        return size
    return replace(size, score=max(size.score, member.finding.score))
