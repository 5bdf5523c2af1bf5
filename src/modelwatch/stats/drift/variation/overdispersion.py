"""Overdispersion: how much more windows differ from a reference than independent values would.

Values of one stretch of time are alike, and so are those of one client. Then a window knows less than it has values: a
statistic of n of them varies 1 + (m - 1) ρ times as much, m values being in a group and ρ the correlation of two values
of one group. Here ρ is estimated between the groups of a reference, one for each statistic of the tests. A window then
counts for as many independent values as would vary as much, and the tests are those of so many.

Sources: Kish (1965), Survey Sampling, for the effective size; Rao and Scott (1984) for chi-square tests of it;
Satterthwaite (1946) for the degrees of freedom of an estimated variance; Baik and Silverstein (2006) for the largest
eigenvalue of a covariance that was estimated from few groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.directed import pooled_scores
from modelwatch.stats.special import special

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

# Places of the statistics: location, scale, all cells on average, and in the direction that varies most.
LOCATION, SCALE, ON_AVERAGE, AT_MOST = range(4)
STATISTICS = 4
# Fewer groups say nothing.
MIN_GROUPS = 10
# Variation that chance gives so often, of one statistic between groups of one size, is none.
LEVEL = 1e-3
# Cells with fewer values of the reference are too rare for a variance.
LEAST_IN_CELL = 5
# p-values are not taken for smaller than that: their normal deviates are finite.
SMALLEST = 1e-300
MOST_FREEDOM = 1e9
# Bounds of what is not surely known hold in all but so many cases, and are made for p-values of this size.
UNSURE, USUAL = 1e-3, 1e-6
# The excess kurtosis of the squares of normal deviates: between groups, their variance is known so much worse than that
# of the deviates.
KURTOSIS = 12.0
SKEWED = 1.0 + KURTOSIS / 2.0
# With more groups the degrees of freedom hardly matter. Parts of a window of so many values, and of four times as many
# each, are tried.
FEW_GROUPS, LEAST_PART, PARTS_APART, MOST_PARTS = 300, 32, 4, 8
# Keeps quotients finite.
TINY = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class CellScores:
    """Scores of the coarse cells of an ordered subject. values: shape (coarse cells, 2), of location and scale. gain:
    shape (2,), how many times the variance of the scores of its fine cells is theirs."""

    values: Floats
    gain: Floats

    @classmethod
    def of(cls, reference: Profile) -> Self | None:
        """The scores by a reference, averaged over each coarse cell; None where its cells have no order."""
        if not isinstance(reference.binning, NumericBinning) or not reference.n:
            return None
        fine = np.stack([each[0] for each in pooled_scores(reference.fine[None])], axis=1)
        sums = np.add.reduceat(fine * reference.fine[:, None], reference.binning.coarse_starts, axis=0)
        values = sums / np.maximum(reference.coarse, 1)[:, None]
        mean = sums.sum(axis=0) / reference.n
        of_fine = (reference.fine[:, None] * (fine - mean) ** 2).sum(axis=0)
        of_coarse = (reference.coarse[:, None] * (values - mean) ** 2).sum(axis=0)
        return cls(values, np.divide(of_fine, of_coarse, out=np.ones(2), where=of_coarse > 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Overdispersion:
    """Correlation of two values of one group of a reference, in the statistics of the tests; 0 where it is chance.

    groups: number of them. size: of a group, on average. statistics: shape (4,), of location, of scale, of all cells on
    average, and of the combination of them that varies most. cells: shape (coarse cells,), of each. varies: whether
    anything is beyond chance.
    """

    groups: int
    size: float
    statistics: Floats
    cells: Floats
    varies: bool

    def dispersion(self, n: int, n_reference: int, size: float, of_reference: float | None = None) -> Dispersion:
        """The dispersion of a window of n values, at least 1, whose groups hold `size` on average, each value counting
        once; those of the reference `of_reference` (None: as here).

        What is known are the variances of groups as large as here. Of larger ones ρ times their size counts, and of a
        small ρ little is sure: there the better one of two bounds is taken. A group varies less than in proportion to
        its size (so what it holds beyond the size that is known says nothing), and less than by the largest ρ that the
        reference leaves likely. docs/statistics.md has their level.
        """
        beside = self.size if of_reference is None else of_reference
        rho = np.concatenate((self.statistics, self.cells))
        own, pairs = max(self.size - 1.0, TINY), size - 1.0 + (beside - size) * n / (n_reference + n)
        times = max(pairs, TINY) / own
        effective, freedom = _effective(rho, n, n_reference, size, beside), np.full(len(rho), float(self.groups - 1))
        if times <= 1.0:
            freedom *= ((1.0 + pairs * rho) / (times * (1.0 + own * rho))) ** 2
        else:
            in_proportion = (1.0 + own * rho) * (1.0 + pairs) / (1.0 + own)
            known = 1.0 / (in_proportion * (1.0 / n + 1.0 / n_reference) - 1.0 / n_reference)
            least, wider = _doubt(self.groups - 1)
            at_most = ((1.0 + own * rho) / least - 1.0) / own
            likely = _effective(at_most, n, n_reference, size, beside) * wider
            effective = np.minimum(effective, np.maximum(known, likely))
        freedom = np.clip(freedom, 1.0, MOST_FREEDOM)
        return Dispersion(effective[:4], freedom[:4], effective[4:], freedom[4:])

    def best_dispersion(self, n: int, n_reference: int, size: float, of_reference: float, most: float) -> Dispersion:
        """The same of that part of the window, drawn at random, which says most: so that more values never say less.

        Few groups know badly what the reference varies, and of few values that is a small part of the variance: it is
        known with more degrees of freedom. The window as it is varies less than its part, whose variance is on the safe
        side. Which part says most depends on the sizes, never on the values. most: degrees of freedom at most.
        """
        parts = [n]
        if self.groups <= FEW_GROUPS:
            parts += [LEAST_PART * PARTS_APART**power for power in range(MOST_PARTS)]
        some = [
            self.dispersion(part, n_reference, 1.0 + (size - 1.0) * part / n, of_reference)
            for part in parts
            if part <= n
        ]
        effective = np.array([np.concatenate((each.effective, each.cells)) for each in some])
        freedom = np.minimum([np.concatenate((each.freedom, each.cells_freedom)) for each in some], most)
        freedom = self.careful_with_squares(freedom, n, size)
        if len(some) > 1:
            deviates = special().stdtrit(freedom, 0.5 * USUAL)
            best = (deviates**2 / effective).argmin(axis=0)[None]
            effective, freedom = (np.take_along_axis(each, best, axis=0) for each in (effective, freedom))
        return Dispersion(effective[0, :4], freedom[0, :4], effective[0, 4:], freedom[0, 4:])

    def _freedom_of_squares(self, n: int, size: float) -> float:
        """Degrees of freedom of Student's t with the kurtosis that the scale of a window of n values has, whose groups
        hold `size`: squares of the deviates of few groups are far out more often than a normal distribution has it."""
        alike = (size - 1.0) * float(self.statistics[SCALE])
        of_groups = max(alike / (1.0 + alike), TINY) ** 2 * min(size / n, 1.0)
        return min(4.0 + 6.0 / (KURTOSIS * of_groups), MOST_FREEDOM)

    def careful_with_squares(self, freedom: Floats, n: int, size: float) -> Floats:
        """Degrees of freedom of the statistics of a window of n values, whose groups hold `size`,
        where those of scale are as few as squares leave; shape (..., 4 or more)."""
        found = freedom.copy()
        found[..., SCALE] = np.clip(freedom[..., SCALE] / SKEWED, 1.0, self._freedom_of_squares(n, size))
        return found

    def plausible_psi(self) -> float:
        """The PSI that 99 of 100 groups stay below, chance left out, if they differ as much as what was seen leaves
        likely: in all combinations of the cells alike."""
        functions, free = special(), len(self.cells) - 1
        known = (self.groups - 1) * free
        factor = 1.0 + max(self.size - 1.0, TINY) * float(self.statistics[ON_AVERAGE])
        at_most = factor * known / float(functions.chdtri(known, 1.0 - UNSURE))
        return float((at_most - 1.0) / max(self.size - 1.0, TINY) * functions.chdtri(free, 0.01))


def _effective(rho: Floats, n: int, n_reference: int, size: float, beside: float) -> Floats:
    """For how many independent values n count in groups of `size`; what the reference varies more, in groups of
    `beside`, is part of it."""
    return np.asarray(1.0 / ((1.0 + (size - 1.0) * rho) / n + (beside - 1.0) * rho / n_reference))


@lru_cache(maxsize=1_024)
def _doubt(freedom: int) -> tuple[float, float]:
    """The part of a variance that its estimate exceeds surely, and how many times as large the square of Student's
    deviate is as that of the normal distribution."""
    functions = special()
    least = float(functions.chdtri(freedom, 1.0 - UNSURE)) / freedom
    half = 0.5 * USUAL
    return least, float(functions.stdtrit(freedom, half) / functions.ndtri(half)) ** 2


@dataclass(frozen=True, slots=True, eq=False)
class Dispersion:
    """For how many independent values a window counts in each of its statistics, and how well that is known.

    effective, freedom: shape (4,), as `Overdispersion.statistics`; the sizes, and the degrees of freedom with which the
    variances are known that they stand for. cells, cells_freedom: shape (coarse cells,). times: how many times as much
    as of independent values the counts of the reference vary; that is in the sizes of the window, and `parted` puts
    it where it belongs.
    """

    effective: Floats
    freedom: Floats
    cells: Floats
    cells_freedom: Floats
    times: float = 1.0

    def parted(self, effective: float, n: int, n_reference: int) -> tuple[float, float]:
        """For how many independent values a window of n and the reference count, where one count of the window stands
        for what both vary more: the variance of their difference is the same.

        >>> known = np.ones(4)
        >>> Dispersion(known, known, known, known, 5.0).parted(200.0, 2_000, 1_000)
        (1000.0, 200.0)
        """
        if self.times <= 1.0:
            return effective, float(n_reference)
        both = 1.0 / effective + 1.0 / n_reference
        of_window = max(both - self.times / n_reference, 1.0 / n)
        return 1.0 / of_window, 1.0 / (both - of_window)

    def independent_draws(self) -> Dispersion:
        """The same beside counts of the reference that vary as those of independent values are taken to."""
        return replace(self, times=1.0)

    def over(self, cells: NDArray[np.intp], number: int) -> Dispersion:
        """The same over other cells, so many of them: of each the most careful among its parts. cells: shape (parts,
        2), of each part its coarse cell and the other one."""
        of_coarse, other = cells.T
        found, freedom = np.full(number, np.inf), np.full(number, MOST_FREEDOM)
        np.minimum.at(found, other, self.cells[of_coarse])
        np.minimum.at(freedom, other, self.cells_freedom[of_coarse])
        return replace(self, cells=found, cells_freedom=freedom)

    def careful(self, other: Dispersion) -> Dispersion:
        """Of each statistic the more careful of two: the smaller size, and what is known less surely."""
        return Dispersion(
            np.minimum(self.effective, other.effective),
            np.minimum(self.freedom, other.freedom),
            np.minimum(self.cells, other.cells),
            np.minimum(self.cells_freedom, other.cells_freedom),
            max(self.times, other.times),
        )


def overdispersion(cuts: Sequence[Integers], scores: CellScores | None) -> Overdispersion | None:
    """The overdispersion between groups. cuts: one way or several to cut about the same values into groups, each of
    shape (groups, coarse cells); of each statistic that one counts in which it varies most. None with fewer than 10
    groups, or with a value in each.

    200 groups of 20 whose shares are 1/4 and 3/4 in turn differ by 5 from the 10 that are expected: 5² / (20 / 4) is 5.

    >>> found = overdispersion([np.array([[5, 15], [15, 5]] * 100)], None)
    >>> found.groups, found.size, found.varies, (1 + 19 * found.cells).round(2).tolist()
    (200, 20.0, True, [5.02, 5.02])
    """
    moments = [each for cut in cuts if (each := _moments(cut)) is not None]
    if not moments or moments[0].size <= 1.0:
        return None
    found = [each.factors(scores) for each in moments]
    if any(each is None for each in found):
        return None
    factors = np.max([each for each in found if each is not None], axis=0)
    correlations = np.maximum(factors - 1.0, 0.0) / (moments[0].size - 1.0)
    return Overdispersion(
        moments[0].groups, moments[0].size, correlations[:4], correlations[4:], moments[0].varies(scores)
    )


def varies(counts: Integers, scores: CellScores | None) -> bool:
    """Whether groups differ by more than chance, without how much: `Overdispersion.varies`, in a part of the time.

    counts: shape (groups, coarse cells).
    """
    moments = _moments(counts)
    if moments is None or moments.size <= 1.0 or np.count_nonzero(moments.used) < 2:
        return False
    return moments.varies(scores)


def tells(counts: Integers) -> bool:
    """Whether groups tell anything of how alike their values are: ten of them have some, and several on average.

    counts: shape (groups, coarse cells).
    """
    moments = _moments(counts)
    return moments is not None and moments.size > 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Moments:
    """What groups tell. groups: those with values. total: values. size: of a group, as the analysis of variance has it;
    inverse: the mean of one by the size. shares: of the cells. deviations: of the counts, shape (groups,
    cells); their products add up to the covariance of the shares between groups, in units of one value."""

    groups: int
    total: float
    size: float
    inverse: float
    shares: Floats
    deviations: Floats

    @property
    def variances(self) -> Floats:
        """Those of the shares of each cell between groups, in units of one value: of independent values that of one."""
        return np.asarray(np.einsum("ij,ij->j", self.deviations, self.deviations))

    @property
    def used(self) -> NDArray[np.bool_]:
        """The cells that hold enough."""
        return np.asarray(self.shares * self.total >= LEAST_IN_CELL)

    def factors(self, scores: CellScores | None) -> Floats | None:
        """How many times as much as of independent values the statistics vary, and the cells; shape (4 + cells,)."""
        used = self.used
        free = int(np.count_nonzero(used)) - 1
        if free < 1:
            return None
        found = np.ones(4)
        for place, (factor, _) in enumerate(self._directed(scores)):
            found[place] = 1.0 + (factor - 1.0) * (1.0 if scores is None else scores.gain[place])
        standard = self.deviations[:, used] / np.sqrt(self.shares[used])
        found[ON_AVERAGE] = (standard**2).sum() / free
        found[AT_MOST] = max(found[ON_AVERAGE], _largest(standard.T @ standard, free / self.groups))
        cells = np.full(len(self.shares), found[ON_AVERAGE])
        cells[used] = (self.variances / np.maximum(self.shares * (1.0 - self.shares), TINY))[used]
        return np.concatenate((found, cells))

    def varies(self, scores: CellScores | None) -> bool:
        """Whether location, scale, the cells on average or one of them vary by more than chance."""
        used = self.used
        p, free = self.shares[used], int(np.count_nonzero(used)) - 1
        binary = p * (1.0 - p)
        variances = self.variances[used]
        cells = self._tails(variances / binary, (1.0 - 6.0 * binary) / binary)
        average = np.array([(variances / p).sum() / free])
        kurtosis = np.array([(float((1.0 / p).sum()) - (free + 1.0) ** 2 - 2.0 * free) / free])
        directed = [self._tails(np.array([factor]), np.array([tails]))[0] for factor, tails in self._directed(scores)]
        least = min(*directed, self._tails(average, kurtosis, free)[0], cells.min() * len(cells), 1.0)
        return bool(least < LEVEL)

    def _directed(self, scores: CellScores | None) -> list[tuple[float, float]]:
        """Of location and of scale, how many times as much it varies, and the kurtosis of one score."""
        found = []
        for score in () if scores is None else scores.values.T:
            centred = score - self.shares @ score
            variance = float(self.shares @ centred**2)
            kurtosis = float(self.shares @ centred**4) / max(variance, TINY) ** 2 - 3.0
            found.append((float(((self.deviations @ centred) ** 2).sum()) / max(variance, TINY), kurtosis))
        return found

    def _tails(self, factors: Floats, kurtosis: Floats, free: int = 1) -> Floats:
        """How often chance gives so large a factor. kurtosis: of one value, beyond that of the normal distribution."""
        freedom = 2.0 * free * (self.groups - 1) / np.maximum(2.0 + kurtosis * self.inverse, TINY)
        return np.asarray(special().chdtrc(freedom, freedom * factors))


def _moments(counts: Integers) -> _Moments | None:
    n = counts.sum(axis=1)
    filled = n > 0
    groups = int(np.count_nonzero(filled))
    if groups < MIN_GROUPS:
        return None
    of_groups, n = counts[filled].astype(np.float64), n[filled].astype(np.float64)
    total = float(n.sum())
    shares = of_groups.sum(axis=0) / total
    deviations = (of_groups - n[:, None] * shares) / np.sqrt(n)[:, None]
    deviations *= math.sqrt((total - 1.0) / total / (groups - 1))
    size = (total - float((n * n).sum()) / total) / (groups - 1)
    return _Moments(groups, total, size, float((1.0 / n).mean()), shares, deviations)


def _largest(standard: Floats, crowding: float) -> float:
    """The largest eigenvalue of a covariance that is the identity but for few directions, estimated from few groups:
    `crowding` cells for each of them; 1 where it is no larger than chance makes it."""
    found = float(np.linalg.eigvalsh(standard)[-1])
    if found <= (1.0 + math.sqrt(crowding)) ** 2:
        return 1.0
    half = 0.5 * (found + 1.0 - crowding)
    return half + math.sqrt(max(half * half - found, 0.0))


def widened(p_values: Floats, freedom: Floats) -> Floats:
    """Two-sided p-values of normal deviates whose variance is known with so many degrees of freedom.

    >>> widened(np.array([1e-6, 1e-6]), np.array([1e9, 10.0])).round(6).tolist()
    [1e-06, 0.000631]
    """
    functions = special()
    deviates = functions.ndtri_exp(np.log(np.clip(p_values, SMALLEST, 1.0)) - np.log(2.0))
    return np.asarray(np.minimum(1.0, 2.0 * functions.stdtr(freedom, deviates)))


def widened_tail(tail: float, freedom: float) -> float:
    """The same of a one-sided p-value."""
    if tail >= 0.5:
        return tail
    functions = special()
    return float(functions.stdtr(freedom, float(functions.ndtri(max(tail, SMALLEST)))))


def widened_chi_square(p_values: Floats, df: Integers, freedom: Floats) -> Floats:
    """The same of chi-square statistics with so many degrees of freedom `df`, at least 1.

    >>> widened_chi_square(np.array([1e-6]), np.array([9]), np.array([30.0])).round(5).tolist()
    [0.00039]
    """
    functions = special()
    statistics = functions.chdtri(df, np.clip(p_values, SMALLEST, 1.0))
    return np.asarray(functions.fdtrc(df, freedom, statistics / df))


def chi_square_needed(p_value: float, df: int, freedom: float) -> float:
    """The chi-square statistic whose p-value `widened_chi_square` makes `p_value`, between 0 and 1.

    >>> round(chi_square_needed(0.00039, 9, 30.0), 2), round(chi_square_needed(1e-6, 9, 1e9), 2)
    (44.85, 44.81)
    """
    part = float(special().betaincinv(0.5 * freedom, 0.5 * df, p_value))
    return freedom * (1.0 - part) / part if part > 0.0 else math.inf


def level_of_normal(alpha: float, freedom: float) -> float | None:
    """The p-value that `widened` makes `alpha`, rounded to less; None where none does.

    >>> f"{level_of_normal(1e-6, 30.0):.1e}", level_of_normal(1e-6, 1.0)
    ('7.9e-10', None)
    """
    functions = special()
    level = 2.0 * float(functions.ndtr(functions.stdtrit(freedom, 0.5 * alpha)))
    # To a tenth of its magnitude: what is made of it is kept.
    return None if level <= SMALLEST else 10.0 ** (math.floor(10.0 * math.log10(level)) / 10.0)
