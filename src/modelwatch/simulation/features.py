"""One continuous feature: a reference sample, the cells that are frozen from it, and values that fall into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch.simulation.traffic import Floats, Integers, Schedule
from modelwatch.stats.counting.binning import NumericBinning, numeric_binning
from modelwatch.stats.counting.profile import Profile


@dataclass(frozen=True, slots=True)
class Feature:
    """A normally distributed feature with mean 0 and standard deviation 1, as its reference shows it."""

    binning: NumericBinning
    reference: Profile

    @classmethod
    def drawn(cls, size: int, rng: np.random.Generator) -> Feature:
        """A feature with a fresh reference of so many values."""
        sample = rng.standard_normal(size)
        binning = numeric_binning(sample)
        return cls(binning, Profile(binning, binning.count_floats(sample)))

    def coarse_shares(self, shift: float = 0.0) -> Floats:
        """The true share of every coarse cell when the mean has moved by `shift`.

        They differ from those of the reference, whose sample the edges were taken from.
        """
        return _shares(self.binning.coarse_edges, shift)

    def fine_shares(self, shift: float = 0.0) -> Floats:
        """The true share of every fine cell."""
        return _shares(self.binning.edges, shift)

    def profile(self, coarse: Integers) -> Profile:
        """A profile with these coarse counts; each stands in the first fine cell of its coarse one."""
        counts = np.zeros(self.binning.size, dtype=np.int64)
        counts[self.binning.coarse_starts] = coarse
        return Profile(self.binning, counts)


def _shares(edges: Floats, shift: float) -> Floats:
    from scipy.special import ndtr  # loaded on first use: it takes a third of a second

    # Edges next to one another may be apart by less than the rounding of a probability.
    return np.maximum(np.diff(np.concatenate(([0.0], ndtr(edges - shift), [1.0]))), 0.0)


def looks_at(before: Floats, after: Floats, when: Schedule, rng: np.random.Generator) -> Integers:
    """Counts of each look, shape (evaluations, spans, cells), when cells have these shares before and after time 0."""
    shares = np.where(when.shifted[:, None], after, before)
    return when.looks(rng.multinomial(when.sizes, shares).astype(np.int64, copy=False))
