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
# With so many filled cells any score says the same.
BINARY = 2
# Cells of windows that are computed at once: matrices of so many stay in the processor's cache, and are small enough
# for memory that was used before; larger ones cost more than what is computed.
AT_ONCE = 8_192
# Of those far out, whose number hardly matters to how long it takes: few enough for little memory.
FAR_AT_ONCE = 512


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


def directed_tests(
    reference: Integers,
    windows: Counts,
    *,
    of: NDArray[np.intp] | None = None,
    normal_below: float = NORMAL_BELOW,
) -> DirectedTests:
    """The directed tests of windows against their reference, over cells in ascending order.

    reference: shape (cells,), or (references, cells); none all zero. windows: shape (windows, cells), of counts or
    effective counts. of: of several references the place of each window's, shape (windows,); None where each window
    has one of its own. normal_below: |z| from which the saddle-point is used.
    Raises EmptySample when the reference has no observations, IncompatibleProfiles when the cells differ.
    Sources: van der Waerden (1952) and Klotz (1962) for the scores; Robinson (1982), Saddlepoint approximations for
    permutation tests; Skovgaard (1987), Saddlepoint expansions for conditional distributions.

    >>> found = directed_tests(np.full(5, 10), np.array([[0, 1, 2, 5, 7], [3, 3, 3, 3, 3]]))
    >>> found.location_z.round(4).tolist(), found.location_p_value.round(5).tolist()
    ([2.8328, 0.0], [0.00346, 1.0])
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(windows)
    if c.ndim != 2 or r.shape[-1:] != c.shape[1:] or (of is None and r.shape not in (c.shape, c.shape[1:])):
        raise IncompatibleProfiles(f"windows over the cells of the reference are needed, got {r.shape} and {c.shape}")
    references = r.reshape(-1, r.shape[-1])
    if of is None:
        of = np.arange(len(c)) if r.ndim > 1 else np.zeros(len(c), dtype=np.intp)
    n_reference, n = references.sum(axis=1)[of], c.sum(axis=1)
    if len(c) and n_reference.min() <= 0:
        raise EmptySample("the reference sample has no observations")
    z, p_values = np.zeros((2, len(c))), np.ones((2, len(c)))
    places, rest = np.arange(len(c)), list[tuple[NDArray[Any], ...]]()
    for rows in _batches(n > 0, max(1, AT_ONCE // c.shape[1])):
        z[:, rows], p_values[:, rows], far, beyond = _both(references[of[rows]], c[rows], normal_below)
        if beyond is not None:
            statistics, windows = np.nonzero(far)
            rest.append((statistics, places[rows][windows], *beyond))
            if sum(len(each[0]) for each in rest) >= FAR_AT_ONCE:
                _fill_in(p_values, rest)
    if rest:
        _fill_in(p_values, rest)
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
    filled = together > 0
    share = together.sum(axis=1, keepdims=True) / np.where(filled, together, 1.0)
    location, scale = _score_sums(together)
    return location * share, np.where(filled, 1.0 + scale * share, 0.0)


def _score_sums(together: Counts) -> tuple[Floats, Floats]:
    """The sums of the scores in each cell over the number of all values, less the means: these are 0 and 1, whatever
    the counts, for the sums are what the normal density, and its product with the quantile, fall by over the cell."""
    # Whole numbers add up many times as fast as doubles.
    cumulated = np.cumsum(together, axis=1).astype(np.float64)
    edges = special().ndtri(cumulated[:, :-1] / cumulated[:, -1:])
    density = edges * -0.5
    density *= edges
    np.exp(density, out=density)
    density /= np.sqrt(2.0 * np.pi)
    inner = np.isfinite(edges)
    if not inner.all():
        # At the ends the density is 0, and so is its product with the quantile.
        edges = np.where(inner, edges, 0.0)
    edges *= density
    return _falls(density), _falls(edges)


def _falls(at_edges: Floats) -> Floats:
    """By how much what is known at the edges falls over each cell, shape (windows, cells); beyond the outer cells it
    is 0."""
    found = np.empty((len(at_edges), at_edges.shape[1] + 1))
    found[:, -1] = 0.0
    np.negative(at_edges, out=found[:, :-1])
    found[:, 1:] += at_edges
    return found


def _batches(filled: NDArray[np.bool_], size: int) -> Iterator[NDArray[np.intp] | slice]:
    """The places of windows with values, so many at a time."""
    if filled.all():
        yield from (slice(start, start + size) for start in range(0, len(filled), size))
        return
    rows = np.flatnonzero(filled)
    yield from (rows[start : start + size] for start in range(0, len(rows), size))


def _both(
    reference: Integers, windows: Counts, normal_below: float
) -> tuple[Floats, Floats, NDArray[np.bool_], tuple[Floats, Counts, Counts] | None]:
    """The statistics of location and of scale in standard deviations of their permutation distribution, two-sided
    p-values, and which are too far out for the normal law; each of shape (2, windows). Of these, one after the other,
    what `_far_tails` takes; None where there are none."""
    together = reference + windows
    sums = _score_sums(together)
    # In doubles: products of large counts leave the integers. Empty cells have no score.
    of_all = together.astype(np.float64)
    filled = of_all > 0.0
    total, n = of_all.sum(axis=1), windows.sum(axis=1).astype(np.float64)
    each = 1.0 / (of_all if filled.all() else np.where(filled, of_all, 1.0))
    spread = np.sqrt(n * (total - n) / np.maximum(total - 1.0, 1.0))
    deviations = np.sqrt([total * np.einsum("ij,ij,ij->i", of_one, of_one, each) for of_one in sums])
    # All values have the same score.
    constant = deviations <= EQUAL
    deviations[constant] = 1.0
    # Of both samples together the scores add up to 0: so those of the smaller one tell, and fewer digits are lost.
    shares = np.where((2.0 * n > total)[:, None], -reference, windows) * each
    z = total * np.stack([np.einsum("ij,ij->i", shares, of_one) for of_one in sums]) / (deviations * spread)
    z[constant] = 0.0
    p_values = np.asarray(2.0 * special().ndtr(-np.abs(z)))
    p_values[constant] = 1.0
    far = (np.abs(z) >= normal_below) & ~constant
    if together.shape[1] == BINARY or not filled.all():
        for row in np.flatnonzero(filled.sum(axis=1) == BINARY).tolist():
            p_values[~constant[:, row], row] = _of_two_cells(together[row], windows[row])
            far[:, row] = False
    rows = np.nonzero(far)[1]
    if not len(rows):
        return z, p_values, far, None
    # By the sign of the statistic, its tail is an upper one.
    signed = np.where(z[far] < 0.0, -1.0, 1.0) * total[rows] / deviations[far]
    upward = np.concatenate([of_one[some] for of_one, some in zip(sums, far, strict=True)]) * each[rows]
    upward *= signed[:, None]
    return z, p_values, far, (upward, together[rows], windows[rows])


def _fill_in(p_values: Floats, rest: list[tuple[NDArray[Any], ...]]) -> None:
    """Computes those far out, and takes them off the list: of each the places of statistics and windows, and what
    `_far_tails` takes."""
    statistics, windows, *tables = map(np.concatenate, zip(*rest, strict=True))
    p_values[statistics, windows] = np.minimum(1.0, 2.0 * _far_tails(*tables))
    rest.clear()


def _far_tails(scores: Floats, together: Counts, windows: Counts) -> Floats:
    """One-sided p-values far out, shape (windows,); scores: standardised, the statistic positive."""
    tails, is_most = _most_extreme(scores, together, windows)
    rest = np.flatnonzero(~is_most)
    if len(rest):
        tails[rest] = np.maximum(tails[rest], _tails(scores[rest], together[rest], windows[rest]))
    return tails


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

    Far out, where nearly all values are one and the same, it may be much larger than the exact tail.

    scores: standardised, and such that the statistic is positive. Each value is in the window with the same chance,
    independently of the others: the tail of the sum of scores, given how many are.
    """
    of_all = together.astype(np.float64)
    total, n = of_all.sum(axis=1), windows.sum(axis=1).astype(np.float64)
    wanted = (windows * scores).sum(axis=1)
    share = n / total
    u, exponent, chance = _solved(scores, of_all, wanted, n, share)
    a, b, c = _moments(of_all * chance * (1.0 - chance), scores, 3)
    w = np.sqrt(np.maximum(-2.0 * exponent, 0.0))
    y = u * np.sqrt(np.maximum(c * a - b * b, 0.0) / (total * share * (1.0 - share)))
    ndtr = special().ndtr
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        density = np.exp(-0.5 * w * w) / np.sqrt(2.0 * np.pi)
        tails = ndtr(-w) + density * (1.0 / y - 1.0 / w)
        correction = np.log(y / w) / w
    tails = np.where((tails > 0.0) & (tails < 1.0), tails, ndtr(-(w + correction)))
    # Where nearly all chances are 0 or 1, next to no variance is left: y is nearly 0, and corrects nothing.
    sound = np.isfinite(tails) & ((w < 1.0) | (correction > -0.5 * w))
    return np.asarray(np.where(sound, tails, ndtr(-w)))


def _solved(
    scores: Floats, together: Floats, wanted: Floats, n: Floats, share: Floats
) -> tuple[Floats, Floats, Floats]:
    """The tilt u under which, with a shift v, a window has on average the statistic and the size that it has, by
    Newton's method; what it lowers, the cumulant function less u·statistic and v·size; and the chance of each cell's
    values to be in the window. Shapes (windows,), and that of scores."""
    u, v = wanted / (n * (1.0 - share)), np.zeros_like(wanted)
    value, chance = _cumulant(scores, together, u, v, share)
    value = value - u * wanted - v * n
    # Far statistics: a start that lowers nothing is beyond what is looked for, where all chances are 0 or 1.
    beyond = ~(value < 0.0)
    u[beyond], value[beyond], chance[beyond] = 0.0, 0.0, share[beyond, None]
    active = np.arange(len(u))
    for _ in range(STEPS):
        x, t, p = scores[active], together[active], chance[active]
        tilted = t * p
        of_size, of_sum = _moments(tilted, x, 2)
        of_size, of_sum = of_size - n[active], of_sum - wanted[active]
        c, b, a = _moments(tilted * (1.0 - p), x, 3)
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
    return u, value, chance


def _moments(weights: Floats, scores: Floats, number: int) -> list[Floats]:
    """The sums of the weights, of the weighted scores, and so on; so many, each of shape (windows,)."""
    found = []
    for _ in range(number):
        found.append(weights.sum(axis=1))
        weights = weights * scores
    return found


def _cumulant(
    scores: Floats, together: NDArray[np.int64] | Floats, u: Floats, v: Floats, share: Floats
) -> tuple[Floats, Floats]:
    """The cumulant function of the statistic and the size of a window, and the tilted chance of each cell's values."""
    logit = np.log(share / (1.0 - share))
    exponent = u[:, None] * scores + (v + logit)[:, None]
    small = np.exp(-np.abs(exponent))
    softplus = np.maximum(exponent, 0.0) + np.log1p(small)
    value = (together * (softplus + np.log1p(-share)[:, None])).sum(axis=1)
    return value, np.where(exponent >= 0.0, 1.0, small) / (1.0 + small)
