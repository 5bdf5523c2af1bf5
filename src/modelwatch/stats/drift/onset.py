"""Onset of a shift: the window from which on the counts come from another distribution than before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.directed import directed_tests
from modelwatch.stats.errors import IncompatibleProfiles
from modelwatch.stats.special import special

# The chance, over all windows that are tried, of naming one where nothing has changed.
CHANCE = 1e-3
# A shift is looked for in so many values at least, one of the scale in more.
LEAST, LEAST_SCALE = 5, 60
# A start whose statistic is so near to the largest may be the onset, too: as the logarithm of a likelihood ratio.
AS_LIKELY = 2.0


@dataclass(frozen=True, slots=True)
class Onset:
    """The place of the window with which a shift began, and the places between which it did: the first and the last
    whose statistic is nearly as large. The interval is approximate."""

    place: int
    earliest: int
    latest: int


def shift_onset(reference: Profile, windows: NDArray[np.int64]) -> Onset | None:
    """The onset of a shift that was detected; None where no stretch holds enough values.

    windows: counts of fine cells, oldest first, shape (windows, fine cells). Each window that has data may be the first
    of the shift. The statistic of a start is the largest of those of location and scale (half of the square of the
    deviation), of all cells together (the logarithm of the p-value of the likelihood ratio) and of a single cell (half
    of its likelihood ratio, less the logarithm of the number of cells), each of the windows from it on. Raises
    IncompatibleProfiles when the windows have other cells than the reference.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> sample = np.arange(1_000.0)
    >>> binning = numeric_binning(sample)
    >>> hours = [sample[::50]] * 6 + [sample[::50] + 400.0] * 4
    >>> shift_onset(Profile.of(binning, sample), np.array([Profile.of(binning, hour).fine for hour in hours]))
    Onset(place=6, earliest=6, latest=6)
    """
    binning = reference.binning
    if windows.ndim != 2 or windows.shape[1:] != (binning.n_fine,):
        raise IncompatibleProfiles(f"windows of {binning.n_fine} fine cells are needed, got {windows.shape}")
    if not reference.n or not len(windows):
        return None
    since = np.cumsum(windows[::-1], axis=0)[::-1]
    n = since.sum(axis=1)
    possible = np.flatnonzero((windows.sum(axis=1) > 0) & (n >= LEAST))
    if not len(possible):
        return None
    after, sizes = since[possible], n[possible]
    coarse = np.add.reduceat(after, binning.coarse_starts, axis=1)
    statistics = np.maximum(*_of_cells(reference.coarse, coarse))
    if isinstance(binning, NumericBinning):
        found = directed_tests(reference.fine, after, normal_below=np.inf)
        scale = np.where(sizes > LEAST_SCALE, found.scale_z, 0.0)
        statistics = np.maximum(statistics, 0.5 * np.maximum(found.location_z**2, scale**2))
    # Of equal starts the last is the one that the shift needs.
    best = len(statistics) - 1 - int(np.argmax(statistics[::-1]))
    likely = np.flatnonzero(statistics >= statistics[best] - AS_LIKELY)
    return Onset(int(possible[best]), int(possible[likely[0]]), int(possible[likely[-1]]))


def _of_cells(reference: NDArray[np.int64], windows: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """The statistics of all cells together, and of the most unusual one; each of shape (windows,)."""
    before, now = reference.sum(), windows.sum(axis=1, keepdims=True)
    share = now / (before + now)
    together = reference + windows
    parts = _terms(windows, together * share) + _terms(
        np.broadcast_to(reference, windows.shape), together * (1 - share)
    )
    rest = _terms(now - windows, (before + now - together) * share)
    rest += _terms(before - reference, (before + now - together) * (1 - share))
    cells = np.count_nonzero(together, axis=1)
    single = (parts + rest).max(axis=1) - np.log(2.0 * cells)
    return _minus_log_tail(2.0 * parts.sum(axis=1), cells - 1.0), single


def _terms(counts: NDArray[np.int64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts * np.log(np.where(counts > 0, counts, 1.0) / np.where(counts > 0, expected, 1.0)))


def _minus_log_tail(statistic: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the logarithm of the tail of the chi-square distribution, also where the tail is no number any more."""
    functions = special()
    half, shape = np.maximum(0.5 * statistic, 1e-300), np.maximum(0.5 * df, 0.5)
    tail = functions.gammaincc(shape, half)
    # The first term of its expansion for large statistics.
    far = half - (shape - 1.0) * np.log(half) + functions.gammaln(shape)
    found = np.where(tail > 1e-280, -np.log(np.maximum(tail, 1e-300)), far)
    return np.where(df > 0, found, 0.0)


def onset(reference: ArrayLike, windows: ArrayLike) -> int | None:
    """The place of the window with which a shift began; None when nothing stands out beyond chance.

    reference: counts of what was before, shape (cells,). windows: counts of the windows in question over the same
    cells, oldest first, shape (windows, cells). The estimate is the place that maximises the likelihood ratio of two
    distributions, one of the reference with the windows before it and one of the windows from it on, against a single
    one. Raises IncompatibleProfiles when the cells differ.
    Source: Hinkley (1970), Inference about the change-point in a sequence of random variables.

    >>> onset([500, 500], [[10, 10], [11, 9], [9, 11], [2, 18], [0, 0], [1, 19]])
    3
    >>> onset([500, 500], [[10, 10], [11, 9], [9, 11]]) is None
    True
    """
    before, counts = np.asarray(reference, dtype=np.int64), np.asarray(windows, dtype=np.int64)
    if before.ndim != 1 or counts.ndim != 2 or counts.shape[1:] != before.shape:
        raise IncompatibleProfiles(
            f"counts of windows over the cells of the reference are needed, got {before.shape} and {counts.shape}"
        )
    if not counts.any():
        return None
    after = np.cumsum(counts[::-1], axis=0)[::-1]
    everything = before + after[0]
    ratios = _likelihood(everything - after) + _likelihood(after) - _likelihood(everything[None])
    # Of windows without data the shift did not begin in any: the last of equal places is the one that has some.
    place = len(ratios) - 1 - int(np.argmax(ratios[::-1]))
    freedom = int(np.count_nonzero(everything)) - 1
    if freedom < 1:
        return None
    return place if float(special().chdtrc(freedom, 2.0 * ratios[place])) * len(ratios) < CHANCE else None


def _likelihood(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log-likelihood of each row under its own shares, shape (rows,); 0 of a row without counts."""
    total = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    found: NDArray[np.float64] = (counts * np.log(np.where(counts > 0, shares, 1.0))).sum(axis=1)
    return found
