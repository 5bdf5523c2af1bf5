"""A configuration tried on simulated traffic: how many false alarms it raises, and how soon a shift is detected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import TypeVar

from modelwatch.monitoring.checks.rules import SHARES, DriftRules
from modelwatch.simulation.baselines import baselines
from modelwatch.simulation.estimates import Delay, delay_of, rate_of
from modelwatch.simulation.experiments import (
    Scenario,
    baseline_delay,
    delays,
    horizon,
    quiet_baseline_month,
    quiet_months,
)
from modelwatch.simulation.results import BaselineResult, RuleResult, Simulation, baseline_result, rule_result
from modelwatch.simulation.shifts import Shift
from modelwatch.simulation.traffic import HOUR

Item = TypeVar("Item")
# Repetitions that a process makes before it reports them; of months each.
CHUNK = 10


def simulate(
    scenario: Scenario,
    rules: DriftRules,
    done: Callable[[int], None] = lambda steps: None,
    *,
    compared: Mapping[str, DriftRules] | None = None,
    jobs: int = 1,
) -> Simulation:
    """Simulate these rules with this traffic, beside rules with a fixed threshold. The same seed gives the same result.

    done: called with the number of steps that have been made since the last call; `steps` says how many there are.
    compared: other rules of the service, by their titles. jobs: number of processes.
    """
    with _workers(jobs, done) as workers:
        rule, *others = _rules(scenario, {"this configuration": rules, **(compared or {})}, workers)
        fixed = _baselines(scenario, rules, workers)
    return Simulation(
        features=scenario.features,
        rate_per_hour=scenario.rate,
        arrivals=scenario.arrivals,
        reference=scenario.reference,
        months=scenario.months,
        shifts=[shift.size for shift in scenario.shifts],
        repetitions=scenario.repetitions,
        horizon_hours=horizon(rules) / HOUR,
        seed=scenario.seed,
        budget=rules.budget,
        lookbacks=list(rules.lookbacks),
        interval_seconds=rules.check_interval,
        min_samples=rules.min_samples,
        psi_warning=rules.psi_warning,
        psi_alert=rules.psi_alert,
        persistence=f"{rules.alarms_needed}/{rules.alarms_among}",
        on_new_data=rules.on_new_data,
        rule=rule,
        baselines=fixed,
        compared={each.title: each for each in others},
    )


def steps(scenario: Scenario, compared: int = 0) -> int:
    """Number of steps a simulation takes, with so many other rules of the service."""
    return (2 + compared) * (scenario.months * scenario.features + len(scenario.shifts) * scenario.repetitions)


def bound(scenario: Scenario, rules: DriftRules, shift: Shift) -> float | None:
    """The least mean delay, in hours, of any rule that has as many false alarms as drift may have of the budget."""
    return shift.lorden(scenario.rate, scenario.features, rules.budget * SHARES["drift"])


class _Workers:
    """What applies a function to numbers, in their order: this process, or several."""

    def __init__(self, pool: ProcessPoolExecutor | None, done: Callable[[int], None]) -> None:
        self._pool = pool
        self._done = done

    def each(self, work: Callable[[int], Item], count: int, steps: int, chunk: int = 1) -> list[Item]:
        """Results for 0, 1, ... count - 1. steps: number of steps that each takes. chunk: how many a process makes
        before it reports them."""
        found = []
        results = map(work, range(count)) if self._pool is None else self._pool.map(work, range(count), chunksize=chunk)
        for item in results:
            found.append(item)
            self._done(steps)
        return found


@contextmanager
def _workers(jobs: int, done: Callable[[int], None]) -> Iterator[_Workers]:
    if jobs <= 1:
        yield _Workers(None, done)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield _Workers(pool, done)


def _rules(scenario: Scenario, rules: Mapping[str, DriftRules], workers: _Workers) -> list[RuleResult]:
    """The results of rules of the service, by their titles."""
    of_all, number = list(rules.values()), len(rules)
    months = workers.each(partial(quiet_months, scenario, of_all), scenario.months, number * scenario.features)
    hours = [
        workers.each(partial(delays, scenario, of_all, each), scenario.repetitions, number, CHUNK)
        for each in scenario.shifts
    ]
    results = []
    for place, (title, each) in enumerate(rules.items()):
        found: list[Delay] = []
        detected: list[Delay] = []
        for shift, of_shift in zip(scenario.shifts, hours, strict=True):
            least = bound(scenario, each, shift)
            found.append(delay_of(shift, [of_rules[place].found for of_rules in of_shift], least))
            detected.append(delay_of(shift, [of_rules[place].detected for of_rules in of_shift], least))
        of_rule = [of_rules[place] for of_rules in months]
        results.append(rule_result(scenario, each, of_rule, found, detected, title))
    return results


def _baselines(scenario: Scenario, rules: DriftRules, workers: _Workers) -> dict[str, BaselineResult]:
    others = baselines(scenario.features)
    months = workers.each(partial(quiet_baseline_month, scenario, rules), scenario.months, scenario.features)
    delays: dict[str, list[Delay]] = {rule.name: [] for rule in others}
    for shift in scenario.shifts:
        seen = workers.each(partial(baseline_delay, scenario, rules, shift), scenario.repetitions, 1, CHUNK)
        for rule in others:
            # Some rules are for ordered features alone.
            hours = [each[rule.name] for each in seen if rule.name in each]
            delays[rule.name].append(delay_of(shift, hours))
    return {
        rule.name: baseline_result(rule.title, rate_of([month[rule.name] for month in months]), delays[rule.name])
        for rule in others
    }
