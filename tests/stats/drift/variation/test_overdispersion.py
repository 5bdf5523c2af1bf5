"""How much more than by chance windows of a reference vary that is not made of independent values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, f, norm, t

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.categorical import categorical_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import combined_tests
from modelwatch.stats.drift.significance.names import split_reference
from modelwatch.stats.drift.variation.natural_variation import Variation, variation_of
from modelwatch.stats.drift.variation.overdispersion import (
    AT_MOST,
    LOCATION,
    ON_AVERAGE,
    SCALE,
    CellScores,
    Dispersion,
    Overdispersion,
    overdispersion,
    widened,
    widened_chi_square,
    widened_tail,
)
from tests.support.examples import examples

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
    # Groups as large as the reference's: n values count as n / (1 + 19 ρ), less what the reference itself varies.
    alike = found.dispersion(20, 4_000, 20.0)
    assert 1 / alike.cells == pytest.approx([(1 + 19 * rho) / 20 + 19 * rho / 4_000] * 2, rel=1e-4)
    assert alike.cells_freedom == pytest.approx([199] * 2, rel=1e-3)
    # Of smaller ones, in both, as Kish has it; they are known more surely.
    small = found.dispersion(100, 4_000, 5.0, 5.0)
    assert 1 / small.cells == pytest.approx([(1 + 4 * rho) / 100 + 4 * rho / 4_000] * 2, rel=1e-4)
    assert small.cells_freedom[0] > 199
    assert found.dispersion(1, 4_000, 1.0, 1.0).cells == pytest.approx([1.0, 1.0])


def test_of_larger_groups_the_better_one_of_two_bounds_counts() -> None:
    """ρ = 0.04 of 700 groups of 20 is known well: 1,000 values of one count for more than 20 would. Of ρ = 0 that 10
    groups show nothing is sure, and 1,000 count as 20."""
    rho, own = 0.04, 19
    known = Overdispersion(700, 20.0, np.full(4, rho), np.full(2, rho), varies=True).dispersion(1_000, 14_000, 1_000.0)
    at_most = ((1 + own * rho) / (chi2.ppf(1e-3, 699) / 699) - 1) / own
    wider = (t.ppf(5e-7, 699) / norm.ppf(5e-7)) ** 2
    assert known.cells == pytest.approx([wider / ((1 + 999 * at_most) / 1_000 + own * at_most / 14_000)] * 2)
    assert 20 / (1 + own * rho) < known.cells[0] < 1_000 / (1 + 999 * rho)
    assert known.cells_freedom == pytest.approx([699] * 2)
    unsure = Overdispersion(10, 20.0, np.zeros(4), np.zeros(2), varies=True).dispersion(1_000, 14_000, 1_000.0)
    assert unsure.effective == pytest.approx([20.0] * 4)
    assert unsure.freedom == pytest.approx([9.0] * 4)


@pytest.mark.parametrize("freedom", [9, 29, 700])
@pytest.mark.parametrize("times", [1.0, 2.0, 20.0, 1_000.0])
def test_estimated_variances_keep_the_level_for_groups_of_any_size(freedom: int, times: float) -> None:
    """How often the test rejects, over all estimates of the variance that there can be: at most as often as it says,
    whatever the variance is, and for p-values down to 1e-7."""
    own = 13.0
    # The parts of its mean that the estimate takes, by their probability.
    p = np.concatenate((np.logspace(-25, -3, 600), np.linspace(1e-3, 1, 1_000)[1:-1]))
    estimates = chi2.ppf(p, freedom) / freedom
    n_reference = 10**12
    n = round(1 + times * own)
    for variance in (1.0, 1.05, 1.2, 1.5, 2.0, 5.0, 10.0):
        rho = (np.maximum(variance * estimates, 1.0) - 1.0) / own
        known = Overdispersion(freedom + 1, own + 1.0, np.zeros(4), rho, varies=True)
        found = known.dispersion(n, n_reference, float(n))
        true = n / (1.0 + (n - 1.0) * (variance - 1.0) / own)
        for alpha in (1e-3, 1e-5, 1e-7):
            rejects = 2.0 * norm.sf(t.isf(alpha / 2, freedom) * np.sqrt(true / found.cells))
            assert np.trapezoid(rejects, p) < 1.05 * alpha


def test_p_values_are_those_of_wider_distributions() -> None:
    assert widened(np.array([1e-5, 1.0]), np.array([30.0, 30.0])) == pytest.approx(
        [2 * t.sf(norm.isf(1e-5 / 2), 30), 1.0]
    )
    assert widened_tail(1e-5, 30.0) == pytest.approx(t.sf(norm.isf(1e-5), 30))
    assert widened_tail(0.7, 30.0) == 0.7
    found = widened_chi_square(np.array([1e-5]), np.array([9]), np.array([30.0]))
    assert found == pytest.approx([f.sf(chi2.isf(1e-5, 9) / 9, 9, 30)])
    # Far out nothing is infinite.
    assert 0.0 < widened(np.array([0.0]), np.array([50.0]))[0] < 1e-30


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
    """Hours differ by 0.4 standard deviations: the mean of n values of one varies 1 + 0.16 n times as much."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(20):
        reference, variation = referenced(rng, *drawn(rng, 240, 40, 0.4))
        as_many, more = (variation.dispersion(reference, HOUR, n) for n in (40, 400))
        assert as_many is not None
        assert more is not None
        rho = 0.16 / 1.16
        found.append(as_many.effective[statistic] * ((1 + 39 * rho) / 40 + 39 * rho / 9_600))
        # Of ten times as many the most that they may vary counts.
        assert 0.9 < more.effective[statistic] / as_many.effective[statistic] < 1.25
    assert 0.85 < np.mean(found) < 1.25
    # The mean of a day varies less than that of an hour, of as many values.
    by_day, by_hour = (variation.dispersion(reference, length, 400) for length in (DAY, HOUR))
    assert by_day is not None
    assert by_hour is not None
    assert by_day.effective[statistic] > by_hour.effective[statistic] * 4


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
    assert found[900].effective[LOCATION] <= found[21_600].effective[LOCATION] < 6  # type: ignore[union-attr]


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
        assert all(each is not None and 8 < 200 / each.effective[ON_AVERAGE] < 12 for each in dispersions)
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


def test_of_two_the_more_careful_counts_statistic_by_statistic() -> None:
    """What 4 clusters say is not made surer by 700 stretches that vary a little more."""
    stretches = Dispersion(np.full(4, 99.0), np.full(4, 700.0), np.array([99.0, 10.0]), np.full(2, 700.0))
    clusters = Dispersion(np.full(4, 100.0), np.full(4, 4.0), np.array([100.0, 100.0]), np.full(2, 4.0))
    for both in (stretches.careful(clusters), clusters.careful(stretches)):
        assert (both.effective.tolist(), both.freedom.tolist()) == ([99.0] * 4, [4.0] * 4)
        assert (both.cells.tolist(), both.cells_freedom.tolist()) == ([99.0, 10.0], [4.0, 4.0])


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 2**32 - 1), shift=st.sampled_from([0.5, 1.0, 3.0, 8.0]), named=st.booleans())
def test_more_data_of_a_shift_never_weakens_the_evidence_where_the_reference_varies(
    seed: int, shift: float, named: bool
) -> None:
    """At any rate of traffic, whatever it was in the reference."""
    rng = np.random.default_rng(seed)
    days, each_hour = int(rng.integers(4, 31)), int(rng.integers(1, 20))
    hours = np.repeat(np.arange(24 * days), each_hour)
    means = rng.uniform(0.2, 1.0) * rng.normal(size=24 * days + 1)
    if rng.random() < 0.5:
        means = rng.uniform(0.2, 1.0) * np.sin(np.arange(24 * days + 1) * np.pi / 12)
    sample = rng.normal(size=len(hours)) + means[hours]
    times = (hours * HOUR + np.tile(np.arange(each_hour) * HOUR // each_hour, 24 * days)).tolist()
    moved, split = rng.normal(size=50) * rng.uniform(0.1, 1.5) + shift, None
    if named:
        sample, moved = ([f"{value:.0f}" for value in values] for values in (sample, moved))  # type: ignore[assignment]
        binning, split = split_reference(list(sample))
    else:
        binning = numeric_binning(sample)
    reference, counts = Profile.of(binning, sample), binning.count(moved)
    variation = variation_of(binning, list(sample), times, rng)
    assert variation is not None
    windows = [Profile(binning, counts * many) for many in (1, 2, 3, 10, 30, 100, 1_000, 10_000)]
    length = int(rng.choice([HOUR, 6 * HOUR, DAY]))
    dispersions = [variation.dispersion(reference, length, each.n) for each in windows]
    assert all(dispersions) or not any(dispersions)
    [found] = combined_tests([(reference, split, windows)], [dispersions])
    for less, more in itertools.pairwise(found):
        # Only where cells are tested that were merged before, all of them together may say a little less.
        refined = less.strongest == "all cells" and more.df > less.df
        assert less.p_value > 0.01 or refined or more.p_value <= less.p_value * (1.0 + 1e-6)


@pytest.mark.parametrize("length", [HOUR, 6 * HOUR, DAY])
@pytest.mark.parametrize("rhythm", [0.15, 0.3])
@pytest.mark.parametrize("n_reference", [10_000, 72_000])
def test_a_total_shift_is_found_at_any_multiple_of_the_traffic_of_the_reference(
    n_reference: int, rhythm: float, length: int
) -> None:
    """A month with the rhythm of days, and windows of 1 to 10,000 times its traffic."""
    rng = np.random.default_rng(8)
    times = np.sort(rng.integers(0, 30 * DAY, n_reference))
    sample = rhythm * np.sin(2 * np.pi * times / DAY) + rng.normal(size=n_reference)
    reference, variation = referenced(rng, sample, times.tolist())
    usual = n_reference * length // (30 * DAY)
    counts = reference.binning.count(rng.normal(size=100) + 3.0)
    windows = [Profile(reference.binning, counts * max(1, usual * times // 100)) for times in (1, 2, 5, 20, 70, 10_000)]
    dispersions = [variation.dispersion(reference, length, each.n) for each in windows]
    assert all(dispersions)
    [found] = combined_tests([(reference, None, windows)], [dispersions])
    assert all(each.p_value < 1e-20 for each in found)


def test_scale_of_windows_that_are_one_stretch_each_keeps_its_level_far_out() -> None:
    """The mean of a stretch is normal, so that its square is far out more often: with the degrees of freedom of others
    22 times as many windows had p < 1e-4."""
    rng, found = np.random.default_rng(5), []
    stretches, size = 100, 100
    times = (np.arange(stretches * size) * 36).tolist()

    def drawn(number: int) -> np.ndarray:
        own = np.sqrt(0.3) * rng.normal(size=number).repeat(size)
        return own + np.sqrt(0.7) * rng.normal(size=number * size)

    for _ in range(8):
        values = drawn(stretches)
        reference = Profile.of(numeric_binning(values), values)
        variation = variation_of(reference.binning, values.tolist(), times, rng)
        assert variation is not None
        dispersion = variation.dispersion(reference, 3_600, size)
        windows = [Profile.of(reference.binning, drawn(1)) for _ in range(400)]
        [tests] = combined_tests([(reference, None, windows)], [[dispersion] * len(windows)])
        found += [(each.location.p_value, each.scale.p_value) for each in tests if each.location and each.scale]
    # 0.3 are expected; four would be there in one of 3,000 runs.
    assert (np.array(found) < 1e-4).sum(axis=0).max() < 4
