"""Drift checks: from evidence to a report, by computation alone: who asks, and when, makes no difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence, Inputs, gather
from modelwatch.monitoring.checks.drift.judge import (
    PRECEDENCE,
    Judgement,
    Severity,
    Tolerance,
    judge,
    odds_cells,
    tolerance,
)
from modelwatch.monitoring.checks.drift.report import (
    AlphaReport,
    DriftReport,
    SubjectReport,
    Summary,
    lookback_report,
    subject_report,
    unreferenced_report,
)
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, DriftRules, Thresholds, share_of
from modelwatch.monitoring.checks.unjudged import NAMES_SHOWN, not_judged
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.compat import compat_scores
from modelwatch.stats.drift.evidence import benjamini_yekutieli
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.layouts import ModelLayouts, Subject
from modelwatch.storage.references.references import StoredReference, layouts_of
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
    layouts = layouts_of(evidence.generation, inputs.references)
    chosen = references_for(inputs.references, query.version)
    wanted = _wanted(chosen, query.features, rules)
    looked_at = sum(rules.watches(subject.kind, subject.name) for subject in chosen)
    alpha = rules.alpha(looked_at, evidence.streams, evidence.elapsed, lookbacks=evidence.lookbacks)
    subjects = tuple(
        _examined(subject, chosen[subject], evidence, layouts, alpha) for subject in wanted if subject in chosen
    )
    return Examination(
        evidence, alpha, looked_at, subjects, tuple(wanted), tuple(_versions_left_out(evidence, layouts, chosen))
    )


def report_of(examination: Examination) -> DriftReport:
    """The examination as it is shown and kept."""
    evidence = examination.evidence
    query, rules = evidence.query, evidence.rules
    examined = {each.subject: each for each in examination.subjects}
    why = _why(examination)
    results = [_subject_report(each, query.compat, why) for each in examination.subjects]
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


def references_for(references: Sequence[StoredReference], version: str | None) -> dict[Subject, StoredReference]:
    """For each subject the reference that applies: the version's own, else the one for all versions.

    Without a version asked for, a reference of one version serves where none is set for all.
    """
    chosen: dict[Subject, StoredReference] = {}
    for reference in references:
        own = reference.version is not None and reference.version == version
        common = reference.version is None
        fallback = version is None and reference.subject not in chosen
        if own or (common and (version is None or reference.subject not in chosen)) or fallback:
            chosen[reference.subject] = reference
    return chosen


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
        if any(not _same_binning(layouts, name, subject, reference) for subject, reference in chosen.items())
    ]


def _same_binning(layouts: ModelLayouts, version: str, subject: Subject, reference: StoredReference) -> bool:
    binning = layouts.of(version).binnings.get(subject)
    return binning is not None and binning.id == reference.profile.binning.id


def _examined(
    subject: Subject, reference: StoredReference, evidence: Evidence, layouts: ModelLayouts, alpha: float
) -> Examined:
    rules = evidence.rules
    configured = rules.thresholds(subject.kind, subject.name)
    asked = evidence.query.min_samples
    min_samples = configured.min_samples if asked is None else asked
    looks = []
    for window, sums in zip(evidence.windows, evidence.sums, strict=True):
        current = current_profile(sums, layouts, subject, reference)
        allowed = _allowed(configured, reference, window, current, rules)
        judgement = judge(reference.profile, current, allowed, alpha, min_samples, reference.split)
        received = _received(sums, layouts, subject, reference)
        looks.append(Look(window, current, allowed, _with_what_is_left_out(judgement, current, received)))
    return Examined(subject, reference, configured, rules.ks_alpha, tuple(looks))


def current_profile(
    sums: Mapping[str, Slot], layouts: ModelLayouts, subject: Subject, reference: StoredReference
) -> Profile:
    """What the versions that are counted in the reference's binning show together."""
    binning = reference.profile.binning
    counts = [
        slot.counts[layouts.of(version).slices[subject]]
        for version, slot in sums.items()
        if _same_binning(layouts, version, subject, reference)
    ]
    if not counts:
        return Profile.empty(binning)
    return Profile(binning, counts[0] if len(counts) == 1 else np.sum(counts, axis=0))


def _received(sums: Mapping[str, Slot], layouts: ModelLayouts, subject: Subject, reference: StoredReference) -> int:
    """How many predictions the versions have that are counted in the reference's binning."""
    return sum(
        slot.predictions for version, slot in sums.items() if _same_binning(layouts, version, subject, reference)
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


def _subject_report(examined: Examined, compat: str | None, why: str | None) -> SubjectReport:
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
