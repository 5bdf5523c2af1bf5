"""Decomposition of a change: metrics and drift divided among the segments of a sample, exactly.

Every metric that is a ratio of two sums over rows, or a mean of such ratios, divides: its change is the sum of what
each segment contributes, because its share of the rows changed (*mix*) and because it got better or worse itself
(*level*). Areas under curves, calibration errors and roots don't; of them there are only the values of each segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.scores import PSI_FLOOR, psi_contributions
from modelwatch.stats.errors import EmptySample
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.confusion import ConfusionCounts
from modelwatch.stats.performance.regression import RegressionCounts
from modelwatch.stats.performance.scores import ClassScoreCounts, ScoreCounts

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over rows divided by another, such as hits by rows."""

    above: Fraction
    below: int

    @property
    def value(self) -> Fraction | None:
        """The ratio; None without rows below."""
        return self.above / self.below if self.below else None


@dataclass(frozen=True, slots=True)
class Part:
    """Contribution of a segment to the change of a metric; mix and level add up to it.

    mix: because its share of the rows changed, weighed by how far it is from the average. level: because its own value
    changed.
    """

    mix: float
    level: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.mix + self.level


def ratios_of(metric: str, counts: OutcomeCounts) -> tuple[Ratio, ...] | None:
    """The ratios whose mean a metric is, of these counts; None for a metric that is no mean of ratios, or is not known.

    A ratio of a class or a value that does not occur has 0 below.

    >>> from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
    >>> layout = OutcomeLayout("binary", ("no", "yes"), "yes")
    >>> counts = OutcomeCounts.of(layout, [Outcome("yes", 0.9, "yes"), Outcome("no", 0.4, "yes")])
    >>> ratios_of("recall", counts), ratios_of("roc_auc", counts)
    ((Ratio(above=Fraction(1, 1), below=2),), None)
    """
    for family in counts.families():
        if isinstance(family, ConfusionCounts):
            found = _of_confusion(metric, family)
        elif isinstance(family, RegressionCounts):
            found = _of_regression(metric, family)
        else:
            found = _of_scores(metric, family)
        if found is not None:
            return found
    return None


def decomposed(
    before: Mapping[str, tuple[Ratio, ...]], after: Mapping[str, tuple[Ratio, ...]]
) -> dict[str, Part] | None:
    """Contribution of each segment to the change from `before` to `after`; None when the metric is undefined in one.

    The ratios of each segment, all of one length; their sums are those of all rows. The parts add up to the change of
    the mean ratio, exactly but for the last rounding. A segment that is on one side only has no level of its own on the
    other; all that it contributes is mix.

    >>> old = {"a": (Ratio(Fraction(9), 10),), "b": (Ratio(Fraction(5), 10),)}
    >>> new = {"a": (Ratio(Fraction(9), 10),), "b": (Ratio(Fraction(3), 10),)}
    >>> decomposed(old, new)
    {'a': Part(mix=0.0, level=0.0), 'b': Part(mix=0.0, level=-0.1)}
    """
    segments = sorted({*before, *after})
    if not before or not after:
        return None
    number = len(next(iter(before.values())))
    mixes, levels = dict.fromkeys(segments, Fraction(0)), dict.fromkeys(segments, Fraction(0))
    used = 0
    for place in range(number):
        old, new = ({name: each[place] for name, each in side.items()} for side in (before, after))
        totals = [_sum(side) for side in (old, new)]
        if not totals[0].below and not totals[1].below and number > 1:
            continue
        if totals[0].value is None or totals[1].value is None:
            return None
        used += 1
        for name in segments:
            mix, level = _terms(old.get(name), new.get(name), totals[0], totals[1])
            mixes[name] += mix
            levels[name] += level
    if not used:
        return None
    return {name: Part(float(mixes[name] / used), float(levels[name] / used)) for name in segments}


def psi_by_segment(
    reference: Mapping[str, Integers], current: Mapping[str, Integers], *, floor: float = PSI_FLOOR
) -> dict[str, Floats]:
    """Contribution of each segment to each cell's part of the population stability index, shape (cells,).

    reference, current: the counts of each segment over the same cells; their sums are those of all rows. The
    contributions of all segments and cells add up to `psi` of the sums. One is negative where a segment moves against
    the others. What the floor adds to a share is divided in proportion to the rows of the segments.
    Raises EmptySample when a side has no observations.

    >>> old = {"a": np.array([50, 0]), "b": np.array([0, 50])}
    >>> new = {"a": np.array([50, 0]), "b": np.array([10, 40])}
    >>> {name: cells.round(4).tolist() for name, cells in psi_by_segment(old, new).items()}
    {'a': [0.0, 0.0], 'b': [0.0182, 0.0223]}
    """
    segments = sorted({*reference, *current})
    if not reference or not current:
        raise EmptySample("segments are compared only where both sides have observations")
    sums = [np.sum(list(side.values()), axis=0) for side in (reference, current)]
    # Raises what has to be raised, and says which cells count.
    psi_contributions(*sums, floor=floor)
    weights = np.log(np.maximum(sums[1] / sums[1].sum(), floor) / np.maximum(sums[0] / sums[0].sum(), floor))
    shares = [_floored(side, total, segments, floor) for side, total in zip((reference, current), sums, strict=True)]
    # Adding 0 turns -0.0 into 0.0.
    return {name: (shares[1][name] - shares[0][name]) * weights + 0.0 for name in segments}


def _floored(side: Mapping[str, Integers], total: Integers, segments: list[str], floor: float) -> dict[str, Floats]:
    """The share of each segment and cell, with what the floor adds to the share of the cell."""
    n = int(total.sum())
    added = np.maximum(floor - total / n, 0.0)
    nothing = np.zeros(len(total), dtype=np.int64)
    return {name: (counts := side.get(name, nothing)) / n + added * (int(counts.sum()) / n) for name in segments}


def _sum(side: Mapping[str, Ratio]) -> Ratio:
    return Ratio(sum((each.above for each in side.values()), Fraction(0)), sum(each.below for each in side.values()))


def _terms(old: Ratio | None, new: Ratio | None, before: Ratio, after: Ratio) -> tuple[Fraction, Fraction]:
    """Mix and level of one segment in one ratio; both totals have rows."""
    shares = [
        Fraction(each.below, total.below) if each else Fraction(0) for each, total in ((old, before), (new, after))
    ]
    values = [each.value if each else None for each in (old, new)]
    known = next((value for value in values if value is not None), None)
    if known is None:
        return Fraction(0), Fraction(0)
    first, last = (known if value is None else value for value in values)
    average = (before.value or Fraction(0)) + (after.value or Fraction(0))
    # Shares change by 0 in all, so the average may be taken from the level: what counts is who is better than the rest.
    mix = (shares[1] - shares[0]) * (first + last - average) / 2
    return mix, (shares[0] + shares[1]) * (last - first) / 2


def _of_confusion(metric: str, counts: ConfusionCounts) -> tuple[Ratio, ...] | None:
    matrix, positive = counts.matrix, counts.layout.positive_index
    hits = np.diag(matrix)[:-1].tolist()
    truth, predicted = matrix[:-1].sum(axis=1).tolist(), matrix[:, :-1].sum(axis=0).tolist()
    if metric == "accuracy":
        return (Ratio(Fraction(counts.correct), counts.n),)
    if metric == "balanced_accuracy":
        return _ratios(hits, truth)
    both = [a + b for a, b in zip(truth, predicted, strict=True)]
    if positive is None:
        if metric == "f1_macro":
            return _ratios([2 * hit for hit in hits], both)
        below = {"precision_micro": predicted, "recall_micro": truth, "recall_weighted": truth, "f1_micro": both}
        if metric not in below:
            return None
        return (Ratio(Fraction(sum(hits) * (2 if metric == "f1_micro" else 1)), sum(below[metric])),)
    hit, called, actual = hits[positive], predicted[positive], truth[positive]
    binary = {
        "precision": (hit, called),
        "recall": (hit, actual),
        "f1": (2 * hit, called + actual),
        "specificity": (counts.n - called - actual + hit, counts.n - actual),
    }
    return _ratios(*([number] for number in binary[metric])) if metric in binary else None


def _of_scores(metric: str, counts: ScoreCounts | ClassScoreCounts) -> tuple[Ratio, ...] | None:
    if metric == "log_loss":
        sums = counts.log_loss_sums
    elif metric == "brier" and isinstance(counts, ScoreCounts):
        sums = counts.brier_sums
    else:
        return None
    return (Ratio(sums.first, sums.n),)


def _of_regression(metric: str, counts: RegressionCounts) -> tuple[Ratio, ...] | None:
    scale = Fraction(counts.layout.scale)
    if metric == "mae":
        return (Ratio(counts.absolute_errors.first * scale, counts.n),)
    if metric == "mean_error":
        return (Ratio(counts.errors.first * scale, counts.n),)
    if metric == "mape":
        return (Ratio(counts.relative_errors.first, counts.n),)
    return None


def _ratios(above: list[int], below: list[int]) -> tuple[Ratio, ...]:
    return tuple(Ratio(Fraction(over), under) for over, under in zip(above, below, strict=True))
