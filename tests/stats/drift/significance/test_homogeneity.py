"""The test that decides about drift: its vectors, its exactness, and that more data of a shift never weakens it."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.simulations.levels import CASES, Case, level_of
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.drift.significance.homogeneity import homogeneity, homogeneity_p_values
from modelwatch.stats.drift.significance.omnibus import SMALL_REFERENCE, Groups
from modelwatch.stats.drift.significance.power import minimum_detectable_psi, samples_needed
from modelwatch.stats.drift.significance.single_cell import cell_p_value
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, StatsError
from tests.proofs.lock import Proofs
from tests.stats.strategies import count_pairs
from tests.support.examples import examples


def omnibus(reference: list[int], current: list[int]) -> float:
    """The p-value of the omnibus test before the factor for small references."""
    return homogeneity(reference, current).omnibus_p_value / (1.0 + SMALL_REFERENCE / sum(reference))


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        ([1000] * 10, [50, 40, 60, 45, 55, 30, 70, 50, 52, 48], 0.0169603),
        ([10] * 10, [0] * 5 + [2_000] + [0] * 4, 1.51852e-137),
        ([3] * 10, [5, 7, 1, 9, 0, 0, 30, 21, 14, 13], 3.38783e-05),
        ([500, 300, 150, 50], [30, 40, 20, 10], 0.00109199),
        ([20, 80], [900, 100], 1.48019e-51),
    ],
)
def test_the_omnibus_test_has_its_vectors(reference: list[int], current: list[int], expected: float) -> None:
    assert omnibus(reference, current) == pytest.approx(expected, rel=5e-6)


def test_the_statistics_of_the_omnibus_test_have_their_vectors() -> None:
    found = homogeneity([10] * 10, [0] * 5 + [2_000] + [0] * 4)
    assert (found.statistic, found.likelihood_ratio, found.df) == (
        pytest.approx(1880.597015),
        pytest.approx(678.048880),
        9,
    )
    grouped = homogeneity([3] * 10, [5, 7, 1, 9, 0, 0, 30, 21, 14, 13])
    assert (grouped.statistic, grouped.likelihood_ratio, grouped.df) == (
        pytest.approx(28.445016),
        pytest.approx(26.714832),
        4,
    )


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        ([1000] * 10, [50, 40, 60, 45, 55, 30, 70, 50, 52, 48], 0.0251436),
        ([100, 0], [0, 100], 4.41752e-59),
        ([98, 2], [92, 8], 0.20109),
        ([9800, 200], [920, 80], 7.48081e-21),
        ([62, 41, 17, 9, 4, 3], [28, 25, 9, 5, 2, 1], 1.0),
        ([62, 41, 17, 9, 4, 3], [20, 20, 10, 5, 5, 40], 2.30131e-13),
    ],
)
def test_the_single_cell_test_has_its_vectors(reference: list[int], current: list[int], expected: float) -> None:
    assert cell_p_value(reference, current, screen=0.0) == pytest.approx(expected, rel=5e-6)


@given(count_pairs(200))
def test_the_single_cell_test_is_fishers_of_every_cell(pair: tuple[list[int], list[int]]) -> None:
    r, c = np.array(pair)
    both = stats.hypergeom(r.sum() + c.sum(), (r + c)[r + c > 0], c.sum())
    tails = np.minimum(both.sf(c[r + c > 0] - 1), both.cdf(c[r + c > 0]))
    expected = min(1.0, 2 * len(tails) * tails.min())
    assert cell_p_value(r, c, screen=0.0) == pytest.approx(expected, rel=1e-6, abs=1e-290)
    assert cell_p_value(r, c) in (1.0, pytest.approx(expected, rel=1e-6, abs=1e-290))


@given(count_pairs(300))
def test_pearsons_statistic_is_scipys_over_the_groups(pair: tuple[list[int], list[int]]) -> None:
    r, c = np.array(pair)
    found = homogeneity(r, c)
    starts = Groups.of(r).merged[len(r) - 1 - found.df]
    table = np.add.reduceat(np.array(pair), starts, axis=1)
    if not found.df:
        assert (found.statistic, found.omnibus_p_value, found.p_value) == (0.0, 1.0, found.cell_p_value)
        return
    assert (table[0] >= max(5.0, 2.0 * r.sum() / c.sum())).all()
    expected = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8, abs=1e-8)
    ratio = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
    assert found.likelihood_ratio == pytest.approx(ratio, rel=1e-7, abs=1e-7)
    assert found.omnibus_p_value >= expected.pvalue * (1.0 - 1e-7)


def test_the_smallest_cell_joins_the_smaller_of_its_neighbours_whatever_the_window_holds() -> None:
    groups = Groups.of(np.array([500, 300, 100, 1, 99]))
    assert groups.merged[1].tolist() == [0, 1, 2, 3]
    dense, thin = ([200, 0, 0, 0, 0], [40, 40, 40, 40, 40])
    assert homogeneity([500, 300, 100, 1, 99], dense).df == homogeneity([500, 300, 100, 1, 99], thin).df == 3


def test_both_parts_make_one_p_value() -> None:
    found = homogeneity([1000] * 10, [50, 40, 60, 45, 55, 30, 70, 50, 52, 48])
    assert found.p_value == min(found.omnibus_p_value / 0.75, found.cell_p_value / 0.25)
    alone = homogeneity([100, 0], [0, 100])
    assert (alone.df, alone.p_value) == (0, alone.cell_p_value)


def test_two_samples_are_needed_over_the_same_cells() -> None:
    with pytest.raises(EmptySample):
        homogeneity([1, 2], [0, 0])
    with pytest.raises(EmptySample):
        homogeneity([0, 0], [1, 2])
    with pytest.raises(IncompatibleProfiles):
        homogeneity([1, 2], [1, 2, 3])


@given(count_pairs(2_000), st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_many_windows_are_tested_as_each_by_itself(pair: tuple[list[int], list[int]], other: list[int]) -> None:
    r, c = np.array(pair)
    more = np.resize(other, len(r))
    windows = np.array([c, more, np.zeros_like(c)])
    alone = [homogeneity(r, window).p_value if window.any() else 1.0 for window in windows]
    assert homogeneity_p_values(r, windows) == pytest.approx(alone, rel=1e-9, abs=1e-300)


KINDS = ("numeric", "categorical", "one cell", "unseen cell")


def shapes(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The shares of the reference and, in whole hundredths, those of a window that has shifted."""
    if kind == "numeric":
        before = np.full(10, 0.1)
    elif kind == "one cell":
        before = np.array([0.0, 1.0, 0.0])
    else:
        before = 1.0 / np.arange(1, rng.integers(3, 103)) ** rng.uniform(0.4, 1.6)
        before = np.append(before / before.sum(), 0.0)
    moved = rng.choice([0.05, 0.2, 1.0])
    target = np.zeros(len(before))
    target[-1 if kind == "unseen cell" else rng.integers(len(before))] = 1.0
    if rng.random() < 0.5 and kind in ("numeric", "categorical"):
        target = rng.dirichlet(np.ones(len(before)))
    after = np.round(((1.0 - moved) * before + moved * target) * 100).astype(np.int64)
    return before, after


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(60))
@given(seed=st.integers(0, 2**32 - 1))
def test_more_data_of_the_same_shift_never_weakens_the_evidence(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = shapes(kind, rng)
    reference = rng.multinomial(int(10 ** rng.uniform(np.log10(30), 4)), before)
    windows = after * np.array([1, 2, 4, 8, 16, 30, 100, 300, 1_000, 10_000])[:, None]
    p_values = homogeneity_p_values(reference, windows)
    assert (p_values[1:] <= p_values[:-1] * (1.0 + 1e-9)).all(), p_values


@pytest.mark.parametrize("size", [1, 5, 30, 100, 10_000])
@pytest.mark.parametrize("n", [100, 10_000, 1_000_000])
def test_samples_without_a_common_value_are_never_the_same(size: int, n: int) -> None:
    chance = 1.0 / comb(n + size, size) if size < 50 else 1e-50
    assert homogeneity([size, 0], [0, n]).p_value <= 4.0 * chance * (1.0 + 1e-9)
    spread = [size // 5 + (cell < size % 5) for cell in range(5)]
    assert homogeneity([*spread, 0], [0] * 5 + [n]).p_value <= 48.0 * chance * (1.0 + 1e-9)


@pytest.mark.parametrize("size", [100, 1_000])
def test_a_reference_smaller_than_the_window_does_not_hide_a_total_shift(size: int) -> None:
    sample = np.random.default_rng(1).normal(20.0, 2.0, size)
    binning = numeric_binning(sample)
    reference = Profile.of(binning, sample)
    for n in (2_000, 200_000):
        current = Profile.of(binning, np.full(n, 20.3))
        assert psi(reference.coarse, current.coarse) > 5.0
        assert homogeneity(reference.coarse, current.coarse).p_value < 1e-100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_level_is_kept_far_out_in_the_tail(case: Case) -> None:
    """By importance sampling; the factor of safety is for what so few draws are uncertain by."""
    levels = level_of(case, draws=10_000, rng=np.random.default_rng(11))
    for alpha, (level, error) in levels.items():
        assert level - 3.0 * error < 1.0, f"{level:.2f} ± {error:.2f} times {alpha}"
        assert error < 0.35


def quiet_p_values_below(n: int) -> list[float]:
    """The shares of p-values below 1 % and 0.1 %, of windows of n values that are as the reference."""
    rng = np.random.default_rng(20240501)
    p_values = [homogeneity(*rng.multinomial([2_000, n], np.full(10, 0.1))).p_value for _ in range(10_000)]
    return [float(np.mean(np.array(p_values) < alpha)) for alpha in (1e-2, 1e-3)]


@pytest.mark.parametrize("n", [100, 1_000])
def test_p_values_of_quiet_windows_are_as_rare_as_they_say(proofs: Proofs, n: int) -> None:
    for alpha, share in zip((1e-2, 1e-3), proofs.figures(quiet_p_values_below, n), strict=True):
        assert 0.2 * alpha < share < 1.3 * alpha


def test_the_minimum_detectable_shift_is_found_with_the_power_it_promises() -> None:
    rng = np.random.default_rng(7)
    n_reference, n, alpha = 50_000, 2_000, 1e-3
    target = minimum_detectable_psi(n_reference, n, 9, alpha, power=0.8)
    base, tilt = np.full(10, 0.1), np.linspace(-1, 1, 10)
    shifted = base + np.sqrt(target / (tilt @ tilt / 0.1)) * tilt
    assert psi((base * 1e9).astype(int), (shifted * 1e9).astype(int)) == pytest.approx(target, rel=0.05)
    found = [
        homogeneity(r, c).p_value < alpha
        for r, c in zip(rng.multinomial(n_reference, base, 4000), rng.multinomial(n, shifted, 4000), strict=True)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("arguments", [(0, 1, 1, 0.1), (1, 0, 1, 0.1), (1, 1, 0, 0.1), (1, 1, 1, 0.9)])
def test_a_minimum_detectable_shift_needs_samples_and_levels(arguments: tuple) -> None:
    with pytest.raises(StatsError):
        minimum_detectable_psi(*arguments)


@pytest.mark.parametrize("reference", [[1000] * 10, [0, 500, 0], [5000, 4000, 900, 90, 10, 0]])
@pytest.mark.parametrize("alpha", [1e-2, 1e-5, 1e-8])
def test_no_fewer_samples_than_needed_reach_the_level(reference: list[int], alpha: float) -> None:
    needed = samples_needed(reference, alpha)
    assert needed is not None
    shifts = np.eye(len(reference), dtype=np.int64)
    assert homogeneity_p_values(reference, shifts * needed).min() < alpha
    assert homogeneity_p_values(reference, shifts * (needed - 1)).min() >= alpha


def test_a_reference_of_one_value_needs_more_data_than_anybody_has() -> None:
    assert samples_needed([1, 0], 1e-15) is None
    assert (samples_needed([1, 0], 1e-5) or 0) > 100_000
    with pytest.raises(EmptySample):
        samples_needed([0, 0], 0.01)
    with pytest.raises(StatsError):
        samples_needed([1, 2], 0.0)


@pytest.mark.parametrize("seed", range(200))
def test_leaving_out_tails_that_can_not_be_the_smallest_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2, 40))
    shares = rng.dirichlet(np.full(number, rng.choice([0.2, 1.0, 20.0])), size=2)
    r, c = (
        rng.multinomial(int(10 ** rng.uniform(1, 6)), shares[0]),
        rng.multinomial(int(10 ** rng.uniform(0.5, 5)), shares[int(rng.integers(2))]),
    )
    in_reference, in_window = int(r.sum()), int(c.sum())
    tails = [
        rate_increase_p_value(before, in_reference, now, in_window)
        if now * in_reference > before * in_window
        else rate_increase_p_value(now, in_window, before, in_reference)
        for before, now in zip(r.tolist(), c.tolist(), strict=True)
    ]
    assert cell_p_value(r, c, screen=0.0) == min(1.0, 2.0 * int(np.count_nonzero(r + c)) * min(tails))
