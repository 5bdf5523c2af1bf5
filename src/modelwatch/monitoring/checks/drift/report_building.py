"""Report of a drift evaluation: its subjects and the summary, with notes on what references don't tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from modelwatch.errors import excerpt
from modelwatch.monitoring.checks.drift.evaluation import DriftEvaluation, SubjectResult
from modelwatch.monitoring.checks.drift.report import DriftReport, OnsetReport, SubjectReport, Summary
from modelwatch.monitoring.checks.drift.subject_report import (
    NO_REFERENCE,
    WindowScores,
    lookback_report,
    subject_report,
    unreferenced_report,
    window_scores,
)
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, PRECEDENCE, Severity
from modelwatch.monitoring.checks.not_judged import listed, not_judged
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, AlphaReport, share_of
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat import compat_scores
from modelwatch.stats.drift.evidence import benjamini_yekutieli
from modelwatch.stats.drift.variation.overdispersion import MIN_GROUPS
from modelwatch.storage.references.subjects import FIRST_PREDICTIONS, StoredReference, Subject
from modelwatch.times import iso_of_seconds

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.drift.evidence import Evidence


def report_of(evaluation: DriftEvaluation) -> DriftReport:
    """Report of an evaluation, as it is shown and kept."""
    query = evaluation.evidence.query
    evaluated = {each.subject for each in evaluation.subjects}
    why, scores = _why(evaluation), _scores(evaluation.subjects)
    results = [_subject_report(each, scores.get(each.subject), query.compat, why) for each in evaluation.subjects]
    results += [
        unreferenced_report(subject.name, subject.kind) for subject in evaluation.wanted if subject not in evaluated
    ]
    return msgspec.structs.replace(brief_report_of(evaluation), drift_results=_with_adjusted_p_values(results))


def subject_reports(results: Sequence[SubjectResult]) -> list[SubjectReport]:
    """Reports of subjects that were compared, in their order, without a check around them."""
    scores = _scores(results)
    return _with_adjusted_p_values([_subject_report(each, scores.get(each.subject), None, None) for each in results])


def brief_report_of(evaluation: DriftEvaluation) -> DriftReport:
    """Report without its subjects: the summary alone."""
    evidence = evaluation.evidence
    query, rules = evidence.query, evidence.rules
    why = _why(evaluation)
    lines = _lines(evaluation, why)
    drifted = [each.name for each in lines if each.severity in DRIFTED]
    provisional = [each.name for each in lines if each.reference_state == "provisional"]
    return DriftReport(
        drift_results=[],
        summary=Summary(
            model_name=query.model,
            model_version=query.version,
            environment=query.environment,
            severity=min((each.severity for each in lines), key=PRECEDENCE.index, default="no_reference"),
            checked=len(lines),
            drifted=drifted,
            drifted_share=len(drifted) / len(lines) if lines else 0.0,
            watermark=iso_of_seconds(evidence.watermark),
            predictions=max((sum(slot.predictions for slot in sums.values()) for sums in evidence.sums), default=0),
            provisional=bool(provisional),
            alpha=evaluation.alpha,
            alpha_from=AlphaReport(
                false_alarm_budget=rules.budget,
                share=share_of("drift"),
                subjects=evaluation.watched,
                streams=max(evidence.streams, 1),
                lookbacks=evidence.lookbacks,
                seconds=rules.accrued(evidence.elapsed),
                capped=evaluation.alpha >= LARGEST_ALPHA,
            ),
            false_alarm_budget=rules.budget,
            lookbacks=[window.lookback for window in evidence.windows if window.lookback is not None],
            versions_left_out=list(evaluation.versions_left_out),
            reason=why,
            not_judged=not_judged((each.name, each.severity, each.reason) for each in lines),
            provisional_subjects=provisional,
            notes=notes_of(evaluation),
        ),
    )


class _Line(NamedTuple):
    """Subject in the summary."""

    name: str
    severity: Severity
    reason: str | None
    reference_state: str | None


def _lines(evaluation: DriftEvaluation, why: str | None) -> list[_Line]:
    """Subjects of the query, those without a reference last. why: reason where there are no data."""
    lines = []
    for each in evaluation.subjects:
        deciding = each.deciding_window
        severity: Severity = "no_data" if deciding is None else deciding.judgement.severity
        reason = why if deciding is None else deciding.judgement.reason
        lines.append(_Line(each.subject.name or each.subject.kind, severity, reason, each.reference.state))
    evaluated = {each.subject for each in evaluation.subjects}
    unreferenced = (subject for subject in evaluation.wanted if subject not in evaluated)
    return [*lines, *(_Line(subject.name, "no_reference", NO_REFERENCE, None) for subject in unreferenced)]


def _scores(subjects: Sequence[SubjectResult]) -> dict[Subject, WindowScores]:
    """Scores of each subject in its deciding window, where it was compared."""
    compared = [
        (each, window)
        for each in subjects
        if (window := each.deciding_window) is not None and window.judgement.psi is not None
    ]
    found = window_scores([(each.reference, window.current) for each, window in compared])
    return {each.subject: scores for (each, _), scores in zip(compared, found, strict=True)}


def _subject_report(
    result: SubjectResult, scores: WindowScores | None, compat: str | None, why: str | None
) -> SubjectReport:
    deciding, reference, subject = result.deciding_window, result.reference, result.subject
    if deciding is None:
        return msgspec.structs.replace(
            unreferenced_report(subject.name or subject.kind, subject.kind),
            severity="no_data",
            feature_type=reference.profile.binning.kind,
            reference_size=reference.profile.n,
            reference_state=reference.state,
            reason=why,
        )
    other = None if compat is None else compat_scores(compat, reference.profile, deciding.current)
    report = subject_report(
        reference,
        deciding.window,
        deciding.current,
        deciding.judgement,
        deciding.allowed,
        result.thresholds,
        result.ks_alpha,
        scores,
        other,
        directed=result.directed,
    )
    if len(result.windows) == 1 and result.since is None:
        return report
    lines = [lookback_report(each.window, each.current, each.judgement, each.allowed) for each in result.windows]
    return msgspec.structs.replace(report, lookbacks=lines, onset=_onset(result))


def _onset(result: SubjectResult) -> OnsetReport | None:
    since = result.since
    if since is None:
        return None
    judged = next((each for each in result.windows if each.window.lookback is None), None)
    return OnsetReport(
        began=iso_of_seconds(since.start),
        earliest=iso_of_seconds(since.earliest),
        latest=iso_of_seconds(since.latest),
        known=since.known,
        sample_size=Profile(result.reference.profile.binning, since.counts).n,
        size=None if judged is None else judged.judgement.measures[0].size,
    )


def _with_adjusted_p_values(results: list[SubjectReport]) -> list[SubjectReport]:
    tested = [result for result in results if result.evidence is not None]
    adjusted = benjamini_yekutieli([result.evidence.p_value for result in tested if result.evidence is not None])
    by_id = {id(result): float(value) for result, value in zip(tested, adjusted, strict=True)}
    return [
        msgspec.structs.replace(
            result, evidence=msgspec.structs.replace(result.evidence, adjusted_p_value=by_id[id(result)])
        )
        if result.evidence is not None
        else result
        for result in results
    ]


def _why(evaluation: DriftEvaluation) -> str | None:
    evidence = evaluation.evidence
    if evidence.watermark is None:
        return _why_no_data(evidence)
    if not evidence.references:
        return (
            "No reference is set. POST one to /api/v1/reference, or wait until the first predictions"
            " have become a provisional one."
        )
    return None


def _why_no_data(evidence: Evidence) -> str:
    query, place = evidence.query, f"environment {evidence.query.environment!r}"
    if not evidence.environments and not evidence.versions:
        return "No predictions have been received."
    if query.version is not None and evidence.versions:
        there = f"there is data of version {listed(evidence.versions)}"
        return f"No data of version {excerpt(query.version)!r} in {place}; {there}."
    whose = "" if query.version is None else f" of version {excerpt(query.version)!r}"
    return f"No data{whose} in {place}; the model has data in: {listed(evidence.environments)}."


def notes_of(evaluation: DriftEvaluation) -> list[str]:
    """A sentence for each reason why something can't be known of some subjects; nothing by rules that don't ask."""
    rules = evaluation.evidence.rules
    named = [
        (each.subject.name or each.subject.kind, each.reference)
        for each in evaluation.subjects
        if each.reference.profile.n and (each.subject.kind, each.subject.name) != ("feature", rules.cluster_by)
    ]
    found = []
    if rules.dispersed and rules.natural_variation:
        found += _sentences("Natural variation", "of", [(name, _why_no_variation(each)) for name, each in named])
    if rules.cluster_by is not None:
        key = excerpt(rules.cluster_by)
        whys = [(name, _why_no_clusters(each, rules.cluster_by)) for name, each in named]
        found += _sentences(f"How alike predictions of one {key!r} are", "in", whys)
    return found


def _sentences(what: str, of: str, whys: Iterable[tuple[str, str | None]]) -> list[str]:
    """whys: by the name of a subject, why it can't be known of it; None where it is."""
    by_reason: dict[str | None, list[str]] = {}
    for name, why in whys:
        by_reason.setdefault(why, []).append(name)
    return [
        f"{what} can't be known: the reference {why}."
        if len(by_reason) == 1
        else f"{what} can't be known {of} {listed(names)}: the reference {why}."
        for why, names in by_reason.items()
        if why is not None
    ]


def _why_no_variation(reference: StoredReference) -> str | None:
    if reference.variation is not None:
        few = f"has no {MIN_GROUPS} stretches of time with several values each"
        return None if reference.variation.tells(reference.profile) else few
    if reference.source == FIRST_PREDICTIONS:
        return "is the first predictions"
    return "has no time stamps, or one alone"


def _why_no_clusters(reference: StoredReference, key: str) -> str | None:
    clusters = reference.clusters
    if clusters is None:
        return "has no such column, came without rows, or was set before drift.cluster_by"
    if clusters.key != key:
        return "was set before drift.cluster_by"
    if clusters.groups < MIN_GROUPS:
        return f"has values of fewer than {MIN_GROUPS} of them"
    return "has one value of each" if clusters.group_size <= 1.0 else None
