"""Evidence: the p-values agree with scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modelwatch.stats.drift.evidence import (
    alpha_per_look,
    benjamini_yekutieli,
    effective_rate_increase_p_value,
    ks_p_value,
    rate_increase_p_value,
)
from modelwatch.stats.errors import EmptySample, StatsError


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


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.floats(0.01, 1.0))
def test_effective_counts_have_the_exact_tail_of_whole_numbers_and_less_of_fewer(
    a: int, b: int, c: int, d: int, part: float
) -> None:
    whole = effective_rate_increase_p_value(a, a + b, float(c), float(c + d))
    exact = rate_increase_p_value(a, a + b, c, c + d)
    assert whole == pytest.approx(exact if c * (a + b) > a * (c + d) else 1.0, rel=1e-7, abs=1e-290)
    # Products of equal rates are rounded to either side.
    least = min(whole, 0.5) * (1.0 - 1e-9)
    assert effective_rate_increase_p_value(a, a + b, c * part, (c + d) * part) >= least
    assert effective_rate_increase_p_value(a * part, (a + b) * part, c, c + d) >= least


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


@given(st.lists(st.floats(0.0, 1.0), max_size=40))
def test_adjusted_p_values_are_scipys(p_values: list[float]) -> None:
    ours = benjamini_yekutieli(p_values)
    expected = stats.false_discovery_control(p_values, method="by") if p_values else []
    assert ours == pytest.approx(np.asarray(expected), rel=1e-9, abs=1e-300)
