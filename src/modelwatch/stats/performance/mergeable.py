"""Counts that merge: vectors of non-negative integers, and exact sums of real terms inside them.

A real term is rounded once, to a whole number of small units, and cut into limbs of 22 bits. The limbs are summed each
for itself and never carry, so vectors add and subtract entry by entry, in any order, exactly, for up to 2^40 rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from modelwatch.stats.errors import IncompatibleProfiles, MalformedProfile, StatsError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

LIMB_BITS = 22


class Layout(Protocol):
    """The meaning of a count vector; equal layouts give vectors that add."""

    @property
    def size(self) -> int: ...


L = TypeVar("L", bound=Layout)


@dataclass(frozen=True, eq=False)
class MergeableCounts(Generic[L]):
    """A vector of counts and its layout; `+` merges two samples, `-` takes one out again, both exactly.

    vector: shape (layout.size,), non-negative 64-bit integers, read only.
    Raises IncompatibleProfiles for a vector of another shape, or negative counts.
    """

    layout: L
    vector: Integers
    what: ClassVar[str] = "counts"

    def __post_init__(self) -> None:
        vector = np.asarray(self.vector)
        if vector.shape != (self.layout.size,) or vector.dtype.kind not in "iu":
            raise IncompatibleProfiles(
                f"{self.what} of this layout are {self.layout.size} integers, "
                f"got shape {vector.shape} of {vector.dtype}"
            )
        view = vector.astype(np.int64, copy=True)
        if len(view) and view.min() < 0:
            raise IncompatibleProfiles(f"{self.what} are never negative, nor larger than a signed 64-bit integer")
        view.flags.writeable = False
        object.__setattr__(self, "vector", view)

    @classmethod
    def empty(cls, layout: L) -> Self:
        """The counts of no rows."""
        return cls(layout, np.zeros(layout.size, dtype=np.int64))

    @classmethod
    def decode(cls, layout: L, raw: bytes) -> Self:
        """The counts of `encode`. Raises MalformedProfile for anything else."""
        vector = decode_counts(raw)
        if len(vector) != layout.size:
            raise MalformedProfile(
                f"{cls.what} of this layout are {layout.size} integers, the bytes hold {len(vector)}"
            )
        return cls(layout, vector)

    def encode(self) -> bytes:
        """Compact bytes of the vector; the layout is kept elsewhere."""
        return encode_counts(self.vector)

    def __add__(self, other: Self) -> Self:
        """The counts of both samples together.

        Raises IncompatibleProfiles when the layouts differ, StatsError when a sum no longer fits 64 bits.
        """
        self._check_same_layout(other)
        together = self.vector + other.vector
        if together.min() < 0:
            raise StatsError(f"the sum of these {self.what} does not fit 64 bits; merge at most 2^40 rows")
        return type(self)(self.layout, together)

    def __sub__(self, other: Self) -> Self:
        """The counts without the rows of `other`.

        Raises IncompatibleProfiles when the layouts differ or when `other` is not contained in these counts.
        """
        self._check_same_layout(other)
        left = self.vector - other.vector
        if left.min() < 0:
            raise IncompatibleProfiles(f"{self.what} can only be subtracted from counts that contain them")
        return type(self)(self.layout, left)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MergeableCounts)
            and type(self) is type(other)
            and bool(self.layout == other.layout)
            and bool(np.array_equal(self.vector, other.vector))
        )

    def __hash__(self) -> int:
        return hash((type(self), self.layout, self.vector.tobytes()))

    def _check_same_layout(self, other: object) -> None:
        if not isinstance(other, type(self)) or self.layout != other.layout:
            raise IncompatibleProfiles(f"{self.what} merge only with counts of the same layout")


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Exact sums of non-negative terms in units of 2^-unit, as `limbs` entries of a count vector.

    A term is at most 2^(22·limbs - unit).

    >>> sums = FixedPoint(unit=38, limbs=2)
    >>> parts = sums.split(np.array([0.5, 0.25]))
    >>> parts.tolist(), sums.total(parts)
    ([0, 49152], Fraction(3, 4))
    """

    unit: int
    limbs: int

    def split(self, terms: Floats) -> Integers:
        """The limb sums of the terms, shape (limbs,), lowest first. Each term is rounded to the nearest unit."""
        sums: Integers = self.limbs_of(terms).sum(axis=0)
        return sums

    def limbs_of(self, terms: Floats) -> Integers:
        """The limbs of each term, shape (terms, limbs), lowest first. Each term is rounded to the nearest unit."""
        rest = np.rint(np.ldexp(terms, self.unit))
        limbs = np.zeros((len(rest), self.limbs), dtype=np.int64)
        for limb in range(self.limbs - 1, 0, -1):
            # Division by a power of two, floor and the subtraction are exact in binary floating point.
            high = np.floor(np.ldexp(rest, -LIMB_BITS * limb))
            rest = rest - np.ldexp(high, LIMB_BITS * limb)
            limbs[:, limb] = high
        limbs[:, 0] = rest
        return limbs

    def total(self, limbs: Integers) -> Fraction:
        """The exact sum of the rounded terms."""
        whole = sum(int(limb) << (LIMB_BITS * place) for place, limb in enumerate(limbs.tolist()))
        return Fraction(whole, 1 << self.unit)


@dataclass(frozen=True, slots=True)
class Sums:
    """Number, sum and sum of squares of some terms, the sums exact.

    >>> sums = Sums(2, Fraction(3), Fraction(5))
    >>> sums.mean, sums.variance
    (1.5, 0.5)
    """

    n: int
    first: Fraction
    second: Fraction

    @property
    def mean(self) -> float:
        """Mean of the terms. Raises ZeroDivisionError when there are none."""
        return float(self.first / self.n)

    @property
    def variance(self) -> float:
        """Sample variance (ddof=1), >= 0; 0 for fewer than two terms."""
        if self.n < 2:
            return 0.0
        return max(0.0, float((self.second - self.first * self.first / self.n) / (self.n - 1)))


def effective_df(parts: Sequence[tuple[float, int]]) -> float:
    """Welch and Satterthwaite's degrees of freedom of a sum of independent means: (variance of a row, rows) of each.

    At least one variance is positive.

    >>> effective_df([(4.0, 9), (4.0, 9)])
    16.0
    """
    variances = [variance / n for variance, n in parts]
    return sum(variances) ** 2 / sum(
        variance**2 / max(1, n - 1) for variance, (_, n) in zip(variances, parts, strict=True)
    )


def slices(lengths: Sequence[int]) -> tuple[slice, ...]:
    """Neighbouring slices of these lengths, from 0.

    >>> slices([2, 3])
    (slice(0, 2, None), slice(2, 5, None))
    """
    ends: list[int] = np.cumsum(lengths).tolist()
    return tuple(slice(end - length, end) for end, length in zip(ends, lengths, strict=True))


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
