"""The same numbers in float32 and in float64, as Parquet files and services mix them, are the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats import NumericBinning, Profile, decode_binning, encode_binning, numeric_binning, psi, window_test
from modelwatch.stats.quality import rate_checks
from modelwatch.stats.segmentation import segment_feature

TENTHS = np.tile(np.arange(1, 10) / 10, 200)
PRICES = np.append(np.full(3_000, 19.99), np.random.default_rng(1).uniform(1.0, 99.0, 7_000))


def as_float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("sample", [TENTHS, PRICES, np.full(500, 0.1)], ids=["tenths", "prices", "constant"])
@pytest.mark.parametrize("turned", [False, True], ids=["reference in float64", "reference in float32"])
def test_the_precision_of_a_number_is_no_drift(sample: np.ndarray, turned: bool) -> None:
    reference, production = (as_float32(sample), sample) if turned else (sample, as_float32(sample))
    binning = numeric_binning(reference)
    before, now = Profile.of(binning, reference), Profile.of(binning, production)
    assert before.counts.tolist() == now.counts.tolist()
    assert (
        Profile.of(binning, production[:20].tolist()).counts.tolist() == binning.count_floats(reference[:20]).tolist()
    )
    assert psi(before.coarse, now.coarse) == 0.0
    assert window_test(before, now).p_value == 1.0
    assert not any(check.current_count for check in rate_checks(before, now))


def test_a_sum_with_a_rounding_error_is_the_number_that_is_meant() -> None:
    binning = numeric_binning(TENTHS)
    assert binning.count([0.1 + 0.2]).tolist() == binning.count([0.3]).tolist()
    assert binning.count([0.31]).tolist() != binning.count([0.3]).tolist()


def test_atoms_that_single_precision_can_not_tell_apart_stay_two() -> None:
    sample = np.array([16_777_216.0] * 50 + [16_777_217.0] * 50)
    binning = numeric_binning(sample)
    assert binning.version == 1
    assert binning.count([16_777_216.0]).tolist() != binning.count([16_777_217.0]).tolist()


def test_a_segment_of_one_value_holds_it_in_both_precisions() -> None:
    feature = segment_feature("x", Profile.of(numeric_binning(TENTHS), TENTHS), 4)
    for value in np.unique(TENTHS).tolist():
        assert feature.text_of(value) == feature.text_of(float(np.float32(value)))


def test_a_binning_of_before_keeps_its_meaning() -> None:
    binning = numeric_binning(TENTHS)
    earlier = NumericBinning(binning.edges, binning.coarse_of, binning.low, binning.high, binning.scale)
    assert earlier.version == 1
    assert earlier.id != binning.id
    assert decode_binning(encode_binning(earlier)) == earlier
    assert decode_binning(encode_binning(binning)) == binning
    single = float(np.float32(0.1))
    assert earlier.count([0.1]).tolist() != earlier.count([single]).tolist()
