"""Ends of open alerts: how often wrongly, while the fault goes on, and how long after it is over.

Hourly evaluations by the service's own tests, sizes and conditions, at its default look-backs. `before` is the rule
that ends a finding as soon as chance could explain all look-backs. Everything follows from the seed.

    python -m benchmarks.simulations.alert_ends --series 200
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from modelwatch.findings import CALM_SHARE, Finding
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.observations import Observation, SizeNow
from modelwatch.monitoring.checks.performance.judge import SEVERE, loss_of
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.recovery import RateSize

HOUR = 3_600
WEEK_HOURS = 168
LOOKBACKS = (1, 24, WEEK_HOURS)
RULES = PerformanceRules(budget=1.0, check_interval=HOUR)
REFERENCE = 5_000
ERROR_RATE = 0.1
# As for six metrics and label drift in three look-backs.
ALPHA = RULES.alpha(7, 1, len(LOOKBACKS))
SEED = 20_261_129


@dataclass(frozen=True)
class Scenario:
    """Accuracies by the hour, after a sound week: what is wrong until `over` hours after it began, else for ever."""

    name: str
    per_hour: int
    accuracy: Callable[[int], float]
    over: int | None = None


SCENARIOS = (
    Scenario(".80 stays; 100/h", 100, lambda hour: 0.80),
    Scenario(".85 stays; 100/h", 100, lambda hour: 0.85),
    Scenario(".85, then .875; 100/h", 100, lambda hour: 0.85 if hour < WEEK_HOURS else 0.875),
    Scenario(".87 stays; 100/h", 100, lambda hour: 0.87),
    Scenario(".87 stays; 1,000/h", 1_000, lambda hour: 0.87),
    Scenario(".85 stays; 5/h", 5, lambda hour: 0.85),
    Scenario(".80 for a day, then .90; 100/h", 100, lambda hour: 0.80 if hour < 24 else 0.90, over=24),
    Scenario(".85 for a day, then .90; 100/h", 100, lambda hour: 0.85 if hour < 24 else 0.90, over=24),
    Scenario(".87 for a week, then .90; 1,000/h", 1_000, lambda hour: 0.87 if hour < WEEK_HOURS else 0.90, WEEK_HOURS),
)


@dataclass(frozen=True)
class Result:
    """Of the series whose loss was found: the share that ended while it went on, and hours to the end after it was over
    (all that did end within four weeks)."""

    scenario: Scenario
    found: int
    wrongly: float
    hours: tuple[int, ...]


def ends(scenario: Scenario, series: int, *, by_evidence: bool, seed: int = SEED) -> Result:
    """Simulates so many series. by_evidence: by the rule of now."""
    rng = np.random.default_rng(seed)
    found = wrongly = 0
    hours: list[int] = []
    for _ in range(series):
        begun, ended = _life(scenario, rng, by_evidence)
        if begun is None:
            continue
        found += 1
        if scenario.over is None:
            wrongly += ended is not None
        elif ended is not None and ended < scenario.over:
            wrongly += 1
        elif ended is not None:
            hours.append(ended - scenario.over)
    return Result(scenario, found, wrongly / max(found, 1), tuple(hours))


def _life(scenario: Scenario, rng: np.random.Generator, by_evidence: bool) -> tuple[int | None, int | None]:
    """The hours, since the loss began, at which it was found, and at which that ended."""
    before = np.full(WEEK_HOURS, 1.0 - ERROR_RATE)
    last = 2 * WEEK_HOURS if scenario.over is None else scenario.over + 4 * WEEK_HOURS
    accuracies = np.append(before, [scenario.accuracy(hour) for hour in range(last)])
    errors = np.concatenate(([0], np.cumsum(rng.binomial(scenario.per_hour, 1.0 - accuracies))))
    reference = int(rng.binomial(REFERENCE, ERROR_RATE))
    conditions: Sequence[Condition] = ()
    begun = None
    for hour in range(1, last + 1):
        end = WEEK_HOURS + hour
        looks = [(int(errors[end] - errors[end - span]), span * scenario.per_hour, span) for span in LOOKBACKS]
        seen = _observed(looks, reference, end * HOUR)
        conditions = advance(conditions, [seen if by_evidence else as_before(seen)], RULES, end * HOUR)
        in_force = any(condition.finding is not None for condition in conditions)
        if begun is None and in_force:
            begun = hour
        elif begun is not None and not in_force:
            return begun, hour
        if begun is not None and scenario.over is None and hour >= begun + WEEK_HOURS:
            break
    return begun, None


def as_before(seen: Observation) -> Observation:
    """The same with calm for all the evidence that an end needs."""
    return dataclasses.replace(seen, counted=True)


def _observed(looks: Sequence[tuple[int, int, int]], reference: int, end: int) -> Observation:
    """The accuracy as the performance check sees it. looks: errors, labels and hours of each look-back."""
    rate, name = reference / REFERENCE, loss_of("accuracy")
    judged = [
        (k / n - rate, rate_increase_p_value(reference, REFERENCE, k, n), k, n, span)
        for k, n, span in looks
        if n >= RULES.min_samples
    ]
    if not judged:
        return Observation("performance", "accuracy", "r", "undecided")
    drifted = [each for each in judged if each[0] >= RULES.tolerance and each[1] < ALPHA]
    holding = [each for each in judged if each[0] >= CALM_SHARE * RULES.tolerance and each[1] < ALPHA]
    sizes = tuple(
        SizeNow(name, RULES.tolerance, RateSize(k, n, rate, REFERENCE), end - span * HOUR)
        for _, _, k, n, span in judged
    )
    speaker = max(drifted or holding or judged)
    finding = _finding(speaker, end)
    if drifted:
        severe = replace(finding, severity="alert") if finding.score >= CALM_SHARE * SEVERE * RULES.tolerance else None
        return Observation("performance", "accuracy", "r", "drifted", False, finding, severe)
    return Observation("performance", "accuracy", "r", "calm", bool(holding), finding if holding else None, sizes=sizes)


def _finding(look: tuple[float, float, int, int, int], end: int) -> Finding:
    loss, p_value, _, n, span = look
    return Finding(
        kind="performance",
        subject="accuracy",
        severity="alert" if loss >= SEVERE * RULES.tolerance else "warning",
        since=end,
        score_name=loss_of("accuracy"),
        score=loss,
        threshold=RULES.tolerance,
        p_value=p_value,
        alpha=ALPHA,
        sample_size=n,
        reference_size=REFERENCE,
        window_start=end - span * HOUR,
        window_end=end,
        lookback=f"{span}h",
        detail="",
    )


def lines(series: int) -> Iterator[str]:
    """The table of both rules."""
    yield "| labels an hour, reference .90 | ended while it went on: before | now | hours to the end: before | now |"
    yield "|---|---|---|---|---|"
    for scenario in SCENARIOS:
        before, now = (ends(scenario, series, by_evidence=by_evidence) for by_evidence in (False, True))
        yield " | ".join(
            ("| " + scenario.name, f"{before.wrongly:.2f}", f"{now.wrongly:.2f}", _hours(before), _hours(now) + " |")
        )


def _hours(result: Result) -> str:
    if result.scenario.over is None or not result.found:
        return "" if result.found else "not found"
    median, late = (np.quantile(result.hours, share) if result.hours else np.nan for share in (0.5, 0.9))
    still = result.found - len(result.hours) - round(result.wrongly * result.found)
    return f"{median:.0f} ({late:.0f})" + (f", {still} not" if still else "")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    for line in lines(parser.parse_args().series):
        print(line, flush=True)


if __name__ == "__main__":
    main()
