"""Profiles merge exactly, in any order and split; and their counts survive storage."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts, sum_counts
from modelwatch.stats.counting.profile import Profile
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


def test_counts_that_are_mostly_zero_take_the_room_of_the_others() -> None:
    vector = np.zeros(10_000, dtype=np.int64)
    vector[[0, 17, 4_000, 9_999]] = [1, 2, 300, 4]
    raw = encode_counts(vector)
    assert len(raw) == 6 + 4 * (2 + 2)
    assert decode_counts(raw).tolist() == vector.tolist()
    # What earlier releases wrote is read as before.
    assert decode_counts(b"\x01" + bytes((0, 7, 0))).tolist() == [0, 7, 0]


@given(
    st.integers(1, 40).flatmap(
        lambda size: st.lists(
            st.lists(st.sampled_from([0, 0, 0, 0, 1, 3, 300, -2, 2**40]), min_size=size, max_size=size), min_size=1
        )
    )
)
def test_a_sum_of_encoded_counts_is_the_sum_of_the_counts(vectors: list[list[int]]) -> None:
    encoded = [encode_counts(np.array(vector, dtype=np.int64), signed=True) for vector in vectors]
    assert sum_counts(encoded).tolist() == np.sum(vectors, axis=0).tolist()


def test_encoded_counts_of_different_lengths_have_no_sum() -> None:
    short, long = np.array([1, 2, 3]), np.arange(300) % 2
    for one, other in itertools.permutations([short, np.array([1, 2]), long, np.zeros(200, dtype=np.int64)], 2):
        with pytest.raises(MalformedProfile, match="of one length"):
            sum_counts([encode_counts(one), encode_counts(other)])
    with pytest.raises(MalformedProfile, match="at least one"):
        sum_counts([])


@pytest.mark.parametrize("vector", [np.array([-1]), np.array([0.5]), np.zeros((2, 2), dtype=int)])
def test_what_is_no_count_vector_is_not_encoded(vector: np.ndarray) -> None:
    with pytest.raises(MalformedProfile):
        encode_counts(vector)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x03\x00",
        b"\x11\x00",
        b"\x81junk",
        b"\x31" + b"\xff" * 8,
        # Of the sparse form: cut in the header and in an entry, an unknown width, an entry beyond the last cell.
        b"\x02\x00",
        b"\x02\x00\x05\x00\x00\x00\x01",
        b"\x02\x03\x05\x00\x00\x00\x01\x01",
        b"\x02\x00\x05\x00\x00\x00\x05\x01",
    ],
)
def test_damaged_counts_are_refused(raw: bytes) -> None:
    with pytest.raises(MalformedProfile):
        decode_counts(raw)


def test_cut_compressed_counts_are_refused() -> None:
    raw = encode_counts(np.arange(50_000) % 256)
    for damaged in (raw[:-3], raw + b"x"):
        with pytest.raises(MalformedProfile):
            decode_counts(damaged)


def test_the_sum_of_many_long_vectors_takes_the_memory_of_a_few() -> None:
    size, number = 200_000, 60
    encoded = [encode_counts(np.random.default_rng(7).integers(0, 50, size))] * number
    tracemalloc.start()
    total = sum_counts(encoded)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total.tolist() == (number * decode_counts(encoded[0])).tolist()
    # Not that of all of them inflated, at a byte a count: some, and sums at eight.
    assert peak < number * size / 2 + 3 * 8 * size
