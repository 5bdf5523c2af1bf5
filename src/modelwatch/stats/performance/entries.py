"""What each row adds to a count vector: few places, so that many rows can be added to many vectors at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.performance.mergeable import Integers

Places = NDArray[np.intp]

CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Amounts that rows add to places of a vector; a row may add to several places, and more than once to one.

    rows, places, amounts: shape (entries,). Amounts are at most 2^22, so that sums over 2^31 rows are exact.
    """

    rows: Places
    places: Places
    amounts: Integers

    @classmethod
    def ones(cls, rows: Places, places: Places) -> Entries:
        """One for each place."""
        return cls(rows, places, np.ones(len(rows), dtype=np.int64))

    @classmethod
    def limbs(cls, rows: Places, start: int, limbs: Integers) -> Entries:
        """limbs: shape (rows, places), from place `start` on. Zeros are left out."""
        row, limb = np.nonzero(limbs)
        return cls(rows[row], limb + start, limbs[row, limb])

    @classmethod
    def joined(cls, parts: Iterable[Entries]) -> Entries:
        """All of them."""
        kept = list(parts)
        if not kept:
            nothing = np.zeros(0, dtype=np.intp)
            return cls(nothing, nothing, np.zeros(0, dtype=np.int64))
        return cls(
            np.concatenate([part.rows for part in kept]),
            np.concatenate([part.places for part in kept]),
            np.concatenate([part.amounts for part in kept]),
        )

    def times(self, factors: Integers) -> Entries:
        """The same, the amounts of row i times factors[i]."""
        return Entries(self.rows, self.places, self.amounts * factors[self.rows])

    def moved(self, by: int) -> Entries:
        """The same, `by` places further on."""
        return Entries(self.rows, self.places + by, self.amounts)

    def total(self, size: int) -> Integers:
        """The sum over all rows, shape (size,).

        >>> rows = np.array([0, 1])
        >>> Entries.ones(rows, np.array([2, 2])).total(3).tolist()
        [0, 0, 2]
        """
        return np.bincount(self.places, weights=self.amounts, minlength=size).astype(np.int64)

    def sums(self, groups: Places, number: int, size: int) -> Iterator[Integers]:
        """The sum over the rows of each group in turn, shape (size,). groups: the group of each row, below `number`.

        >>> rows = np.array([0, 1, 2])
        >>> entries = Entries.ones(rows, np.array([0, 1, 1]))
        >>> [counts.tolist() for counts in entries.sums(np.array([0, 1, 1]), 2, 2)]
        [[1, 0], [0, 2]]
        """
        group = groups[self.rows]
        at_once = max(1, CELLS_AT_ONCE // size)
        for start in range(0, number, at_once):
            count = min(at_once, number - start)
            chosen = (group >= start) & (group < start + count) if count < number else slice(None)
            flat = (group[chosen] - start) * size + self.places[chosen]
            sums = np.bincount(flat, weights=self.amounts[chosen], minlength=count * size)
            yield from sums.astype(np.int64).reshape(count, size)
