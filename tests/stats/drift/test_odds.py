"""The odds of a category that moved most, and how surely any has moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.stats.drift.odds import furthest_odds, odds_shift
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=8)


def test_of_two_classes_the_rarer_one_is_named() -> None:
    found = odds_shift([9_500, 500], [8_900, 1_100])
    assert found.cell == 1
    assert found.ratio == pytest.approx((1_100.5 / 8_900.5) / (500.5 / 9_500.5))


def test_a_class_that_is_new_has_a_finite_ratio_and_its_exact_p_value() -> None:
    found = odds_shift([50, 50, 0], [0, 0, 100])
    assert (found.cell, np.isfinite(found.ratio)) == (2, True)
    # Six one-sided tests; the most extreme table of 100 against 100 has this probability.
    assert found.p_value == pytest.approx(6 * 1.104379e-59, rel=1e-4)


def test_one_category_has_nothing_to_compare() -> None:
    assert odds_shift([10, 0], [20, 0]).p_value == 1.0


def test_its_level_holds_for_sizes_of_any_kind() -> None:
    rng = np.random.default_rng(7)
    shares = [0.9, 0.07, 0.03]
    for before, now in ((10_000, 50), (300, 300), (100, 5_000)):
        samples = zip(rng.multinomial(before, shares, 2_000), rng.multinomial(now, shares, 2_000), strict=True)
        found = sum(odds_shift(a, b).p_value < 0.01 for a, b in samples)
        assert found <= 33, (before, now, found)


@given(
    COUNTS.flatmap(lambda r: st.tuples(st.just(r), st.lists(st.integers(0, 10_000), min_size=len(r), max_size=len(r))))
)
def test_it_is_the_same_either_way_and_never_undefined(drawn: tuple[list[int], list[int]]) -> None:
    r, c = drawn
    if not sum(r) or not sum(c):
        with pytest.raises(EmptySample):
            odds_shift(r, c)
        return
    there, back = odds_shift(r, c), odds_shift(c, r)
    assert there.ratio == pytest.approx(back.ratio)
    assert there.ratio >= 1.0
    assert 0.0 <= there.p_value <= 1.0
    assert there.p_value == pytest.approx(back.p_value, rel=1e-6, abs=1e-300)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(IncompatibleProfiles, match="same cells"):
        odds_shift([1, 2], [1, 2, 3])


def test_the_furthest_of_those_that_are_no_chance_is_told() -> None:
    """A category that one value of a few came to has far larger odds, which says nothing."""
    found = furthest_odds([9_500, 499, 1], [890, 109, 1], 1e-6)
    assert found is not None
    assert (found.cell, found.p_value < 1e-6) == (1, True)
    by_chance = furthest_odds([9_500, 499, 1], [949, 50, 1], 1e-6)
    assert by_chance is not None
    assert (by_chance.cell, by_chance.p_value) == (2, pytest.approx(1.0, abs=0.1))


def test_without_two_categories_or_without_values_no_odds_are_known() -> None:
    assert furthest_odds([10, 0], [20, 0], 0.01) is None
    assert furthest_odds([10, 5], [0, 0], 0.01) is None
    assert furthest_odds([0, 0], [5, 5], 0.01) is None
