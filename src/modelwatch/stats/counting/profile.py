"""Profiles: counts of a sample over a binning. Merging is addition, erasure is subtraction; both are exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import Binning, NumericBinning, Scalar
from modelwatch.stats.errors import IncompatibleProfiles


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of a sample's values in the cells of a binning.

    counts: shape (binning.size,), non-negative integers, read only: the fine cells, then what is counted beside them.
    Raises IncompatibleProfiles for counts of another shape, or negative ones.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> binning = categorical_binning(["a", "a", "b"])
    >>> profile = Profile.of(binning, ["a", "z"]) + Profile.of(binning, [None])
    >>> profile.n, profile.total, profile.missing, profile.unseen
    (2, 3, 1, 1)
    """

    binning: Binning
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        counts = np.asarray(self.counts)
        if counts.shape != (self.binning.size,) or counts.dtype.kind not in "iu":
            raise IncompatibleProfiles(
                f"binning {self.binning.id} counts {self.binning.size} cells as integers, "
                f"got shape {counts.shape} of {counts.dtype}"
            )
        view = counts.astype(np.int64, copy=False).view()
        if view.min() < 0:
            raise IncompatibleProfiles("the counts of a profile are never negative")
        view.flags.writeable = False
        object.__setattr__(self, "counts", view)

    @classmethod
    def empty(cls, binning: Binning) -> Self:
        """The profile of no values."""
        return cls(binning, np.zeros(binning.size, dtype=np.int64))

    @classmethod
    def known(cls, binning: Binning, counts: NDArray[np.int64], coarse: NDArray[np.int64], n: int) -> Self:
        """The profile of counts that are known to be those of the binning, read only, with what `coarse` and `n` would
        sum up. Nothing is checked: for callers that make many at once."""
        profile = object.__new__(cls)
        profile.__dict__.update(binning=binning, counts=counts, coarse=coarse, n=n)
        return profile

    @classmethod
    def of(cls, binning: Binning, values: Sequence[Scalar]) -> Self:
        """The profile of raw values (or of a float array) over a binning."""
        return cls(binning, binning.count(values))

    def __add__(self, other: "Profile") -> "Profile":
        """The profile of both samples together. Raises IncompatibleProfiles when the binnings differ."""
        self._check_same_cells(other)
        return Profile(self.binning, self.counts + other.counts)

    def __sub__(self, other: "Profile") -> "Profile":
        """The profile without the values of `other`.

        Raises IncompatibleProfiles when the binnings differ or when `other` is not contained in this profile.
        """
        self._check_same_cells(other)
        left = self.counts - other.counts
        if left.min() < 0:
            raise IncompatibleProfiles("a profile can only be subtracted from one that contains it")
        return Profile(self.binning, left)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Profile)
            and self.binning.id == other.binning.id
            and bool(np.array_equal(self.counts, other.counts))
        )

    def __hash__(self) -> int:
        return hash((self.binning.id, self.counts.tobytes()))

    @property
    def fine(self) -> NDArray[np.int64]:
        """Counts of the fine cells, shape (binning.n_fine,)."""
        return self.counts[: self.binning.n_fine]

    @cached_property
    def coarse(self) -> NDArray[np.int64]:
        """Counts of the coarse cells, shape (binning.n_coarse,)."""
        if len(self.binning.coarse_starts) == self.binning.n_fine:
            return self.fine
        sums = np.add.reduceat(self.fine, self.binning.coarse_starts)
        sums.flags.writeable = False
        return sums

    @cached_property
    def tested(self) -> NDArray[np.int64]:
        """Counts of the cells that are tested: those of the names in part of a categorical reference, or the coarse."""
        binning = self.binning
        if isinstance(binning, NumericBinning) or binning.naming is None:
            return self.coarse
        counts = np.zeros(binning.naming.cells, dtype=np.int64)
        np.add.at(counts, binning.test_cell_of, self.fine)
        counts.flags.writeable = False
        return counts

    @cached_property
    def n(self) -> int:
        """Number of valid values: those in a cell."""
        return int(self.fine.sum())

    @property
    def missing(self) -> int:
        """Number of null, NaN or absent values."""
        return int(self.counts[self.binning.n_fine])

    @property
    def invalid(self) -> int:
        """Number of values of a wrong type, or infinite."""
        return int(self.counts[self.binning.n_fine + 1])

    @property
    def total(self) -> int:
        """Number of values: valid, missing and invalid."""
        cells = self.binning.n_fine
        return self.n + int(self.counts[cells]) + int(self.counts[cells + 1])

    @property
    def below(self) -> int:
        """Number of values below the reference minimum; 0 for a categorical feature."""
        return int(self.counts[-2]) if isinstance(self.binning, NumericBinning) else 0

    @property
    def above(self) -> int:
        """Number of values above the reference maximum; 0 for a categorical feature."""
        return int(self.counts[-1]) if isinstance(self.binning, NumericBinning) else 0

    @property
    def unseen(self) -> int:
        """Number of values of a category that the reference does not have; 0 for a numeric feature."""
        return 0 if isinstance(self.binning, NumericBinning) else int(self.fine[-1])

    def _check_same_cells(self, other: "Profile") -> None:
        if self.binning.id != other.binning.id:
            raise IncompatibleProfiles(
                f"profiles merge only over the same cells, got binnings {self.binning.id} and {other.binning.id}"
            )
