"""The two experiments: months in which nothing is wrong, and shifts that begin at time 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.rules import SECONDS_PER_30_DAYS, DriftRules
from modelwatch.simulation.baselines import SPANS, Baseline, judged_by
from modelwatch.simulation.features import Feature, looks_at
from modelwatch.simulation.traffic import HOUR, Arrivals, Schedule, schedule, traffic
from modelwatch.simulation.watching import Watch

# Each experiment draws from a stream of its own, so that changing one leaves the others as they were.
RULE_MONTHS, BASELINE_MONTHS, RULE_SHIFTS, BASELINE_SHIFTS = range(4)
# Counts of features that don't know of each other add, so baselines are measured on some and scaled up.
BASELINE_FEATURES = 20
BASELINE_EVALUATIONS = 14_400


@dataclass(frozen=True, slots=True)
class Scenario:
    """A model and its traffic.

    features: subjects that are watched. rate: predictions an hour. reference: values in the reference. months: of 30
    days each. shifts: in standard deviations of the one feature that moves. repetitions: of each shift.
    """

    features: int = 50
    rate: float = 100.0
    reference: int = 10_000
    months: int = 24
    shifts: tuple[float, ...] = (0.5, 1.0)
    repetitions: int = 1_000
    arrivals: Arrivals = "even"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Month:
    """The alarms of a month in which nothing was wrong.

    findings: pairs of a feature and an evaluation. alerts: runs of evaluations with a finding in force about any
    feature. looks: shape (evaluations, look-backs) of predictions is `when.values`.
    """

    findings: int
    alerts: int
    when: Schedule


def quiet_months(scenario: Scenario, rules: DriftRules) -> Iterator[Month]:
    """Months by the service's own rule."""
    for month in range(scenario.months):
        rng = _rng(scenario, RULE_MONTHS, month)
        watch = Watch.on(_rule_schedule(scenario, rules, SECONDS_PER_30_DAYS, rng), rules, scenario.features)
        findings, in_force = 0, np.zeros(len(watch.when.ends) + 1, dtype=np.bool_)
        for _ in range(scenario.features):
            feature = Feature.drawn(scenario.reference, rng)
            shares = feature.coarse_shares()
            for at, drifted in watch.findings(feature, looks_at(shares, shares, watch.when, rng)):
                findings += drifted
                in_force[at] = True
        yield Month(findings, int((in_force[:-1] & ~np.roll(in_force, 1)[:-1]).sum()), watch.when)


def quiet_baseline_months(
    scenario: Scenario, rules: DriftRules, others: tuple[Baseline, ...]
) -> Iterator[Mapping[str, float]]:
    """Number of (feature, evaluation) pairs with drift, month by month, by the name of a baseline."""
    evaluations = SECONDS_PER_30_DAYS // rules.check_interval
    measured = max(1, min(scenario.features, BASELINE_FEATURES, BASELINE_EVALUATIONS // max(evaluations, 1)))
    for month in range(scenario.months):
        rng = _rng(scenario, BASELINE_MONTHS, month)
        when = _baseline_schedule(scenario, rules, SECONDS_PER_30_DAYS, rng)
        alarms = dict.fromkeys((rule.name for rule in others), 0)
        for _ in range(measured):
            feature = Feature.drawn(scenario.reference, rng)
            shares = feature.fine_shares()
            for name, drifted in judged_by(others, feature, looks_at(shares, shares, when, rng)).items():
                alarms[name] += int(drifted.sum())
        yield {name: count * scenario.features / measured for name, count in alarms.items()}


def delays(scenario: Scenario, rules: DriftRules, shift: float) -> Iterator[float | None]:
    """Hours from the shift until the service has a finding, by repetition; None: not within the horizon."""
    for repetition in range(scenario.repetitions):
        rng = _rng(scenario, RULE_SHIFTS, repetition)
        watch = Watch.on(_rule_schedule(scenario, rules, horizon(rules), rng), rules, scenario.features)
        feature = Feature.drawn(scenario.reference, rng)
        looks = looks_at(feature.coarse_shares(), feature.coarse_shares(shift), watch.when, rng)
        yield next((float(watch.when.ends[at]) / HOUR for at, _ in watch.findings(feature, looks)), None)


def baseline_delays(
    scenario: Scenario, rules: DriftRules, others: tuple[Baseline, ...], shift: float
) -> Iterator[Mapping[str, float | None]]:
    """Hours until a baseline detects drift, by repetition and the name of the baseline."""
    for repetition in range(scenario.repetitions):
        rng = _rng(scenario, BASELINE_SHIFTS, repetition)
        when = _baseline_schedule(scenario, rules, horizon(rules), rng)
        feature = Feature.drawn(scenario.reference, rng)
        looks = looks_at(feature.fine_shares(), feature.fine_shares(shift), when, rng)
        yield {
            name: float(when.ends[drifted.argmax()]) / HOUR if drifted.any() else None
            for name, drifted in judged_by(others, feature, looks).items()
        }


def horizon(rules: DriftRules) -> int:
    """Seconds for which a shift is watched: three times the longest look-back, and at least three days."""
    return 3 * max(*SPANS, *(parse_lookback(name) for name in rules.lookbacks))


def _rule_schedule(scenario: Scenario, rules: DriftRules, length: int, rng: np.random.Generator) -> Schedule:
    spans = [parse_lookback(name) for name in rules.lookbacks]
    stream = traffic(scenario.rate, max(spans), length, scenario.arrivals, rng)
    return schedule(stream, spans, rules.check_interval, rules.min_samples if rules.on_new_data else None)


def _baseline_schedule(scenario: Scenario, rules: DriftRules, length: int, rng: np.random.Generator) -> Schedule:
    stream = traffic(scenario.rate, max(SPANS), length, scenario.arrivals, rng)
    return schedule(stream, SPANS, rules.check_interval, None)


def _rng(scenario: Scenario, stream: int, index: int) -> np.random.Generator:
    return np.random.default_rng((scenario.seed, stream, index))
