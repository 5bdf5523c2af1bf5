"""Regression errors: exact sums over rows whose truth is known, in units that fit the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Self

import numpy as np

from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, StatsError
from modelwatch.stats.performance.intervals import Estimate, mean, student_quantile, undefined
from modelwatch.stats.performance.mergeable import Entries, FixedPoint, Floats, Integers, MergeableCounts, Sums, slices

# In units of the layout's scale: larger errors and targets are held at this limit, and counted.
LIMIT = 2.0**24
LINEAR = FixedPoint(unit=64, limbs=4)
SQUARE = FixedPoint(unit=84, limbs=6)
FOURTH = FixedPoint(unit=100, limbs=9)
# Four cells an octave, from 2^-16 to 2^24 scales; the outer two are open.
ERROR_EDGES = np.exp2(np.arange(-64, 97) / 4.0)
ERROR_EDGES.flags.writeable = False
LENGTHS = (len(ERROR_EDGES) + 1, 4, 4, 4, 4, 4, 6, 6, 9, 4, 6)
(
    HISTOGRAM,
    BESIDE,
    ERROR_UP,
    ERROR_DOWN,
    TRUTH_UP,
    TRUTH_DOWN,
    ERROR_SQUARE,
    TRUTH_SQUARE,
    ERROR_FOURTH,
    RATIO,
    RATIO_SQUARE,
) = slices(LENGTHS)


@dataclass(frozen=True, slots=True)
class RegressionLayout:
    """The units of the sums, frozen with the reference.

    center: is taken from every target before it is summed, so that a small spread around a large mean keeps its digits.
    scale: a power of two, about the standard deviation of the reference's targets. Sums of errors and targets are exact
        to 2^-65 scales a row, sums of squares to 2^-85 squared scales or the rounding of one product.

    Raises StatsError unless both are finite and scale is a power of two.
    """

    scale: float
    center: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.scale)) or math.frexp(self.scale)[0] != 0.5:
            raise StatsError(f"a finite center and a power of two as scale are needed, got {self.center}, {self.scale}")

    @classmethod
    def of(cls, truth: Floats) -> Self:
        """The layout for a reference's targets; NaN and ±inf are dropped first.

        Raises EmptySample when no finite value is left.

        >>> RegressionLayout.of(np.array([100.0, 103.0, 106.0]))
        RegressionLayout(scale=4.0, center=103.0)
        """
        finite = np.asarray(truth, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        if not len(finite):
            raise EmptySample("a regression layout needs at least one finite target; there is none")
        largest = float(np.abs(finite).max())
        if largest == 0.0:
            return cls(1.0)
        # As shares of a power of two near the largest, even the largest targets can be averaged.
        unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
        shares = finite / unit
        center = float(shares.mean())
        spread = float(shares.std()) * unit
        if spread <= largest * 1e-12:
            spread = largest
        exponent = min(max(math.frexp(spread)[1], -999), 999)
        return cls(math.ldexp(1.0, exponent), center * unit)

    @property
    def size(self) -> int:
        """Length of a count vector."""
        return sum(LENGTHS)


@dataclass(frozen=True, eq=False)
class RegressionCounts(MergeableCounts[RegressionLayout]):
    """A histogram of absolute errors and exact sums of errors, targets and their powers. Error: prediction - truth.

    An error or target beyond 2^24 scales is summed as if it were at that limit and counted in `saturated`: means of the
    size of the error are then lower bounds, and what depends on the sign or on the targets is undefined.

    >>> counts = RegressionCounts.of(RegressionLayout(1.0), np.array([3.0, 1.0, np.nan]), np.array([1.0, 2.0, 0.0]))
    >>> counts.n, counts.invalid, counts.errors, counts.absolute_errors.mean
    (2, 1, Sums(n=2, first=Fraction(1, 1), second=Fraction(5, 1)), 1.5)
    """

    what: ClassVar[str] = "regression counts"

    @classmethod
    def of(cls, layout: RegressionLayout, prediction: Floats, truth: Floats) -> Self:
        """The counts of pairs, both of shape (rows,); a pair with NaN or ±inf is counted as invalid alone.

        Raises IncompatibleProfiles when the shapes differ.
        """
        return cls(layout, cls.entries(layout, prediction, truth).total(layout.size))

    @classmethod
    def entries(cls, layout: RegressionLayout, prediction: Floats, truth: Floats) -> Entries:
        """Increments of the counts of `of` by each pair. Raises IncompatibleProfiles for sides of unequal length."""
        predicted, true = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
        if predicted.shape != true.shape or predicted.ndim != 1:
            raise IncompatibleProfiles(f"one truth a prediction is needed, got {predicted.shape} and {true.shape}")
        usable = np.isfinite(predicted) & np.isfinite(true)
        valid, invalid = np.flatnonzero(usable), np.flatnonzero(~usable)
        p, y = predicted[valid], true[valid]
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            # Scaled before the subtraction, which could overflow; dividing by a power of two loses nothing.
            scaled_truth = _bounded(y / layout.scale)
            raw_error = _bounded(p / layout.scale) - scaled_truth
            raw_target = _bounded(y / layout.scale - layout.center / layout.scale)
            wrong = (y != 0.0) & (raw_error != 0.0)
            raw_ratio = np.where(wrong, np.abs(raw_error / scaled_truth), 0.0)
        beyond = (np.abs(raw_error) > LIMIT) | (np.abs(raw_target) > LIMIT)
        error, target = np.clip(raw_error, -LIMIT, LIMIT), np.clip(raw_target, -LIMIT, LIMIT)
        ratio = np.minimum(raw_ratio, LIMIT)
        error_square = np.square(error)
        beside = np.stack([beyond, y == 0.0, raw_ratio > LIMIT], axis=1).astype(np.int64)
        limbs = (
            LINEAR.limbs_of(np.maximum(error, 0.0)),
            LINEAR.limbs_of(np.maximum(-error, 0.0)),
            LINEAR.limbs_of(np.maximum(target, 0.0)),
            LINEAR.limbs_of(np.maximum(-target, 0.0)),
            SQUARE.limbs_of(error_square),
            SQUARE.limbs_of(np.square(target)),
            FOURTH.limbs_of(np.square(error_square)),
            LINEAR.limbs_of(ratio),
            SQUARE.limbs_of(np.square(ratio)),
        )
        return Entries.joined(
            (
                Entries.ones(valid, ERROR_EDGES.searchsorted(np.abs(raw_error), side="left")),
                Entries.ones(invalid, np.full(len(invalid), BESIDE.start)),
                Entries.limbs(valid, BESIDE.start + 1, np.concatenate((beside, *limbs), axis=1)),
            )
        )

    @property
    def n(self) -> int:
        """Number of pairs."""
        return int(self.vector[HISTOGRAM].sum())

    @property
    def histogram(self) -> Integers:
        """Absolute errors by right-closed cells between `error_edges`, the outer two open."""
        return self.vector[HISTOGRAM]

    @property
    def error_edges(self) -> Floats:
        """The edges of the histogram in units of the target, ascending."""
        return ERROR_EDGES * self.layout.scale

    @property
    def invalid(self) -> int:
        """Number of pairs that are not two finite numbers."""
        return int(self.vector[BESIDE][0])

    @property
    def saturated(self) -> int:
        """Number of pairs with an error or a target beyond 2^24 scales."""
        return int(self.vector[BESIDE][1])

    @property
    def zero_targets(self) -> int:
        """Number of targets that are 0."""
        return int(self.vector[BESIDE][2])

    @property
    def saturated_ratios(self) -> int:
        """Number of errors beyond 2^24 times their target."""
        return int(self.vector[BESIDE][3])

    @property
    def errors(self) -> Sums:
        """Errors, in scales."""
        up, down = self._linear(ERROR_UP), self._linear(ERROR_DOWN)
        return Sums(self.n, up - down, self._square(ERROR_SQUARE))

    @property
    def absolute_errors(self) -> Sums:
        """Absolute errors, in scales."""
        return Sums(self.n, self._linear(ERROR_UP) + self._linear(ERROR_DOWN), self._square(ERROR_SQUARE))

    @property
    def squared_errors(self) -> Sums:
        """Squared errors, in squared scales."""
        return Sums(self.n, self._square(ERROR_SQUARE), FOURTH.total(self.vector[ERROR_FOURTH]))

    @property
    def targets(self) -> Sums:
        """Targets less the center, in scales."""
        return Sums(self.n, self._linear(TRUTH_UP) - self._linear(TRUTH_DOWN), self._square(TRUTH_SQUARE))

    @property
    def relative_errors(self) -> Sums:
        """|error / truth| over the targets that are not 0, as ratios."""
        return Sums(self.n - self.zero_targets, self._linear(RATIO), self._square(RATIO_SQUARE))

    def _linear(self, place: slice) -> Fraction:
        return LINEAR.total(self.vector[place])

    def _square(self, place: slice) -> Fraction:
        return SQUARE.total(self.vector[place])


def _bounded(values: Floats) -> Floats:
    """Far beyond the limit but finite, so that a difference is a number."""
    return np.clip(values, -1e300, 1e300)


NO_ROWS = "there are no labelled rows"
# Below this share of the mean square, a variance is the rounding of the squares.
EQUAL = 1e-14


def regression_metrics(counts: RegressionCounts) -> dict[str, Estimate]:
    """mae, rmse, r2, mean_error (prediction - truth) and mape (a ratio: 0.1 is 10 %), in the units of the target.

    Intervals: Student's for mae, mean_error and mape, for rmse the delta method on the logarithm of the mean square,
    none for r2.
    mape is undefined when a target is 0, r2 when all targets are equal. Saturated rows make mae, rmse and mape lower
    bounds, say so, and leave mean_error and r2 undefined.
    Source: scikit-learn's definitions; r2 is that of `r2_score`.

    >>> import numpy as np
    >>> from modelwatch.stats.performance.regression import RegressionLayout
    >>> prediction, truth = np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0])
    >>> metrics = regression_metrics(RegressionCounts.of(RegressionLayout.of(truth), prediction, truth))
    >>> metrics["mae"].value, metrics["mean_error"].value, round(metrics["r2"].value, 4)
    (0.5, 0.25, 0.9486)
    """
    scale = counts.layout.scale
    found = {
        "mae": mean(counts.absolute_errors, NO_ROWS, scale, least=0.0),
        "rmse": _rmse(counts),
        "r2": _r2(counts),
        "mean_error": mean(counts.errors, NO_ROWS, scale),
        "mape": _mape(counts),
    }
    if counts.saturated:
        reason = f"{counts.saturated} rows are too far out to be summed"
        found["mean_error"] = found["r2"] = undefined(reason, counts.n)
        for name in ("mae", "rmse"):
            found[name] = replace(found[name], low=None, high=None, reason=f"a lower bound: {reason}")
    return found


def mean_target(counts: RegressionCounts) -> float | None:
    """Mean of the targets; None when there are no rows or some are saturated."""
    if not counts.n or counts.saturated:
        return None
    return counts.layout.center + counts.targets.mean * counts.layout.scale


def _rmse(counts: RegressionCounts) -> Estimate:
    squares, scale, n = counts.squared_errors, counts.layout.scale, counts.n
    if not n:
        return undefined(NO_ROWS)
    root = math.sqrt(squares.mean)
    if n == 1:
        return Estimate(root * scale, n=1, reason="one row has no interval")
    if root == 0.0:
        return Estimate(0.0, 0.0, 0.0, n)
    # Of the logarithm: the interval is never below 0, and reaches further up, as the squares do.
    factor = math.exp(min(700.0, student_quantile(n - 1) * math.sqrt(squares.variance / n) / (2.0 * squares.mean)))
    return Estimate(root * scale, root / factor * scale, root * factor * scale, n)


def _r2(counts: RegressionCounts) -> Estimate:
    targets, n = counts.targets, counts.n
    if n < 2:
        return undefined("at least two labelled rows are needed", n)
    # Exact until the end: the difference of two nearly equal sums keeps its digits.
    total = targets.second - targets.first * targets.first / n
    if targets.variance <= EQUAL * float(targets.second) / n:
        return undefined("all targets are equal", n)
    value = 1.0 - float(counts.errors.second / total)
    return Estimate(value, n=n, reason="no interval is known")


def _mape(counts: RegressionCounts) -> Estimate:
    if counts.zero_targets:
        return undefined(f"{counts.zero_targets} targets are 0", counts.n)
    estimate = mean(counts.relative_errors, NO_ROWS, least=0.0)
    if counts.saturated_ratios or counts.saturated:
        reason = "a lower bound: some errors are too many times their target to be summed"
        return replace(estimate, low=None, high=None, reason=reason)
    return estimate
