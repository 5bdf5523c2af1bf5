"""A loss that half of the labels show already, where these say the same as those that come later.

Pure. Older windows of which most labels have come are known as they were at the same age. Where the labels that were in
by then differ from the later ones, the delay depends on what they say, and nothing is judged early. Where no difference
is found, one might hide: a metric is judged when the largest that is plausible is below half of the loss that matters,
and so much is taken off the loss.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelwatch.measures import p_text, plain
from modelwatch.monitoring.checks.performance.judge import (
    PRECEDENCE,
    SEVERE,
    Judgement,
    LabelledWindow,
    Severity,
    absent,
    judge_metric,
    threshold_of,
    undecided,
)
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals, immaturity
from modelwatch.monitoring.checks.performance.rules import LOSSES, PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.stats.drift.recovery import MeanSize, Size
from modelwatch.stats.drift.significance.homogeneity import homogeneity
from modelwatch.stats.outcomes.natural_variation import MetricVariation
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import (
    PerformanceCounts,
    RegressionCounts,
    worsening,
    worsening_metrics,
)
from modelwatch.stats.performance.mergeable import Sums
from modelwatch.stats.performance.worsening import Part, tail

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.performance.early.evidence import EarlyCounts

# A window is judged early when this share of the labels that will come should have come.
EARLY_SHARE = 0.5
# Early labels differ from later ones when chance gives a difference as large so rarely.
DEPENDENT = 0.01
# This part of the loss that matters may hide in which labels come early, and is taken off what they show.
MARGIN = 0.5


@dataclass(frozen=True, slots=True)
class Independence:
    """Comparison of older labels that came early with those that came late.

    early, late: their numbers. p_value: of the test that they do; None where it was not made. reason: why nothing can
    be judged early; None where something can. bounded: the metrics whose bias is known to be small.
    """

    early: int
    late: int
    p_value: float | None
    reason: str | None
    bounded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EarlyResult:
    """Result for the window that is judged early. share: of its usual labels, in [0, 1]. reason: why nothing is judged;
    None when something is. judgements: by metric."""

    found: WindowCounts
    window: LabelledWindow
    share: float
    counts: EarlyCounts
    independence: Independence
    reason: str | None
    judgements: dict[str, Judgement] = field(default_factory=dict)

    @property
    def severity(self) -> Severity | None:
        """Worst severity found; None when nothing was, which says nothing about the model."""
        found = [each.severity for each in self.judgements.values() if each.severity in ("warning", "alert")]
        return min(found, key=PRECEDENCE.index, default=None)


def evaluate_early(
    counts: EarlyCounts,
    window: LabelledWindow,
    reference: OutcomeCounts,
    rules: PerformanceRules,
    names: tuple[str, ...],
    arrivals: LabelArrivals,
) -> EarlyResult:
    """Early window, and whether it will be judged: one that is takes its part of the budget."""
    found = counts.found
    independent = independence(counts, window.counts.layout, reference, rules, names, arrivals.too_new)
    n = window.counts.n
    few = None if n >= rules.min_samples else f"{n} of at least {rules.min_samples} labelled predictions."
    reason = early_immaturity(arrivals, found, n) or few or independent.reason
    return EarlyResult(found, window, usual_share(arrivals, found, n), counts, independent, reason)


def early_immaturity(arrivals: LabelArrivals, found: WindowCounts, labelled: int) -> str | None:
    """Why a window has too few of its labels even for an early verdict; None when half of them are in.

    >>> from modelwatch.monitoring.checks.windows import Window
    >>> arrivals = LabelArrivals(100, 3_600.0, 7_200.0, 9_000.0, 7_200, 1.0, ((0.0, 0.1), (3_600.0, 0.5)))
    >>> early_immaturity(arrivals, WindowCounts(Window(0, 300), False, 3_600, 1_000, b"", b""), 200)
    '200 labels have arrived of about 500 that are usual by now'
    """
    return immaturity(replace(arrivals, needed=EARLY_SHARE), found.age, found.predictions, labelled)


def usual_share(arrivals: LabelArrivals, found: WindowCounts, labelled: int) -> float:
    """The share of its usual labels that a window has, in [0, 1]."""
    usual = found.predictions * (arrivals.coverage or 0.0)
    return min(1.0, labelled / usual) if usual else arrivals.share_within(found.age)


def independence(
    counts: EarlyCounts,
    layout: OutcomeLayout,
    reference: OutcomeCounts,
    rules: PerformanceRules,
    names: tuple[str, ...],
    too_new: str | None,
) -> Independence:
    """Comparison of early with late labels in the older windows. too_new: why it can't be made yet."""
    if too_new is not None:
        return Independence(0, 0, None, too_new)
    early, late = _counts(layout, counts.early), _counts(layout, counts.late)
    if min(early.n, late.n) < rules.min_samples:
        reason = (
            f"Of older predictions, {early.n:,} labels arrived as early as these, and {late.n:,} later: too few to test"
            " whether they differ."
        )
        return Independence(early.n, late.n, None, reason)
    p_value = _same(early, late)
    if p_value < DEPENDENT:
        reason = f"The delay of labels depends on the label: early ones differ ({plain(p_text(p_value))})."
        return Independence(early.n, late.n, p_value, reason)
    bounded = frozenset(name for name in names if _is_bounded(name, early, late, reference, rules))
    too_few = "Too few older labels to bound the bias of early ones."
    return Independence(early.n, late.n, p_value, None if bounded else too_few, bounded)


def judge_early(
    name: str,
    early: EarlyResult,
    reference: OutcomeCounts,
    rules: PerformanceRules,
    alpha: float,
    natural: MetricVariation | None,
) -> Judgement:
    """A warning or an alert, or `immature`: that nothing is found early says nothing.

    The thresholds are those of the matured windows and the margin; the p-value is that of a loss beyond the margin.
    """
    window = early.window
    estimate = window.metrics.get(name, absent(name, window.counts))
    if early.reason is not None:
        return undecided(name, "immature", estimate, alpha, early.reason)
    if name not in early.independence.bounded:
        reason = "The bias of early labels in this metric is not known closely enough."
        return undecided(name, "immature", estimate, alpha, reason)
    whole = dataclasses.replace(rules, limits={})
    half = dataclasses.replace(window, immature=None)
    judged = judge_metric(name, reference, half, whole, alpha, natural, few_decide=False)
    threshold, loss, p_value = judged.warning_threshold, judged.loss, judged.p_value
    if threshold is None or loss is None or p_value is None:
        return undecided(name, "immature", estimate, alpha, judged.reason)
    margin = MARGIN * threshold
    beyond = _beyond(loss, p_value, margin)
    warning, alert = threshold + margin, SEVERE * threshold + margin
    worse = loss >= warning and beyond < alpha
    severe = worse and loss >= alert
    return dataclasses.replace(
        judged,
        severity="alert" if severe else "warning" if worse else "immature",
        threshold=alert if severe else warning,
        warning_threshold=warning,
        alert_threshold=alert,
        p_value=beyond,
        reason=None if worse else "Not worse by the labels so far; later labels will decide.",
        sizes=(),
    )


def _beyond(loss: float, p_value: float, margin: float) -> float:
    """The chance of a loss this large where the true one is the margin, by the error that the p-value implies."""
    from scipy import special

    if loss <= margin or p_value >= 0.5:
        return 1.0
    deviate = float(special.ndtri(max(p_value, 1e-300)))
    return max(p_value, float(special.ndtr(deviate * (1.0 - margin / loss))))


def _same(early: OutcomeCounts, late: OutcomeCounts) -> float:
    """The p-value that early and late labels are alike, with the predictions that they belong to."""
    if early.confusion is not None and late.confusion is not None:
        sides = [counts.matrix.ravel() for counts in (late.confusion, early.confusion)]
        return homogeneity(*sides).p_value if all(side.any() for side in sides) else 0.0
    assert early.regression is not None
    assert late.regression is not None
    pairs = zip(_sums(early.regression), _sums(late.regression), strict=True)
    p_values = [_two_sided(*pair) if all(sums.n for sums in pair) else 0.0 for pair in pairs]
    return min(1.0, len(p_values) * min(p_values))


def _sums(counts: RegressionCounts) -> tuple[Sums, ...]:
    return counts.targets, counts.errors, counts.absolute_errors


def _two_sided(one: Sums, other: Sums) -> float:
    parts = (Part(one.variance, one.n), Part(other.variance, other.n))
    return min(1.0, 2.0 * tail(abs(one.mean - other.mean), parts))


def _is_bounded(
    name: str, early: OutcomeCounts, late: OutcomeCounts, reference: OutcomeCounts, rules: PerformanceRules
) -> bool:
    """True when early labels show the metric worse than all labels do by less than the margin."""
    for before, now, whole in zip(late.families(), early.families(), reference.families(), strict=True):
        if name not in worsening_metrics(before):
            continue
        # Shares and areas have a tolerance of their own, regardless of the value.
        value = worsening(name, whole, whole).reference if name in LOSSES else 0.0
        size = _signed_size(before, now) if name == "mean_error" else worsening(name, before, now).size
        if value is None or size is None:
            return False
        # Of all labels the early ones are a part, and so is the difference to all of them.
        later = late.n / (early.n + late.n)
        return size.is_below(MARGIN * threshold_of(name, value, reference, rules) / later)
    return False


def _signed_size(late: PerformanceCounts, early: PerformanceCounts) -> Size | None:
    """The difference of mean errors, whichever way: of early +1 and late -1 the sizes are alike, and the whole is 0."""
    assert isinstance(late, RegressionCounts)
    assert isinstance(early, RegressionCounts)
    one, other, scale = early.errors, late.errors, early.layout.scale
    if not one.n or not other.n:
        return None
    error = math.sqrt(one.variance / one.n + other.variance / other.n)
    return MeanSize(abs(one.mean - other.mean) * scale, error * scale, min(one.n, other.n))


def _counts(layout: OutcomeLayout, raw: bytes) -> OutcomeCounts:
    vector = counts_of(raw)
    return OutcomeCounts.empty(layout) if vector is None else OutcomeCounts(layout, vector)
