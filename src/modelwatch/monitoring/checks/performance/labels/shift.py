"""Judgement on the labels themselves: whether the shares of the classes, or the mean target, have shifted.

Pure: counts and rules in, judgements out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modelwatch.charts.drawing.numbers import number
from modelwatch.measures import p_needed, p_text, plain
from modelwatch.monitoring.checks.drift.judge import odds_measure
from modelwatch.monitoring.checks.drift.reasons import why_stable
from modelwatch.monitoring.checks.drift.tolerance import ODDS, PSI, Measure, Tolerance, deciding_measure, tolerance
from modelwatch.monitoring.checks.observations import SizeNow
from modelwatch.monitoring.checks.performance.judge import (
    AS_FREQUENT,
    Judgement,
    LabelledWindow,
    Severity,
    nothing_to_judge,
    too_few,
    undecided,
)
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.odds import odds_shift
from modelwatch.stats.drift.recovery import MeanSize, OddsSize, ShiftSize
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.homogeneity import homogeneity
from modelwatch.stats.outcomes.classes import counted_by_chance
from modelwatch.stats.outcomes.natural_variation import (
    MEAN_TARGET,
    MetricVariation,
    NaturalVariation,
    odds_of,
    p_value_beyond_natural,
)
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import (
    OTHER,
    Estimate,
    RegressionCounts,
)
from modelwatch.stats.performance.mergeable import Integers
from modelwatch.stats.performance.worsening import Part, tail

# How far the mean of a regression's targets may move, in standard deviations of the reference.
TARGET_WARNING, TARGET_ALERT = 0.25, 0.5
LABELS = "ground_truth"
# The score of label drift of a regression; of classes they are PSI and ODDS.
MEAN_SHIFT = "shift of the mean target"


def judge_labels(
    reference: OutcomeCounts | None,
    window: LabelledWindow,
    rules: PerformanceRules,
    alpha: float,
    *,
    few_decide: bool = True,
    too_new: str | None = None,
    natural: NaturalVariation | None = None,
    length: int = 0,
) -> Judgement:
    """Judges whether the labels themselves have shifted: the shares of the classes, or the mean of the targets.

    few_decide: as for `judge_metric`. too_new: why it is not known yet which labels are typical, if it is not.
    natural: how the labels of the reference vary over time, if that counts. length: of the window, in seconds.
    """
    n = window.counts.n
    estimate = Estimate(None, n=n)
    nothing = nothing_to_judge(LABELS, estimate, window, alpha)
    if nothing is not None:
        return nothing
    if too_new is not None:
        return undecided(LABELS, "immature", estimate, alpha, too_new)
    few = too_few(LABELS, estimate, window, rules, alpha)
    if few is not None and not few_decide:
        return few
    if reference is None or not reference.n:
        return undecided(LABELS, "no_reference", estimate, alpha, "The reference has no labels.")
    if reference.regression is not None and window.counts.regression is not None:
        if few is not None:
            return few
        varies = None if natural is None else natural.of(MEAN_TARGET, length)
        score, p_value, before, now, sizes = _target_shift(reference.regression, window.counts.regression, varies)
        severity: Severity = "stable"
        reason = None
        if p_value < alpha and score >= TARGET_WARNING:
            severity = "alert" if score >= TARGET_ALERT else "warning"
        elif p_value < alpha and rules.names_shifted:
            severity = "shifted"
            reason = (
                f"A real difference ({plain(p_text(p_value))}), but smaller than {TARGET_WARNING} standard deviations."
            )
        elif score >= TARGET_WARNING:
            swings = "" if varies is None else f" and the reference's own variation, {plain(number(varies.deviation))},"
            reason = (
                f"The mean moved by {plain(number(score))} standard deviations, but explained by chance{swings} with"
                f" {p_needed(p_value, alpha)}."
            )
        return Judgement(
            LABELS,
            severity,
            Estimate(now, n=n),
            before,
            now - before,
            score,
            TARGET_ALERT if severity == "alert" else TARGET_WARNING,
            p_value,
            alpha,
            False,
            reason,
            natural=None if varies is None else varies.deviation,
            warning_threshold=TARGET_WARNING,
            alert_threshold=TARGET_ALERT,
            sizes=sizes,
        )
    if reference.confusion is not None and window.counts.confusion is not None:
        truth, known = window.counts.confusion.matrix.sum(axis=1), reference.confusion.matrix.sum(axis=1)
        if not truth.sum() or not known.sum():
            return undecided(LABELS, "insufficient_data", estimate, alpha, "No row is of a known class.")
        if reference.layout.is_full:
            by_chance = counted_by_chance(reference.confusion.matrix, reference.layout.next_frequency)
            by_chance &= ~_risen(by_chance, known, truth, alpha)
            known, truth = _with_the_others(by_chance, known, truth)
            if not known[:-1].any():
                return undecided(LABELS, "insufficient_data", estimate, alpha, AS_FREQUENT)
        classes = (*reference.confusion.layout.classes, OTHER)
        varies_by_class = [None if natural is None else natural.of(odds_of(name), length) for name in classes]
        judged = _judged_shares(known, truth, estimate, rules, alpha, varies_by_class, exactly=few is not None)
        if judged.measures[-1].cell is not None:
            judged = replace(judged, odds_class=classes[judged.measures[-1].cell])
        return few if few is not None and judged.severity == "stable" else judged
    return undecided(LABELS, "no_reference", estimate, alpha, "Nothing is known about the classes yet.")


def _risen(by_chance: NDArray[np.bool_], known: Integers, truth: Integers, alpha: float) -> NDArray[np.bool_]:
    """Which of these classes have risen by more than chance; shape (classes,).

    Chance has made them more frequent in the reference than they are, so it does not make them rise. Half of the level
    is for all of them together, whichever rise: none is chosen by what the window holds.
    """
    found, n_known, n_truth = np.zeros(len(by_chance), dtype=np.bool_), int(known.sum()), int(truth.sum())
    level = alpha / (2.0 * max(int(by_chance.sum()), 1))
    for place in np.flatnonzero(by_chance & (truth[:-1] * float(n_known) > known[:-1] * float(n_truth))).tolist():
        found[place] = rate_increase_p_value(int(known[place]), n_known, int(truth[place]), n_truth) < level
    return found


def _with_the_others(moved: NDArray[np.bool_], *sides: Integers) -> Iterator[Integers]:
    """Counts of classes, with these classes among all others, which are the last cell."""
    for counts in sides:
        kept = np.where(np.append(moved, False), 0, counts)
        kept[-1] += counts[:-1][moved].sum()
        yield kept


def _judged_shares(
    known: Integers,
    truth: Integers,
    estimate: Estimate,
    rules: PerformanceRules,
    alpha: float,
    natural: Sequence[MetricVariation | None],
    *,
    exactly: bool,
) -> Judgement:
    """Judges whether the shares of the classes have shifted, by their PSI or by the odds of one of them.

    natural: how the odds of each class vary in the reference. exactly: by the exact test alone, which few labels need.
    """

    def beyond(cell: int, moved: float, tail: float) -> float:
        return p_value_beyond_natural(moved, tail, natural[cell])

    allowed, score = tolerance(rules, None), psi(known, truth)
    p_value = odds_shift(known, truth).p_value
    if not exactly:
        p_value = min(1.0, 2.0 * min(p_value, homogeneity(known, truth).p_value))
    if any(natural):
        # The shares have moved by more than they do by themselves where those of one class have.
        p_value = max(p_value, odds_shift(known, truth, beyond).p_value)
    measures = (
        Measure(PSI, score, allowed.psi_warning, allowed.psi_alert, p_value),
        *odds_measure(known, truth, allowed, p_value, alpha, beyond),
    )
    decided = deciding_measure(measures, alpha)
    assert decided is not None, "there is a PSI"
    found = decided.severity(alpha)
    severity: Severity = "alert" if found == "alert" else "warning" if found == "warning" else "stable"
    if severity == "stable" and p_value < alpha and rules.names_shifted:
        severity = "shifted"
    ratio = next((each.size for each in measures if each.name == ODDS), None)
    varies = _deviation_of(measures, natural)
    judged = Judgement(
        LABELS,
        severity,
        estimate,
        None,
        None,
        None,
        None,
        None,
        alpha,
        False,
        _why_no_drift(measures, allowed, alpha, varies) if severity in ("shifted", "stable") else None,
        ratio,
        natural=varies,
        sizes=(
            SizeNow(PSI, allowed.psi_warning, ShiftSize(known, truth, score)),
            *(SizeNow(ODDS, each.warning, OddsSize(known, truth)) for each in measures if each.name == ODDS),
        ),
        measures=measures,
    )
    return judged.by(decided)


def _why_no_drift(measures: Sequence[Measure], allowed: Tolerance, alpha: float, varies: float | None) -> str | None:
    large = next((each for each in measures if each.size >= each.warning), None)
    if varies is None or large is None:
        return why_stable(measures, allowed, alpha, measures[0].size)
    return (
        f"The {large.name} is above the threshold, but explained by chance and the reference's own variation,"
        f" {varies:.3g} of the logarithm of the odds, with {p_needed(large.p_value, alpha)}."
    )


def _deviation_of(measures: Sequence[Measure], natural: Sequence[MetricVariation | None]) -> float | None:
    found = next((natural[each.cell] for each in measures if each.cell is not None), None)
    return None if found is None else found.deviation


def _target_shift(
    reference: RegressionCounts, current: RegressionCounts, natural: MetricVariation | None
) -> tuple[float, float, float, float, tuple[SizeNow, ...]]:
    """The shift of the mean target in standard deviations, its two-sided p-value, both means, and its size."""
    before, now = reference.targets, current.targets
    layout = reference.layout
    spread = math.sqrt(before.variance)
    difference = now.mean - before.mean
    parts = (Part(before.variance, before.n), Part(max(before.variance, now.variance), now.n))
    score = abs(difference) / spread if spread else (0.0 if not difference else np.inf)
    p_value = min(1.0, 2.0 * p_value_beyond_natural(float(score), tail(abs(difference), parts), natural))
    means = (before.mean * layout.scale + layout.center, now.mean * layout.scale + layout.center)
    error = math.sqrt(sum(part.variance / part.n for part in parts))
    sizes: tuple[SizeNow, ...] = ()
    if spread:
        sizes = (SizeNow(MEAN_SHIFT, TARGET_WARNING, MeanSize(float(score), error / spread, now.n)),)
    return (min(float(score), 1e9), p_value, *means, sizes)
