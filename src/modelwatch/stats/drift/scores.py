"""Scores: how large is the difference between a reference and a current sample.

All are computed from counts over the same cells, natural logarithm unless said otherwise, and of many windows at once:
what takes one window is the same with one row. How surely the difference is no chance is the subject of
`modelwatch.stats.drift.evidence`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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


def psi_of_windows(reference: Counts, windows: NDArray[np.int64], *, floor: float = PSI_FLOOR) -> Floats:
    """The population stability index of each window, shape (windows,); NaN, which is above no threshold, of one without
    observations.

    reference: shape (cells,), or (windows, cells) for one of its own for each; none all zero. windows: shape
    (windows, cells).

    >>> psi_of_windows([50, 50], np.array([[40, 60], [50, 50], [0, 0]])).round(4).tolist()
    [0.0405, 0.0, nan]
    """
    return np.asarray(_psi_contributions(*_shares_of_windows(reference, windows), floor).sum(axis=1))


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
    r = np.asarray(reference, dtype=np.int64)[None]
    return float(psi_by_chance_of_windows(r, np.array([n]), np.array([new_share]), floor=floor)[0])


def psi_by_chance_of_windows(
    references: NDArray[np.int64], n: NDArray[np.int64], new_shares: Floats, *, floor: float = PSI_FLOOR
) -> Floats:
    """`psi_by_chance` of windows of n values each, shape (windows,), against a reference of its own for each: shape
    (windows, cells). new_shares: of each; 0 where the last cell is as any other."""
    r = references.astype(np.float64)
    total = r.sum(axis=1)
    p = r / total[:, None]
    truth = p * (1.0 - new_shares)[:, None]
    with_new = new_shares > 0.0
    truth[with_new, -1] = new_shares[with_new]
    expected = truth * n[:, None]
    rare = expected < FEW_EXPECTED
    of_common = (1.0 - truth) / n[:, None] + _psi_contributions(p, truth, floor)
    found = np.where(rare, 0.0, of_common).sum(axis=1) + (np.count_nonzero(r, axis=1) - 1) / total
    rows, cells = np.nonzero(rare)
    if not len(rows):
        return np.asarray(found)
    # Of few expected values the number is Poisson's, and an empty cell counts as the floor.
    few, before = expected[rows, cells][:, None], np.maximum(p[rows, cells], floor)[:, None]
    counts = np.arange(4 * FEW_EXPECTED)
    logs = counts * np.log(np.maximum(few, PSI_FLOOR)) - np.cumsum(np.log(np.maximum(counts, 1)))
    q = np.maximum(counts / n[rows][:, None], floor)
    of_rare = (np.exp(logs - few) * (q - before) * np.log(q / before)).sum(axis=1)
    return np.asarray(found + np.bincount(rows, of_rare, minlength=len(found)))


def psi_by_chance_of_many(cases: Sequence[tuple[Profile, int, float]]) -> list[float]:
    """`psi_by_chance` of the coarse cells of many references, each with the size of a window and the share of new
    names, in their order."""
    found = [0.0] * len(cases)
    for places in _by_cells([reference for reference, _, _ in cases]):
        references = np.array([cases[place][0].coarse for place in places])
        n, new_shares = (np.array([cases[place][of] for place in places]) for of in (1, 2))
        scores = psi_by_chance_of_windows(references, n, new_shares.astype(np.float64))
        for place, score in zip(places, scores.tolist(), strict=True):
            found[place] = score
    return found


def psi_of_many(pairs: Sequence[tuple[Profile, Profile]]) -> list[float]:
    """`psi` of the coarse cells of many references and windows, none without values, in their order."""
    found = [0.0] * len(pairs)
    for places, contributions in _contributions_by_cells(pairs):
        for place, score in zip(places, contributions.sum(axis=1).tolist(), strict=True):
            found[place] = score
    return found


def psi_contributions_of_many(pairs: Sequence[tuple[Profile, Profile]]) -> list[Floats]:
    """`psi_contributions` of the coarse cells of many references and windows, none without values, in their order."""
    found: list[Floats] = [np.empty(0)] * len(pairs)
    for places, contributions in _contributions_by_cells(pairs):
        for place, row in zip(places, contributions, strict=True):
            found[place] = row
    return found


def _contributions_by_cells(pairs: Sequence[tuple[Profile, Profile]]) -> Iterator[tuple[list[int], Floats]]:
    """The places of the pairs with as many coarse cells, and what each cell of these adds: shape (pairs, cells)."""
    for places in _by_cells([reference for reference, _ in pairs]):
        shares = _shares_of_pairs([(pairs[place][0].coarse, pairs[place][1].coarse) for place in places])
        yield places, _psi_contributions(*shares, PSI_FLOOR)


def _by_cells(references: Sequence[Profile]) -> Iterable[list[int]]:
    """The places of references with as many coarse cells."""
    by_cells: dict[int, list[int]] = {}
    for place, reference in enumerate(references):
        by_cells.setdefault(len(reference.coarse), []).append(place)
    return by_cells.values()


def jensen_shannon(reference: Counts, current: Counts) -> JensenShannon:
    """Jensen-Shannon divergence (base 2) and distance of two count vectors over the same cells. Raises as `psi`.

    Source: Lin, Divergence measures based on the Shannon entropy (1991); Endres and Schindelin (2003) for the distance.

    >>> jensen_shannon([10, 0], [0, 10])
    JensenShannon(divergence=1.0, distance=1.0)
    """
    p, q = _shares(reference, current)
    divergence = float(_jensen_shannon(p[None], q[None])[0])
    return JensenShannon(divergence, math.sqrt(divergence))


def jensen_shannon_of_windows(reference: Counts, windows: NDArray[np.int64]) -> Floats:
    """The Jensen-Shannon distance (base 2) of each window, shape (windows,). Shapes and NaN as `psi_of_windows`.

    >>> jensen_shannon_of_windows([10, 0], np.array([[0, 10], [10, 0]])).tolist()
    [1.0, 0.0]
    """
    return np.sqrt(_jensen_shannon(*_shares_of_windows(reference, windows)))


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance of two count vectors over the same cells, in [0, 1]. Raises as `psi`.

    >>> hellinger([10, 0], [0, 10])
    1.0
    """
    p, q = _shares(reference, current)
    return float(_hellinger(p[None], q[None])[0])


def total_variation(reference: Counts, current: Counts) -> float:
    """Half the summed absolute difference of the shares, in [0, 1]. Raises as `psi`.

    >>> round(total_variation([50, 50], [40, 60]), 12)
    0.1
    """
    p, q = _shares(reference, current)
    return float(_total_variation(p[None], q[None])[0])


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
    statistic, upper = _ks(binning.atomic[None], p[None], q[None])
    return _ks_score(float(statistic[0]), float(upper[0]), reference.n, current.n)


def ks_of_windows(reference: Counts, windows: NDArray[np.int64]) -> Floats:
    """The Kolmogorov-Smirnov statistic at the edges of the cells, which are in order, of each window; shape (windows,).
    Shapes and NaN as `psi_of_windows`.

    >>> ks_of_windows([1, 1, 1, 1], np.array([[0, 0, 2, 2], [1, 1, 1, 1]])).tolist()
    [0.5, 0.0]
    """
    return np.asarray(_at_edges(*_shares_of_windows(reference, windows)).max(axis=1))


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
    return None if binning.scale == 0.0 else float(_wasserstein([(reference, current)], p[None], q[None])[0])


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
    return drift_scores_of_many([(reference, current)])[0]


def drift_scores_of_many(pairs: Sequence[tuple[Profile, Profile]]) -> list[DriftScores]:
    """`drift_scores` of many pairs of reference and window, in their order; pairs with as many cells are computed at
    once. Raises IncompatibleProfiles when a pair counts different cells."""
    found = [_NO_SCORES] * len(pairs)
    coarse: dict[int, list[int]] = {}
    fine: dict[int, list[int]] = {}
    for place, (reference, current) in enumerate(pairs):
        binning = reference.binning
        if binning.id != current.binning.id:
            raise IncompatibleProfiles(f"the profiles count different cells: {binning.id} and {current.binning.id}")
        if not reference.n or not current.n:
            reason = f"the {'current' if reference.n else 'reference'} sample has no valid values"
            found[place] = replace(_NO_SCORES, reasons=dict.fromkeys(_SCORES, reason))
            continue
        coarse.setdefault(binning.n_coarse, []).append(place)
        if isinstance(binning, NumericBinning):
            fine.setdefault(binning.n_fine, []).append(place)
    in_order = {place: score for of_one in fine.values() for place, score in _scores_in_order(pairs, of_one)}
    for places in coarse.values():
        p, q = _shares_of_pairs([(pairs[place][0].coarse, pairs[place][1].coarse) for place in places])
        columns = (_psi_contributions(p, q, PSI_FLOOR).sum(axis=1), _jensen_shannon(p, q), _hellinger(p, q))
        rows = zip(places, *(column.tolist() for column in (*columns, _total_variation(p, q))), strict=True)
        for place, psi_score, divergence, hellinger_score, variation in rows:
            ks_score, distance, reasons = in_order.get(place, _WITHOUT_ORDER)
            found[place] = DriftScores(
                psi=psi_score,
                jensen_shannon=JensenShannon(divergence, math.sqrt(divergence)),
                ks=ks_score,
                wasserstein=distance,
                hellinger=hellinger_score,
                total_variation=variation,
                reasons=reasons,
            )
    return found


_InOrder = tuple[KolmogorovSmirnov | None, float | None, Mapping[str, str]]

_SCORES = ("psi", "jensen_shannon", "ks", "wasserstein", "hellinger", "total_variation")
_NO_SCORES = DriftScores(None, None, None, None, None, None)
_CATEGORICAL = "the feature is categorical: its values have no order"
_WITHOUT_ORDER: _InOrder = (None, None, {"ks": _CATEGORICAL, "wasserstein": _CATEGORICAL})
_CONSTANT = {"wasserstein": "the reference is constant: it has no standard deviation to measure in"}


def _scores_in_order(pairs: Sequence[tuple[Profile, Profile]], places: list[int]) -> Iterator[tuple[int, _InOrder]]:
    """The scores of numeric features with as many fine cells, by their place among the pairs."""
    chosen = [pairs[place] for place in places]
    p, q = _shares_of_pairs([(reference.fine, current.fine) for reference, current in chosen])
    atomic = np.stack([each.binning.atomic for each, _ in chosen if isinstance(each.binning, NumericBinning)])
    statistics, uppers = (each.tolist() for each in _ks(atomic, p, q))
    distances = _wasserstein(chosen, p, q).tolist()
    for place, (reference, current), statistic, upper, distance in zip(
        places, chosen, statistics, uppers, distances, strict=True
    ):
        ks_score = _ks_score(statistic, upper, reference.n, current.n)
        constant = isinstance(reference.binning, NumericBinning) and reference.binning.scale == 0.0
        yield place, (ks_score, None, _CONSTANT) if constant else (ks_score, distance, {})


def _shares(reference: Counts, current: Counts) -> tuple[Floats, Floats]:
    r, c = np.asarray(reference), np.asarray(current)
    if r.shape != c.shape or r.ndim != 1:
        raise IncompatibleProfiles(f"two count vectors over the same cells are needed, got {r.shape} and {c.shape}")
    total_r, total_c = r.sum(), c.sum()
    if total_r <= 0 or total_c <= 0:
        raise EmptySample(f"the {'reference' if total_r <= 0 else 'current'} sample has no observations")
    return r / total_r, c / total_c


def _shares_of_windows(reference: Counts, windows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    r = np.atleast_2d(np.asarray(reference))
    with np.errstate(invalid="ignore"):
        return r / r.sum(axis=1, keepdims=True), windows / windows.sum(axis=1, keepdims=True)


def _shares_of_pairs(pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> tuple[Floats, Floats]:
    references, windows = (np.concatenate(each).reshape(len(pairs), -1) for each in zip(*pairs, strict=True))
    return _shares_of_windows(references, windows)


def _psi_contributions(p: Floats, q: Floats, floor: float) -> Floats:
    p, q = np.maximum(p, floor), np.maximum(q, floor)
    contributions: Floats = (q - p) * np.log(q / p)
    return contributions


# What follows takes shares of shape (windows, cells), of one reference those of shape (1, cells), and gives (windows,).


def _jensen_shannon(p: Floats, q: Floats) -> Floats:
    """The divergence."""
    middle = (p + q) / 2.0
    return np.clip((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2.0, 0.0, 1.0)


def _hellinger(p: Floats, q: Floats) -> Floats:
    difference = np.sqrt(p) - np.sqrt(q)
    return np.minimum(1.0, np.sqrt(_products(difference, difference) / 2.0))


def _total_variation(p: Floats, q: Floats) -> Floats:
    return np.asarray(np.minimum(1.0, np.abs(q - p).sum(axis=1) / 2.0))


def _relative_entropy(p: Floats, middle: Floats) -> Floats:
    """In bits; a cell that is empty in p adds nothing."""
    shares = np.broadcast_to(p, middle.shape)
    ratio = np.divide(shares, middle, out=np.ones(middle.shape), where=shares > 0.0)
    return _products(shares, np.log2(ratio))


def _products(a: Floats, b: Floats) -> Floats:
    """The inner product of each row of one with that of the other, as `@` has it of two vectors."""
    return np.asarray(np.matmul(a[:, None, :], b[:, :, None])[:, 0, 0])


def _same_numeric_binning(reference: Profile, current: Profile) -> NumericBinning:
    binning = reference.binning
    if binning.id != current.binning.id:
        raise IncompatibleProfiles(f"the profiles count different cells: {binning.id} and {current.binning.id}")
    if not isinstance(binning, NumericBinning):
        raise IncompatibleProfiles("this score needs a numeric feature; categories have no order")
    return binning


def _at_edges(p: Floats, q: Floats) -> Floats:
    """By how much the distribution functions differ at each edge, from the first to the last; shape (…, cells + 1)."""
    difference = np.zeros((len(q), q.shape[1] + 1))
    difference[:, 1:] = np.cumsum(q, axis=1)
    difference[:, 1:] -= np.cumsum(p, axis=1)
    # Both are 1 behind the last cell; without observations it stays NaN.
    difference[:, -1] *= 0.0
    return np.abs(difference)


def _ks(atomic: NDArray[np.bool_], p: Floats, q: Floats) -> tuple[Floats, Floats]:
    """The statistic and its bound."""
    difference = _at_edges(p, q)
    statistic = np.minimum(1.0, difference.max(axis=1))
    hidden = np.where(atomic, 0.0, np.minimum(p, q))
    upper = np.minimum(1.0, (np.maximum(difference[:, :-1], difference[:, 1:]) + hidden).max(axis=1))
    return statistic, np.maximum(statistic, upper)


def _ks_score(statistic: float, upper: float, n_reference: int, n_current: int) -> KolmogorovSmirnov:
    return KolmogorovSmirnov(statistic, upper, ks_p_value(statistic, n_reference, n_current))


def _wasserstein(pairs: Sequence[tuple[Profile, Profile]], p: Floats, q: Floats) -> Floats:
    """In standard deviations of each reference; of no meaning where that is 0."""
    difference = np.empty((len(q), q.shape[1] + 1))
    np.cumsum(q - p, axis=1, out=difference[:, 1:])
    difference[:, 0] = [current.below / current.n - reference.below / reference.n for reference, current in pairs]
    difference[:, -1] = [reference.above / reference.n - current.above / current.n for reference, current in pairs]
    left, right = difference[:, :-1], difference[:, 1:]
    largest = np.maximum(np.abs(left), np.abs(right))
    summed = np.abs(left) + np.abs(right)
    # Where the line between the two ends crosses zero, it encloses two triangles instead of a trapezium.
    crossing = (left < 0.0) != (right < 0.0)
    squares = left * left + right * right
    area = np.where(crossing & (largest > 0.0), squares / np.where(summed > 0.0, summed, 1.0), summed) / 2.0
    widths = np.stack([_widths(each.binning) for each, _ in pairs if isinstance(each.binning, NumericBinning)])
    return _products(area, widths)


@lru_cache(maxsize=4_096)
def _widths(binning: NumericBinning) -> Floats:
    """The widths of the cells inside the reference range, in standard deviations of the reference; without any, 0."""
    bounds = np.empty(binning.n_fine + 1)
    bounds[0], bounds[1:-1], bounds[-1] = binning.low, binning.edges, binning.high
    np.clip(bounds, binning.low, binning.high, out=bounds)
    return np.diff(bounds / (binning.scale or 1.0))
