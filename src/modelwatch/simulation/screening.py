"""Which of many looks may say drift: `judge` need only be asked about those, for the others do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.simulation.scores import psi_of
from modelwatch.simulation.traffic import Floats, Integers
from modelwatch.stats.drift.tests import homogeneity_p_values

# What rounding may make of a score or a p-value.
MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Screen:
    """What a look must reach. alphas: shape (looks,), each look's own chance of a false alarm."""

    alphas: Floats
    psi_warning: float
    min_samples: int

    def passing(self, reference: Integers, windows: Integers) -> NDArray[np.bool_]:
        """Whether each look holds enough values, is shifted enough, and is beyond chance.

        reference: shape (cells,). windows: shape (looks, cells). Returns shape (looks,).
        """
        which = np.flatnonzero(windows.sum(axis=1) >= max(self.min_samples, 1))
        which = which[psi_of(reference, windows[which]) >= self.psi_warning - MARGIN]
        alphas = self.alphas[which] * (1.0 + MARGIN)
        which = which[homogeneity_p_values(reference, windows[which], enough=alphas) < alphas]
        passing = np.zeros(len(windows), dtype=np.bool_)
        passing[which] = True
        return passing
