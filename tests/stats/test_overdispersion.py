"""How much more than by chance windows of a reference vary that is not made of independent values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2, f, norm, t

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.categorical import categorical_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.combined import combined_tests
from modelwatch.stats.drift.names import split_reference
from modelwatch.stats.drift.variation.natural_variation import Variation, variation_of
from modelwatch.stats.drift.variation.overdispersion import (
    AT_MOST,
    LOCATION,
    ON_AVERAGE,
    SCALE,
    CellScores,
    overdispersion,
    widened,
    widened_chi_square,
    widened_tail,
)

HOUR, DAY = 3_600, 86_400


def drawn(
    rng: np.random.Generator, groups: int, size: int, between: float, within: float = 1.0
) -> tuple[np.ndarray, list[int | None]]:
    """Values of so many hours, whose means differ by `between` standard deviations, and their times."""
    hours = np.repeat(np.arange(groups), size)
    values = rng.normal(size=len(hours)) * within + between * rng.normal(size=groups)[hours]
    return values, (hours * HOUR + np.tile(np.arange(size) * HOUR // size, groups)).tolist()


def referenced(rng: np.random.Generator, values: np.ndarray, times: list[int | None]) -> tuple[Profile, Variation]:
    binning = numeric_binning(values)
    variation = variation_of(binning, values.tolist(), times, rng)
    assert variation is not None
    return Profile.of(binning, values), variation


def test_the_correlation_is_that_of_the_analysis_of_variance() -> None:
    """Ten pairs of a group of 30 (21 : 9) and one of 10 (1 : 9), by hand: p = 22/40, n0 = (400 - 10000/400) / 19."""
    found = overdispersion([np.array([[21, 9], [1, 9]] * 10)], None)
    assert found is not None
    between = 10 * (4.5**2 / 30 + 4.5**2 / 10) / 19 * 399 / 400
    size = (400 - 10 * (900 + 100) / 400) / 19
    factor = between / (0.55 * 0.45)
    assert found.groups == 20
    assert found.size == pytest.approx(size)
    assert found.cells == pytest.approx([(factor - 1) / (size - 1)] * 2)
    # Of two cells every combination is the same.
    assert found.statistics[[ON_AVERAGE, AT_MOST]] == pytest.approx(found.cells, rel=0.2)


def test_a_window_varies_by_its_groups_and_by_those_of_the_reference() -> None:
    found = overdispersion([np.array([[5, 15], [15, 5]] * 100)], None)
    assert found is not None
    rho = 4.0238 / 19
    alone = found.dispersion(100, 4_000, 100.0)
    assert alone.cells == pytest.approx([1 + rho * (99 * 4_000 + 19 * 100) / 4_100] * 2, rel=1e-4)
    # Of clusters that are small in both: as Kish's design effect has it.
    small = found.dispersion(100, 4_000, 5.0, 5.0)
    assert small.cells == pytest.approx([1 + 4 * rho] * 2, rel=1e-4)
    # What is known of 199 degrees of freedom at the reference's own size is known less of larger groups.
    assert found.dispersion(20, 10**9, 20.0).cells_freedom == pytest.approx([199] * 2, rel=1e-3)
    assert alone.cells_freedom[0] < 199
    assert found.dispersion(1, 4_000, 1.0, 1.0).cells == pytest.approx([1.0, 1.0])


def test_p_values_are_those_of_wider_distributions() -> None:
    z = norm.isf(1e-5 / 2)
    assert widened(np.array([1e-5, 1.0]), np.array([4.0, 4.0]), np.array([30.0, 30.0])) == pytest.approx(
        [2 * t.sf(z / 2, 30), 1.0]
    )
    assert widened_tail(1e-5, 4.0, 30.0) == pytest.approx(t.sf(norm.isf(1e-5) / 2, 30))
    assert widened_tail(0.7, 4.0, 30.0) == 0.7
    found = widened_chi_square(np.array([1e-5]), np.array([9]), np.array([4.0]), np.array([30.0]))
    assert found == pytest.approx([f.sf(chi2.isf(1e-5, 9) / 4 / 9, 9, 30)])
    # Far out nothing is infinite.
    assert 0.0 < widened(np.array([0.0]), np.array([100.0]), np.array([50.0]))[0] < 1e-3


def test_fewer_than_ten_groups_or_a_value_in_each_say_nothing() -> None:
    assert overdispersion([np.array([[5, 15], [15, 5]] * 4)], None) is None
    assert overdispersion([np.array([[0, 1], [1, 0]] * 40)], None) is None
    assert overdispersion([np.array([[7, 0], [9, 0]] * 40)], None) is None
    assert overdispersion([], None) is None


def test_independent_values_keep_their_p_values() -> None:
    rng, varies = np.random.default_rng(1), 0
    for _ in range(60):
        reference, variation = referenced(rng, *drawn(rng, 100, 20, 0.0))
        varies += any(variation.dispersion(reference, length, 60) is not None for length in (900, HOUR, 8 * HOUR))
    assert varies <= 3


@pytest.mark.parametrize("statistic", [LOCATION, AT_MOST])
def test_what_hours_differ_is_found_for_windows_of_any_size(statistic: int) -> None:
    """Hours differ by 0.4 standard deviations: of n values the mean varies 1 + 0.16 n times as much."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(20):
        reference, variation = referenced(rng, *drawn(rng, 240, 40, 0.4))
        window = variation.dispersion(reference, HOUR, 400)
        assert window is not None
        found.append(window.factors[statistic] / ((1 + 0.16 / 1.16 * 399 * 9_600 / 10_000) + 0.16 / 1.16 * 39 * 0.04))
    assert 0.8 < np.mean(found) < 1.15
    # The mean of a day varies less than that of an hour, of as many values.
    by_day, by_hour = (variation.dispersion(reference, length, 400) for length in (DAY, HOUR))
    assert by_day is not None
    assert by_hour is not None
    assert by_day.factors[statistic] < by_hour.factors[statistic] / 4


def test_of_shorter_stretches_than_are_known_is_assumed_what_they_may_do() -> None:
    """A year's pieces are six hours long; what happens within them is unknown, and is more, not less."""
    rng = np.random.default_rng(3)
    days = np.repeat(np.arange(365), 48)
    values = rng.normal(size=len(days)) + rng.normal(size=365)[days]
    reference, variation = referenced(rng, values, (np.arange(len(days)) * 1_800).tolist())
    assert variation.span == 21_600
    found = {length: variation.dispersion(reference, length, 60) for length in (900, 21_600)}
    for each in found.values():
        assert each is not None
    assert found[900].factors[LOCATION] >= found[21_600].factors[LOCATION] > 10  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["location", "scale", "rhythm"])
def test_the_level_is_kept_where_the_reference_varies(where: str) -> None:
    """Windows of an hour like those of the reference: below 1e-3 in one of a thousand at most; by chance alone far more
    often."""
    rng = np.random.default_rng(4)
    low, low_by_chance, windows = 0, 0, 0

    def hours(number: int) -> list[np.ndarray]:
        clock = rng.permutation(np.arange(number)) if where == "rhythm" else np.arange(number)
        means = {
            "location": 0.3 * rng.normal(size=number),
            "scale": np.zeros(number),
            "rhythm": 0.5 * np.sin(clock / 24 * 2 * np.pi),
        }[where]
        widths = np.exp(0.2 * rng.normal(size=number)) if where == "scale" else np.ones(number)
        return [rng.normal(mean, width, 100) for mean, width in zip(means, widths, strict=True)]

    for _ in range(15):
        sample = np.concatenate(hours(120))
        reference, variation = referenced(rng, sample, (np.arange(len(sample)) * HOUR // 100).tolist())
        now = [Profile.of(reference.binning, values) for values in hours(100)]
        dispersions = [variation.dispersion(reference, HOUR, each.n) for each in now]
        [found] = combined_tests([(reference, None, now)], [dispersions])
        [by_chance] = combined_tests([(reference, None, now)])
        low += sum(each.p_value < 1e-3 for each in found)
        low_by_chance += sum(each.p_value < 1e-3 for each in by_chance)
        windows += len(now)
    assert low <= 1e-3 * windows + 3 * np.sqrt(1e-3 * windows)
    assert low_by_chance > 0.1 * windows


def test_a_shift_that_is_more_than_the_reference_does_is_seen() -> None:
    rng = np.random.default_rng(5)
    reference, variation = referenced(rng, *drawn(rng, 240, 40, 0.2))
    moved = Profile.of(reference.binning, rng.normal(size=400) + 2.0)
    [[found]] = combined_tests([(reference, None, [moved])], [[variation.dispersion(reference, HOUR, 400)]])
    assert found.p_value < 1e-7
    assert found.effective_n == pytest.approx(400 / (1 + 0.04 / 1.04 * 385), rel=0.35)


def test_categories_that_come_in_clumps_keep_the_level_and_new_names_among_them() -> None:
    """Each client sends one of twenty names, ten times."""
    rng = np.random.default_rng(6)
    names = [f"name {number}" for number in range(20)]
    low, low_by_chance = 0, 0

    def clumps(number: int) -> list[str]:
        return [names[place] for place in np.repeat(rng.integers(0, 20, number), 10)]

    for _ in range(8):
        values = clumps(1_000)
        binning, split = split_reference(values)
        reference = Profile.of(binning, values)
        variation = variation_of(binning, values, (np.arange(10_000) * 36).tolist(), rng)
        assert variation is not None
        now = [
            Profile.of(binning, [names[place] for place in np.repeat(rng.integers(0, 20, 20), 10)]) for _ in range(60)
        ]
        dispersions = [variation.dispersion(reference, 7_200, each.n) for each in now]
        assert all(each is not None and 8 < each.factors[ON_AVERAGE] < 12 for each in dispersions)
        [found] = combined_tests([(reference, split, now)], [dispersions])
        [by_chance] = combined_tests([(reference, split, now)])
        low += sum(each.p_value < 1e-2 for each in found)
        low_by_chance += sum(each.p_value < 1e-2 for each in by_chance)
    assert low <= 0.01 * 480 + 3 * np.sqrt(0.01 * 480)
    assert low_by_chance > 400
    clump = Profile.of(
        binning, [*["never seen"] * 10, *[names[place] for place in np.repeat(rng.integers(0, 20, 19), 10)]]
    )
    [[once]] = combined_tests([(reference, split, [clump])], [[variation.dispersion(reference, 7_200, 200)]])
    [[alone]] = combined_tests([(reference, split, [clump])])
    assert alone.new_names_p_value is not None
    assert once.new_names_p_value is not None
    assert alone.new_names_p_value < 1e-9 < 1e-4 < once.new_names_p_value


def test_scores_of_coarse_cells_say_how_much_those_of_fine_ones_vary_more() -> None:
    reference = Profile.of(numeric_binning(sample := np.random.default_rng(7).normal(size=5_000)), sample)
    scores = CellScores.of(reference)
    assert scores is not None
    assert scores.values.shape == (10, 2)
    # Deciles hold 96 % of the variance of normal scores, and 70 % of that of their squares.
    assert scores.gain == pytest.approx([1.04, 1.4], abs=0.06)
    assert SCALE == 1
    assert CellScores.of(Profile.of(categorical_binning(["a", "b"]), ["a", "b"])) is None
