"""Regression errors: exact sums over rows whose truth is known, in units that fit the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

import numpy as np

from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, StatsError
from modelwatch.stats.performance.entries import Entries
from modelwatch.stats.performance.mergeable import FixedPoint, Floats, Integers, MergeableCounts, Sums, slices

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
        """What each pair adds to the counts of `of`."""
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
