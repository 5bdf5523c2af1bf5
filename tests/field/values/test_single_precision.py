"""The same numbers in float32 and in float64, as Parquet files and services mix them, are the same numbers."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwatch.api.decoding.columns.reading import scalars
from modelwatch.stats.counting.binning import (
    CategoricalBinning,
    NumericBinning,
    categorical_binning,
    decode_binning,
    encode_binning,
    numeric_binning,
)
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.names import split_reference, window_test
from modelwatch.stats.outcomes.classes import class_names, count_classes
from modelwatch.stats.quality.rates import rate_checks
from modelwatch.stats.segments.segmentation import segment_feature

TENTHS = np.tile(np.arange(1, 10) / 10, 200)
PRICES = np.append(np.full(3_000, 19.99), np.random.default_rng(1).uniform(1.0, 99.0, 7_000))
CENTS = np.round(PRICES[::3], 0) + 0.99


def through_parquet(values: np.ndarray, kind: pa.DataType) -> list:
    """The values of a Parquet column of this type, as they are received."""
    file = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(values, pa.float64()).cast(kind)}), file)
    return scalars(pq.read_table(file).column("x"))


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


@pytest.mark.parametrize("sample", [TENTHS, CENTS, np.full(500, 0.1)], ids=["tenths", "prices", "constant"])
@pytest.mark.parametrize("turned", [False, True], ids=["reference in float64", "reference in float32"])
@pytest.mark.parametrize("written", ["numbers", "texts"])
def test_the_precision_of_a_number_makes_no_new_category(sample: np.ndarray, turned: bool, written: str) -> None:
    reference, production = (as_float32(sample), sample) if turned else (sample, as_float32(sample))
    before_values, now_values = reference.tolist(), production.tolist()
    if written == "texts":
        now_values = [repr(value) for value in now_values]
    binning, split = split_reference(before_values)
    before, now = Profile.of(binning, before_values), Profile.of(binning, now_values)
    assert before.counts.tolist() == now.counts.tolist()
    assert psi(before.coarse, now.coarse) == 0.0
    assert window_test(before, now, split) == window_test(before, before, split)
    assert not any(check.current_count for check in rate_checks(before, now))


@pytest.mark.parametrize(("known", "met"), [(0.3, 0.1 + 0.2), (0.1 + 0.2, 0.3), (1, 1.0 - 1e-16), (1.0 - 1e-16, 1)])
def test_a_rounding_error_makes_no_new_category(known: float, met: float) -> None:
    binning = categorical_binning([known] * 3 + [0.7])
    assert binning.count([met]).tolist() == binning.count([known]).tolist()
    assert Profile.of(binning, [met, 0.31]).unseen == 1


def test_names_that_single_precision_can_not_tell_apart_stay_two() -> None:
    binning = categorical_binning([0.123456781, 0.123456782, 0.5])
    counts = {value: binning.count([value]).tolist() for value in (0.123456781, 0.123456782, 0.123456783)}
    assert len({tuple(each) for each in counts.values()}) == 3
    assert Profile.of(binning, [0.123456783]).unseen == 1


def test_whole_numbers_texts_and_hashes_are_no_matter_of_precision() -> None:
    binning = categorical_binning([16_777_217, 123_456_789, "1.50", "v0.1", "hmac:0.1"])
    met = [16_777_216, 16_777_216.0, 123_456_792, 1.5, "1.5", 0.1, "v0.10000000149011612", "hmac:0.10000000149011612"]
    assert Profile.of(binning, met).unseen == len(met)


def test_a_categorical_binning_of_before_keeps_its_meaning() -> None:
    binning = categorical_binning(TENTHS.tolist())
    earlier = CategoricalBinning(binning.categories, binning.rare, version=1)
    assert earlier.id != binning.id
    assert decode_binning(encode_binning(earlier)) == earlier
    single = float(np.float32(0.1))
    assert Profile.of(earlier, [single]).unseen == 1
    assert Profile.of(binning, [single]).unseen == 0


def test_a_segment_of_a_category_holds_it_in_both_precisions() -> None:
    for sample in (TENTHS, as_float32(TENTHS)):
        feature = segment_feature("x", Profile.of(categorical_binning(sample.tolist()), sample.tolist()), 4)
        for value in np.unique(TENTHS).tolist():
            single = float(np.float32(value))
            assert feature.text_of(value) == feature.text_of(single) == feature.text_of(repr(single)) != "x=(other)"
        assert feature.text_of(0.15) == "x=(other)"


def test_classes_that_are_numbers_are_the_same_in_both_precisions() -> None:
    known = class_names(("0.1", "0.7"))
    assert known.of(float(np.float32(0.7))) == "0.7"
    assert class_names(("0.123456781", "0.123456782")).of(0.123456783) is None
    singles = as_float32(np.array([0.1, 0.7])).tolist()
    assert count_classes([0.1, 0.7, 0.7], singles) == {"0.1": 2, "0.7": 3}


@pytest.mark.parametrize(("one", "other"), [(pa.float32(), pa.float64()), (pa.float64(), pa.float32())])
def test_parquet_columns_of_both_precisions_have_the_same_cells(one: pa.DataType, other: pa.DataType) -> None:
    for sample in (TENTHS, CENTS, np.full(500, 0.1)):
        reference, production = through_parquet(sample, one), through_parquet(sample, other)
        assert reference != production
        for binning in (numeric_binning(np.array(reference)), split_reference(reference)[0]):
            assert binning.count(production).tolist() == binning.count(reference).tolist()
            assert psi(Profile.of(binning, reference).coarse, Profile.of(binning, production).coarse) == 0.0
