"""Tests of location and scale: their vectors, against exact permutation distributions, and their level down to 1e-7."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from benchmarks.simulations.directed_levels import CASES, Level, levels_of
from modelwatch.stats.drift import directed
from modelwatch.stats.drift.directed import SMALL_SCALE, DirectedTests, directed_tests, pooled_scores
from modelwatch.stats.drift.significance.single_cell import cell_p_value
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles
from tests.proofs.lock import Proofs
from tests.stats.strategies import count_pairs

PARTS = ("location_z", "location_p_value", "scale_z", "scale_p_value")

# Of the level: what a saddle-point approximation may be off by, where a reference has 30 values.
AT_MOST = 1.25


def of_one(reference: list[int], window: list[int], *, normal_below: float = 0.0) -> DirectedTests:
    return directed_tests(np.array(reference), np.array([window]), normal_below=normal_below)


@pytest.mark.parametrize(
    ("reference", "window", "z", "p_value"),
    [
        ([10] * 5, [0, 1, 2, 5, 7], 2.832834, 0.00346461),
        ([20, 5, 5], [3, 4, 3], 1.767640, 0.0842054),
        ([5] * 4, [0, 0, 0, 6], 2.810819, 0.00401338),
        ([50] * 200, [0] * 100 + [1] * 100, 7.942971, 1.62659e-15),
    ],
)
def test_location_has_its_vectors(reference: list[int], window: list[int], z: float, p_value: float) -> None:
    found = of_one(reference, window)
    assert found.location_z[0] == pytest.approx(z, abs=1e-6)
    assert found.location_p_value[0] == pytest.approx(p_value, rel=5e-6)


def test_scale_has_its_vector_times_what_small_references_add() -> None:
    window = [1] * 20 + [0] * 160 + [1] * 20
    found = of_one([50] * 200, window)
    assert found.scale_z[0] == pytest.approx(10.056850, abs=1e-6)
    assert found.scale_p_value[0] == pytest.approx(1.08789e-12 * (1.0 + SMALL_SCALE / 10_000), rel=5e-6)
    assert of_one([10] * 5, [0, 1, 2, 5, 7]).scale_z[0] == pytest.approx(-0.335417, abs=1e-6)


def test_scores_are_those_of_ranks_averaged_over_ties() -> None:
    location, scale = pooled_scores(np.array([[10, 11, 0, 12, 15, 17]]))
    expected = [-1.541238, -0.720456, 0.0, -0.215753, 0.318573, 1.24399]
    assert location[0] == pytest.approx(expected, abs=1e-6)
    shares = np.array([10, 11, 0, 12, 15, 17]) / 65
    assert (location[0] * shares).sum() == pytest.approx(0.0, abs=1e-12)
    assert (scale[0] * shares).sum() == pytest.approx(1.0)


def exact(reference: list[int], window: list[int], scores: np.ndarray) -> tuple[float, float]:
    """The probability of at least the window's sum of scores, and of exactly it, over all windows of its size."""
    together, n = np.add(reference, window), sum(window)
    observed, at_least, equal, ways = float(np.dot(window, scores)), 0, 0, 0
    for table in product(*(range(count + 1) for count in together)):
        if sum(table) != n:
            continue
        number = 1
        for count, chosen in zip(together.tolist(), table, strict=True):
            number *= comb(count, chosen)
        total = float(np.dot(table, scores))
        ways += number
        at_least += number * (total >= observed - 1e-9)
        equal += number * (abs(total - observed) <= 1e-9)
    return at_least / ways, equal / ways


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4)), min_size=3, max_size=5).filter(
        lambda cells: sum(count for _, count in cells) >= 3
    )
)
def test_a_tail_is_near_the_exact_one(cells: list[tuple[int, int]]) -> None:
    reference, window = [r for r, _ in cells], [c for _, c in cells]
    location = pooled_scores(np.add([reference], [window]))[0][0]
    found = of_one(reference, window)
    if found.location_z[0] < 2.0:
        return
    tail, point = exact(reference, window, location)
    assert tail - point <= found.location_p_value[0] / 2 * 1.5
    assert found.location_p_value[0] / 2 <= tail * 1.5


@given(count_pairs(400))
def test_a_mirrored_feature_moves_the_other_way(pair: tuple[list[int], list[int]]) -> None:
    reference, window = pair
    found, mirrored = of_one(reference, window), of_one(reference[::-1], window[::-1])
    assert mirrored.location_z[0] == pytest.approx(-found.location_z[0], abs=1e-7)
    assert mirrored.scale_z[0] == pytest.approx(found.scale_z[0], abs=1e-7)
    if abs(found.location_z[0]) > 1e-3:
        assert mirrored.location_p_value[0] == pytest.approx(found.location_p_value[0], rel=1e-4)


@given(count_pairs(400))
def test_it_does_not_matter_which_sample_is_the_reference(pair: tuple[list[int], list[int]]) -> None:
    reference, window = pair
    found, exchanged = of_one(reference, window), of_one(window, reference)
    assert exchanged.location_z[0] == pytest.approx(-found.location_z[0], rel=1e-9, abs=1e-12)
    assert exchanged.scale_z[0] == pytest.approx(-found.scale_z[0], rel=1e-9, abs=1e-12)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 30), st.integers(0, 30))
def test_of_two_values_both_are_fishers_test(first: int, second: int, now: int, then: int) -> None:
    if not now + then or not second + then:
        return
    found = of_one([first, 0, second], [now, 0, then])
    # The single-cell test is for two cells and for both sides: four tails.
    expected = cell_p_value([first, second], [now, then], screen=0.0)
    if expected < 1.0:
        assert found.location_p_value[0] == pytest.approx(expected / 2.0, rel=1e-9)


def test_no_table_is_less_likely_than_the_most_extreme_one() -> None:
    found = of_one([100] * 100, [0] * 99 + [5])
    choices = comb(105, 5) / comb(10_005, 5)
    assert found.location_p_value[0] == pytest.approx(2.0 * choices, rel=1e-9)
    with_more = of_one([100] * 100, [0] * 98 + [5, 100])
    assert with_more.location_p_value[0] >= 2.0 * comb(205, 5) * 1.0 / comb(10_105, 105) > 0.0


def test_values_beyond_those_of_the_reference_count_as_the_largest() -> None:
    found = of_one([0, *[20] * 50, 0], [0] * 51 + [30], normal_below=2.5)
    assert found.location_p_value[0] == pytest.approx(2.0 / comb(1_030, 30), rel=1e-6)


def test_where_all_values_are_equal_nothing_has_moved() -> None:
    found = of_one([0, 50, 0], [0, 20, 0])
    assert (found.location_z[0], found.location_p_value[0]) == (0.0, 1.0)
    assert (found.scale_z[0], found.scale_p_value[0]) == (0.0, 1.0)


def test_many_windows_are_tested_as_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    references = rng.multinomial(300, np.full(30, 1 / 30), 40)
    windows = rng.multinomial(80, rng.dirichlet(np.full(30, 0.6), 40))
    windows[7] = 0
    together = directed_tests(references, windows)
    for row in range(40):
        alone = directed_tests(references[row], windows[row : row + 1])
        for part in PARTS:
            assert getattr(together, part)[row] == pytest.approx(getattr(alone, part)[0], rel=1e-7)
    assert together.location_p_value[7] == together.scale_p_value[7] == 1.0


@pytest.mark.parametrize("empty", [False, True])
def test_windows_computed_some_at_a_time_are_to_the_bit_those_computed_at_once(
    empty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several references, most windows far out in the tail."""
    rng = np.random.default_rng(8)
    references, of = rng.multinomial(300, np.full(30, 1 / 30), 5), rng.integers(0, 5, 70)
    windows = rng.multinomial(80, rng.dirichlet(np.full(30, 0.6), 70))
    windows[[3, 69]] *= not empty
    found = {}
    for cells in (30, 210, 100_000):
        monkeypatch.setattr(directed, "AT_ONCE", cells)
        monkeypatch.setattr(directed, "FAR_AT_ONCE", cells // 20)
        tests = directed_tests(references, windows, of=of)
        found[cells] = [getattr(tests, part).tolist() for part in PARTS]
    assert found[30] == found[210] == found[100_000]
    of_its_own = directed_tests(references[of], windows)
    assert [getattr(of_its_own, part).tolist() for part in PARTS] == found[30]
    assert (np.abs(of_its_own.location_z) > 2.5).sum() > 5


def test_more_data_of_a_shift_is_more_evidence_down_to_the_smallest_number() -> None:
    reference, shift = np.full(200, 50), np.r_[np.zeros(150, dtype=int), np.ones(50, dtype=int)]
    found = directed_tests(reference, np.outer(np.arange(1, 60), shift))
    assert (np.diff(found.location_p_value) <= 0.0).all()
    assert np.isfinite(found.location_p_value).all()
    assert (found.location_p_value >= 0.0).all()


def test_counts_over_the_same_cells_and_a_reference_are_needed() -> None:
    with pytest.raises(IncompatibleProfiles):
        directed_tests(np.array([1, 2]), np.array([[1, 2, 3]]))
    with pytest.raises(IncompatibleProfiles):
        directed_tests(np.array([1, 2]), np.array([1, 2]))
    with pytest.raises(IncompatibleProfiles):
        directed_tests(np.ones((3, 2), dtype=np.int64), np.ones((2, 2), dtype=np.int64))
    with pytest.raises(IncompatibleProfiles):
        directed_tests(np.ones((3, 2), dtype=np.int64), np.ones((2, 3), dtype=np.int64), of=np.array([0, 2]))
    with pytest.raises(EmptySample):
        directed_tests(np.array([0, 0]), np.array([[1, 2]]))


@pytest.mark.parametrize("current", [10, 30, 60, 90])
def test_of_two_values_far_tails_are_those_of_the_hypergeometric_distribution(current: int) -> None:
    tests = directed_tests(np.array([0, 9_800, 0, 200, 0]), np.array([[0, 100 - current, 0, current, 0]]))
    exact = 2 * hypergeom.sf(current - 1, 10_100, 200 + current, 100)
    assert tests.location_p_value[0] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("counted_as", [1.0, 0.15])
def test_a_total_shift_of_what_is_nearly_always_zero_is_no_chance(counted_as: float) -> None:
    reference = np.concatenate([[0, 9_800, 0], np.full(20, 10)])
    window = np.concatenate([[0, 28, 0], np.zeros(19), [28]]) * counted_as
    tests = directed_tests(reference, window[None, :])
    assert tests.location_z[0] > 8
    assert tests.location_p_value[0] < 1e-4
    assert tests.scale_p_value[0] < 1e-3


def measured(name: str, draws: int) -> list[Level]:
    return levels_of(name, draws)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_false_alarms_are_as_many_as_the_level_says(proofs: Proofs, name: str) -> None:
    for level in proofs.figures(measured, name, 20_000):
        assert 0.0 < level.location < AT_MOST + 3.0 * level.location_error, level
        assert 0.0 < level.scale < AT_MOST + 3.0 * level.scale_error, level
        # It is no test that never alarms.
        if level.at >= 1e-4:
            assert level.location > 0.5, level


def test_draws_count_as_often_as_they_come() -> None:
    [level, *_] = levels_of("five ratings, 100 against 30", 4_000)
    assert level.at == 1e-3
    assert level.location == pytest.approx(1.0, abs=0.3)
