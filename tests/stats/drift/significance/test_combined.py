"""One p-value of a subject: shares of the level, the test that says most, and what it is about."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import (
    DECLARED,
    ORDERED,
    SPLIT,
    cell_name,
    combined_detectable,
    combined_needed,
    combined_test,
    combined_tests,
    weights_of,
)
from modelwatch.stats.drift.significance.names import split_reference, window_test
from modelwatch.stats.errors import EmptySample


def ordered(size: int = 10_000) -> Profile:
    sample = np.random.default_rng(1).standard_normal(size)
    return Profile.of(numeric_binning(sample), sample)


def drawn(reference: Profile, n: int, shift: float = 0.0, scale: float = 1.0, seed: int = 2) -> Profile:
    return Profile.of(reference.binning, np.random.default_rng(seed).standard_normal(n) * scale + shift)


@pytest.mark.parametrize("weights", [ORDERED, DECLARED, SPLIT])
def test_the_shares_of_the_level_are_all_of_it(weights: dict[str, float]) -> None:
    assert sum(weights.values()) == pytest.approx(1.0)


def test_the_p_value_is_the_smallest_for_its_share() -> None:
    reference = ordered()
    found = combined_test(reference, drawn(reference, 300, 0.3))
    assert found.location is not None
    assert found.scale is not None
    parts = {
        "location": found.location.p_value / 0.4,
        "scale": found.scale.p_value / 0.2,
        "all cells": found.omnibus_p_value / 0.3,
        "single cell": found.cell_p_value / 0.1,
    }
    assert found.p_value == min(parts.values())
    assert found.strongest == min(parts, key=lambda part: parts[part]) == "location"
    assert found.location.z > 4.0


def test_what_moves_is_said_by_location_and_what_spreads_by_scale() -> None:
    reference = ordered()
    down, wide = (
        combined_test(reference, drawn(reference, 400, shift, scale)) for shift, scale in ((-0.4, 1), (0, 1.5))
    )
    assert (down.strongest, wide.strongest) == ("location", "scale")
    assert down.location is not None
    assert wide.scale is not None
    assert down.location.z < -4.0 < 4.0 < wide.scale.z


def test_a_single_value_that_comes_up_is_said_by_its_cell() -> None:
    reference = ordered()
    window = drawn(reference, 2_000)
    spike = Profile.of(reference.binning, [0.05] * 90)
    found = combined_test(reference, window + spike)
    assert found.strongest in ("all cells", "single cell")
    assert (found.cell is not None, found.cell_has_more) == (True, True)


def test_a_constant_that_changes_is_found_by_every_test() -> None:
    binning = numeric_binning([5.0] * 100)
    reference = Profile.of(binning, [5.0] * 100)
    found = combined_test(reference, Profile.of(binning, [4.0] * 100))
    assert found.df == 0
    assert found.p_value < 1e-57
    same = combined_test(reference, Profile.of(binning, [5.0] * 100))
    assert same.p_value == 1.0


def named(names: list[str]) -> tuple[Profile, object]:
    binning, split = split_reference(names)
    return Profile.of(binning, names), split


def test_the_most_unusual_category_is_named() -> None:
    names = ["a"] * 600 + ["b"] * 300 + ["c"] * 80 + ["d"] * 20
    reference, split = named(names)
    window = Profile.of(reference.binning, ["a"] * 60 + ["b"] * 25 + ["d"] * 15)
    found = combined_test(reference, window, split)
    assert (cell_name(reference, found), found.cell_has_more, found.location) == ("d", True, None)
    gone = combined_test(reference, Profile.of(reference.binning, ["a"] * 145 + ["c"] * 40 + ["d"] * 15), split)
    assert (cell_name(reference, gone), gone.cell_has_more) == ("b", False)


def test_new_names_together_are_named_as_a_group() -> None:
    reference, split = named([f"name {place % 40}" for place in range(4_000)])
    window = [f"name {place % 40}" for place in range(200)] + [f"new {place}" for place in range(40)]
    found = combined_test(reference, Profile.of(reference.binning, window), split)
    assert found.p_value < 1e-9
    assert cell_name(reference, found) == "(unseen)"


def test_categories_are_tested_as_by_the_tests_of_names() -> None:
    reference, split = named(["a"] * 600 + ["b"] * 300 + ["c"] * 100)
    window = Profile.of(reference.binning, ["a"] * 50 + ["b"] * 45 + ["c"] * 5)
    assert combined_test(reference, window, split) == window_test(reference, window, split)
    assert weights_of(reference, split) is SPLIT


def test_declared_categories_share_the_level_between_two_tests() -> None:
    binning = categorical_binning([True, False])
    reference = Profile.of(binning, [True] * 500 + [False] * 500)
    found = combined_test(reference, Profile.of(binning, [True] * 80 + [False] * 20))
    assert found.p_value == min(found.omnibus_p_value / 0.5, found.cell_p_value / 0.5)
    assert cell_name(reference, found) == "true" if found.cell_has_more else "false"
    usual = combined_test(reference, Profile.of(binning, [True] * 50 + [False] * 50))
    assert (cell_name(reference, usual), cell_name(ordered(), usual)) == (None, None)


def test_many_subjects_are_tested_as_each_by_itself() -> None:
    small, large = ordered(150), ordered()
    names, split = named(["a"] * 600 + ["b"] * 300 + ["c"] * 100)
    cases = [
        (large, None, [drawn(large, 100, seed=seed) for seed in range(3)]),
        (names, split, [Profile.of(names.binning, ["a"] * 50 + ["b"] * 20 + ["z"] * 9)]),
        (small, None, [drawn(small, 40, 1.0)]),
        (large, None, []),
    ]
    for (reference, how, windows), found in zip(cases, combined_tests(cases), strict=True):
        assert found == [combined_test(reference, window, how) for window in windows]


def test_both_samples_need_values() -> None:
    reference = ordered()
    with pytest.raises(EmptySample):
        combined_test(reference, Profile.empty(reference.binning))


def test_the_smallest_window_that_can_reach_a_level_does() -> None:
    for reference in (ordered(), ordered(40)):
        needed = combined_needed(reference, 1e-6)
        assert needed is not None
        top = np.zeros(reference.binning.size, dtype=np.int64)
        top[reference.binning.n_fine - 1] = 1
        least = combined_test(reference, Profile(reference.binning, top * needed)).p_value
        assert least < 1e-6 <= combined_test(reference, Profile(reference.binning, top * (needed - 1))).p_value
    names, split = named(["a"] * 600 + ["b"] * 300 + ["c"] * 100)
    assert combined_needed(names, 1e-6, split) is not None


def test_a_smaller_share_of_the_level_detects_larger_shifts_alone() -> None:
    reference = ordered()
    assert 0.1 < combined_detectable(reference, 1e-6).of(300, 9) < 0.5
