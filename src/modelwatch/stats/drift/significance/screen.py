"""Screen of all subjects of a stream in all look-backs at once: what can't be beyond chance needs no test.

It works on sums that windows add up to, so they can be kept, added and subtracted in the place of counts: those of the
tested cells, and of frozen scores of the fine ones. Of what passes the tests decide (combined.py). Nothing that they
find significant is left out: of location and scale by a margin that simulation has shown to be enough, of the others by
bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import CategoricalBinning, NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import ORDERED, weights_of
from modelwatch.stats.drift.significance.names import WEIGHTS, Split, comparison, expected_new
from modelwatch.stats.drift.significance.omnibus import TINY, Groups
from modelwatch.stats.drift.significance.single_cell import SCREEN
from modelwatch.stats.special import special

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Where a directed test finds p < α, the deviation by frozen scores is at least so much of the one that α stands for; of
# references with fewer values, whose scores a large window changes, at least the second part.
MARGIN, SMALL_MARGIN = 0.7, 0.5
SMALL_REFERENCE = 300


class Sums(NamedTuple):
    """What windows add up to. cells: shape (windows, tested cells of all subjects). scores: shape (windows, ordered
    subjects, 3), of the location score, its square, and the square of that. unseen: shape (windows, subjects whose new
    names are tested)."""

    cells: Integers
    scores: Floats
    unseen: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Screen:
    """Screen of some subjects, made once: it depends on their references alone."""

    _size: int
    _cells: _Cells
    _ordered: _Ordered
    _names: _Names

    @classmethod
    def of(cls, subjects: Sequence[tuple[Profile, Split | None]]) -> Screen:
        """The screen of these references, at least one, none without values, and how each was split."""
        sizes = [reference.binning.size for reference, _ in subjects]
        offsets = np.concatenate(([0], np.cumsum(sizes))).tolist()
        return cls(
            offsets[-1], _Cells.of(subjects, offsets), _Ordered.of(subjects, offsets), _Names.of(subjects, offsets)
        )

    def sums(self, counts: Integers) -> Sums:
        """The sums of windows. counts: shape (windows, sizes of the binnings), one subject after the other."""
        return Sums(self._cells.sums(counts), self._ordered.sums(counts), counts[:, self._names.columns])

    def passing(self, sums: Sums, alphas: Floats | float) -> Mask:
        """Mask of what may have p < alpha, shape (windows, subjects). alphas: one, or of each window."""
        levels = np.broadcast_to(np.asarray(alphas, dtype=np.float64), len(sums.cells))
        n = self._cells.values(sums.cells)
        found = self._cells.passing(sums.cells, n, levels)
        found[:, self._ordered.places] |= self._ordered.passing(sums.scores, n[:, self._ordered.places], levels)
        found[:, self._names.places] |= self._names.passing(sums.unseen, n[:, self._names.places], levels)
        return np.asarray(found & (n > 0))


def frozen_scores(reference: Integers) -> Floats:
    """Scores of location by the reference alone: normal quantiles of the mid-ranks of cells in ascending order."""
    cumulated = np.cumsum(reference)
    middle = (cumulated - 0.5 * reference + 0.5) / (cumulated[-1] + 1.0)
    return np.asarray(special().ndtri(middle))


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """All tested cells: both tests of them. order, starts: which columns of counts make up each cell. first: where the
    cells of each subject begin. reference: shape (tested cells,). total: shape (subjects,). weights: shape (subjects,
    2), the shares of the level: of all cells, and at most of single ones."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    first: NDArray[np.intp]
    lengths: NDArray[np.intp]
    reference: Floats
    total: Floats
    weights: Floats
    groups: tuple[Groups, ...]

    @classmethod
    def of(cls, subjects: Sequence[tuple[Profile, Split | None]], offsets: Sequence[int]) -> _Cells:
        orders, starts, done = [], [], 0
        for (reference, _), offset in zip(subjects, offsets, strict=False):
            cell_of = _cell_of(reference)
            order = np.argsort(cell_of, kind="stable")
            starts.append(done + np.flatnonzero(np.diff(cell_of[order], prepend=-1)))
            orders.append(offset + order)
            done += len(order)
        tests = [comparison(reference, split, []) for reference, split in subjects]
        lengths = np.array([len(test.reference) for test in tests], dtype=np.intp)
        weights = [weights_of(*subject) for subject in subjects]
        return cls(
            np.concatenate(orders),
            np.concatenate(starts),
            np.cumsum(lengths) - lengths,
            lengths,
            np.concatenate([test.reference for test in tests]).astype(np.float64),
            np.array([test.reference.sum() for test in tests], dtype=np.float64),
            np.array([[of["all cells"], of["all cells"] + of["single cell"]] for of in weights]),
            tuple(test.groups for test in tests),
        )

    def sums(self, counts: Integers) -> Integers:
        return np.asarray(np.add.reduceat(counts[:, self.order], self.starts, axis=1))

    def values(self, cells: Integers) -> Integers:
        """Valid values of each subject, shape (windows, subjects)."""
        return np.asarray(np.add.reduceat(cells, self.first, axis=1))

    def passing(self, cells: Integers, n: Integers, levels: Floats) -> Mask:
        share = self._each(n / (self.total + n))
        together = cells + self.reference
        expected = np.maximum(together * share, TINY)
        parts = (cells - expected) ** 2 / (expected * (1.0 - share))
        statistic = np.add.reduceat(parts, self.first, axis=1)
        # Merging cells never raises Pearson's statistic, and its tail is the smaller, the fewer groups there are: with
        # one degree of freedom it is that of the square of a normal deviate.
        found = statistic >= special().ndtri(0.5 * levels[:, None] * self.weights[:, 0]) ** 2
        for subject in np.flatnonzero(found.any(axis=0)).tolist():
            rows = np.flatnonzero(found[:, subject])
            found[rows, subject] = self._together(subject, cells[rows], n[rows, subject], levels[rows])
        totals = self.total + n
        unusual = parts >= SCREEN * SCREEN * (1.0 - together / self._each(totals))
        rows, places = np.nonzero(unusual)
        subjects = self.first.searchsorted(places, side="right") - 1
        filled = np.add.reduceat(together[rows] > 0, self.first, axis=1, dtype=np.int64)[np.arange(len(rows)), subjects]
        point = _log_probability(cells[rows, places], n[rows, subjects], together[rows, places], totals[rows, subjects])
        # A tail is at least the probability of what is found.
        beyond = point + np.log(2.0 * filled) < np.log(levels[rows] * self.weights[subjects, 1])
        found[rows[beyond], subjects[beyond]] = True
        return np.asarray(found)

    def _each(self, of_subjects: Floats) -> Floats:
        """A number of each subject for each of its cells, shape (windows, tested cells), or for all cells of one."""
        return of_subjects if len(self.total) == 1 else np.repeat(of_subjects, self.lengths, axis=1)

    def _together(self, subject: int, cells: Integers, n: Integers, levels: Floats) -> Mask:
        """Which windows of a subject may have a p-value of all cells below its share of the level."""
        groups, first = self.groups[subject], self.first[subject]
        stages = groups.stages(np.maximum(n, 1))
        limits, found = levels * self.weights[subject, 0], np.zeros(len(cells), dtype=np.bool_)
        for stage in np.unique(stages).tolist():
            some = np.flatnonzero((stages == stage) & (n > 0))
            if groups.df(stage) and len(some):
                windows = cells[some, first : first + self.lengths[subject]]
                found[some] = groups.test(stage, windows, n[some])[2] < limits[some]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Ordered:
    """Location and scale of ordered subjects. reference: their own sums of scores, shape (subjects, 3)."""

    places: NDArray[np.intp]
    columns: tuple[slice, ...]
    scores: tuple[Floats, ...]
    reference: Floats
    total: Floats

    @classmethod
    def of(cls, subjects: Sequence[tuple[Profile, Split | None]], offsets: Sequence[int]) -> _Ordered:
        places = [at for at, (each, _) in enumerate(subjects) if isinstance(each.binning, NumericBinning)]
        fine = [subjects[at][0].fine for at in places]
        scores = tuple(_powers(frozen_scores(each)) for each in fine)
        return cls(
            np.array(places, dtype=np.intp),
            tuple(slice(offsets[at], offsets[at] + len(each)) for at, each in zip(places, fine, strict=True)),
            scores,
            np.array([each @ of_cells for each, of_cells in zip(fine, scores, strict=True)]).reshape(-1, 3),
            np.array([each.sum() for each in fine], dtype=np.float64),
        )

    def sums(self, counts: Integers) -> Floats:
        found = np.empty((len(counts), len(self.places), 3))
        for place, (columns, scores) in enumerate(zip(self.columns, self.scores, strict=True)):
            found[:, place] = counts[:, columns] @ scores
        return found

    def passing(self, scores: Floats, n: Integers, levels: Floats) -> Mask:
        together = self.total + n
        means = (self.reference + scores) / together[:, :, None]
        spread = n * self.total / np.maximum(together - 1.0, 1.0)
        margin = np.where(self.total < SMALL_REFERENCE, SMALL_MARGIN, MARGIN)
        found = np.zeros(n.shape, dtype=np.bool_)
        for place, weight in enumerate((ORDERED["location"], ORDERED["scale"])):
            variance = np.maximum((means[:, :, place + 1] - means[:, :, place] ** 2) * spread, TINY)
            z = (scores[:, :, place] - n * means[:, :, place]) / np.sqrt(variance)
            if place:
                z = np.where(z < 0.0, _as_normal(z, np.maximum(n, 1) / (1.0 + n / self.total)), z)
            limits = margin * special().ndtri(0.5 * levels[:, None] * weight)
            found |= z * z >= limits * limits
        return found


def _as_normal(z: Floats, n: Floats) -> Floats:
    """The normal deviate with about the lower tail that sums of squares of n values have, for deviations z < 0 in their
    standard deviations. Source: Wilson and Hilferty (1931)."""
    return np.asarray((np.cbrt(1.0 + z * np.sqrt(2.0 / n)) - 1.0 + 2.0 / (9.0 * n)) * np.sqrt(4.5 * n))


@dataclass(frozen=True, slots=True, eq=False)
class _Names:
    """New names of split subjects. columns: of their unseen names in counts. hits, total: what is expected."""

    places: NDArray[np.intp]
    columns: NDArray[np.intp]
    hits: Floats
    total: Floats

    @classmethod
    def of(cls, subjects: Sequence[tuple[Profile, Split | None]], offsets: Sequence[int]) -> _Names:
        found = []
        for place, (reference, split) in enumerate(subjects):
            expected = None if split is None else expected_new(reference, split)
            if expected is not None and expected.n:
                found.append((place, offsets[place] + reference.binning.n_fine - 1, expected.hits, expected.n))
        of_all = np.array(found, dtype=np.int64).reshape(-1, 4)
        return cls(
            of_all[:, 0].astype(np.intp),
            of_all[:, 1].astype(np.intp),
            of_all[:, 2].astype(np.float64),
            of_all[:, 3].astype(np.float64),
        )

    def passing(self, unseen: Integers, n: Integers, levels: Floats) -> Mask:
        point = _log_probability(unseen, n, self.hits + unseen, self.total + n)
        limits = np.log(levels * WEIGHTS["new names"])[:, None]
        return np.asarray((unseen * self.total > self.hits * n) & (point < limits))


def _cell_of(reference: Profile) -> NDArray[np.intp]:
    """The tested cell of each fine cell of a subject; each has one at least."""
    binning = reference.binning
    if isinstance(binning, CategoricalBinning):
        return binning.test_cell_of
    lengths = np.diff(np.append(binning.coarse_starts, binning.n_fine))
    return np.repeat(np.arange(binning.n_coarse), lengths)


def _powers(score: Floats) -> Floats:
    return np.stack([score, score**2, score**4], axis=1)


def _log_probability(hits: Integers, n: Integers, all_hits: Floats, total: Floats) -> Floats:
    """The logarithm of the hypergeometric probability of so many hits in a window of n of `total` values."""
    return _log_choices(all_hits, hits) + _log_choices(total - all_hits, n - hits) - _log_choices(total, n)


def _log_choices(of: Floats, chosen: Integers) -> Floats:
    gammaln = special().gammaln
    return np.asarray(gammaln(of + 1.0) - gammaln(chosen + 1.0) - gammaln(of - chosen + 1.0))
