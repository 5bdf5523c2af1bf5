"""Worsening of a metric: its change against the reference, and the p-value of a change this large.

Every p-value is one-sided: the probability, if nothing had changed, of a loss at least as large. It comes from an
analytic tail, not from resampling, because alerts ask for levels far below what resamples can resolve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.recovery import F1Size, MeanSize, RateSize, Size
from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.performance.confusion import MEANS, ConfusionCounts, mean_columns
from modelwatch.stats.performance.few_rows import FewRows
from modelwatch.stats.performance.gradients import delta_variances
from modelwatch.stats.performance.margins import Margins
from modelwatch.stats.performance.mergeable import Sums, effective_df
from modelwatch.stats.performance.regression import RegressionCounts
from modelwatch.stats.performance.score_metrics import (
    RankArea,
    average_precision_of,
    class_areas,
    precision_spread,
    rank_area,
)
from modelwatch.stats.performance.scores import ClassScoreCounts, ScoreCounts

PerformanceCounts = ConfusionCounts | ScoreCounts | ClassScoreCounts | RegressionCounts

OF_POSITIVE = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc")
OF_CLASSES = ("accuracy", *MEANS, "precision_micro", "recall_micro", "f1_micro")
OF_SCORES = ("roc_auc", "pr_auc", "log_loss", "brier")
OF_CLASS_SCORES = ("roc_auc_macro", "log_loss")
# The shares: their tests are exact, for any number of rows.
EXACT = frozenset({*OF_POSITIVE, *OF_CLASSES} - {*MEANS})
OF_ERRORS = ("mae", "rmse", "mean_error", "mape")
# What a class must do on both sides to count in these means; in others it occurs, in the truth or in predictions.
_OCCURS = {"balanced_accuracy": "has rows", "recall_macro": "has rows", "precision_macro": "is predicted"}
TOO_FEW = "both samples need at least two rows"


@dataclass(frozen=True, slots=True)
class Worsening:
    """A metric of the current sample against that of the reference.

    reference, current, change: change = current - reference; None where a side is undefined.
    loss: how much worse the metric has become, negative when it is better; for mean_error the growth of its size, for
    macro means less what an unchanged model falls by where classes have few rows or none (see `worsening`).
    p_value: one-sided, that the metric got worse; 1 where a side is undefined.
    reason: why there is no change or no test; else None. size: what the sample shows of how large the loss may be; None
    where it shows nothing.
    """

    reference: float | None
    current: float | None
    change: float | None
    loss: float | None
    p_value: float
    reason: str | None = None
    size: Size | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One independent part of a difference: the variance of one row, and the number of rows."""

    variance: float
    n: int


def worsening_metrics(counts: PerformanceCounts) -> tuple[str, ...]:
    """The metrics that `worsening` can judge from counts of this kind.

    >>> from modelwatch.stats.performance.scores import ScoreLayout
    >>> worsening_metrics(ScoreCounts.empty(ScoreLayout()))
    ('roc_auc', 'pr_auc', 'log_loss', 'brier')
    """
    if isinstance(counts, ConfusionCounts):
        return OF_CLASSES if counts.layout.positive is None else OF_POSITIVE
    if isinstance(counts, ScoreCounts):
        return OF_SCORES
    return OF_CLASS_SCORES if isinstance(counts, ClassScoreCounts) else OF_ERRORS


def worsening(metric: str, reference: PerformanceCounts, current: PerformanceCounts) -> Worsening:
    """Test of a metric of the current sample against the reference: its loss, and the chance of such a loss.

    Proportions, and F1 through the proportion TP / (TP + FP + FN) that it grows with: Fisher's exact test. Means over
    classes, mcc and pr_auc: delta method. AUC: DeLong. Means of losses and errors: Welch; rmse on the mean squares. The
    current sample is never taken to vary less than the reference, so a few rows that are alike by chance prove nothing,
    and no p-value is below what a permutation of the rows could give.
    Means over classes compare the classes that occur on both sides: a window without an easy class is no worse for it.
    Of these, recall_macro and balanced_accuracy test those with true rows on both sides, precision_macro those that are
    predicted on both: 0 of no rows is no loss. f1_macro is tested against what the reference's model shows in as many
    rows of each class (`FewRows`): less than the reference where they are few. No class is left out for being rare.

    Raises IncompatibleProfiles when the counts are of two kinds or layouts, StatsError for a metric that has no test.

    >>> from modelwatch.stats.performance.confusion import ConfusionLayout
    >>> layout = ConfusionLayout(("no", "yes"), "yes")
    >>> before = ConfusionCounts.of(layout, ["yes"] * 90 + ["no"] * 10, ["yes"] * 100)
    >>> after = ConfusionCounts.of(layout, ["yes"] * 60 + ["no"] * 40, ["yes"] * 100)
    >>> result = worsening("recall", before, after)
    >>> round(result.change, 4), result.p_value < 1e-5
    (-0.3, True)
    """
    if metric not in worsening_metrics(reference):
        raise StatsError(
            f"{metric!r} has no test on {reference.what}; known: {', '.join(worsening_metrics(reference))}"
        )
    if type(reference) is not type(current) or reference.layout != current.layout:
        raise IncompatibleProfiles("the reference and the current counts are of two kinds or layouts")
    if isinstance(reference, ConfusionCounts) and isinstance(current, ConfusionCounts):
        compare = _mean_of_classes if metric in MEANS else _share
        return compare(metric, reference, current)
    if isinstance(reference, RegressionCounts) and isinstance(current, RegressionCounts):
        return _errors(metric, reference, current)
    if isinstance(reference, ClassScoreCounts) and isinstance(current, ClassScoreCounts):
        if metric == "log_loss":
            return _means(metric, reference.log_loss_sums, current.log_loss_sums)
        return _areas(class_areas(reference), class_areas(current))
    assert isinstance(reference, ScoreCounts)
    assert isinstance(current, ScoreCounts)
    if metric == "pr_auc":
        return _average_precision(reference, current)
    if metric == "roc_auc":
        return _areas((_area(reference),), (_area(current),))
    if metric == "brier":
        return _means(metric, reference.brier_sums, current.brier_sums)
    return _means(metric, reference.log_loss_sums, current.log_loss_sums)


def _undefined(reason: str, before: float | None = None, after: float | None = None) -> Worsening:
    return Worsening(before, after, None, None, 1.0, reason)


def _judged(
    before: float, after: float, loss: float, p_value: float, reason: str | None = None, size: Size | None = None
) -> Worsening:
    return Worsening(before, after, after - before, loss, p_value, reason, size)


def _mean_size(loss: float, parts: Sequence[Part]) -> MeanSize:
    """The loss with its standard error. n: the rows of the current sample, the second half of the parts."""
    error = math.sqrt(sum(part.variance / part.n for part in parts))
    return MeanSize(loss, error, sum(part.n for part in parts[len(parts) // 2 :]))


def _share(metric: str, reference: ConfusionCounts, current: ConfusionCounts) -> Worsening:
    (before, hits_before, n_before), (after, hits_after, n_after) = _hits(metric, reference), _hits(metric, current)
    if before is None or after is None:
        return _undefined(f"{metric} is undefined in the {_side(before)}: its denominator is 0", before, after)
    p_value = rate_increase_p_value(n_before - hits_before, n_before, n_after - hits_after, n_after)
    rate = RateSize(n_after - hits_after, n_after, 1.0 - hits_before / n_before, n_before)
    size = F1Size(rate) if metric == "f1" else rate
    return _judged(before, after, before - after, p_value, size=size)


def _hits(metric: str, counts: ConfusionCounts) -> tuple[float | None, int, int]:
    """The value of a metric, and the proportion that it grows with: successes and trials, each of them one row."""
    matrix, n, place = counts.matrix, counts.n, counts.layout.positive_index
    known = slice(0, -1) if place is None else slice(place, place + 1)
    hits = int(np.trace(matrix[known, known]))
    support, predicted = int(matrix[known].sum()), int(matrix[:, known].sum())
    if metric.startswith("f1"):
        # A wrong row is counted twice by the micro mean, which therefore is tested as the share of right rows.
        trials = support + predicted - hits if place is not None else n
        return (2.0 * hits / (support + predicted) if support + predicted else None), hits, trials
    successes, trials = {
        "accuracy": (counts.correct, n),
        "precision": (hits, predicted),
        "recall": (hits, support),
        "specificity": (n - support - predicted + hits, n - support),
    }[metric.removesuffix("_micro")]
    return (successes / trials if trials else None), successes, trials


def _mean_of_classes(metric: str, reference: ConfusionCounts, current: ConfusionCounts) -> Worsening:
    classes = len(reference.layout.classes)
    sides = [Margins.of(counts.vector, classes) for counts in (reference, current)]
    if not all(side.n > 0.0 for side in sides):
        return _undefined(f"{metric} is undefined in the {'current' if sides[0].n else 'reference'}: it has no rows")
    without_mcc = next((why for why in (side.without_mcc() for side in sides) if why is not None), None)
    if metric == "mcc" and without_mcc is not None:
        return _undefined(f"mcc is undefined where {without_mcc}")
    supported = np.logical_and(*(side.truth[:-1] > 0.0 for side in sides))
    called = np.logical_and(*(side.predicted[:-1] > 0.0 for side in sides))
    occurring = np.logical_and(*((side.truth + side.predicted)[:-1] > 0.0 for side in sides))
    mask = {"balanced_accuracy": supported, "recall_macro": supported, "precision_macro": called}.get(metric, occurring)
    if metric != "mcc" and not mask.any():
        return _undefined(f"{metric} is undefined: no known class {_OCCURS.get(metric, 'occurs')} on both sides")
    place = MEANS.index(metric)
    before, after = (float(mean_columns(side, supported, occurring)[place]) for side in sides)
    # The same, over the classes that are tested.
    tested = [float(mean_columns(side, supported, mask)[place]) for side in sides]
    few = FewRows.of(sides[0], sides[1], mask) if metric == "f1_macro" else None
    loss = (tested[0] if few is None else few.expected) - tested[1]
    parts: list[Part] = []
    floor = np.zeros(classes + 1)
    for counts, side, lacking in zip((reference, current), sides, few.lacking if few else (0.0, 0.0), strict=True):
        rows, variances = np.maximum(side.truth, 1.0), delta_variances(counts, metric, mask)
        floor = np.where(side.truth > 0.0, np.maximum(floor, variances * rows), variances)
        total = float((floor / rows).sum())
        raised = 1.0 + lacking / total if total > 0.0 else 1.0
        parts += [Part(variance * raised, int(n)) for variance, n in zip(floor.tolist(), rows.tolist(), strict=True)]
    return _judged(before, after, loss, tail(loss, parts), size=_mean_size(loss, parts))


def _area(counts: ScoreCounts) -> RankArea | None:
    both = counts.positives.any() and counts.negatives.any()
    return rank_area(counts.positives, counts.negatives) if both else None


def _areas(before: Sequence[RankArea | None], after: Sequence[RankArea | None]) -> Worsening:
    """The mean of areas; those of one side rest on the same rows, and count as fully correlated."""
    old, new = [area for area in before if area is not None], [area for area in after if area is not None]
    if len(old) < len(before) or len(new) < len(after):
        side = "reference" if len(old) < len(before) else "current"
        return _undefined(f"the area is undefined in the {side}: a class has no rows with scores, or all of them")
    value_before, value_after = (float(np.mean([area.value for area in areas])) for areas in (old, new))
    loss = value_before - value_after
    if min(area.rarer for area in (*old, *new)) < 2:
        return _judged(value_before, value_after, loss, 1.0, "every class needs at least two rows with scores")
    parts = [*_area_parts(old, old), *_area_parts(new, old)]
    return _judged(value_before, value_after, loss, tail(loss, parts), size=_mean_size(loss, parts))


def _area_parts(areas: Sequence[RankArea], floors: Sequence[RankArea]) -> list[Part]:
    """Placements vary at least as much as those of `floors`."""
    sides = [
        (
            Part(max(area.spread_positives, floor.spread_positives), area.positives),
            Part(max(area.spread_negatives, floor.spread_negatives), area.negatives),
        )
        for area, floor in zip(areas, floors, strict=True)
    ]
    if len(sides) == 1:
        return list(sides[0])
    deviation = float(np.mean([math.sqrt(sum(part.variance / part.n for part in side)) for side in sides]))
    rarer = min(area.rarer for area in areas)
    return [Part(deviation**2 * rarer, rarer)]


def _average_precision(reference: ScoreCounts, current: ScoreCounts) -> Worsening:
    sides = (reference, current)
    before, after = (average_precision_of(counts) if counts.positives.any() else None for counts in sides)
    if before is None or after is None:
        return _undefined(f"pr_auc is undefined in the {_side(before)}: no row with a score is positive", before, after)
    positives = [int(counts.positives.sum()) for counts in sides]
    if min(positives) < 2:
        return _judged(before, after, before - after, 1.0, "both samples need at least two positive rows")
    spread = [
        n * sum(of_row / rows for of_row, rows in precision_spread(counts, value))
        for counts, value, n in zip(sides, (before, after), positives, strict=True)
    ]
    parts = (Part(spread[0], positives[0]), Part(max(spread), positives[1]))
    loss = before - after
    return _judged(before, after, loss, tail(loss, parts), size=_mean_size(loss, parts))


def _errors(metric: str, reference: RegressionCounts, current: RegressionCounts) -> Worsening:
    if reference.saturated or (metric == "mean_error" and current.saturated):
        return _undefined(
            f"rows of the {'reference' if reference.saturated else 'current'} are too far out to be summed"
        )
    if metric == "mape":
        for side, counts in (("reference", reference), ("current", current)):
            if counts.zero_targets:
                return _undefined(f"mape is undefined in the {side}: {counts.zero_targets} targets are 0")
        if reference.saturated_ratios:
            return _undefined("errors of the reference are too many times their target to be summed")
        return _means(metric, reference.relative_errors, current.relative_errors)
    scale = reference.layout.scale
    if metric == "rmse":
        return _means(metric, reference.squared_errors, current.squared_errors, scale, root=True)
    if metric == "mae":
        return _means(metric, reference.absolute_errors, current.absolute_errors, scale)
    return _means(metric, reference.errors, current.errors, scale)


def mean_error_moved(reference: RegressionCounts, current: RegressionCounts, *, upwards: bool) -> float | None:
    """p-value that the mean error went up, or down: Welch's test, two-sided, since the rows themselves show which way.
    None where a side is undefined."""
    if worsening("mean_error", reference, current).change is None:
        return None
    first, last = reference.errors, current.errors
    if min(first.n, last.n) < 2:
        return 1.0
    moved = last.mean - first.mean if upwards else first.mean - last.mean
    return min(1.0, 2.0 * tail(moved, _parts(first, last)))


def _parts(reference: Sums, current: Sums) -> tuple[Part, Part]:
    return Part(reference.variance, reference.n), Part(max(reference.variance, current.variance), current.n)


def _means(metric: str, reference: Sums, current: Sums, scale: float = 1.0, *, root: bool = False) -> Worsening:
    """Welch's test that the mean has grown; for mean_error that its size has, whichever way."""
    if not reference.n or not current.n:
        return _undefined(f"{metric} is undefined in the {'current' if reference.n else 'reference'}: it has no rows")
    means = reference.mean, current.mean
    before, after = (math.sqrt(mean) * scale if root else mean * scale for mean in means)
    sided = metric == "mean_error"
    loss = abs(after) - abs(before) if sided else after - before
    if min(reference.n, current.n) < 2:
        return _judged(before, after, loss, 1.0, TOO_FEW)
    parts = _parts(reference, current)
    grown = abs(means[1]) - abs(means[0]) if sided else means[1] - means[0]
    # The size of a mean grows by an error either way.
    p_value = min(1.0, tail(grown, parts) * (2.0 if sided else 1.0))
    error = math.sqrt(sum(part.variance / part.n for part in parts))
    # Of a root, from that of what it is taken of: steepest at the smaller of the two.
    base = min(means) or max(means)
    slope = scale / (2.0 * math.sqrt(base)) if root and base > 0.0 else scale
    return _judged(before, after, loss, p_value, size=MeanSize(loss, error * slope, current.n))


def _side(before: float | None) -> str:
    return "reference" if before is None else "current"


def tail(difference: float, parts: Sequence[Part]) -> float:
    """The chance of a difference this large: Student's t with the degrees of freedom of Welch and Satterthwaite.

    Never below the smallest p-value of a permutation test of as many rows.

    >>> round(tail(2.0, [Part(4.0, 8), Part(4.0, 8)]), 4)
    0.0326
    """
    from scipy import special

    half = len(parts) // 2
    old, new = (sum(part.n for part in side) for side in (parts[:half], parts[half:]))
    floor = math.exp(math.lgamma(old + 1) + math.lgamma(new + 1) - math.lgamma(old + new + 1))
    variance = sum(part.variance / part.n for part in parts)
    if variance <= 0.0:
        return floor if difference > 0.0 else 1.0
    df = effective_df([(part.variance, part.n) for part in parts])
    return max(floor, float(special.stdtr(df, -difference / math.sqrt(variance))))
