"""A configuration tried on traffic: little traffic, a lot, other rules, and the same again from the same seed."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from modelwatch.config import Settings
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation import Arrivals, RuleResult, Scenario, Shift, Simulation, simulate, steps
from tests.proofs.lock import Proofs

# A few look-backs and evaluations once an hour: what is tested here does not depend on how many there are.
RULES = dataclasses.replace(DriftRules.of(Settings()), lookbacks=("1h", "6h", "24h"), looks_after=None)
SMALL = Scenario(features=5, months=2, repetitions=8)


def moved(*sizes: float) -> tuple[Shift, ...]:
    return tuple(Shift("location", size) for size in sizes)


def run(scenario: Scenario = SMALL, **changes: object) -> Simulation:
    return simulate(scenario, dataclasses.replace(RULES, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain() -> Simulation:
    """The result of the small scenario."""
    return run()


def test_the_same_seed_gives_the_same_result_and_another_seed_another(plain: Simulation) -> None:
    assert run() == plain
    second = run(dataclasses.replace(SMALL, seed=1))
    assert msgspec.structs.replace(second, seed=0) != plain


def test_each_experiment_draws_its_own_numbers(plain: Simulation) -> None:
    without = run(dataclasses.replace(SMALL, shifts=()))
    names = plain.baselines.keys()
    assert [plain.baselines[name].false_alarms_per_model_month for name in names] == [
        without.baselines[name].false_alarms_per_model_month for name in names
    ]
    assert run(budget=0.1).baselines == plain.baselines


def test_steps_are_counted_to_the_end() -> None:
    done: list[int] = []
    simulate(SMALL, RULES, done.append)
    assert sum(done) == steps(SMALL) == 2 * 2 * 5 + 2 * 2 * 8


def test_without_a_shift_there_is_no_delay() -> None:
    result = run(dataclasses.replace(SMALL, shifts=()))
    assert (result.rule.delays, result.rule.median_delay_hours, result.rule.share_seen) == ([], None, None)
    assert all(each.delays == [] for each in result.baselines.values())


def test_the_first_shift_is_the_one_at_the_top() -> None:
    rule = run(dataclasses.replace(SMALL, shifts=moved(2.0, 0.3))).rule
    assert [delay.shift for delay in rule.delays] == [2.0, 0.3]
    assert (rule.median_delay_hours, rule.p90_delay_hours) == (1.0, 1.0)
    assert rule.delays[1].median_hours is not None
    assert rule.delays[1].median_hours > 1.0


def test_little_traffic_decides_on_the_longest_look_back_alone() -> None:
    result = run(Scenario(features=10, rate=5, months=2, shifts=moved(2.0), repetitions=40), min_samples=110)
    assert [(each.lookback, each.values, each.share_decided) for each in result.rule.lookbacks] == [
        ("1h", 5.0, 0.0),
        ("6h", 30.0, 0.0),
        ("24h", 120.0, 1.0),
    ]
    assert [each.min_detectable_psi is None for each in result.rule.lookbacks] == [True, True, False]
    assert result.rule.false_alarms_per_model_month <= 1.0
    assert result.rule.share_seen == 1.0
    assert result.rule.median_delay_hours is not None
    assert 4 < result.rule.median_delay_hours < 16
    # A threshold that knows nothing of chance takes five values for a drift, in every feature and every hour.
    assert result.baselines["psi_0.1_last_hour"].false_alarms_per_model_month == pytest.approx(7_200, rel=0.01)


def test_too_little_traffic_decides_nothing() -> None:
    result = run(Scenario(features=3, rate=0.2, months=2, repetitions=10))
    assert result.rule.false_alarms_per_model_month == 0.0
    assert result.rule.evaluations_per_model_month == 144.0
    assert [each.share_decided for each in result.rule.lookbacks] == [0.0, 0.0, 0.0]
    assert (result.rule.median_delay_hours, result.rule.share_seen) == (None, 0.0)


@pytest.mark.parametrize("arrivals", ["even", "poisson"])
def test_traffic_that_has_dried_up_is_not_evaluated(arrivals: Arrivals) -> None:
    result = run(Scenario(features=2, rate=0.01, months=2, repetitions=5, arrivals=arrivals))
    assert result.rule.evaluations_per_model_month < 20
    assert (result.rule.median_delay_hours, result.rule.share_seen) == (None, 0.0)


def with_a_lot_of_traffic() -> RuleResult:
    return run(Scenario(features=4, rate=10_000, months=2, shifts=moved(0.5), repetitions=30)).rule


def with_a_lot_of_traffic_by_the_clock_alone() -> RuleResult:
    scenario = Scenario(features=4, rate=10_000, months=1, shifts=moved(0.5), repetitions=30)
    return run(scenario, on_new_data=False).rule


@pytest.mark.timeout(600)
def test_a_lot_of_traffic_is_evaluated_every_five_minutes_and_seen_within_the_hour(proofs: Proofs) -> None:
    rule = proofs.figures(with_a_lot_of_traffic)
    assert rule.evaluations_per_model_month == 8_640.0
    assert rule.false_alarms_per_model_month == 0.0
    assert rule.p90_delay_hours is not None
    assert rule.p90_delay_hours < 1.0
    waits = proofs.figures(with_a_lot_of_traffic_by_the_clock_alone)
    assert waits.evaluations_per_model_month == 720.0
    assert waits.median_delay_hours == 1.0


def with_predictions_by_chance() -> RuleResult:
    # The shortest look-back holds about as many as it needs to show a shift: it comes and goes.
    scenario = Scenario(features=20, months=4, arrivals="poisson", repetitions=30)
    return run(scenario, min_samples=333, looks_after=100).rule


def test_predictions_that_come_by_chance_keep_the_budget_too(proofs: Proofs) -> None:
    rule = proofs.figures(with_predictions_by_chance)
    assert rule.false_alarms_per_model_month <= 1.0
    assert rule.evaluations_per_model_month > 720.0
    assert 0.3 < rule.lookbacks[0].share_decided < 0.7


def with_persistence(needed: int, among: int) -> Simulation:
    scenario = dataclasses.replace(SMALL, months=8, shifts=moved(1.0), repetitions=40)
    return run(scenario, budget=1_000.0, on_new_data=False, alarms_needed=needed, alarms_among=among)


@pytest.mark.timeout(600)
def test_persistence_trades_time_for_calm(proofs: Proofs) -> None:
    once, twice = (proofs.figures(with_persistence, needed, among) for needed, among in ((1, 1), (2, 3)))
    assert (once.persistence, twice.persistence) == ("1/1", "2/3")
    assert twice.rule.false_alarms_per_model_month < once.rule.false_alarms_per_model_month / 4
    assert (once.rule.median_delay_hours, twice.rule.median_delay_hours) == (1.0, 2.0)


def with_many_false_alarms() -> RuleResult:
    return run(Scenario(features=40, months=3, shifts=()), budget=1_000.0, psi_warning=0.02).rule


@pytest.mark.timeout(600)
def test_an_alert_is_a_run_of_findings_about_any_feature(proofs: Proofs) -> None:
    rule = proofs.figures(with_many_false_alarms)
    assert 0 < rule.alerts_per_model_month < rule.false_alarms_per_model_month


def test_a_reference_that_is_too_small_decides_nothing() -> None:
    result = run(Scenario(features=3, reference=1, months=1, repetitions=5, rate=200))
    assert [each.share_decided for each in result.rule.lookbacks] == [0.0, 0.0, 0.0]
    assert result.rule.false_alarms_per_model_month == 0.0
    assert result.rule.interval_95 is None


def test_several_processes_give_the_same_result_and_other_rules_stand_beside() -> None:
    scenario = Scenario(features=2, months=2, repetitions=4, shifts=(Shift("scale", 2.0), Shift("category", 0.3)))
    other = {"often": dataclasses.replace(RULES, lookbacks=("15m", "1h"), check_interval=300, min_samples=20)}
    done: list[int] = []
    alone = simulate(scenario, RULES, compared=other)
    assert simulate(scenario, RULES, done.append, compared=other, jobs=2) == alone
    assert sum(done) == steps(scenario, 1)
    compared = alone.compared["often"]
    assert (compared.title, [each.lookback for each in compared.lookbacks]) == ("often", ["15m", "1h"])
    assert compared.evaluations_per_model_month == 8_640.0


def test_every_kind_of_shift_is_detected_and_compared_with_the_bound() -> None:
    kinds = ("location:1", "scale:2", "half:2", "ramp:2", "category:0.3", "new:0.3")
    scenario = Scenario(features=5, months=1, repetitions=12, shifts=tuple(map(Shift.parsed, kinds)))
    result = run(scenario)
    for detected, found in zip(result.rule.detected, result.rule.delays, strict=True):
        assert f"{detected.kind}:{detected.shift:g}" in kinds
        assert detected.share_seen == 1.0
        assert detected.mean_hours is not None
        assert detected.mean_hours <= (found.mean_hours or 72.0)
        assert (detected.bound_hours is None) == (detected.kind in ("ramp", "new")) == (detected.ratio is None)
    # Kolmogorov-Smirnov is not for names, the PSI is for all.
    ks, psi = result.baselines["ks_0.05_last_day"].delays, result.baselines["psi_0.1_last_hour"].delays
    assert [each.share_seen is None for each in ks] == [False] * 4 + [True] * 2
    assert all(each.share_seen == 1.0 for each in psi)


def with_many_detections() -> RuleResult:
    return run(Scenario(features=30, months=3, shifts=()), budget=300.0, psi_warning=0.02).rule


def test_a_detection_counts_once_while_its_looks_overlap(proofs: Proofs) -> None:
    rule = proofs.figures(with_many_detections)
    assert rule.detected_per_model_month > 0
    assert rule.detected_interval_95 is not None
    assert rule.alerts_interval_95 is not None
