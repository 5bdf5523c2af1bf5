"""A configuration tried on simulated traffic: how often it cries wolf, and how long a real shift goes unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation.baselines import baselines
from modelwatch.simulation.estimates import Delay, delay_of, rate_of
from modelwatch.simulation.experiments import (
    Scenario,
    baseline_delays,
    delays,
    horizon,
    quiet_baseline_months,
    quiet_months,
)
from modelwatch.simulation.results import Simulation, baseline_result, rule_result
from modelwatch.simulation.traffic import HOUR

Item = TypeVar("Item")


def simulate(scenario: Scenario, rules: DriftRules, done: Callable[[int], None] = lambda steps: None) -> Simulation:
    """Simulate these rules with this traffic, beside rules with a fixed threshold. The same seed gives the same result.

    done: called with the number of steps that have been made since the last call; `steps` says how many there are.
    """

    def counted(items: Iterable[Item], steps: int) -> Iterator[Item]:
        for item in items:
            yield item
            done(steps)

    others = baselines(scenario.features)
    months = list(counted(quiet_months(scenario, rules), scenario.features))
    other_months = list(counted(quiet_baseline_months(scenario, rules, others), scenario.features))
    shifts = [shift for shift in scenario.shifts if shift]
    found_delays = [delay_of(shift, list(counted(delays(scenario, rules, shift), 1))) for shift in shifts]
    other_delays: dict[str, list[Delay]] = {rule.name: [] for rule in others}
    for shift in shifts:
        seen = list(counted(baseline_delays(scenario, rules, others, shift), 1))
        for rule in others:
            other_delays[rule.name].append(delay_of(shift, [each[rule.name] for each in seen]))
    return Simulation(
        features=scenario.features,
        rate_per_hour=scenario.rate,
        arrivals=scenario.arrivals,
        reference=scenario.reference,
        months=scenario.months,
        shifts=list(scenario.shifts),
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
        rule=rule_result(
            scenario,
            rules,
            rate_of([month.findings for month in months]),
            rate_of([month.alerts for month in months]),
            months,
            found_delays,
        ),
        baselines={
            rule.name: baseline_result(
                rule.title, rate_of([month[rule.name] for month in other_months]), other_delays[rule.name]
            )
            for rule in others
        },
    )


def steps(scenario: Scenario) -> int:
    """Number of steps a simulation takes."""
    shifts = sum(1 for shift in scenario.shifts if shift)
    return 2 * scenario.months * scenario.features + 2 * shifts * scenario.repetitions
