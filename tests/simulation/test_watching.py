"""A simulated feature is watched as a real one: what may not drift and is left out would have changed nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.observations import advance_drift
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation.features import Feature, looks_at
from modelwatch.simulation.traffic import HOUR, Integers, schedule, traffic
from modelwatch.simulation.watching import Watch

DAY = 24 * HOUR
RULES = DriftRules.of(Settings())


def watch_of(rules: DriftRules, rate: float, days: int, rng: np.random.Generator) -> Watch:
    stream = traffic(rate, DAY, days * DAY, "poisson", rng)
    return Watch.on(schedule(stream, [HOUR, 6 * HOUR, DAY], rules.check_interval, rules.min_samples), rules, 3)


def one_by_one(watch: Watch, feature: Feature, looks: Integers) -> list[tuple[int, bool]]:
    """The findings when every evaluation is made, whatever it holds."""
    found: list[tuple[int, bool]] = []
    conditions: list[Condition] = []
    for at in range(len(watch.when.ends)):
        conditions = advance_drift(conditions, watch.evaluation(feature, looks[at], at))
        found += [(at, not each.finding.holding) for each in conditions if each.finding is not None]
    return found


@pytest.mark.parametrize(
    ("persistence", "budget", "min_samples", "rate"),
    [
        ((1, 1), 1_000.0, 40, 60.0),
        ((2, 3), 1_000.0, 30, 40.0),
        ((1, 1), 1_000.0, 10, 12.0),
        ((3, 3), 500.0, 100, 300.0),
    ],
)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_findings_are_those_of_every_evaluation_made_one_by_one(
    persistence: tuple[int, int], budget: float, min_samples: int, rate: float, shift: float
) -> None:
    rng = np.random.default_rng(6)
    alarms, among = persistence
    rules = dataclasses.replace(
        RULES, budget=budget, min_samples=min_samples, alarms_needed=alarms, alarms_among=among, psi_warning=0.05
    )
    total = 0
    for size in (150, 3_000):
        watch = watch_of(rules, rate, 6, rng)
        feature = Feature.drawn(size, rng)
        looks = looks_at(feature.coarse_shares(), feature.coarse_shares(shift), watch.when, rng)
        expected = one_by_one(watch, feature, looks)
        assert list(watch.findings(feature, looks)) == expected
        total += len(expected)
    # Both kinds of evaluation occur: what is compared is neither empty nor everything.
    assert shift == 0.0 or 0 < total < 2 * len(watch.when.ends)


def test_a_look_spends_what_has_accrued_since_the_one_before() -> None:
    watch = watch_of(RULES, 150.0, 2, np.random.default_rng(7))
    assert set(watch.when.elapsed.tolist()) > {2_400, 2_700}
    expected = [RULES.alpha(3, elapsed=elapsed) for elapsed in watch.when.elapsed.tolist()]
    assert watch.alphas.tolist() == expected


def test_cells_are_those_of_the_reference_sample_and_not_exactly_tenths() -> None:
    shares = Feature.drawn(300, np.random.default_rng(8)).coarse_shares()
    assert shares.sum() == pytest.approx(1.0)
    assert 0.001 < np.abs(shares - 0.1).max() < 0.1


def test_history_is_not_shifted_and_what_comes_after_is() -> None:
    rng = np.random.default_rng(9)
    when = schedule(traffic(1_000.0, DAY, 2 * DAY, "even", rng), [HOUR, DAY], HOUR, None)
    before, after = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    looks = looks_at(before, after, when, rng)
    assert looks[0].tolist() == [[0, 1_000], [23_000, 1_000]]
    assert looks[23].tolist() == [[0, 1_000], [0, 24_000]]


@pytest.mark.parametrize("size", [1, 2, 11, 200])
def test_tiny_references_have_cells_too(size: int) -> None:
    rng = np.random.default_rng(size)
    feature = Feature.drawn(size, rng)
    watch = watch_of(RULES, 50.0, 2, rng)
    looks = looks_at(feature.coarse_shares(), feature.coarse_shares(1.0), watch.when, rng)
    assert looks.sum(axis=2).tolist() == watch.when.values.tolist()
    assert len(list(watch.findings(feature, looks))) <= len(watch.when.ends)
