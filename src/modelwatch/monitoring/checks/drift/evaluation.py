"""Drift checks: from evidence to a report, by computation alone: who asks, and when, makes no difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence, Inputs, gather
from modelwatch.monitoring.checks.drift.judge import (
    PRECEDENCE,
    Case,
    Judgement,
    Severity,
    Tolerance,
    judge_all,
    odds_cells,
    tolerance,
)
from modelwatch.monitoring.checks.drift.report import (
    DriftReport,
    SubjectReport,
    Summary,
    WindowScores,
    lookback_report,
    subject_report,
    unreferenced_report,
    window_scores,
)
from modelwatch.monitoring.checks.drift.subject_counts import same_binning
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, AlphaReport, DriftRules, Thresholds, share_of
from modelwatch.monitoring.checks.unjudged import NAMES_SHOWN, not_judged
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat import compat_scores
from modelwatch.stats.drift.evidence import benjamini_yekutieli
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import ModelLayouts, Subject
from modelwatch.storage.references.references import StoredReference
from modelwatch.times import iso_of_seconds


@dataclass(frozen=True, slots=True)
class Look:
    """One subject in one window: what was counted, what was allowed, and what it says."""

    window: Window
    current: Profile
    allowed: Tolerance
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Examined:
    """One subject in all windows of an evaluation. thresholds: what was configured for it."""

    subject: Subject
    reference: StoredReference
    thresholds: Thresholds
    ks_alpha: float
    looks: tuple[Look, ...]

    @property
    def spokesman(self) -> Look | None:
        """The worst window speaks for the subject; of equally bad ones the longest, which knows most."""
        return min(
            self.looks,
            key=lambda look: (PRECEDENCE.index(look.judgement.severity), look.window.start - look.window.end),
            default=None,
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """All subjects of an evaluation, and the chance of a false alarm that each look took.

    looked_at: how many subjects share the budget. wanted: what was asked for.
    """

    evidence: Evidence
    alpha: float
    looked_at: int
    subjects: tuple[Examined, ...]
    wanted: tuple[Subject, ...]
    versions_left_out: tuple[str, ...]


def check_drift(store: Store, defaults: DriftRules, query: DriftQuery, now: int) -> DriftReport:
    """Compares the windows of a query with the references in force, from committed counts.

    defaults: the rules of a model without a monitor.
    Raises UnknownResource for a model that was never heard of and InvalidInput for features that it does not have.
    """
    return report_of(examine(gather(store, defaults, query, now)))


def examine(inputs: Inputs) -> Examination:
    """Judges every subject that the query asks for. Raises InvalidInput for features without a reference."""
    evidence, query, rules = inputs.evidence, inputs.evidence.query, inputs.evidence.rules
    chosen = inputs.chosen
    wanted = _wanted(chosen, query.features, rules)
    looked_at = sum(rules.watches(subject.kind, subject.name) for subject in chosen)
    alpha = rules.alpha(looked_at, evidence.streams, evidence.elapsed, lookbacks=evidence.lookbacks)
    subjects = _examined(inputs, [subject for subject in wanted if subject in chosen], alpha)
    left_out = _versions_left_out(evidence, inputs.layouts, chosen)
    return Examination(evidence, alpha, looked_at, subjects, tuple(wanted), tuple(left_out))


def report_of(examination: Examination) -> DriftReport:
    """The examination as it is shown and kept."""
    evidence = examination.evidence
    query, rules = evidence.query, evidence.rules
    examined = {each.subject for each in examination.subjects}
    why = _why(examination)
    scores = _scores(examination.subjects)
    results = [_subject_report(each, scores.get(each.subject), query.compat, why) for each in examination.subjects]
    results += [
        unreferenced_report(subject.name, subject.kind) for subject in examination.wanted if subject not in examined
    ]
    results = _with_adjusted_p_values(results)
    drifted = [result.feature_name for result in results if result.severity in ("warning", "alert")]
    provisional = [result.feature_name for result in results if result.reference_state == "provisional"]
    return DriftReport(
        drift_results=results,
        summary=Summary(
            model_name=query.model,
            model_version=query.version,
            environment=query.environment,
            severity=severity_of(results),
            checked=len(results),
            drifted=drifted,
            drifted_share=len(drifted) / len(results) if results else 0.0,
            watermark=None if evidence.watermark is None else iso_of_seconds(evidence.watermark),
            predictions=max((sum(slot.predictions for slot in sums.values()) for sums in evidence.sums), default=0),
            provisional=bool(provisional),
            alpha=examination.alpha,
            alpha_from=AlphaReport(
                false_alarm_budget=rules.budget,
                share=share_of("drift"),
                subjects=examination.looked_at,
                streams=max(evidence.streams, 1),
                lookbacks=evidence.lookbacks,
                seconds=rules.accrued(evidence.elapsed),
                capped=examination.alpha >= LARGEST_ALPHA,
            ),
            false_alarm_budget=rules.budget,
            lookbacks=[window.lookback for window in evidence.windows if window.lookback is not None],
            versions_left_out=list(examination.versions_left_out),
            reason=why,
            not_judged=not_judged((result.feature_name, result.severity, result.reason) for result in results),
            provisional_subjects=provisional,
        ),
    )


def severity_of(results: Sequence[SubjectReport]) -> Severity:
    """The worst of several subjects."""
    return min((result.severity for result in results), key=PRECEDENCE.index, default="no_reference")


def _wanted(
    chosen: Mapping[Subject, StoredReference], features: tuple[str, ...] | None, rules: DriftRules
) -> list[Subject]:
    if features is None:
        watched = (subject for subject in chosen if rules.watches(subject.kind, subject.name))
        return sorted(watched, key=lambda subject: (subject.kind != "feature", subject))
    unknown = [
        FieldError(f"/features/{index}", f"The model has no reference for a feature named {name!r}", name)
        for index, name in enumerate(features)
        if Subject("feature", name) not in chosen
    ]
    if unknown and chosen:
        raise InvalidInput("Some features are not known for this model.", tuple(unknown))
    return [Subject("feature", name) for name in features]


def _versions_left_out(
    evidence: Evidence, layouts: ModelLayouts, chosen: Mapping[Subject, StoredReference]
) -> list[str]:
    """Versions with data whose binnings differ from the chosen references': their counts can't be added."""
    if evidence.query.version is not None:
        return []
    seen = sorted({name for sums in evidence.sums for name in sums})
    return [
        name
        for name in seen
        if any(not same_binning(layouts, name, subject, reference) for subject, reference in chosen.items())
    ]


def _examined(inputs: Inputs, subjects: Sequence[Subject], alpha: float) -> tuple[Examined, ...]:
    evidence, rules, asked = inputs.evidence, inputs.evidence.rules, inputs.evidence.query.min_samples
    thresholds = [rules.thresholds(subject.kind, subject.name) for subject in subjects]
    cases = []
    for subject, configured in zip(subjects, thresholds, strict=True):
        reference = inputs.chosen[subject]
        windows = tuple(
            (current, _allowed(configured, reference, window, current, rules))
            for window, current in zip(evidence.windows, inputs.counts[subject].profiles, strict=True)
        )
        min_samples = configured.min_samples if asked is None else asked
        cases.append(Case(reference.profile, reference.split, min_samples, windows))
    return tuple(
        Examined(
            subject,
            inputs.chosen[subject],
            configured,
            rules.ks_alpha,
            tuple(
                Look(window, current, allowed, _with_what_is_left_out(judgement, current, received))
                for window, (current, allowed), judgement, received in zip(
                    evidence.windows, case.windows, judgements, inputs.counts[subject].received, strict=True
                )
            ),
        )
        for subject, configured, case, judgements in zip(
            subjects, thresholds, cases, judge_all(cases, alpha), strict=True
        )
    )


def _with_what_is_left_out(judgement: Judgement, current: Profile, received: int) -> Judgement:
    """Says how many predictions could not be counted in the cells of a reference that came after them."""
    left_out = received - current.total
    if left_out <= 0:
        return judgement
    why = f"{left_out} of {received} predictions can't be compared: their values of it are not stored"
    if not current.total:
        return replace(judgement, reason=f"{why}. Those received since the reference was set can be.")
    return replace(judgement, reason=f"{judgement.reason} {why}." if judgement.reason else f"{why}.")


def _allowed(
    configured: Thresholds, reference: StoredReference, window: Window, current: Profile, rules: DriftRules
) -> Tolerance:
    variation = reference.variation
    if variation is None or not rules.natural_variation or not current.n:
        return tolerance(configured, None)
    length, cells = window.end - window.start, odds_cells(reference.profile, reference.split)
    odds = variation.odds_tolerance(length, cells) if configured.odds_ratio else None
    return tolerance(configured, variation.tolerance(length), variation.chance_at(current.n), odds)


def _scores(subjects: Sequence[Examined]) -> dict[Subject, WindowScores]:
    """The scores of each subject in the window that speaks for it, where it was compared."""
    spoken = [
        (each, look) for each in subjects if (look := each.spokesman) is not None and look.judgement.psi is not None
    ]
    found = window_scores([(each.reference, look.current) for each, look in spoken])
    return {each.subject: scores for (each, _), scores in zip(spoken, found, strict=True)}


def _subject_report(
    examined: Examined, scores: WindowScores | None, compat: str | None, why: str | None
) -> SubjectReport:
    spokesman, reference, subject = examined.spokesman, examined.reference, examined.subject
    if spokesman is None:
        return msgspec.structs.replace(
            unreferenced_report(subject.name or subject.kind, subject.kind),
            severity="no_data",
            feature_type=reference.profile.binning.kind,
            reference_size=reference.profile.n,
            reference_state=reference.state,
            reason=why,
        )
    other = None if compat is None else compat_scores(compat, reference.profile, spokesman.current)
    report = subject_report(
        reference,
        spokesman.window,
        spokesman.current,
        spokesman.judgement,
        spokesman.allowed,
        examined.thresholds,
        examined.ks_alpha,
        scores,
        other,
    )
    if len(examined.looks) == 1:
        return report
    lines = [lookback_report(look.window, look.current, look.judgement, look.allowed) for look in examined.looks]
    return msgspec.structs.replace(report, lookbacks=lines)


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


def _why(examination: Examination) -> str | None:
    evidence = examination.evidence
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
        there = f"there is data of version {_listed(evidence.versions)}"
        return f"No data of version {excerpt(query.version)!r} in {place}; {there}."
    whose = "" if query.version is None else f" of version {excerpt(query.version)!r}"
    return f"No data{whose} in {place}; the model has data in: {_listed(evidence.environments)}."


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
