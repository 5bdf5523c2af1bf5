"""Categorical binnings: names, rare and unseen categories."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.counting.binning import (
    CategoricalBinning,
    categorical_binning,
    category_name,
    decode_binning,
    encode_binning,
)
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import EmptySample, MalformedProfile
from tests.stats.strategies import raw_categories


def test_categories_are_ordered_by_frequency_then_by_name() -> None:
    assert categorical_binning(["b", "c", "a", "c", None]).categories == ("c", "a", "b")


def test_equal_numbers_have_equal_names_and_booleans_are_no_numbers() -> None:
    assert category_name(3) == category_name(3.0) == "3"
    assert category_name(-0.0) == category_name(0) == "0"
    assert category_name(1e300) == category_name(int(1e300))
    assert category_name(True) == "true" != category_name(1)
    assert category_name(10**5000) == hex(10**5000)


def test_a_boolean_and_a_one_in_the_same_list_are_two_categories() -> None:
    binning = categorical_binning([True, 1, 1.0, "a"])
    assert set(binning.categories) == {"true", "1", "a"}
    assert Profile.of(binning, [1, True, True]).coarse.tolist() == [1, 0, 2, 0, 0]


def test_only_the_hundred_most_frequent_have_a_cell() -> None:
    sample = [f"c{i:03}" for i in range(150) for _ in range(300 - i)]
    binning = categorical_binning(sample)
    assert len(binning.categories) == 100
    assert len(binning.rare) == 50
    profile = Profile.of(binning, ["c000", "c149", "c120", "new"])
    assert profile.coarse[0] == 1
    assert profile.coarse[-2] == 2
    assert profile.unseen == 1


def test_names_beyond_the_rare_ones_kept_are_unseen_in_the_reference_too() -> None:
    sample = [f"{i:05}" for i in range(10_200)]
    binning = categorical_binning(sample)
    assert len(binning.rare) == 10_000
    assert Profile.of(binning, sample).unseen == 100


def test_missing_and_invalid_are_beside_the_cells() -> None:
    binning = categorical_binning(["a", "inf"])
    profile = Profile.of(binning, ["a", None, math.nan, math.inf, -math.inf, "inf"])
    assert (profile.n, profile.missing, profile.invalid, profile.unseen) == (2, 2, 2, 0)
    assert binning.count([["a"], {}, "a"]).tolist() == [1, 0, 0, 0, 0, 2]  # type: ignore[list-item]


def test_numpy_scalars_count_as_what_they_hold() -> None:
    binning = categorical_binning(["1", "true"])
    assert binning.count(list(np.array([1, 1]))).tolist() == binning.count(np.array([1, 1])).tolist()
    assert binning.count(np.array([True])).tolist() == [0, 1, 0, 0, 0, 0]


def test_a_binning_needs_a_value() -> None:
    with pytest.raises(EmptySample):
        categorical_binning([None, math.nan, math.inf])


@given(raw_categories.filter(bool), raw_categories)
def test_counts_agree_with_naming_every_value_by_itself(sample: list, values: list) -> None:
    kept = [v for v in sample if v is not None and not (isinstance(v, float) and not math.isfinite(v))]
    if not kept:
        return
    binning = categorical_binning(sample)
    expected: Counter[int] = Counter()
    for value in values:
        if isinstance(value, float) and math.isinf(value):
            expected[binning.size - 1] += 1
        elif (name := category_name(value)) is None:
            expected[binning.size - 2] += 1
        else:
            cells = binning.categories
            expected[cells.index(name) if name in cells else len(cells) + (name not in binning.rare)] += 1
    assert binning.count(values).tolist() == [expected[cell] for cell in range(binning.size)]


@given(st.lists(st.text(max_size=5), min_size=1, max_size=150))
def test_a_binning_survives_its_bytes(sample: list[str]) -> None:
    binning = categorical_binning(sample)
    restored = decode_binning(encode_binning(binning))
    assert restored == binning
    assert isinstance(restored, CategoricalBinning)
    assert (restored.categories, restored.rare) == (binning.categories, binning.rare)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"XYZ\x01",
        b"MWC\x02[]",
        b"MWC\x01",
        b"MWC\x01{}",
        b"MWC\x01[[1],[]]",
        b'MWC\x01[["a"],["a"]]',
        b"MWC\x01\xff",
    ],
)
def test_damaged_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedProfile):
        decode_binning(raw)


def test_deeply_nested_bytes_are_refused() -> None:
    with pytest.raises(MalformedProfile):
        decode_binning(b"MWC\x01" + b"[" * 200_000)
