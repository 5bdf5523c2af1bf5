"""What rules with fixed thresholds stand on: scores of many windows are those of each, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.simulation.baselines import smallest_ks
from modelwatch.simulation.features import Feature
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import ks_p_value
from modelwatch.stats.drift.scores import (
    jensen_shannon,
    jensen_shannon_of_windows,
    ks,
    ks_of_windows,
    psi,
    psi_of_windows,
)


@pytest.mark.parametrize("reference_size", [7, 150, 10_000])
def test_scores_are_those_of_the_statistics(reference_size: int) -> None:
    rng = np.random.default_rng(reference_size)
    feature = Feature.drawn(reference_size, rng)
    binning, reference = feature.binning, feature.reference
    sizes = [1, 5, 100, 3_000]
    current = [Profile.of(binning, rng.normal(0.3, 1.0, size).tolist()) for size in sizes]
    coarse, fine = np.array([each.coarse for each in current]), np.array([each.fine for each in current])
    assert psi_of_windows(reference.coarse, coarse) == pytest.approx(
        [psi(reference.coarse, each.coarse) for each in current]
    )
    assert jensen_shannon_of_windows(reference.coarse, coarse) == pytest.approx(
        [jensen_shannon(reference.coarse, each.coarse).distance for each in current]
    )
    assert ks_of_windows(reference.fine, fine) == pytest.approx([ks(reference, each).statistic for each in current])


@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_from_the_smallest_ks_on_the_p_value_is_below_alpha(alpha: float) -> None:
    sizes = np.array([12, 100, 2_400, 240_000, 100])
    limits = smallest_ks(alpha, 10_000, sizes)
    for n, limit in zip(sizes.tolist(), limits.tolist(), strict=True):
        assert ks_p_value(limit * (1 + 1e-9), 10_000, n) < alpha <= ks_p_value(limit * (1 - 1e-9), 10_000, n)


def test_a_window_without_values_is_above_no_threshold() -> None:
    feature = Feature.drawn(500, np.random.default_rng(0))
    nothing = np.zeros((1, feature.binning.n_coarse), dtype=np.int64)
    assert not (psi_of_windows(feature.reference.coarse, nothing) > 0.1).any()
    assert not (jensen_shannon_of_windows(feature.reference.coarse, nothing) > 0.1).any()
    fine = np.zeros((1, feature.binning.n_fine), dtype=np.int64)
    assert not (ks_of_windows(feature.reference.fine, fine) >= smallest_ks(0.05, 500, np.array([0]))).any()
