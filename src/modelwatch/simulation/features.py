"""Features of a simulation: a reference sample, the cells that are frozen from it, and values that fall into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from modelwatch.simulation.shifts import CATEGORY_SHARE, Shift
from modelwatch.simulation.traffic import Floats, Integers
from modelwatch.stats.counting.binning import NumericBinning, numeric_binning
from modelwatch.stats.counting.categorical import CategoricalBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import Split, split_names

# The other names of a categorical feature: so many, their shares by Zipf's law.
OTHER_NAMES = 9
MOVING = "moving"
NEW = -1


class Drawn(Protocol):
    """A feature with its reference, and how often its values fall into each fine cell."""

    @property
    def reference(self) -> Profile: ...
    @property
    def split(self) -> Split | None: ...

    def shares(self) -> Floats:
        """The true share of every fine cell before any shift, shape (cells,). It differs from that of the reference,
        from whose sample the cells were taken."""

    def shifted_shares(self, shift: Shift, ages: Floats) -> Floats:
        """The shares so many hours after the shift began, shape (ages, cells)."""


def drawn(size: int, shift: Shift | None, rng: np.random.Generator) -> Drawn:
    """A feature with a fresh reference of so many values, of the kind that this shift is about; ordered without one."""
    return Names.drawn(size, rng) if shift is not None and shift.of_names else Feature.drawn(size, rng)


@dataclass(frozen=True)
class Feature:
    """A normally distributed feature with mean 0 and standard deviation 1, as its reference shows it."""

    binning: NumericBinning
    reference: Profile
    split: Split | None = None

    @classmethod
    def drawn(cls, size: int, rng: np.random.Generator) -> Feature:
        """A feature with a fresh reference of so many values."""
        sample = rng.standard_normal(size)
        binning = numeric_binning(sample)
        return cls(binning, Profile(binning, binning.count_floats(sample)))

    def shares(self) -> Floats:
        return np.asarray(self.shifted_shares(Shift("location", 0.0), np.zeros(1))[0])

    def shifted_shares(self, shift: Shift, ages: Floats) -> Floats:
        return _shares(shift.below(self.binning.edges, ages))


@dataclass(frozen=True)
class Names:
    """A categorical feature: one name that has 2 % of the values, and nine others, by Zipf's law."""

    reference: Profile
    split: Split | None

    @classmethod
    def drawn(cls, size: int, rng: np.random.Generator) -> Names:
        """A feature with a fresh reference of so many values."""
        counts = rng.multinomial(size, [*_names().values()]).tolist()
        frequency = {name: count for name, count in zip(_names(), counts, strict=True) if count}
        binning, split = split_names(frequency)
        of_cells = np.zeros(binning.size, dtype=np.int64)
        for name, count in frequency.items():
            of_cells[binning.cell(name)] += count
        return cls(Profile(binning, of_cells), split)

    @cached_property
    def _cell_of(self) -> Integers:
        """The cells of all names, and at the end that of new ones."""
        binning = self.reference.binning
        assert isinstance(binning, CategoricalBinning)
        return np.array([*(binning.cell(name) for name in _names()), binning.n_fine - 1])

    def shares(self) -> Floats:
        return self._of_cells(np.array([*_names().values(), 0.0]))

    def shifted_shares(self, shift: Shift, ages: Floats) -> Floats:
        shares = np.array([*_names().values(), 0.0])
        moving = 0 if shift.kind == "category" else NEW
        shares *= (1.0 - shift.size) / (1.0 - shares[moving])
        shares[moving] = shift.size
        return np.tile(self._of_cells(shares), (len(ages), 1))

    def _of_cells(self, shares: Floats) -> Floats:
        return np.asarray(
            np.bincount(self._cell_of, weights=shares, minlength=self.reference.binning.n_fine), dtype=np.float64
        )


def _names() -> Mapping[str, float]:
    """The names of a categorical feature and their shares; the one that moves comes first."""
    others = 1.0 / np.arange(1, OTHER_NAMES + 1)
    shares = (1.0 - CATEGORY_SHARE) * others / others.sum()
    return {MOVING: CATEGORY_SHARE, **{f"name {place}": share for place, share in enumerate(shares.tolist(), 1)}}


def _shares(below: Floats) -> Floats:
    """The share of each cell, from what is below each of its edges; shape (rows, edges) -> (rows, cells)."""
    # Edges next to one another may be apart by less than the rounding of a probability.
    return np.maximum(np.diff(below, axis=1, prepend=0.0, append=1.0), 0.0)
