"""Patterns of a shift: each is named for what it is, and nothing is named that is none."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.patterns import ShiftPattern, shift_pattern
from modelwatch.stats.errors import IncompatibleProfiles

RNG = np.random.default_rng(3)
AMOUNTS = RNG.lognormal(4.0, 0.9, 10_000)
CELLS = numeric_binning(AMOUNTS)
KINDS = RNG.choice(["grocery", "fuel", "travel", "gifts"], 10_000, p=[0.5, 0.3, 0.15, 0.05]).tolist()
NAMES = categorical_binning(KINDS)


def of_amounts(values: np.ndarray | list[Scalar]) -> ShiftPattern | None:
    return shift_pattern(Profile.of(CELLS, AMOUNTS), Profile.of(CELLS, values))  # type: ignore[arg-type]


def of_kinds(values: list[Scalar]) -> ShiftPattern | None:
    return shift_pattern(Profile.of(NAMES, KINDS), Profile.of(NAMES, values))


def kinds(size: int, shares: list[float], *more: str) -> list[Scalar]:
    names = ["grocery", "fuel", "travel", "gifts", *more]
    drawn: list[Scalar] = np.random.default_rng(8).choice(names, size, p=shares).tolist()
    return drawn


@pytest.mark.parametrize("factor", [1.1, 1.9, 2.54, 0.9, 0.4536])
@pytest.mark.parametrize("size", [400, 15_000])
def test_another_unit_is_one_factor(factor: float, size: int) -> None:
    found = of_amounts(np.random.default_rng(5).lognormal(4.0, 0.9, size) * factor)
    if found is None or found.kind != "one_factor":
        # Few values do not tell a small factor from chance.
        assert size == 400
        assert factor in (1.1, 0.9)
        return
    assert found.factor == pytest.approx(factor, rel=0.12 if size == 400 else 0.03)


def test_an_offset_is_no_factor_but_everything_is_larger_or_smaller() -> None:
    values = np.random.default_rng(5).normal(10.0, 3.0, 10_000)
    cells = numeric_binning(values)
    for by, kind in ((2.5, "larger"), (-2.5, "smaller")):
        found = shift_pattern(Profile.of(cells, values), Profile.of(cells, values[:4_000] + by))  # type: ignore[arg-type]
        assert found == ShiftPattern(kind)  # type: ignore[arg-type]


def test_a_wider_distribution_has_no_pattern() -> None:
    values, wider = (np.random.default_rng(5).normal(10.0, spread, 10_000) for spread in (1.0, 1.8))
    cells = numeric_binning(values)
    assert shift_pattern(Profile.of(cells, values), Profile.of(cells, wider)) is None  # type: ignore[arg-type]


def test_part_of_the_traffic_in_another_unit_is_no_single_factor() -> None:
    drawn = np.random.default_rng(5).lognormal(4.0, 0.9, 4_000)
    drawn[:1_600] *= 100.0
    found = of_amounts(drawn)
    assert found == ShiftPattern("larger")


def test_one_category_that_grows_is_named() -> None:
    assert of_kinds(kinds(3_000, [0.4, 0.24, 0.12, 0.24])) == ShiftPattern("one_category", cell="gifts")
    assert of_kinds(kinds(3_000, [0.0, 0.6, 0.3, 0.1])) == ShiftPattern("one_category", cell="grocery")


def test_many_categories_that_move_have_no_pattern() -> None:
    assert of_kinds(kinds(3_000, [0.25, 0.15, 0.3, 0.3])) is None


def test_names_that_nobody_has_seen_are_new_categories() -> None:
    assert of_kinds(kinds(3_000, [0.35, 0.21, 0.105, 0.035, 0.15, 0.15], "GROCERY", "Fuel")) == ShiftPattern(
        "new_categories"
    )


def test_more_missing_values_than_anything_else_has_moved() -> None:
    values: list[Scalar] = [None if index % 3 == 0 else value for index, value in enumerate(AMOUNTS[:3_000].tolist())]
    assert of_amounts(values) == ShiftPattern("missing")
    assert of_kinds([None if index % 4 == 0 else value for index, value in enumerate(KINDS[:2_000])]) == ShiftPattern(
        "missing"
    )


def test_what_has_not_moved_has_no_pattern() -> None:
    assert of_amounts(np.random.default_rng(6).lognormal(4.0, 0.9, 2_000)) is None
    assert of_kinds(kinds(2_000, [0.5, 0.3, 0.15, 0.05])) is None
    assert of_amounts([]) is None
    assert of_amounts([None, None]) is None


def test_a_constant_that_becomes_another_has_no_factor() -> None:
    cells = numeric_binning(np.array([5.0] * 100))
    found = shift_pattern(Profile.of(cells, [5.0] * 100), Profile.of(cells, [10.0] * 100))
    assert found == ShiftPattern("larger")


def test_other_cells_are_refused() -> None:
    with pytest.raises(IncompatibleProfiles, match="over one binning"):
        shift_pattern(Profile.of(CELLS, AMOUNTS), Profile.of(NAMES, KINDS))  # type: ignore[arg-type]
