"""Directed tests: has an ordered feature moved up or down (location), or does it vary more or less (scale)?

Both are linear rank tests of the fine cells: they look in one direction each, and see a shift in it with half of the
data that a test in all directions needs. Far out in the tail the normal law of such statistics is wrong, by a factor of
100 for few values or many ties; there a saddle-point approximation takes its place. docs/statistics.md has the levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import effective_rate_increase_p_value, rate_increase_p_value
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles
from modelwatch.stats.special import special

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
# Whole numbers, or effective counts.
Counts = NDArray[Any]

# Nearer to 0 than so many standard deviations the normal law is near enough.
NORMAL_BELOW = 2.5
# What small references add to the tail of the scale statistic: 1 + SMALL_SCALE / N.
SMALL_SCALE = 60.0
# Scores that differ by less, in standard deviations of the scores, are equal: they are made of differences.
EQUAL = 1e-9
# So many steps solve the equations of any table; one that is solved to such a part of its statistic is done.
STEPS, HALVINGS, SOLVED = 60, 30, 1e-11
# Windows that are computed at once: their matrices stay in the processor's cache.
BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class DirectedTests:
    """Both directed tests of some windows; each of shape (windows,).

    z: the statistic in standard deviations; above 0, the window has larger values than the reference (location), or
    values further out (scale). p_value: two-sided. A window without values has z = 0 and p = 1.
    """

    location_z: Floats
    location_p_value: Floats
    scale_z: Floats
    scale_p_value: Floats


def directed_tests(reference: Integers, windows: Counts, *, normal_below: float = NORMAL_BELOW) -> DirectedTests:
    """The directed tests of windows against their reference, over cells in ascending order.

    reference: shape (cells,), or (windows, cells) for one of its own for each; none all zero. windows: shape
    (windows, cells), of counts or effective counts. normal_below: |z| from which the saddle-point is used.
    Raises EmptySample when the reference has no observations, IncompatibleProfiles when the cells differ.
    Sources: van der Waerden (1952) and Klotz (1962) for the scores; Robinson (1982), Saddlepoint approximations for
    permutation tests; Skovgaard (1987), Saddlepoint expansions for conditional distributions.

    >>> found = directed_tests(np.full(5, 10), np.array([[0, 1, 2, 5, 7], [3, 3, 3, 3, 3]]))
    >>> found.location_z.round(4).tolist(), found.location_p_value.round(5).tolist()
    ([2.8328, 0.0], [0.00346, 1.0])
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(windows)
    if c.ndim != 2 or r.shape not in (c.shape, c.shape[1:]):
        raise IncompatibleProfiles(f"windows over the cells of the reference are needed, got {r.shape} and {c.shape}")
    of_each = np.broadcast_to(r, c.shape)
    n_reference, n = of_each.sum(axis=1), c.sum(axis=1)
    if len(c) and n_reference.min() <= 0:
        raise EmptySample("the reference sample has no observations")
    z, p_values = np.zeros((2, len(c))), np.ones((2, len(c)))
    for rows in _batches(np.flatnonzero(n > 0)):
        some, together = c[rows], of_each[rows] + c[rows]
        for place, scores in enumerate(pooled_scores(together)):
            statistic, standard = _standardised(scores, together, some)
            z[place, rows] = statistic
            p_values[place, rows] = _p_values(statistic, standard, together, some, normal_below)
    small = 1.0 + SMALL_SCALE / n_reference
    return DirectedTests(z[0], p_values[0], z[1], np.minimum(1.0, p_values[1] * small))


def pooled_scores(together: Counts) -> tuple[Floats, Floats]:
    """Scores of location and of scale of each cell, averaged over the ranks in it; shape (windows, cells) as together.

    together: counts of the reference and the window, no row all zero. The score of a rank is its normal quantile, or
    the square of it; empty cells have 0.

    >>> location, scale = pooled_scores(np.array([[10, 11, 12, 15, 17]]))
    >>> location.round(6).tolist()
    [[-1.541238, -0.720456, -0.215753, 0.318573, 1.24399]]
    """
    cumulated = np.cumsum(together, axis=1)
    total = cumulated[:, -1:].astype(np.float64)
    edges = special().ndtri(cumulated[:, :-1] / total)
    inner = np.isfinite(edges)
    # At the ends the density is 0, and so is its product with the quantile.
    edges = np.where(inner, edges, 0.0)
    density = np.where(inner, np.exp(-0.5 * edges * edges), 0.0) / np.sqrt(2.0 * np.pi)
    filled = together > 0
    share = total / np.where(filled, together, 1.0)
    location = -np.diff(density, axis=1, prepend=0.0, append=0.0) * share
    scale = 1.0 - np.diff(edges * density, axis=1, prepend=0.0, append=0.0) * share
    return np.where(filled, location, 0.0), np.where(filled, scale, 0.0)


def _batches(rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _standardised(scores: Floats, together: Counts, windows: Counts) -> tuple[Floats, Floats]:
    """The statistic in standard deviations of its permutation distribution, and the scores in theirs; 0 where all
    values have the same score."""
    total = together.sum(axis=1)
    mean = (together * scores).sum(axis=1) / total
    centred = scores - mean[:, None]
    variance = (together * centred * centred).sum(axis=1) / total
    constant = variance <= EQUAL * EQUAL
    standard = np.where(constant[:, None], 0.0, centred / np.sqrt(np.where(constant, 1.0, variance))[:, None])
    n = windows.sum(axis=1)
    spread = np.sqrt(n * (total - n) / np.maximum(total - 1.0, 1.0))
    return (windows * standard).sum(axis=1) / spread, standard


def _p_values(z: Floats, standard: Floats, together: Counts, windows: Counts, normal_below: float) -> Floats:
    p_values = np.asarray(2.0 * special().ndtr(-np.abs(z)))
    constant = ~standard.any(axis=1)
    p_values[constant] = 1.0
    binary = (np.count_nonzero(together, axis=1) == 2) & ~constant
    for row in np.flatnonzero(binary).tolist():
        p_values[row] = _of_two_cells(together[row], windows[row])
    far = np.flatnonzero((np.abs(z) >= normal_below) & ~constant & ~binary)
    if len(far):
        # By the sign of the statistic, its tail is an upper one.
        upward = standard[far] * np.where(z[far] < 0.0, -1.0, 1.0)[:, None]
        most, is_most = _most_extreme(upward, together[far], windows[far])
        rest = np.flatnonzero(~is_most)
        tails = most
        tails[rest] = np.maximum(most[rest], _tails(upward[rest], together[far[rest]], windows[far[rest]]))
        p_values[far] = np.minimum(1.0, 2.0 * tails)
    return p_values


def _of_two_cells(together: Counts, windows: Counts) -> float:
    """Twice the smaller of Fisher's exact tails: with two values any score says the same."""
    [first, second] = np.flatnonzero(together).tolist()
    held, before = windows.tolist(), (together - windows).tolist()
    tail = effective_rate_increase_p_value if windows.dtype.kind == "f" else rate_increase_p_value
    tails = (tail(before[cell], sum(before), held[cell], sum(held)) for cell in (first, second))
    return min(1.0, 2.0 * min(tails))


def _most_extreme(scores: Floats, together: Counts, windows: Counts) -> tuple[Floats, NDArray[np.bool_]]:
    """Probability of the table in which the window has the largest scores, and whether it is this table."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    counts, held = (np.take_along_axis(each, order, axis=1) for each in (together, windows))
    cumulated = np.cumsum(counts, axis=1)
    n = held.sum(axis=1)
    # Sums of effective counts are rounded.
    border = (cumulated >= n[:, None] * (1.0 - EQUAL)).argmax(axis=1)
    of_border = np.take_along_axis(ranked, border[:, None], axis=1)
    equal = np.abs(ranked - of_border) <= EQUAL
    above = ranked > of_border + EQUAL
    before, tied = (counts * above).sum(axis=1), (counts * equal).sum(axis=1)
    probability = np.exp(_log_choices(tied, n - before) - _log_choices(cumulated[:, -1], n))
    return probability, ((held == counts) | ~above).all(axis=1) & ((held * (above | equal)).sum(axis=1) == n)


def _log_choices(of: Counts, chosen: Counts) -> Floats:
    gammaln = special().gammaln
    return np.asarray(gammaln(of + 1.0) - gammaln(chosen + 1.0) - gammaln(of - chosen + 1.0))


def _tails(scores: Floats, together: Counts, windows: Counts) -> Floats:
    """One-sided p-values by the double saddle-point approximation, shape (windows,).

    scores: standardised, and such that the statistic is positive. Each value is in the window with the same chance,
    independently of the others: the tail of the sum of scores, given how many are.
    """
    total, n = together.sum(axis=1).astype(np.float64), windows.sum(axis=1).astype(np.float64)
    wanted = (windows * scores).sum(axis=1)
    share = n / total
    u, v, of_cells = _solved(scores, together.astype(np.float64), wanted, n, share)
    spread = together * of_cells * (1.0 - of_cells)
    first = (spread * scores).sum(axis=1)
    determinant = (spread * scores * scores).sum(axis=1) * spread.sum(axis=1) - first * first
    exponent = u * wanted + v * n - _cumulant(scores, together, u, v, share)[0]
    w = np.sqrt(np.maximum(2.0 * exponent, 0.0))
    y = u * np.sqrt(np.maximum(determinant, 0.0) / (total * share * (1.0 - share)))
    ndtr = special().ndtr
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        density = np.exp(-0.5 * w * w) / np.sqrt(2.0 * np.pi)
        tails = ndtr(-w) + density * (1.0 / y - 1.0 / w)
        other = ndtr(-(w + np.log(y / w) / w))
    tails = np.where((tails > 0.0) & (tails < 1.0), tails, other)
    return np.asarray(np.where(np.isfinite(tails), tails, ndtr(-w)))


def _solved(
    scores: Floats, together: Floats, wanted: Floats, n: Floats, share: Floats
) -> tuple[Floats, Floats, Floats]:
    """The tilt u and the shift v under which a window has on average the statistic and the size that it has, by
    Newton's method, and the chance of each cell's values to be in it; shapes (windows,), and that of scores."""
    u, v = wanted / (n * (1.0 - share)), np.zeros_like(wanted)
    value, chance = _cumulant(scores, together, u, v, share)
    value = value - u * wanted - v * n
    active = np.arange(len(u))
    for _ in range(STEPS):
        x, t, p = scores[active], together[active], chance[active]
        spread = t * p * (1.0 - p)
        of_sum = (t * p * x).sum(axis=1) - wanted[active]
        of_size = (t * p).sum(axis=1) - n[active]
        a, b, c = (spread * x * x).sum(axis=1), (spread * x).sum(axis=1), spread.sum(axis=1)
        # Where all chances are nearly 0 or 1 nothing is left to solve: the steps are no numbers.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            determinant = a * c - b * b
            step_u = -(c * of_sum - b * of_size) / determinant
            step_v = -(a * of_size - b * of_sum) / determinant
            decrement = -(step_u * of_sum + step_v * of_size)
        going = (decrement > SOLVED * np.maximum(1.0, wanted[active])) & np.isfinite(decrement)
        active, step_u, step_v = active[going], step_u[going], step_v[going]
        if not len(active):
            break
        length, left = np.ones(len(active)), np.arange(len(active))
        for _ in range(HALVINGS):
            rows = active[left]
            new_u, new_v = u[rows] + length[left] * step_u[left], v[rows] + length[left] * step_v[left]
            new, new_chance = _cumulant(scores[rows], together[rows], new_u, new_v, share[rows])
            new = new - new_u * wanted[rows] - new_v * n[rows]
            lower = new <= value[rows]
            done = rows[lower]
            u[done], v[done], value[done], chance[done] = new_u[lower], new_v[lower], new[lower], new_chance[lower]
            left = left[~lower]
            if not len(left):
                break
            length[left] *= 0.5
        # What can't be lowered any more is as near as doubles come.
        active = np.delete(active, left)
    return u, v, chance


def _cumulant(scores: Floats, together: Counts, u: Floats, v: Floats, share: Floats) -> tuple[Floats, Floats]:
    """The cumulant function of the statistic and the size of a window, and the tilted chance of each cell's values."""
    logit = np.log(share / (1.0 - share))
    exponent = u[:, None] * scores + (v + logit)[:, None]
    small = np.exp(-np.abs(exponent))
    softplus = np.maximum(exponent, 0.0) + np.log1p(small)
    value = (together * (softplus + np.log1p(-share)[:, None])).sum(axis=1)
    return value, np.where(exponent >= 0.0, 1.0, small) / (1.0 + small)
