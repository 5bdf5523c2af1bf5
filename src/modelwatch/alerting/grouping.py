"""Which findings make up one alert: those of all versions of a model in an environment, of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from modelwatch.alerting.alerts import Alert, Dismissed, LastWord, Member, MemberKey, Recovered, rank
from modelwatch.alerting.escalation import is_larger, size_of
from modelwatch.findings import Assessment, Finding, Kind

# Of older versions, and of verdicts at one and the same window end, so many are remembered.
WORDS_KEPT = 200
VERDICTS_KEPT = 50


def kinds_of(assessment: Assessment) -> tuple[Kind, ...]:
    """What the assessment speaks of, in a fixed order."""
    return tuple(sorted({*assessment.kinds, *(finding.kind for finding in assessment.findings)}))


def findings_by_subject(assessment: Assessment, kind: Kind) -> dict[str, Finding]:
    """The findings of a kind; the worst, if a subject has several."""
    found: dict[str, Finding] = {}
    for finding in assessment.findings:
        known = found.get(finding.subject)
        if finding.kind == kind and (known is None or rank(finding.severity) > rank(known.severity)):
            found[finding.subject] = finding
    return found


def is_repeat(words: Mapping[str, LastWord], assessment: Assessment) -> bool:
    """Whether the version has said this before, or something newer since."""
    word = words.get(assessment.version)
    if word is None or assessment.window_end > word.window_end:
        return False
    return assessment.window_end < word.window_end or assessment.verdict_id in word.verdict_ids


def heard(words: Mapping[str, LastWord], assessment: Assessment) -> dict[str, LastWord]:
    """The last words with this one, which is no repeat."""
    word = words.get(assessment.version)
    earlier = word.verdict_ids if word is not None and word.window_end == assessment.window_end else ()
    ids = (*earlier, assessment.verdict_id)[-VERDICTS_KEPT:]
    after = {**words, assessment.version: LastWord(assessment.window_end, ids)}
    newest = sorted(after, key=lambda version: after[version].window_end)[-WORDS_KEPT:]
    return {version: after[version] for version in after if version in newest}


def remaining(alert: Alert, assessment: Assessment) -> dict[MemberKey, Member]:
    """The members that the assessment says nothing of: those of other versions.

    Of a version that has departed nothing more will be known: that it sends no data is no sign that it was mended.
    """
    others = [member for member in alert.members if member.version != assessment.version]
    return {member.key: _without_data(member, assessment) for member in others}


def _without_data(member: Member, assessment: Assessment) -> Member:
    if member.version not in assessment.departed:
        return member
    since = assessment.last_data.get(member.version, member.finding.times.judged_until)
    return replace(member, finding=replace(member.finding, holding=True, doubt="no_data", uncertain_since=since))


def newly_found(
    assessment: Assessment, found: Mapping[str, Finding], known: Mapping[MemberKey, Member | Recovered], step: int
) -> list[Member]:
    """The findings as members: those that are known keep their news and size, the others are the news of this step."""
    members = []
    for subject, finding in found.items():
        before = known.get((assessment.version, subject))
        news, size = (step, None) if before is None else (before.news, before.size)
        members.append(Member(assessment.version, assessment.verdict_id, finding, news, size or size_of(finding)))
    return members


def still_dismissed(
    alert: Alert, assessment: Assessment, found: Mapping[str, Finding], factor: float
) -> tuple[Dismissed, ...]:
    """What a person has resolved and has not got much worse since, with its newest numbers."""
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


def told_before(alert: Alert) -> dict[MemberKey, Recovered]:
    """What people have been told of before as a member of this incident."""
    return {each.key: each for each in alert.recovered if each.news}


def with_recovered(alert: Alert, members: Iterable[Member], until: int) -> tuple[Recovered, ...]:
    """All that have been members of the incident and are none among these; `until` is when the last of them went."""
    present = {member.key for member in members}
    gone = {each.key: each for each in alert.recovered}
    told = max((each.sequence for each in alert.told.values()), default=0)
    for member in alert.members if alert.is_open else ():
        finding, news = member.finding, member.news if member.news <= told else 0
        gone[member.key] = Recovered(
            member.version, finding.subject, finding.severity, finding.since, until, news, member.size
        )
    return tuple(each for key, each in sorted(gone.items()) if key not in present)
