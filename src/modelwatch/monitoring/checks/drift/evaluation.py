"""Drift evaluation: a pure function from evidence to what is judged of each subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.checks.drift.judge import Case, Judgement, chances_of_psi, judge_all, judge_size, odds_cells
from modelwatch.monitoring.checks.drift.subject_counts import (
    SubjectCounts,
    counts_of_subjects,
    keys_of,
    same_binning,
)
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, PRECEDENCE, PSI, Severity, Tolerance, tolerance
from modelwatch.monitoring.checks.rules import DriftRules, Thresholds
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import beside, expected_new, names_are_unknown, names_p_value
from modelwatch.stats.drift.variation.clusters import Clusters
from modelwatch.stats.drift.variation.overdispersion import Dispersion
from modelwatch.storage.references.subjects import StoredReference, Subject

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.drift.evidence import Evidence, Inputs, Since
    from modelwatch.storage.references.layouts import ModelLayouts


# From so few values since the onset of a shift no size of it is taken.
LEAST_SINCE = 30


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Result for one subject in one window. current: counts of the window. allowed: shift that is tolerated there."""

    window: Window
    current: Profile
    allowed: Tolerance
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class SubjectResult:
    """Results for one subject in all windows of an evaluation. thresholds: as configured for it.

    directed: as of its case. since: what is known since the onset of a shift; the window from there on is the last.
    deciding_window: the worst; of equally bad ones that, else the longest, which knows most. None when no window was
    evaluated.
    """

    subject: Subject
    reference: StoredReference
    thresholds: Thresholds
    ks_alpha: float
    windows: tuple[WindowResult, ...]
    directed: bool = False
    since: Since | None = None
    deciding_window: WindowResult | None = field(init=False)

    def __post_init__(self) -> None:
        deciding = min(self.windows, key=self._rank, default=None)
        object.__setattr__(self, "deciding_window", deciding)

    def _rank(self, each: WindowResult) -> tuple[int, bool, int]:
        is_since = self.since is not None and each.window.lookback is None
        return PRECEDENCE.index(each.judgement.severity), not is_since, each.window.start - each.window.end

    def detecting(self, alpha: float) -> list[WindowResult]:
        """The windows in which a shift is detected, however small it is."""
        return [each for each in self.windows if any(of.p_value < alpha for of in each.judgement.measures)]


@dataclass(frozen=True, slots=True)
class DriftEvaluation:
    """Results for all subjects of an evaluation.

    alpha: chance of a false alarm that each window of a subject may take. watched: number of subjects that share the
    budget. wanted: subjects of the query.
    """

    evidence: Evidence
    alpha: float
    watched: int
    subjects: tuple[SubjectResult, ...]
    wanted: tuple[Subject, ...]
    versions_left_out: tuple[str, ...]


def evaluate_drift(inputs: Inputs, subject: Subject | None = None) -> DriftEvaluation:
    """Judges every subject that the query asks for, or one alone, as it is judged among all.

    Raises InvalidInput for features without a reference.
    """
    known = inputs.evaluated.get(subject)
    if known is None:
        known = inputs.evaluated[subject] = _evaluate(inputs, subject)
    return known


def _evaluate(inputs: Inputs, subject: Subject | None) -> DriftEvaluation:
    evidence, query, rules = inputs.evidence, inputs.evidence.query, inputs.evidence.rules
    chosen = inputs.chosen
    wanted = _wanted(chosen, query.features, rules) if subject is None else [subject]
    references = {each: chosen[each] for each in wanted if each in chosen}
    watched = sum(rules.watches(subject.kind, subject.name) for subject in chosen)
    alpha = rules.alpha(watched, evidence.streams, evidence.elapsed, lookbacks=evidence.lookbacks)
    subjects = results_of(
        evidence.windows,
        references,
        inputs.counts if subject is None else counts_of_subjects(evidence.sums, inputs.layouts, references),
        rules,
        alpha,
        query.min_samples,
        keys=keys_of(evidence.sums, inputs.layouts, chosen, rules.cluster_by),
    )
    left_out = _versions_left_out(evidence, inputs.layouts, chosen)
    return with_onsets(DriftEvaluation(evidence, alpha, watched, subjects, tuple(wanted), tuple(left_out)), evidence)


def with_onsets(evaluation: DriftEvaluation, evidence: Evidence) -> DriftEvaluation:
    """An evaluation with the onsets that its evidence has by now; its look-backs are not judged again."""
    since = {(each.kind, each.name): each for each in evidence.since}
    end = evidence.watermark
    if not since or end is None:
        return replace(evaluation, evidence=evidence)
    subjects = tuple(
        result
        if (of_subject := since.get((result.subject.kind, result.subject.name))) is None
        else with_onset(result, of_subject, end, evidence.rules, evaluation.alpha)
        for result in evaluation.subjects
    )
    return replace(evaluation, evidence=evidence, subjects=subjects)


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


def results_of(
    windows: Sequence[Window],
    chosen: Mapping[Subject, StoredReference],
    counts: Mapping[Subject, SubjectCounts],
    rules: DriftRules,
    alpha: float,
    min_samples: int | None = None,
    *,
    keys: Sequence[Profile | float] = (),
) -> tuple[SubjectResult, ...]:
    """Results of the subjects of these references in each window, in their order.

    counts: of at least these subjects, in each window. alpha: chance of a false alarm that each window of a subject may
    take. min_samples: number of values that a window must hold for anything to be said; None: as the rules say.
    keys: counts of the feature that groups predictions, in each window, or how many are in the group of one on average;
    none at all where they are unknown.
    """
    configured = [rules.thresholds(subject.kind, subject.name) for subject in chosen]
    cases = []
    varying = [
        (each, counts[subject].profiles)
        for subject, each in chosen.items()
        if each.variation is not None and rules.natural_variation
    ]
    by_chance = iter(_by_chance(varying, rules))
    for (subject, reference), thresholds in zip(chosen.items(), configured, strict=True):
        # The same in all windows, where no natural variation is known.
        fixed = None if reference.variation and rules.natural_variation else tolerance(thresholds, None)
        pairs = tuple(
            (current, fixed or _allowed(thresholds, reference, window, current, rules, next(by_chance)))
            for window, current in zip(windows, counts[subject].profiles, strict=True)
        )
        needed, least = thresholds.min_samples, rules.least(thresholds.min_samples)
        if min_samples is not None:
            needed = least = min_samples
        of_keys: Sequence[Profile | float | None] = keys or [None] * len(windows)
        dispersions = tuple(
            dispersion_of(reference, window, current.n, rules, of_window)
            for window, current, of_window in zip(windows, counts[subject].profiles, of_keys, strict=True)
            if reference.variation or reference.clusters
        )
        cases.append(
            Case(
                reference.profile,
                reference.split,
                needed,
                pairs,
                rules.names_shifted,
                rules.directed,
                least,
                dispersions if any(dispersions) else (),
                rules.least_reference,
            )
        )
    return tuple(
        SubjectResult(
            subject,
            reference,
            thresholds,
            rules.ks_alpha,
            tuple(
                WindowResult(window, current, allowed, _with_what_is_left_out(judgement, current, received))
                for window, (current, allowed), judgement, received in zip(
                    windows, case.windows, judgements, counts[subject].received, strict=True
                )
            ),
            rules.directed,
        )
        for (subject, reference), thresholds, case, judgements in zip(
            chosen.items(), configured, cases, judge_all(cases, alpha), strict=True
        )
    )


def with_onset(result: SubjectResult, since: Since, end: int, rules: DriftRules, alpha: float) -> SubjectResult:
    """The result with one window more, from the onset of a shift on, where a look-back detects one: it says how large
    the shift is, and no look-back says more. That it is no chance is for these to say. end: of the window, in
    seconds.

    Look-backs that detect a small shift are those in which chance has made it larger."""
    detecting = result.detecting(alpha)
    reference, current = result.reference, Profile(result.reference.profile.binning, since.counts)
    least = LEAST_SINCE
    if rules.detects_from is not None:
        least = max(least, rules.least(result.thresholds.min_samples))
    if not detecting or current.n < least:
        return replace(result, since=since)
    surest = min(detecting, key=lambda each: each.judgement.measures[0].p_value).judgement
    window = Window(since.start, end)
    [by_chance] = _by_chance([(reference, [current])], rules)
    allowed = _allowed(result.thresholds, reference, window, current, rules, by_chance)
    case = Case(reference.profile, reference.split, LEAST_SINCE, ((current, allowed),))
    found = WindowResult(window, current, allowed, judge_size(case, surest, alpha))
    at_most = found.judgement.severity
    look_backs = [replace(each, judgement=_at_most(each.judgement, at_most, alpha)) for each in result.windows]
    return replace(result, windows=(*look_backs, found), since=since)


def _at_most(judgement: Judgement, severity: Severity, alpha: float) -> Judgement:
    """The judgement with a severity that its PSI makes no worse than this."""
    of_others = [each.severity(alpha) for each in judgement.measures if each.name != PSI]
    limit = min((severity, *of_others), key=PRECEDENCE.index)
    if judgement.severity not in DRIFTED or PRECEDENCE.index(judgement.severity) >= PRECEDENCE.index(limit):
        return judgement
    reason = None if limit in DRIFTED else "Large in this look-back, but not since the shift began."
    return msgspec.structs.replace(judgement, severity=limit, reason=reason)


def _with_what_is_left_out(judgement: Judgement, current: Profile, received: int) -> Judgement:
    """Says how many predictions could not be counted in the cells of a reference that came after them."""
    left_out = received - current.total
    if left_out <= 0:
        return judgement
    why = f"{left_out} of {received} predictions can't be compared: their values are not stored"
    if not current.total:
        return msgspec.structs.replace(judgement, reason=f"{why}. Those received since the reference was set can be.")
    return msgspec.structs.replace(judgement, reason=f"{judgement.reason} {why}." if judgement.reason else f"{why}.")


def dispersion_of(
    reference: StoredReference, window: Window, n: int, rules: DriftRules, keys: Profile | float | None
) -> Dispersion | None:
    """How much more than by chance a window of n values varies; None where no more is known of its reference. keys:
    counts of the feature that groups predictions, in this window."""
    if not rules.directed:
        return None
    variation, clusters, found = reference.variation, reference.clusters, None
    if variation is not None and rules.dispersed and rules.natural_variation:
        found = variation.dispersion(reference.profile, window.end - window.start, n)
    if clusters is None or clusters.key != rules.cluster_by:
        return found
    of_clusters = cluster_dispersion(reference, clusters, n, keys)
    if found is None or of_clusters is None:
        return found or of_clusters
    return found.careful(of_clusters)


def cluster_dispersion(
    reference: StoredReference, clusters: Clusters, n: int, keys: Profile | float | None
) -> Dispersion | None:
    """How much more than by chance a window of n values varies since those of one key are alike; None where they are
    not. keys: as of `dispersion_of`."""
    size = clusters.size_in(keys) if isinstance(keys, Profile) else keys
    return clusters.dispersion(n, _tested(reference), size)


def new_names_p_value(
    reference: StoredReference, current: Profile, cluster_by: str | None, keys: Profile | float | None
) -> float | None:
    """Chance of as many unseen names in a window where those of one key are alike; None where nothing is known of that,
    and counts alone tell it. 1 where clusters are too few or too unequal to say. keys: as of `dispersion_of`."""
    clusters, split = reference.clusters, reference.split
    if clusters is None or clusters.key != cluster_by or split is None:
        return None
    dispersion = cluster_dispersion(reference, clusters, current.n, keys)
    expected = expected_new(reference.profile, split)
    if dispersion is None or expected is None:
        return None
    if names_are_unknown(split, dispersion):
        return 1.0
    return names_p_value(expected, current, beside(split, dispersion), _tested(reference))


def _tested(reference: StoredReference) -> int:
    """Number of values of a reference that windows are tested against."""
    return reference.profile.n - (0 if reference.split is None else int(reference.split.naming.sum()))


def _by_chance(subjects: Sequence[tuple[StoredReference, Sequence[Profile]]], rules: DriftRules) -> list[float]:
    """The PSI that chance gives each window of each reference on average, where its tolerance asks for it; else 0."""
    of_all = [(reference, current.n) for reference, profiles in subjects for current in profiles]
    asks = [
        place
        for place, (reference, n) in enumerate(of_all)
        if n and reference.variation is not None and rules.natural_variation and rules.directed
    ]
    found = [0.0] * len(of_all)
    wanted = [(reference.profile, reference.split, n) for reference, n in map(of_all.__getitem__, asks)]
    for place, chance in zip(asks, chances_of_psi(wanted), strict=True):
        found[place] = chance
    return found


def _allowed(
    configured: Thresholds,
    reference: StoredReference,
    window: Window,
    current: Profile,
    rules: DriftRules,
    by_chance: float,
) -> Tolerance:
    """by_chance: the PSI that chance gives the window on average."""
    variation = reference.variation
    if variation is None or not rules.natural_variation or not current.n:
        return tolerance(configured, None)
    length, cells = window.end - window.start, odds_cells(reference.profile, reference.split)
    if rules.directed and rules.dispersed and not variation.varies(reference.profile):
        # The largest of many thin stretches is large by chance: it would hide real shifts.
        doubt = variation.plausible_psi(reference.profile, length, current.n)
        return tolerance(configured, None if variation.known_length(length) is None else 0.0).doubted(doubt)
    if rules.directed:
        length = variation.known_length(length) or length
    odds = variation.odds_tolerance(length, cells) if configured.odds_ratio else None
    natural, chance = variation.tolerance(length), variation.chance_at(current.n)
    if rules.directed:
        # Sizes are less what chance adds on average: what is left of it is how far it reaches beyond that.
        chance = max(0.0, chance - by_chance)
    return tolerance(configured, natural, chance, odds)
