"""The drift test of categories: no false alarms of long tails, and new names found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulations.levels import NAMES, Names, alarms_about_names
from benchmarks.simulations.nearly_ids import told_of_new_names
from modelwatch.stats.counting.binning import categorical_binning, decode_binning, encode_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.homogeneity import homogeneity
from modelwatch.stats.drift.significance.names import (
    MIN_NAMED_GROUP,
    decode_split,
    encode_split,
    expected_by_once,
    expected_new,
    is_ids,
    split_reference,
    times_each,
    window_needed,
    window_test,
)
from modelwatch.stats.drift.significance.omnibus import SMALL_REFERENCE, Groups
from modelwatch.stats.drift.significance.single_cell import cell_p_value
from modelwatch.stats.errors import EmptySample, MalformedProfile
from modelwatch.stats.quality.rates import compare_rates, reference_rates, unsound_counts
from tests.stats.strategies import raw_categories

RNG = np.random.default_rng(5)
LONG_TAIL = [f"m{min(int(rank), 2_000)}" for rank in RNG.zipf(1.3, 5_000)]


@pytest.mark.parametrize(
    ("current", "omnibus", "cell"),
    [([28, 25, 9, 5, 2, 1], 0.854859, 1.0), ([20, 20, 10, 5, 5, 40], 1.84018e-09, 2.30131e-13)],
)
def test_groups_of_names_are_those_of_the_part_that_named_them(current: list[int], omnibus: float, cell: float) -> None:
    naming, tested = np.array([30, 20, 10, 5, 3, 0]), np.array([62, 41, 17, 9, 4, 3])
    groups = Groups.of(tested, naming * (tested.sum() / naming.sum()), MIN_NAMED_GROUP)
    window, n = np.array([current]), np.array([sum(current)])
    _, _, (p_value,) = groups.test(int(groups.stages(n)[0]), window, n)
    assert p_value / (1.0 + SMALL_REFERENCE / tested.sum()) == pytest.approx(omnibus, rel=1e-5)
    assert cell_p_value(tested, current, screen=0.0) == pytest.approx(cell, rel=1e-5)


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case.name)
def test_a_long_tail_alarms_no_more_often_than_it_may(case: Names) -> None:
    """At a level of 1 %, so that few draws say something; the levels below are a matter of `make bench ARGS=levels`."""
    found = alarms_about_names(case, references=60, level=1e-2, rng=np.random.default_rng(3))
    assert found.drift <= 3
    assert found.unseen <= 3


@pytest.mark.parametrize(
    ("case", "references"),
    [
        (Names(500, 0.0, 300, 300), 10_000),
        (Names(10_000, 1.0, 300, 300), 1_500),
        (Names(4_550, 0.0, 3_000, 3_000), 1_500),
    ],
    ids=lambda value: value.name if isinstance(value, Names) else None,
)
def test_what_is_nearly_taken_for_ids_alarms_no_more_often_than_it_may(case: Names, references: int) -> None:
    """Few of these references are judged: those that have too few names seen once by chance."""
    told = told_of_new_names(case, references, level=1e-3, rng=np.random.default_rng(8))
    assert 0.02 < told.judged < 0.2
    assert told.alarms < 2e-3
    assert told.found > (0.95 if case.reference >= 3_000 else 0.05)


def test_what_is_far_from_ids_is_expected_to_have_what_good_and_turing_say() -> None:
    assert expected_by_once(500, 200, 3_000).hits == math.ceil(500 * expected_by_once(500, 200, 3_000).n / 3_000) + 1


@pytest.mark.parametrize(("reference", "n"), [(3_000, 1_000), (10_000, 1_000)])
def test_a_fifth_of_new_names_is_found(reference: int, n: int) -> None:
    shares = 1.0 / np.arange(1, 2_001)
    shares /= shares.sum()
    rng = np.random.default_rng(1)
    sample = [f"m{rank}" for rank in rng.choice(2_000, reference, p=shares)]
    window = [f"m{rank}" for rank in rng.choice(2_000, n * 4 // 5, p=shares)] + [f"n{i}" for i in range(n // 5)]
    binning, split = split_reference(sample)
    assert split is not None
    before, now = Profile.of(binning, sample), Profile.of(binning, window)
    found = window_test(before, now, split)
    assert found.p_value < 1e-5
    assert found.new_names_p_value is not None
    assert found.new_names_p_value < 1e-5
    [unseen] = [
        check
        for check in compare_rates(reference_rates(before, split), unsound_counts(now))
        if check.rule == "unseen_category"
    ]
    assert (unseen.large, unseen.p_value < 1e-5) == (True, True)


def test_a_name_that_becomes_frequent_is_found() -> None:
    rng = np.random.default_rng(1)
    sample = [f"c{rank}" for rank in rng.integers(0, 50, 10_000)]
    window = [f"c{rank}" for rank in rng.integers(0, 50, 940)] + ["c7"] * 60
    binning, split = split_reference(sample)
    assert window_test(Profile.of(binning, sample), Profile.of(binning, window), split).p_value < 1e-5


def test_more_data_of_the_same_names_never_weakens_the_evidence() -> None:
    binning, split = split_reference(LONG_TAIL)
    window = LONG_TAIL[:60] + ["m1"] * 20 + ["new"] * 20
    sizes = [1, 2, 4, 8, 30, 100, 1_000]
    counts = binning.count(window)
    found = [window_test(Profile.of(binning, LONG_TAIL), Profile(binning, counts * size), split) for size in sizes]
    assert [each.p_value for each in found] == sorted((each.p_value for each in found), reverse=True)


def test_scores_are_those_of_the_whole_reference_over_its_own_cells() -> None:
    plain = categorical_binning(LONG_TAIL)
    binning, _ = split_reference(LONG_TAIL)
    window = [*LONG_TAIL[:400], "new", "m3", None]
    assert binning.coarse_labels() == plain.coarse_labels()
    for values in (LONG_TAIL, window):
        assert Profile.of(binning, values).coarse.tolist() == Profile.of(plain, values).coarse.tolist()
        assert Profile.of(binning, values).unseen == Profile.of(plain, values).unseen
    assert psi(Profile.of(binning, LONG_TAIL).coarse, Profile.of(binning, window).coarse) == psi(
        Profile.of(plain, LONG_TAIL).coarse, Profile.of(plain, window).coarse
    )


@given(raw_categories, raw_categories)
def test_every_value_is_in_one_cell_of_the_tests(sample: list, values: list) -> None:
    binning, split = split_reference([*sample, *["a", "b", "c"] * 12])
    profile = Profile.of(binning, values)
    assert profile.tested.sum() == profile.n == profile.coarse.sum()
    assert decode_binning(encode_binning(binning)) == binning
    assert split is not None
    reference = Profile.of(binning, [*sample, *["a", "b", "c"] * 12])
    assert (split.tested(reference) >= 0).all()
    assert split.naming.sum() == reference.n // 3


def test_the_split_is_that_of_the_content_whatever_its_order() -> None:
    first, one = split_reference(LONG_TAIL)
    second, other = split_reference(LONG_TAIL[::-1])
    assert first == second
    assert one is not None
    assert other is not None
    assert one.naming.tolist() == other.naming.tolist()
    after = decode_split(encode_split(one))
    assert (after.naming.tolist(), after.once, after.twice) == (one.naming.tolist(), one.once, one.twice)


def test_names_beyond_those_that_are_kept_are_one_cell_with_the_rare_ones() -> None:
    rng = np.random.default_rng(1)
    sample = [f"{number:05}" for number in rng.integers(0, 11_000, 60_000)]
    binning, split = split_reference(sample)
    reference = Profile.of(binning, sample)
    assert split is not None
    assert binning.naming is not None
    assert not binning.naming.complete
    assert len(reference.tested) == len(binning.naming.named) + 1
    assert expected_new(reference, split) is None
    window = [f"{number:05}" for number in rng.integers(0, 11_000, 3_000)]
    assert window_test(reference, Profile.of(binning, window), split).p_value > 1e-3


def test_a_column_of_ids_is_recognised_and_its_rate_is_not_judged() -> None:
    sample = [f"id-{number}" for number in range(500)] + ["unknown"] * 100
    binning, split = split_reference(sample)
    reference = Profile.of(binning, sample)
    assert is_ids(reference, split)
    assert "unseen_category" not in reference_rates(reference, split)
    assert not is_ids(Profile.of(*[categorical_binning(LONG_TAIL), LONG_TAIL]), None)


@pytest.mark.parametrize("kinds", [30, 100, 101, 3_000])
def test_names_that_are_all_equally_frequent_are_recognised(kinds: int) -> None:
    sample = [f"m{number}" for number in range(kinds)] * 3
    binning, _ = split_reference(sample)
    assert times_each(Profile.of(binning, sample)) == 3
    for other in (sample[1:], [*sample, "m0"], [*sample, "new"], [*sample[2:], "m0", "m0"]):
        binning, _ = split_reference(other)
        assert times_each(Profile.of(binning, other)) is None
    random = [f"m{number}" for number in np.random.default_rng(1).integers(0, kinds, 3 * kinds)]
    assert times_each(Profile.of(split_reference(random)[0], random)) is None


def test_names_that_occur_once_or_are_few_or_more_than_are_kept_are_not_called_equally_frequent() -> None:
    for sample in (["a", "b"] * 50, [f"m{number}" for number in range(60)], [str(n) for n in range(10_101)] * 2, [1.5]):
        assert times_each(Profile.of(split_reference(sample)[0], sample)) is None
    numbers = np.repeat(np.arange(60.0), 3)
    assert times_each(Profile.of(numeric_binning(numbers), numbers)) is None


def test_a_small_reference_is_not_split() -> None:
    """Of fewer than ten values, beside which no check judges; a stored one of fewer than 30 may have none, either."""
    assert split_reference(["a", "b"] * 5)[1] is not None
    binning, split = split_reference(["a", "b"] * 4)
    reference = Profile.of(binning, ["a", "b"] * 10)
    assert (split, binning.naming) == (None, None)
    current = Profile.of(binning, ["a"] * 90 + ["c"] * 10)
    assert window_test(reference, current) == homogeneity(reference.coarse, current.coarse)
    assert window_needed(reference, 1e-3) is not None


@pytest.mark.parametrize(
    ("sample", "whole"),
    [
        (["a", "b"] * 10, True),
        (["a"] * 19 + ["b"], True),
        (["a"] * 18 + ["b"] * 2, True),
        (["a"] * 17 + ["b"] * 2 + ["c"], False),
        (["a"] * 13 + ["b"], False),
        (["a", "b"] * 15, False),
    ],
)
def test_a_small_reference_without_room_for_new_names_is_tested_as_a_whole(sample: list[str], whole: bool) -> None:
    assert (split_reference(sample)[1] is None) is whole


@pytest.mark.parametrize(
    ("rows", "before", "now", "least"),
    [
        (20, [0.5, 0.3, 0.2], [0.15, 0.15, 0.7], 0.78),
        (20, [0.97, 0.03], [0.6, 0.4], 0.5),
        (20, [0.5, 0.3, 0.2, 0.0], [0.25, 0.15, 0.1, 0.5], 0.9),
        (15, [0.5, 0.5], [0.9, 0.1], 0.45),
        (29, [0.5, 0.3, 0.2], [0.15, 0.15, 0.7], 0.94),
    ],
)
def test_a_few_common_names_beside_few_rows_show_a_shift(
    rows: int, before: list[float], now: list[float], least: float
) -> None:
    """With a third given away for names, of these 0.37, 0.02, 0.47, 0.18 and 0.66 were found."""
    assert np.mean(np.array(small_p_values(rows, before, now, 100)) < 1e-3) >= least


@pytest.mark.parametrize("rows", [15, 20, 29])
@pytest.mark.parametrize(
    "shares",
    [[0.5, 0.3, 0.2], [0.1] * 10, [1 / 6] * 6, [0.5, *[0.125] * 4], [0.8, *[0.001] * 200], [0.97, 0.03]],
    ids=["three", "ten", "six", "half", "tail", "rare"],
)
def test_a_small_reference_keeps_the_level_whether_split_or_whole(rows: int, shares: list[float]) -> None:
    found = np.array(small_p_values(rows, shares, shares, 120))
    # Of 120 one is expected at the level of 1 %; six would be there in one of 500 runs.
    assert (found < 1e-2).sum() <= 5
    assert (found < 1e-4).sum() == 0


def small_p_values(rows: int, before: list[float], now: list[float], references: int) -> list[float]:
    """p-values of windows of 400 values, each beside a reference of its own, of so many rows."""
    p_values = []
    for seed in range(references):
        rng = np.random.default_rng([seed, rows])
        sample, window = (
            [f"m{name}" for name in rng.choice(len(shares), size, p=shares).tolist()]
            for shares, size in ((before, rows), (now, 400))
        )
        binning, split = split_reference(sample)
        p_values.append(window_test(Profile.of(binning, sample), Profile.of(binning, window), split).p_value)
    return p_values


def test_what_is_no_split_is_refused() -> None:
    with pytest.raises(MalformedProfile):
        decode_split(b"\x01\x00\x07")
    with pytest.raises(EmptySample):
        split_reference([None])
    binning, split = split_reference(LONG_TAIL)
    with pytest.raises(EmptySample):
        window_test(Profile.of(binning, LONG_TAIL), Profile.empty(binning), split)


@given(st.integers(3, 60))
def test_a_sample_of_ever_new_names_has_some_to_be_expected(kinds: int) -> None:
    sample = [str(number % kinds) for number in range(60)] + [f"once {number}" for number in range(12)]
    binning, split = split_reference(sample)
    found = expected_new(Profile.of(binning, sample), split)
    assert found is None or 0 <= found.hits <= found.n
