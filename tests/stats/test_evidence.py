"""Evidence: the tests agree with scipy and keep their false-alarm rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modelwatch.stats import (
    EmptySample,
    IncompatibleProfiles,
    StatsError,
    alpha_per_look,
    benjamini_yekutieli,
    chi_square_homogeneity,
    ks_p_value,
    minimum_detectable_psi,
    psi,
    rate_increase_p_value,
    samples_needed,
)
from tests.stats.strategies import count_pairs


@given(count_pairs(2000))
def test_chi_square_is_scipys_where_nothing_is_pooled(pair: tuple[list[int], list[int]]) -> None:
    ours = chi_square_homogeneity(*pair, min_expected=0.0)
    table = np.array(pair)[:, np.sum(pair, axis=0) > 0]
    expected = stats.chi2_contingency(table, correction=False)
    assert ours.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert ours.df == expected.dof
    assert ours.p_value == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-300)
    assert ours.pooled == ()


@given(count_pairs(30))
def test_pooled_cells_expect_enough_in_the_smaller_sample(pair: tuple[list[int], list[int]]) -> None:
    result = chi_square_homogeneity(*pair)
    r, c = np.array(pair)
    groups = [list(group) for group in result.pooled]
    single = [[i] for i in np.flatnonzero(r + c) if not any(i in group for group in groups)]
    cells = groups + single
    sizes = np.array([(r + c)[cell].sum() for cell in cells])
    assert len(cells) == 1 or (sizes * min(r.sum(), c.sum()) / (r.sum() + c.sum()) >= 5 - 1e-9).all()
    assert result.df == len(cells) - 1
    table = np.array([[r[cell].sum() for cell in cells], [c[cell].sum() for cell in cells]])
    if result.df:
        expected = stats.chi2_contingency(table, correction=False)
        assert result.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    else:
        assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_rare_cells_are_pooled_with_their_smaller_neighbour() -> None:
    assert chi_square_homogeneity([500, 300, 100, 1, 99], [50, 30, 10, 1, 9]).pooled == ((3, 4),)


def test_chi_square_needs_both_sides_and_the_same_cells() -> None:
    with pytest.raises(EmptySample):
        chi_square_homogeneity([1, 2], [0, 0])
    with pytest.raises(IncompatibleProfiles):
        chi_square_homogeneity([1, 2], [1, 2, 3])


@pytest.mark.parametrize("n", [100, 1_000])
@pytest.mark.parametrize("cells", ["deciles", "zipf"])
def test_the_chi_square_test_alarms_as_often_as_it_says(n: int, cells: str) -> None:
    rng = np.random.default_rng(20240501)
    shares = np.full(10, 0.1) if cells == "deciles" else (1.0 / np.arange(1, 31)) / (1.0 / np.arange(1, 31)).sum()
    runs = 20_000
    references, currents = rng.multinomial(10_000, shares, runs), rng.multinomial(n, shares, runs)
    p_values = np.array([chi_square_homogeneity(r, c).p_value for r, c in zip(references, currents, strict=True)])
    for alpha, most in ((1e-2, 1.25), (1e-3, 1.9)):
        rate = float((p_values < alpha).mean())
        assert 0.5 * alpha < rate < most * alpha, f"{rate:.5f} at nominal {alpha}"


@given(st.floats(0.0, 1.0), st.integers(1, 10**6), st.integers(1, 10**6))
def test_ks_p_values_are_scipys(d: float, n: int, m: int) -> None:
    effective = max(1, round(n * m / (n + m)))
    d = d if effective < 50 else d * 4 / effective**0.5
    expected = stats.kstwo.sf(min(d, 1.0), effective) if round(n * m / (n + m)) else 1.0
    assert ks_p_value(min(d, 1.0), n, m) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_a_ks_p_value_needs_observations() -> None:
    with pytest.raises(EmptySample):
        ks_p_value(0.5, 0, 10)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000))
def test_rate_increase_is_fishers_exact_test(a: int, b: int, c: int, d: int) -> None:
    ours = rate_increase_p_value(a, a + b, c, c + d)
    table = [[c, d], [a, b]]
    assert ours == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-8, abs=1e-290)


def test_rate_increase_holds_for_large_samples() -> None:
    ours = rate_increase_p_value(1_000, 5_000_000, 90, 200_000)
    assert ours == pytest.approx(stats.hypergeom.sf(89, 5_200_000, 1_090, 200_000), rel=1e-6)
    assert rate_increase_p_value(0, 10**6, 10**6, 10**6) == 0.0
    assert rate_increase_p_value(5, 10, 0, 10) == rate_increase_p_value(0, 10, 0, 0) == 1.0


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(StatsError):
        rate_increase_p_value(11, 10, 0, 10)


def test_the_budget_is_shared_among_all_looks() -> None:
    alpha = alpha_per_look(1.0, 50, 3, 720)
    assert alpha * 50 * 3 * 720 == pytest.approx(1.0)
    assert alpha_per_look(1e9, 1, 1, 1) == 1.0
    with pytest.raises(StatsError):
        alpha_per_look(0.0, 1, 1, 1)


def test_the_minimum_detectable_shift_is_found_with_the_power_it_promises() -> None:
    rng = np.random.default_rng(7)
    n_reference, n, alpha = 50_000, 2_000, 1e-3
    target = minimum_detectable_psi(n_reference, n, 9, alpha, power=0.8)
    base = np.full(10, 0.1)
    tilt = np.linspace(-1, 1, 10)
    step = np.sqrt(target / (tilt @ tilt / 0.1))
    shifted = base + step * tilt
    assert psi((base * 1e9).astype(int), (shifted * 1e9).astype(int)) == pytest.approx(target, rel=0.05)
    found = [
        chi_square_homogeneity(r, c).p_value < alpha
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

    def best(n: int) -> float:
        shifts = [[n if i == cell else 0 for i in range(len(reference))] for cell in range(len(reference))]
        return min(chi_square_homogeneity(reference, shift).p_value for shift in shifts)

    assert best(needed) < alpha
    assert best(needed - 1) >= alpha


def test_a_tiny_reference_can_never_give_evidence() -> None:
    assert samples_needed([2, 1], 1e-5) is None
    with pytest.raises(EmptySample):
        samples_needed([0, 0], 0.01)
    with pytest.raises(StatsError):
        samples_needed([1, 2], 0.0)


@given(st.lists(st.floats(0.0, 1.0), max_size=40))
def test_adjusted_p_values_are_scipys(p_values: list[float]) -> None:
    ours = benjamini_yekutieli(p_values)
    expected = stats.false_discovery_control(p_values, method="by") if p_values else []
    assert ours == pytest.approx(np.asarray(expected), rel=1e-9, abs=1e-300)


def test_far_out_in_the_tail_both_forms_together_keep_to_the_level_that_each_alone_exceeds() -> None:
    """Samples of 100 from the distribution that 10,000 reference values are from, tried three million times."""
    rng, cells, alpha = np.random.default_rng(2), 10, 1e-5
    pearson = joint = tried = 0
    while tried < 3_000_000:
        references = rng.multinomial(10_000, np.full(cells, 1 / cells), 250_000)
        currents = rng.multinomial(100, np.full(cells, 1 / cells), 250_000)
        together = references + currents
        share = 100 / 10_100
        statistic = ((currents - together * share) ** 2 / (together * share * (1 - share))).sum(axis=1)
        for index in np.flatnonzero(statistic > 35):
            test = chi_square_homogeneity(references[index], currents[index])
            pearson += test.p_value < alpha
            joint += test.joint_p_value < alpha
        tried += 250_000
    assert pearson > 1.3 * alpha * tried
    assert joint <= alpha * tried
