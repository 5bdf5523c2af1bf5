"""Profiles merge exactly, in any order and split; and their counts survive storage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile, decode_counts, encode_counts
from modelwatch.stats.errors import IncompatibleProfiles, MalformedProfile
from tests.stats.strategies import raw_categories, raw_numbers, samples

NUMERIC = numeric_binning(np.random.default_rng(0).normal(size=1_000))
CATEGORICAL = categorical_binning(["a", "b", 1, 2, True])


@given(raw_numbers, raw_numbers, raw_numbers)
def test_merging_is_commutative_and_associative(a: list, b: list, c: list) -> None:
    x, y, z = (Profile.of(NUMERIC, values) for values in (a, b, c))
    assert x + y == y + x
    assert (x + y) + z == x + (y + z)
    assert x + Profile.empty(NUMERIC) == x


@given(samples, samples, st.lists(st.integers(0, 300), max_size=5))
def test_a_sample_counts_the_same_whole_and_in_any_split(reference: np.ndarray, sample: np.ndarray, cuts: list) -> None:
    binning = numeric_binning(reference)
    parts = np.split(sample, sorted(min(cut, len(sample)) for cut in cuts))
    merged = sum((Profile.of(binning, part) for part in parts), Profile.empty(binning))
    assert merged == Profile.of(binning, sample)


@given(raw_categories, st.integers(0, 80))
def test_categories_count_the_same_whole_and_split(values: list, cut: int) -> None:
    whole = Profile.of(CATEGORICAL, values)
    assert Profile.of(CATEGORICAL, values[:cut]) + Profile.of(CATEGORICAL, values[cut:]) == whole
    assert whole.total == len(values)


@given(raw_numbers, raw_numbers)
def test_erasing_what_was_added_leaves_what_was_there(a: list, b: list) -> None:
    x, y = Profile.of(NUMERIC, a), Profile.of(NUMERIC, b)
    assert (x + y) - y == x


def test_more_than_there_is_cannot_be_erased() -> None:
    with pytest.raises(IncompatibleProfiles, match="contains"):
        Profile.of(NUMERIC, [0.0]) - Profile.of(NUMERIC, [0.0, 1.0])


def test_profiles_over_other_cells_do_not_merge() -> None:
    other = numeric_binning(np.arange(1000.0))
    with pytest.raises(IncompatibleProfiles, match="same cells"):
        Profile.empty(NUMERIC) + Profile.empty(other)


@pytest.mark.parametrize("counts", [np.zeros(3, dtype=int), np.zeros(NUMERIC.size), np.full(NUMERIC.size, -1)])
def test_counts_that_do_not_fit_the_binning_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(IncompatibleProfiles):
        Profile(NUMERIC, counts)


def test_the_counts_of_a_profile_cannot_be_written() -> None:
    counts = np.zeros(NUMERIC.size, dtype=np.int64)
    profile = Profile(NUMERIC, counts)
    with pytest.raises(ValueError, match="read-only"):
        profile.counts[0] = 1
    counts[0] = 1  # the caller's own array stays writable
    assert hash(Profile.empty(NUMERIC)) == hash(Profile.empty(NUMERIC))


@given(st.lists(st.integers(0, 2**63 - 1), max_size=50))
def test_counts_survive_their_bytes(counts: list[int]) -> None:
    vector = np.array(counts, dtype=np.int64)
    restored = decode_counts(encode_counts(vector))
    assert restored.dtype == np.int64
    assert restored.tolist() == counts


@pytest.mark.parametrize(("largest", "width"), [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 4), (2**32, 8)])
def test_counts_take_the_narrowest_width(largest: int, width: int) -> None:
    assert len(encode_counts(np.array([1, largest]))) == 1 + 2 * width


def test_long_vectors_are_compressed_only_when_it_helps() -> None:
    sparse = np.zeros(50_000, dtype=np.int64)
    dense = np.random.default_rng(0).integers(0, 256, 50_000)
    assert len(encode_counts(sparse)) < 500
    assert len(encode_counts(dense)) == 50_001
    assert decode_counts(encode_counts(sparse)).tolist() == sparse.tolist()


@pytest.mark.parametrize("vector", [np.array([-1]), np.array([0.5]), np.zeros((2, 2), dtype=int)])
def test_what_is_no_count_vector_is_not_encoded(vector: np.ndarray) -> None:
    with pytest.raises(MalformedProfile):
        encode_counts(vector)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x02\x00", b"\x03\x00", b"\x11\x00", b"\x81junk", b"\x31" + b"\xff" * 8],
)
def test_damaged_counts_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedProfile):
        decode_counts(raw)


def test_cut_compressed_counts_are_refused() -> None:
    raw = encode_counts(np.zeros(50_000, dtype=np.int64))
    for damaged in (raw[:-3], raw + b"x"):
        with pytest.raises(MalformedProfile):
            decode_counts(damaged)
