"""From the labelled counts of a reference and of a window to judgements: worse by enough to matter, and not by chance.

Pure: counts and rules in, judgements out. An immature window decides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwatch.monitoring.checks.observations import SizeNow
from modelwatch.monitoring.checks.performance.rules import LOSSES, PerformanceRules
from modelwatch.stats.drift.odds import odds_shift
from modelwatch.stats.drift.recovery import MeanSize, OddsSize, ShiftSize
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.tests import homogeneity
from modelwatch.stats.outcomes.natural_variation import MetricVariation, beyond_natural
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import (
    Estimate,
    RegressionCounts,
    Worsening,
    performance,
    worsening,
    worsening_metrics,
)
from modelwatch.stats.performance.intervals import Z
from modelwatch.stats.performance.mergeable import Integers
from modelwatch.stats.performance.worsening import EXACT, Part, tail

Severity = Literal["stable", "warning", "alert", "immature", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a metric.
PRECEDENCE: tuple[Severity, ...] = (
    "alert",
    "warning",
    "stable",
    "immature",
    "insufficient_data",
    "no_data",
    "no_reference",
)
SEVERE = 2.0
LABELS = "ground_truth"
# The names of the scores of label drift.
PSI, ODDS, MEAN_SHIFT = "PSI", "odds ratio", "shift of the mean target"
# How far the mean of a regression's targets may move, in standard deviations of the reference.
TARGET_WARNING, TARGET_ALERT = 0.25, 0.5
# A ratio of odds that is so near to the one that matters is what is told, not the PSI.
NEAR = 0.8


@dataclass(frozen=True, slots=True)
class Judgement:
    """One metric in one window. Fields are None where they are not defined; `reason` says why.

    loss: how much worse than the reference, or than the limit. threshold: the loss that decided the severity: that of
    an alert where it is one, else that of a warning; beyond a limit 0. warning_threshold, alert_threshold: both.
    by_limit: the user's limit is crossed, whatever the reference says. odds_ratio: of labels, how many times the odds
    of the class that moved most have grown or fallen. by_odds: whether that is the loss, and not the PSI. natural: how
    much the metric varies in the reference itself, as a standard deviation. sizes: what the window shows of how large
    the loss may be.
    """

    name: str
    severity: Severity
    estimate: Estimate
    reference: float | None
    change: float | None
    loss: float | None
    threshold: float | None
    p_value: float | None
    alpha: float
    by_limit: bool
    reason: str | None
    odds_ratio: float | None = None
    by_odds: bool = False
    natural: float | None = None
    warning_threshold: float | None = None
    alert_threshold: float | None = None
    sizes: tuple[SizeNow, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """The labelled rows of a window. immature: why it is not to be judged; None when it is."""

    counts: OutcomeCounts
    metrics: dict[str, Estimate]
    immature: str | None

    @classmethod
    def of(cls, counts: OutcomeCounts, immature: str | None) -> Window:
        """The window with its metrics computed."""
        return cls(counts, metrics_of(counts), immature)


def metrics_of(counts: OutcomeCounts) -> dict[str, Estimate]:
    """Every metric of these counts by its name."""
    return {name: found for family in counts.families() for name, found in performance(family).items()}


def judge_metric(
    name: str,
    reference: OutcomeCounts | None,
    window: Window,
    rules: PerformanceRules,
    alpha: float,
    natural: MetricVariation | None = None,
    *,
    few_decide: bool = True,
) -> Judgement:
    """The judgement on one metric of a window, against the reference and against the user's limit.

    natural: how the metric varies between stretches of the reference that are as long as the window. few_decide:
    whether a loss may be found in fewer labels than it takes to call the window stable.
    """
    estimate = window.metrics.get(name, Estimate(None, reason="the task has no such metric"))
    nothing = _nothing(name, estimate, window, alpha)
    if nothing is not None:
        return nothing
    few = _too_few(name, estimate, window, rules, alpha)
    if few is not None and not (few_decide and name in EXACT):
        return few
    beyond = None if few is not None else _beyond_limit(name, estimate, rules.limits.get(name))
    if beyond is not None:
        return Judgement(name, "alert", estimate, None, None, beyond, 0.0, None, alpha, True, None, alert_threshold=0.0)
    if estimate.value is None:
        return few or undecided(name, "insufficient_data", estimate, alpha, estimate.reason)
    # Where a limit is all that there is to judge by, it has just been kept.
    kept = name in rules.limits
    shortfall = _shortfall(name, estimate, rules.limits.get(name))
    compared = None if reference is None or not reference.n else _compared(name, reference, window.counts)
    if compared is not None:
        compared = beyond_natural(compared, natural)
    if compared is None or reference is None:
        reason = "The reference has no labels: nothing to compare with."
        return few or undecided(name, "stable" if kept else "no_reference", estimate, alpha, reason, shortfall)
    if compared.loss is None or compared.reference is None:
        state: Severity = "stable" if kept else "insufficient_data"
        return few or undecided(name, state, estimate, alpha, compared.reason, shortfall)
    threshold = threshold_of(name, compared.reference, reference, rules)
    worse = compared.loss >= threshold and compared.p_value < alpha
    if few is not None and not worse:
        return few
    severity: Severity = "stable" if not worse else "alert" if compared.loss >= SEVERE * threshold else "warning"
    return Judgement(
        name,
        severity,
        estimate,
        compared.reference,
        compared.change,
        compared.loss,
        SEVERE * threshold if severity == "alert" else threshold,
        compared.p_value,
        alpha,
        False,
        None if worse else _why_stable(compared, threshold, alpha, natural),
        natural=None if natural is None else natural.deviation,
        warning_threshold=threshold,
        alert_threshold=SEVERE * threshold,
        sizes=(*shortfall, *_loss_size(name, threshold, compared)),
    )


def threshold_of(name: str, value: float, reference: OutcomeCounts, rules: PerformanceRules) -> float:
    """The loss of a metric from which on it matters. value: that of the reference."""
    if name not in LOSSES:
        return rules.tolerance
    if name == "mean_error" and reference.regression is not None:
        # A share of nearly nothing is nothing: the bias is measured by the size of the errors.
        errors = reference.regression.absolute_errors.mean * reference.regression.layout.scale
        return rules.relative_tolerance * errors
    return rules.relative_tolerance * abs(value)


def judge_labels(
    reference: OutcomeCounts | None,
    window: Window,
    rules: PerformanceRules,
    alpha: float,
    *,
    few_decide: bool = True,
    too_new: str | None = None,
) -> Judgement:
    """Whether the truth itself has moved: the shares of the classes, or the mean of the targets.

    few_decide: as for `judge_metric`. too_new: why it is not known yet which labels are typical, if it is not.
    """
    n = window.counts.n
    estimate = Estimate(None, n=n)
    nothing = _nothing(LABELS, estimate, window, alpha)
    if nothing is not None:
        return nothing
    if too_new is not None:
        return undecided(LABELS, "immature", estimate, alpha, too_new)
    few = _too_few(LABELS, estimate, window, rules, alpha)
    if few is not None and not few_decide:
        return few
    if reference is None or not reference.n:
        return undecided(LABELS, "no_reference", estimate, alpha, "The reference has no labels.")
    if reference.regression is not None and window.counts.regression is not None:
        if few is not None:
            return few
        score, p_value, before, now, sizes = _target_shift(reference.regression, window.counts.regression)
        moved = score >= TARGET_WARNING and p_value < alpha
        severity: Severity = "stable" if not moved else "alert" if score >= TARGET_ALERT else "warning"
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
            None,
            warning_threshold=TARGET_WARNING,
            alert_threshold=TARGET_ALERT,
            sizes=sizes,
        )
    if reference.confusion is not None and window.counts.confusion is not None:
        truth, known = window.counts.confusion.matrix.sum(axis=1), reference.confusion.matrix.sum(axis=1)
        if not truth.sum() or not known.sum():
            return undecided(LABELS, "insufficient_data", estimate, alpha, "No row is of a known class.")
        judged = _judged_shares(known, truth, estimate, rules, alpha, exactly=few is not None)
        return few if few is not None and judged.severity == "stable" else judged
    return undecided(LABELS, "no_reference", estimate, alpha, "Nothing is known about the classes yet.")


def label_limits(by_odds: bool, rules: PerformanceRules) -> tuple[float, float]:
    """From which shift of the classes on there is a warning, and an alert: of the odds, or of the PSI."""
    # Twice as far, as logarithms of odds are.
    return (rules.odds_ratio, rules.odds_ratio**2) if by_odds else (rules.psi_warning, rules.psi_alert)


def _judged_shares(
    known: Integers, truth: Integers, estimate: Estimate, rules: PerformanceRules, alpha: float, *, exactly: bool
) -> Judgement:
    """Whether the shares of the classes have moved, by their PSI or by the odds of one of them.

    exactly: by the exact test alone, which few labels need.
    """
    score, odds = psi(known, truth), odds_shift(known, truth)
    p_value = odds.p_value
    if not exactly:
        p_value = min(1.0, 2.0 * min(p_value, homogeneity(known, truth).p_value))
    by_odds = score < rules.psi_warning and odds.ratio >= NEAR * rules.odds_ratio
    size = odds.ratio if by_odds else score
    warning, alert = label_limits(by_odds, rules)
    moved = size >= warning and p_value < alpha
    severity: Severity = "stable" if not moved else "alert" if size >= alert else "warning"
    return Judgement(
        LABELS,
        severity,
        estimate,
        None,
        None,
        size,
        alert if severity == "alert" else warning,
        p_value,
        alpha,
        False,
        None,
        odds.ratio,
        by_odds,
        warning_threshold=warning,
        alert_threshold=alert,
        sizes=(
            SizeNow(PSI, rules.psi_warning, ShiftSize(known, truth, score)),
            SizeNow(ODDS, rules.odds_ratio, OddsSize(known, truth)),
        ),
    )


def _nothing(name: str, estimate: Estimate, window: Window, alpha: float) -> Judgement | None:
    n = window.counts.n
    if not n:
        return undecided(name, "no_data", estimate, alpha, "No labelled predictions in this window.")
    if window.immature is not None:
        return undecided(name, "immature", estimate, alpha, window.immature)
    return None


def _too_few(name: str, estimate: Estimate, window: Window, rules: PerformanceRules, alpha: float) -> Judgement | None:
    """What is said of a window with too few labels to call it stable; a loss that an exact test shows is one."""
    n = window.counts.n
    if n < rules.min_samples:
        reason = f"{n} of at least {rules.min_samples} labelled predictions: {rules.min_samples - n} more are needed."
        return undecided(name, "insufficient_data", estimate, alpha, reason)
    return None


def undecided(
    name: str,
    severity: Severity,
    estimate: Estimate,
    alpha: float,
    reason: str | None,
    sizes: tuple[SizeNow, ...] = (),
) -> Judgement:
    """The judgement that nothing can be said, and why."""
    return Judgement(name, severity, estimate, None, None, None, None, None, alpha, False, reason, sizes=sizes)


def _compared(name: str, reference: OutcomeCounts, current: OutcomeCounts) -> Worsening | None:
    for before, after in zip(reference.families(), current.families(), strict=True):
        if name in worsening_metrics(before):
            return worsening(name, before, after)
    return None


def _beyond_limit(name: str, estimate: Estimate, limit: float | None) -> float | None:
    """How far the interval's near end is beyond the limit; None when it is not wholly beyond."""
    if limit is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    if name in LOSSES:
        near = min(abs(estimate.low), abs(estimate.high)) if estimate.low * estimate.high > 0.0 else 0.0
        return abs(estimate.value) - limit if near > limit else None
    return limit - estimate.value if estimate.high < limit else None


def _shortfall(name: str, estimate: Estimate, limit: float | None) -> tuple[SizeNow, ...]:
    """How far the metric may be beyond the limit, by its interval."""
    if limit is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return ()
    beyond = abs(estimate.value) - limit if name in LOSSES else limit - estimate.value
    size = MeanSize(beyond, (estimate.high - estimate.low) / (2.0 * Z), estimate.n)
    return (SizeNow(shortfall_of(name), 0.0, size),)


def _loss_size(name: str, threshold: float, compared: Worsening) -> tuple[SizeNow, ...]:
    return () if compared.size is None else (SizeNow(loss_of(name), threshold, compared.size),)


def loss_of(name: str) -> str:
    """The name of the score of a metric against its reference."""
    return f"loss of {name}"


def shortfall_of(name: str) -> str:
    """The name of the score of a metric against a limit."""
    return f"shortfall of {name}"


def _why_stable(compared: Worsening, threshold: float, alpha: float, natural: MetricVariation | None) -> str | None:
    assert compared.loss is not None
    if compared.loss >= threshold:
        chance = f"p = {compared.p_value:.2g} (needs {alpha:.2g})"
        swings = "" if natural is None else f" and the reference's own variation, {natural.deviation:.3g},"
        return f"Worse by {compared.loss:.3g}, but as much by chance{swings} with {chance}."
    if compared.p_value < alpha:
        return f"A real loss (p = {compared.p_value:.2g}), but smaller than the tolerance of {threshold:.3g}."
    return compared.reason


def _target_shift(
    reference: RegressionCounts, current: RegressionCounts
) -> tuple[float, float, float, float, tuple[SizeNow, ...]]:
    """The shift of the mean target in standard deviations, its two-sided p-value, both means, and its size."""
    before, now = reference.targets, current.targets
    layout = reference.layout
    spread = math.sqrt(before.variance)
    difference = now.mean - before.mean
    parts = (Part(before.variance, before.n), Part(max(before.variance, now.variance), now.n))
    p_value = min(1.0, 2.0 * tail(abs(difference), parts))
    score = abs(difference) / spread if spread else (0.0 if not difference else np.inf)
    means = (before.mean * layout.scale + layout.center, now.mean * layout.scale + layout.center)
    error = math.sqrt(sum(part.variance / part.n for part in parts))
    sizes: tuple[SizeNow, ...] = ()
    if spread:
        sizes = (SizeNow(MEAN_SHIFT, TARGET_WARNING, MeanSize(float(score), error / spread, now.n)),)
    return (min(float(score), 1e9), p_value, *means, sizes)
