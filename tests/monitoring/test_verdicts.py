"""Verdicts: large enough to matter and too large for chance; every state is its own."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.monitoring.budget import LARGEST_ALPHA
from modelwatch.monitoring.rules import DriftRules
from modelwatch.monitoring.verdicts import judge, tolerance
from modelwatch.stats import Profile, categorical_binning, numeric_binning

RULES = DriftRules(
    psi_warning=0.1,
    psi_alert=0.25,
    ks_alpha=0.05,
    min_samples=100,
    budget=1.0,
    lookbacks=("1h", "6h", "24h"),
    check_interval=3_600,
)
ALLOWED = tolerance(RULES, None)
RNG = np.random.default_rng(3)
SAMPLE = RNG.normal(size=10_000)
BINNING = numeric_binning(SAMPLE)
REFERENCE = Profile.of(BINNING, SAMPLE.tolist())


def window(count: int, shift: float = 0.0) -> Profile:
    return Profile.of(BINNING, (RNG.normal(size=count) + shift).tolist())


def verdict(current: Profile, *, alpha: float = 1e-5, min_samples: int = 100) -> tuple[str, str | None]:
    judgement = judge(REFERENCE, current, ALLOWED, alpha, min_samples)
    return judgement.severity, judgement.reason


def test_the_same_distribution_is_stable() -> None:
    assert verdict(window(2_000)) == ("stable", None)


@pytest.mark.parametrize(("shift", "severity"), [(0.4, "warning"), (1.0, "alert")])
def test_a_shift_is_named_by_its_size(shift: float, severity: str) -> None:
    assert verdict(window(5_000, shift)) == (severity, None)


def test_a_large_score_that_chance_explains_is_stable_and_says_so() -> None:
    """At n = 100 the usual rule cries wolf in a third of all windows; here it must not."""
    seen = []
    for _ in range(200):
        judgement = judge(REFERENCE, window(100), ALLOWED, 1e-5, 100)
        assert judgement.severity == "stable"
        assert judgement.psi is not None
        if judgement.psi >= RULES.psi_warning:
            seen.append(judgement.reason)
    assert len(seen) > 20
    assert all(reason is not None and "by chance" in reason for reason in seen)


def test_a_real_but_tiny_difference_is_stable_and_shows_its_p_value() -> None:
    severity, reason = verdict(window(200_000, 0.15))
    assert severity == "stable"
    assert reason is not None
    assert "smaller than the PSI threshold" in reason


def test_too_few_values_say_how_many_are_missing() -> None:
    assert verdict(window(37)) == ("insufficient_data", "37 of at least 100 values: 63 more are needed.")


def test_a_window_too_small_for_the_budget_says_so() -> None:
    severity, reason = verdict(window(10), alpha=1e-9, min_samples=10)
    assert severity == "insufficient_data"
    assert reason is not None
    assert "more are needed" in reason


def test_a_reference_too_small_for_the_budget_says_so() -> None:
    binning = categorical_binning(["a"])
    reference = Profile.of(binning, ["a"])
    judgement = judge(reference, Profile.of(binning, ["a", "b"] * 100), ALLOWED, 1e-15, 100)
    assert judgement.severity == "insufficient_data"
    assert judgement.reason is not None
    assert "reference is too small" in judgement.reason


def test_an_empty_window_is_no_data() -> None:
    assert verdict(window(0)) == ("no_data", "No predictions in this window.")


def test_a_window_of_nulls_is_no_data_not_stable() -> None:
    severity, reason = verdict(Profile.of(BINNING, [None] * 500))
    assert (severity, reason) == ("no_data", "All 500 values in this window are missing or invalid.")


def test_a_constant_reference_is_stable_until_it_moves() -> None:
    binning = numeric_binning(np.full(1_000, 7.0))
    reference = Profile.of(binning, [7.0] * 1_000)
    for values, severity in (([7.0] * 500, "stable"), ([7.0] * 400 + [6.0] * 100, "alert"), ([8.0] * 500, "alert")):
        judgement = judge(reference, Profile.of(binning, values), ALLOWED, 1e-5, 100)
        assert judgement.severity == severity


def test_unseen_categories_drift() -> None:
    values = ["a", "b"] * 500
    binning = categorical_binning(values)
    reference = Profile.of(binning, values)
    assert judge(reference, Profile.of(binning, ["c"] * 300 + ["a", "b"] * 100), ALLOWED, 1e-5, 100).severity == "alert"


def test_alpha_shares_the_budget_among_all_looks() -> None:
    assert RULES.alpha(50, streams=2) == pytest.approx(RULES.alpha(50) / 2)
    assert RULES.alpha(50) == pytest.approx(0.5 / (50 * 3 * 720))


def test_a_generous_budget_never_calls_a_coin_toss_evidence() -> None:
    generous = DriftRules(0.1, 0.25, 0.05, 100, 1_000.0, ("24h",), 604_800)
    assert generous.alpha(1) == LARGEST_ALPHA
