"""Quantiles read off cells lie within a cell of the sample's own, and are unknown beyond the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.counting.numeric import numeric_binning
from modelwatch.stats.counting.quantiles import QUANTILES, quantiles_of_counts
from modelwatch.stats.errors import IncompatibleProfiles, StatsError

values = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.5]), min_size=1, max_size=300)


@given(reference=values, sample=values)
def test_a_quantile_lies_in_the_cell_of_the_samples_own(reference: list[float], sample: list[float]) -> None:
    binning = numeric_binning(np.array(reference))
    found = quantiles_of_counts(binning, binning.count(sample)[None])[0]
    counted = np.sort([binning.counted_as(value) for value in sample])
    bounds = np.array([binning.low, *binning.edges, binning.high])
    for share, quantile in zip(QUANTILES, found.tolist(), strict=True):
        # The smallest value that so many are not above.
        own = counted[int(np.ceil(share * len(counted))) - 1]
        if not binning.low <= own <= binning.high:
            assert np.isnan(quantile)
            continue
        cell = int(np.searchsorted(binning.edges, own))
        lower, upper = max(bounds[cell], binning.low), min(bounds[cell + 1], binning.high)
        # An atom ends where it is.
        assert min(lower, own) <= quantile <= max(upper, own)


def test_quantiles_of_the_reference_itself_are_its_own() -> None:
    sample = np.random.default_rng(1).lognormal(4.0, 0.8, 10_000)
    binning = numeric_binning(sample)
    found = quantiles_of_counts(binning, binning.count(sample)[None])[0]
    assert found == pytest.approx(np.quantile(sample, QUANTILES), rel=0.01)


def test_what_lies_beyond_the_reference_is_not_guessed() -> None:
    binning = numeric_binning(np.arange(1.0, 1_001.0))
    above, below, nothing = ([5_000.0] * 60 + [500.0] * 40, [-3.0] * 60 + [500.0] * 40, [None, None])
    counts = np.stack([binning.count(sample) for sample in (above, below, nothing)])
    found = quantiles_of_counts(binning, counts)
    assert np.isnan(found).tolist() == [
        [False, False, True, True, True],
        [True, True, True, False, False],
        [True, True, True, True, True],
    ]
    # What is known lies in the outermost cell that ends at the reference's largest value.
    assert quantiles_of_counts(binning, binning.count([999.5] * 10)[None], (0.5,))[0, 0] == pytest.approx(997.5, abs=5)


def test_other_cells_and_shares_that_are_none_are_refused() -> None:
    binning = numeric_binning(np.arange(10.0))
    with pytest.raises(IncompatibleProfiles, match="cells are needed"):
        quantiles_of_counts(binning, np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(StatsError, match="between 0 and 1"):
        quantiles_of_counts(binning, np.zeros((1, binning.size), dtype=np.int64), (0.0, 0.5))
