"""Scores: how large is the difference between a reference and a current sample.

All are computed from counts over the same cells, natural logarithm unless said otherwise. How surely the difference is
no chance is the subject of `modelwatch.stats.drift.evidence`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import ks_p_value
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

Counts = Sequence[int] | NDArray[np.int64]
Floats = NDArray[np.float64]

FEW_EXPECTED = 10
PSI_FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """Jensen-Shannon `divergence` in base 2 and `distance`, its square root; both in [0, 1]."""

    divergence: float
    distance: float


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """Two-sample Kolmogorov-Smirnov from binned samples.

    statistic: the largest difference of the two distribution functions at an edge; never more than the exact one.
    upper: the exact statistic of the raw samples is never more than this; equal to `statistic` when no cell that both
        samples share hides more than one value.
    p_value: asymptotic two-sided p of `statistic`; conservative, because the exact statistic is at least as large.
    """

    statistic: float
    upper: float
    p_value: float


@dataclass(frozen=True, slots=True)
class DriftScores:
    """Every score of a feature; None where it is not defined, and then `reasons` says why under the score's name."""

    psi: float | None
    jensen_shannon: JensenShannon | None
    ks: KolmogorovSmirnov | None
    wasserstein: float | None
    hellinger: float | None
    total_variation: float | None
    reasons: Mapping[str, str] = field(default_factory=dict)


def psi(reference: Counts, current: Counts, *, floor: float = PSI_FLOOR) -> float:
    """Population stability index of two count vectors over the same cells.

    reference, current: shape (cells,), non-negative integers, not all zero.
    floor: smallest share a cell may have, which keeps the logarithm finite; shares are not renormalised after it.
    Returns nats, >= 0; 0 when the shares are equal.
    Raises EmptySample when a side has no observations, IncompatibleProfiles when the shapes differ.
    Source: Siddiqi, Credit Risk Scorecards (2006), ch. 8.

    >>> round(psi([50, 50], [40, 60]), 4)
    0.0405
    """
    return float(psi_contributions(reference, current, floor=floor).sum())


def psi_contributions(reference: Counts, current: Counts, *, floor: float = PSI_FLOOR) -> Floats:
    """The part of every cell in the population stability index, shape (cells,), each >= 0. Raises as `psi`.

    >>> psi_contributions([50, 50], [40, 60]).round(4).tolist()
    [0.0223, 0.0182]
    """
    return _psi_contributions(*_shares(reference, current), floor)


def psi_by_chance(reference: Counts, n: int, *, new_share: float = 0.0, floor: float = PSI_FLOOR) -> float:
    """The population stability index that a window of n values has on average when nothing has changed.

    reference: shape (cells,), not all zero; the last cell is `unseen` when new_share is given: the share of values that
    names the reference does not have are expected to hold.
    About (cells - 1) · (1/n + 1/N), more precisely for cells in which few values are expected.

    >>> round(psi_by_chance([1000] * 10, 300), 3), round(psi_by_chance([1000] * 10, 30), 2)
    (0.031, 0.62)
    """
    r = np.asarray(reference, dtype=np.float64)
    total = float(r.sum())
    p = r / total
    truth = p * (1.0 - new_share)
    if new_share:
        truth[-1] = new_share
    expected = truth * n
    rare = expected < FEW_EXPECTED
    common = float((1.0 - truth[~rare]).sum()) / n + float(np.count_nonzero(r) - 1) / total
    common += float(_psi_contributions(p[~rare], truth[~rare], floor).sum())
    if not rare.any():
        return common
    # Of few expected values the number is Poisson's, and an empty cell counts as the floor.
    counts = np.arange(4 * FEW_EXPECTED)
    logs = counts * np.log(np.maximum(expected[rare], PSI_FLOOR))[:, None] - np.cumsum(np.log(np.maximum(counts, 1)))
    chances = np.exp(logs - expected[rare][:, None])
    q, before = np.maximum(counts / n, floor), np.maximum(p[rare], floor)[:, None]
    return common + float((chances * (q - before) * np.log(q / before)).sum())


def jensen_shannon(reference: Counts, current: Counts) -> JensenShannon:
    """Jensen-Shannon divergence (base 2) and distance of two count vectors over the same cells. Raises as `psi`.

    Source: Lin, Divergence measures based on the Shannon entropy (1991); Endres and Schindelin (2003) for the distance.

    >>> jensen_shannon([10, 0], [0, 10])
    JensenShannon(divergence=1.0, distance=1.0)
    """
    return _jensen_shannon(*_shares(reference, current))


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance of two count vectors over the same cells, in [0, 1]. Raises as `psi`.

    >>> hellinger([10, 0], [0, 10])
    1.0
    """
    return _hellinger(*_shares(reference, current))


def total_variation(reference: Counts, current: Counts) -> float:
    """Half the summed absolute difference of the shares, in [0, 1]. Raises as `psi`.

    >>> round(total_variation([50, 50], [40, 60]), 12)
    0.1
    """
    return _total_variation(*_shares(reference, current))


def ks(reference: Profile, current: Profile) -> KolmogorovSmirnov:
    """Kolmogorov-Smirnov of two numeric profiles, with a bound of the exact statistic.

    Inside a cell that holds shares p and q of the two samples, the difference of the distribution functions can exceed
    the larger of its two ends by at most min(p, q): it is largest when all of one sample comes before all of the other.
    Raises EmptySample when a side has no observations, IncompatibleProfiles for categorical or different binnings.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> binning = numeric_binning(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> score = ks(Profile.of(binning, [1, 2, 3, 4]), Profile.of(binning, [3, 3, 4, 4]))
    >>> score.statistic, score.upper
    (0.5, 0.5)
    """
    binning = _same_numeric_binning(reference, current)
    p, q = _shares(reference.fine, current.fine)
    return _ks(binning, p, q, reference.n, current.n)


def wasserstein(reference: Profile, current: Profile) -> float | None:
    """First Wasserstein distance of two numeric profiles in units of the reference's standard deviation (ddof=0).

    The mass of a cell is spread evenly over it; mass outside the reference range is placed at the border of the range,
    so a far shift is a lower bound. None when the reference is constant: it has no unit to measure in.
    Raises as `ks`.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> sample = np.arange(10_000.0)
    >>> binning = numeric_binning(sample)
    >>> score = wasserstein(Profile.of(binning, sample), Profile.of(binning, sample[:5_000] * 2.0))
    >>> round(score, 4)
    0.0
    """
    binning = _same_numeric_binning(reference, current)
    p, q = _shares(reference.fine, current.fine)
    return _wasserstein(binning, p, q, reference, current)


def drift_scores(reference: Profile, current: Profile) -> DriftScores:
    """Every score of two profiles; None with a reason where one is not defined, never NaN and never an exception.

    Raises IncompatibleProfiles when the binnings differ.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a", "a", "b", "b"])
    >>> scores = drift_scores(Profile.of(binning, ["a", "a", "b", "b"]), Profile.of(binning, ["a", "b"]))
    >>> scores.psi, scores.ks, scores.reasons["ks"]
    (0.0, None, 'the feature is categorical: its values have no order')
    >>> drift_scores(Profile.of(binning, ["a"]), Profile.empty(binning)).reasons["psi"]
    'the current sample has no valid values'
    """
    binning = reference.binning
    if binning.id != current.binning.id:
        raise IncompatibleProfiles(f"the profiles count different cells: {binning.id} and {current.binning.id}")
    n_reference, n_current = reference.n, current.n
    if not n_reference or not n_current:
        side = "current" if n_reference else "reference"
        reason = f"the {side} sample has no valid values"
        names = ("psi", "jensen_shannon", "ks", "wasserstein", "hellinger", "total_variation")
        return DriftScores(None, None, None, None, None, None, dict.fromkeys(names, reason))
    coarse = _shares(reference.coarse, current.coarse)
    reasons: dict[str, str] = {}
    ks_score, distance = None, None
    if isinstance(binning, NumericBinning):
        p, q = reference.fine / n_reference, current.fine / n_current
        ks_score = _ks(binning, p, q, n_reference, n_current)
        distance = _wasserstein(binning, p, q, reference, current)
        if distance is None:
            reasons["wasserstein"] = "the reference is constant: it has no standard deviation to measure in"
    else:
        reasons["ks"] = reasons["wasserstein"] = "the feature is categorical: its values have no order"
    return DriftScores(
        psi=float(_psi_contributions(*coarse, PSI_FLOOR).sum()),
        jensen_shannon=_jensen_shannon(*coarse),
        ks=ks_score,
        wasserstein=distance,
        hellinger=_hellinger(*coarse),
        total_variation=_total_variation(*coarse),
        reasons=reasons,
    )


def _shares(reference: Counts, current: Counts) -> tuple[Floats, Floats]:
    r, c = np.asarray(reference), np.asarray(current)
    if r.shape != c.shape or r.ndim != 1:
        raise IncompatibleProfiles(f"two count vectors over the same cells are needed, got {r.shape} and {c.shape}")
    total_r, total_c = r.sum(), c.sum()
    if total_r <= 0 or total_c <= 0:
        raise EmptySample(f"the {'reference' if total_r <= 0 else 'current'} sample has no observations")
    return r / total_r, c / total_c


def _psi_contributions(p: Floats, q: Floats, floor: float) -> Floats:
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    contributions: Floats = (q - p) * np.log(q / p)
    return contributions


def _jensen_shannon(p: Floats, q: Floats) -> JensenShannon:
    middle = (p + q) / 2.0
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2.0
    divergence = min(max(divergence, 0.0), 1.0)
    return JensenShannon(divergence, math.sqrt(divergence))


def _hellinger(p: Floats, q: Floats) -> float:
    difference = np.sqrt(p) - np.sqrt(q)
    return min(1.0, math.sqrt(float(difference @ difference) / 2.0))


def _total_variation(p: Floats, q: Floats) -> float:
    return min(1.0, float(np.abs(q - p).sum()) / 2.0)


def _relative_entropy(p: Floats, middle: Floats) -> float:
    """In bits; a cell that is empty in p adds nothing."""
    ratio = p / middle if p.all() else np.divide(p, middle, out=np.ones(len(p)), where=p > 0.0)
    return float(p @ np.log2(ratio))


def _same_numeric_binning(reference: Profile, current: Profile) -> NumericBinning:
    binning = reference.binning
    if binning.id != current.binning.id:
        raise IncompatibleProfiles(f"the profiles count different cells: {binning.id} and {current.binning.id}")
    if not isinstance(binning, NumericBinning):
        raise IncompatibleProfiles("this score needs a numeric feature; categories have no order")
    return binning


def _ks(binning: NumericBinning, p: Floats, q: Floats, n_reference: int, n_current: int) -> KolmogorovSmirnov:
    difference = np.zeros(len(p) + 1)
    np.cumsum(q, out=difference[1:])
    difference[1:] -= np.cumsum(p)
    difference[-1] = 0.0
    np.abs(difference, out=difference)
    statistic = min(1.0, float(difference.max()))
    hidden = np.where(binning.atomic, 0.0, np.minimum(p, q))
    upper = min(1.0, float((np.maximum(difference[:-1], difference[1:]) + hidden).max()))
    return KolmogorovSmirnov(statistic, max(statistic, upper), ks_p_value(statistic, n_reference, n_current))


def _wasserstein(binning: NumericBinning, p: Floats, q: Floats, reference: Profile, current: Profile) -> float | None:
    if binning.scale == 0.0:
        return None
    difference = np.empty(len(p) + 1)
    difference[0] = 0.0
    np.cumsum(q - p, out=difference[1:])
    difference[0] = current.below / current.n - reference.below / reference.n
    difference[-1] = reference.above / reference.n - current.above / current.n
    left, right = difference[:-1], difference[1:]
    largest = np.maximum(np.abs(left), np.abs(right))
    summed = np.abs(left) + np.abs(right)
    # Where the line between the two ends crosses zero, it encloses two triangles instead of a trapezium.
    crossing = (left < 0.0) != (right < 0.0)
    squares = left * left + right * right
    area = np.where(crossing & (largest > 0.0), squares / np.where(summed > 0.0, summed, 1.0), summed) / 2.0
    return float(area @ _widths(binning))


@lru_cache(maxsize=1_024)
def _widths(binning: NumericBinning) -> Floats:
    """The widths of the cells inside the reference range, in standard deviations of the reference."""
    bounds = np.empty(binning.n_fine + 1)
    bounds[0], bounds[1:-1], bounds[-1] = binning.low, binning.edges, binning.high
    np.clip(bounds, binning.low, binning.high, out=bounds)
    return np.diff(bounds / binning.scale)
