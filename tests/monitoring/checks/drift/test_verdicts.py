"""Verdicts: large enough to matter and too large for chance; every state is its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelwatch.monitoring.checks.drift.judge import Case, judge, judge_all
from modelwatch.monitoring.checks.drift.tolerance import tolerance
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, DriftRules, Thresholds
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import split_reference
from tests.proofs.lock import Proofs
from tests.support.rules import RULES

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


def test_a_real_but_small_difference_is_shifted_and_shows_its_p_value() -> None:
    severity, reason = verdict(window(200_000, 0.15))
    assert severity == "shifted"
    assert reason is not None
    assert "A real difference (p < 10⁻¹²)" in reason
    assert "smaller than the PSI threshold" in reason


def test_a_real_difference_that_the_reference_itself_makes_is_stable() -> None:
    current = window(200_000, 0.15)
    natural, less = (tolerance(RULES, share, 0.001) for share in (0.05, 0.01))
    assert judge(REFERENCE, current, natural, 1e-5, 100).severity == "stable"
    assert judge(REFERENCE, current, less, 1e-5, 100).severity == "shifted"


def test_by_the_rules_of_earlier_releases_a_real_but_small_difference_is_stable() -> None:
    [[judgement]] = judge_all([Case(REFERENCE, None, 100, ((window(200_000, 0.15), ALLOWED),), False)], 1e-5)
    assert judgement.severity == "stable"
    assert judgement.reason is not None
    assert "A real difference" in judgement.reason


def test_too_few_values_say_how_many_are_missing() -> None:
    assert verdict(window(37)) == ("insufficient_data", "37 of at least 100 values: 63 more are needed.")


def of_few(size: int, shift: float, *, least: int | None = 30, natural: float | None = None) -> tuple[str, str | None]:
    case = Case(REFERENCE, None, 100, ((window(size, shift), tolerance(RULES, natural)),), least=least)
    [[judgement]] = judge_all([case], 1e-6)
    return judgement.severity, judgement.reason


def test_a_shift_that_few_values_show_is_shifted_however_large() -> None:
    severity, reason = of_few(30, 3.0)
    assert severity == "shifted"
    assert reason is not None
    assert reason.startswith("A real difference (p < 10⁻¹²)")
    assert reason.endswith("whose size so few values don't tell: 30 of at least 100 values: 70 more are needed.")


def test_few_values_that_show_no_shift_say_how_many_are_missing() -> None:
    missing = ("insufficient_data", "30 of at least 100 values: 70 more are needed.")
    assert of_few(30, 0.0) == missing
    assert of_few(30, 3.0, natural=50.0) == missing
    assert of_few(29, 3.0) == ("insufficient_data", "29 of at least 100 values: 71 more are needed.")


def test_by_the_rules_of_earlier_releases_few_values_show_nothing() -> None:
    assert of_few(99, 3.0, least=None) == ("insufficient_data", "99 of at least 100 values: 1 more are needed.")


def test_a_window_too_small_for_the_budget_says_so() -> None:
    severity, reason = verdict(window(10), alpha=1e-40, min_samples=10)
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


CLASSES = categorical_binning(["no", "yes"])
RARE = Thresholds(0.1, 0.25, 100, 2.0)


def classes(rare: int, of: int) -> Profile:
    return Profile.of(CLASSES, ["yes"] * rare + ["no"] * (of - rare))


@pytest.mark.parametrize(
    ("now", "severity", "decides"),
    [
        (500, "stable", "PSI"),
        (800, "shifted", "PSI"),
        (1_100, "warning", "odds ratio"),
        (1_900, "alert", "odds ratio"),
        (2_200, "alert", "PSI"),
    ],
)
def test_a_rare_class_is_judged_by_its_odds_as_well(now: int, severity: str, decides: str) -> None:
    """From 5 % to 11 % is a PSI of 0.05 only, and four times the odds is an alert, as is a PSI that large."""
    judgement = judge(classes(1_000, 20_000), classes(now, 10_000), tolerance(RARE, None), 1e-5, 100)
    assert judgement.severity == severity
    assert judgement.deciding is not None
    assert judgement.deciding.name == decides
    psi, odds = judgement.measures
    assert judgement.psi is not None
    assert psi.size == pytest.approx(max(0.0, judgement.psi - 1 / 10_000 - 1 / 20_000), abs=1e-6)
    assert odds.size == pytest.approx((now + 0.5) / (10_000.5 - now) * 19_000.5 / 1_000.5)
    assert (odds.warning, odds.alert, odds.cell) == (pytest.approx(2.0), pytest.approx(4.0), 1)


def test_the_odds_of_what_is_not_asked_for_are_not_looked_at() -> None:
    before, now = classes(1_000, 20_000), classes(1_100, 10_000)
    judgement = judge(before, now, tolerance(dataclasses.replace(RARE, odds_ratio=0.0), None), 1e-5, 100)
    assert (judgement.severity, [each.name for each in judgement.measures]) == ("shifted", ["PSI"])
    shifted = judge(REFERENCE, window(5_000, 1.0), tolerance(RARE, None), 1e-5, 100)
    assert [each.name for each in shifted.measures] == ["PSI"]


def test_a_rare_class_that_chance_has_moved_is_stable() -> None:
    judgement = judge(classes(1_000, 20_000), classes(11, 100), tolerance(RARE, None), 1e-5, 100)
    assert judgement.severity == "stable"
    assert judgement.measures[1].size > 2.0


def test_names_nobody_had_seen_are_no_odds_where_they_are_split_off() -> None:
    """In the reference they are none by construction, so their odds would be large in every window."""
    rng = np.random.default_rng(4)
    names = [f"c{index}" for index in rng.zipf(1.5, 3_000)]
    binning, split = split_reference(names)
    assert split is not None
    reference = Profile.of(binning, names)
    current = Profile.of(binning, [f"c{index}" for index in rng.zipf(1.5, 3_000)])
    judgement = judge(reference, current, tolerance(RARE, None), 1e-4, 100, split)
    assert judgement.severity == "stable"
    assert current.unseen > 30
    assert all(each.cell != len(reference.coarse) - 1 for each in judgement.measures)


def alarms_by_the_odds(before: int, now: int) -> list[float]:
    """The p-values of the alarms in a thousand windows that are as the reference, at a level of one per cent."""
    rng = np.random.default_rng(11)
    shares = np.array([0.9, 0.06, 0.03, 0.01])
    names = np.array(["a", "b", "c", "d"])
    alarms = []
    for _ in range(1_000):
        values = rng.choice(names, before, p=shares).tolist()
        binning = categorical_binning(["a", "b", "c", "d"])
        reference, current = (Profile.of(binning, each) for each in (values, rng.choice(names, now, p=shares).tolist()))
        judgement = judge(reference, current, tolerance(RARE, None), 0.01, 100)
        if judgement.severity in ("warning", "alert"):
            assert judgement.test is not None
            alarms.append(judgement.test.p_value)
    return alarms


@pytest.mark.parametrize(("before", "now"), [(20_000, 200), (300, 300), (500, 5_000)])
def test_the_odds_raise_no_alarm_that_the_level_does_not_allow(proofs: Proofs, before: int, now: int) -> None:
    """Whatever the sizes: what the test of the whole takes for chance is none by the odds either."""
    alarms = proofs.figures(alarms_by_the_odds, before, now)
    assert len(alarms) <= 20
    assert all(p_value < 0.01 for p_value in alarms)


def test_what_the_odds_do_in_the_reference_itself_is_tolerated() -> None:
    before, now = classes(1_000, 20_000), classes(1_100, 10_000)
    seasonal = tolerance(RARE, 0.06, natural_odds=3.0)
    assert judge(before, now, seasonal, 1e-5, 100).severity == "stable"
    assert judge(before, classes(3_000, 10_000), seasonal, 1e-5, 100).severity == "alert"
    assert judge(before, now, tolerance(RARE, None, natural_odds=1.0), 1e-5, 100).severity == "warning"


def test_alpha_shares_the_budget_among_all_looks() -> None:
    assert RULES.alpha(50, streams=2) == pytest.approx(RULES.alpha(50) / 2)
    assert RULES.alpha(50) == pytest.approx(0.5 / (50 * 3 * 720))


def test_a_generous_budget_never_calls_a_coin_toss_evidence() -> None:
    generous = DriftRules(0.1, 0.25, 0.05, 100, 1_000.0, ("24h",), 604_800)
    assert generous.alpha(1) == LARGEST_ALPHA
