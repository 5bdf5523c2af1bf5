"""The Kolmogorov-Smirnov distribution beside scipy's, over the sizes and tails that windows have."""

from __future__ import annotations

import itertools
import math

import pytest
from scipy.special import smirnov
from scipy.stats import kstwo

from modelwatch.stats.drift.kolmogorov import LARGEST_SUM, survival


@pytest.mark.parametrize("n", [150, 1_000, 4_545, 20_000, LARGEST_SUM])
@pytest.mark.parametrize("z", [0.3, 0.8, 1.4, 1.6, 2.0, 3.0, 5.0, 8.0])
def test_it_is_scipys_where_the_sum_is_exact(n: int, z: float) -> None:
    d = z / math.sqrt(n)
    assert survival(d, n) == pytest.approx(float(kstwo.sf(d, n)), rel=1e-9)


@pytest.mark.parametrize("n", [LARGEST_SUM + 1, 90_909, 300_000])
@pytest.mark.parametrize(("z", "tolerance"), [(1.6, 1e-7), (2.0, 1e-7), (3.0, 1e-6), (4.5, 1e-5), (8.0, 1e-4)])
def test_the_series_for_large_samples_is_as_close_as_it_says(n: int, z: float, tolerance: float) -> None:
    d = z / math.sqrt(n)
    assert survival(d, n) == pytest.approx(2.0 * float(smirnov(n, d)), rel=tolerance)


def test_it_falls_with_the_statistic_across_all_methods() -> None:
    for n in (200, 5_000, LARGEST_SUM + 1, 1_000_000):
        values = [survival(z / 50 / math.sqrt(n), n) for z in range(1, 950)]
        assert all(0.0 <= later <= earlier <= 1.0 for earlier, later in itertools.pairwise(values))
