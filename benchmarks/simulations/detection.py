"""Detection: how soon shifts are found, beside the bound that no rule beats, and false alarms while nothing is wrong.

`make bench ARGS=detection` takes a quarter of an hour on two free cores; docs/statistics.md has the table. The baseline
are the rules of earlier releases, with the same traffic.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.report import Row
from modelwatch.cli.commands.simulate import ALL_SHIFTS, rules_of_before
from modelwatch.config import Settings
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation import Delay, RuleResult, Scenario, Shift, simulate

# By predictions an hour: months in which nothing is wrong, repetitions of each shift, and which shifts.
TRAFFIC = {
    10.0: (100, 40, ("0.5", "1", "scale:1.5")),
    100.0: (100, 100, ALL_SHIFTS),
    1_000.0: (100, 40, ("0.35", "0.5", "1", "scale:1.5", "category:0.08")),
    10_000.0: (50, 20, ("0.25", "0.5")),
}


def run(*, quick: bool = False) -> Iterator[Row]:
    """Delays in hours until a shift is detected, and false alarms a month with 50 features."""
    rules = DriftRules.of(Settings())
    for rate, (months, repetitions, shifts) in TRAFFIC.items():
        scenario = Scenario(
            rate=rate,
            months=max(1, months // 20) if quick else months,
            repetitions=max(2, repetitions // 10) if quick else repetitions,
            shifts=tuple(map(Shift.parsed, shifts)),
        )
        jobs = len(os.sched_getaffinity(0))
        now = simulate(scenario, rules, jobs=jobs).rule
        # Months of the rules of before are measured elsewhere: their budget is hardly used.
        before = simulate(replace(scenario, months=1), rules_of_before(rules), jobs=jobs).rule
        yield from _rows(scenario, now, before)


def _rows(scenario: Scenario, now: RuleResult, before: RuleResult) -> Iterator[Row]:
    at = f"{scenario.rate:,.0f}/h"
    for name, value, interval in (
        ("detected, whatever the size", now.detected_per_model_month, now.detected_interval_95),
        ("alerts", now.alerts_per_model_month, now.alerts_interval_95),
    ):
        said = "" if interval is None else f", 95 % {interval[0]:.2f} to {interval[1]:.2f}"
        yield Row(f"{at}, nothing wrong: {name}", value, "a month", None, None, f"{scenario.months} months{said}")
    for detected, found, earlier in zip(now.detected, now.delays, before.delays, strict=True):
        note = f"mean {_hours(detected.mean_hours)}"
        if detected.bound_hours is not None:
            note += f", bound {detected.bound_hours:.3g} h"
        if detected.ratio is not None:
            note += f", {detected.ratio:.2f} times the bound"
        note += f"; large enough: median {_hours(found.median_hours)}, {found.share_seen:.0%} seen"
        yield _delay(f"{at}, {detected.title}", detected, earlier, note)


def _delay(name: str, now: Delay, before: Delay, note: str) -> Row:
    value = float("inf") if now.median_hours is None else now.median_hours
    ratio = None if before.median_hours is None else before.median_hours / value
    return Row(name, value, "h, median", before.median_hours, ratio, note)


def _hours(hours: float | None) -> str:
    return "beyond 72 h" if hours is None else f"{hours:.3g} h"
