"""Results of a simulation, as they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.simulation.estimates import Delay, Rate, rate_of
from modelwatch.simulation.experiments import Month, Scenario
from modelwatch.simulation.watching import lookbacks_among
from modelwatch.stats.drift.significance.combined import ORDERED
from modelwatch.stats.drift.significance.homogeneity import OMNIBUS_WEIGHT
from modelwatch.stats.drift.significance.omnibus import degrees_of_freedom
from modelwatch.stats.drift.significance.power import minimum_detectable_psi, samples_needed

CELLS = 10
NOT_TRIED = Delay(0.0, None, None, None)
COUNTED = "(feature, evaluation) pairs at which the verdict says drift while nothing has changed"


class LookBack(msgspec.Struct, frozen=True):
    """The power of one look-back with this traffic.

    values: in the median window. share_decided: of windows that hold enough values for a verdict. min_detectable_psi:
    the smallest shift that the median window shows with probability 0.8; None when it holds too few.
    """

    lookback: str
    values: float
    share_decided: float
    min_detectable_psi: float | None


class RuleResult(msgspec.Struct, frozen=True):
    """The result of a rule of the service, with this title.

    false_alarms_per_model_month: findings, one for each feature and evaluation. alerts_per_model_month: alerts: runs of
    evaluations with a finding in force about any feature. detected_per_model_month: shifts of any size that a look-back
    found beyond chance, once for looks that overlap; those that are large enough become alerts. alpha: of a look that
    may spend a whole interval's share of the budget; early looks have less. delays: until there is a finding; those at
    the top are those of the first shift. detected: until a shift is detected, however small it is.
    """

    false_alarms_per_model_month: float
    standard_error: float | None
    interval_95: tuple[float, float] | None
    counted: str
    alerts_per_model_month: float
    evaluations_per_model_month: float
    looks_per_model_month: float
    alpha: float
    median_delay_hours: float | None
    p90_delay_hours: float | None
    share_seen: float | None
    delays: list[Delay]
    lookbacks: list[LookBack]
    alerts_interval_95: tuple[float, float] | None = None
    detected_per_model_month: float = 0.0
    detected_interval_95: tuple[float, float] | None = None
    detected: list[Delay] = []
    title: str = "this configuration"


class BaselineResult(msgspec.Struct, frozen=True):
    """The result of a rule with a fixed threshold, evaluated once an interval."""

    title: str
    false_alarms_per_model_month: float
    standard_error: float | None
    interval_95: tuple[float, float] | None
    median_delay_hours: float | None
    p90_delay_hours: float | None
    share_seen: float | None
    delays: list[Delay]


class Simulation(msgspec.Struct, frozen=True):
    """A configuration, tried on traffic that was drawn at random. shifts: their sizes; `rule.delays` tells their kinds.
    compared: other rules of the service on the same traffic, by name."""

    features: int
    rate_per_hour: float
    arrivals: str
    reference: int
    months: int
    shifts: list[float]
    repetitions: int
    horizon_hours: float
    seed: int
    budget: float
    lookbacks: list[str]
    interval_seconds: int
    min_samples: int
    psi_warning: float
    psi_alert: float
    persistence: str
    on_new_data: bool
    rule: RuleResult
    baselines: dict[str, BaselineResult]
    compared: dict[str, RuleResult] = {}


def rule_result(
    scenario: Scenario,
    rules: DriftRules,
    months: Sequence[Month],
    delays: list[Delay],
    detected: list[Delay],
    title: str = "this configuration",
) -> RuleResult:
    """The result of a rule of the service: what it did in these months, and its delays until there was a finding, and
    until anything was detected."""
    findings, alerts = rate_of([month.findings for month in months]), rate_of([month.alerts for month in months])
    found = rate_of([month.detected for month in months])
    evaluations = float(np.mean([len(month.when.ends) for month in months]))
    first = delays[0] if delays else NOT_TRIED
    return RuleResult(
        false_alarms_per_model_month=findings.mean,
        standard_error=findings.standard_error,
        interval_95=findings.interval_95,
        counted=COUNTED,
        alerts_per_model_month=alerts.mean,
        evaluations_per_model_month=round(evaluations, 2),
        looks_per_model_month=round(evaluations * scenario.features * len(rules.lookbacks), 2),
        alpha=_level(scenario, rules, months),
        median_delay_hours=first.median_hours,
        p90_delay_hours=first.p90_hours,
        share_seen=first.share_seen,
        delays=delays,
        lookbacks=list(_lookbacks(scenario, rules, months)),
        alerts_interval_95=alerts.interval_95,
        detected_per_model_month=found.mean,
        detected_interval_95=found.interval_95,
        detected=detected,
        title=title,
    )


def baseline_result(title: str, findings: Rate, delays: list[Delay]) -> BaselineResult:
    """The result of a rule with a fixed threshold."""
    first = delays[0] if delays else NOT_TRIED
    return BaselineResult(
        title=title,
        false_alarms_per_model_month=findings.mean,
        standard_error=findings.standard_error,
        interval_95=findings.interval_95,
        median_delay_hours=first.median_hours,
        p90_delay_hours=first.p90_hours,
        share_seen=first.share_seen,
        delays=delays,
    )


def _level(scenario: Scenario, rules: DriftRules, months: Sequence[Month]) -> float:
    """The level of a look that may spend a whole interval's share of the budget, with this traffic."""
    among = np.concatenate([lookbacks_among(rules, month.when) for month in months])
    return rules.alpha(scenario.features, lookbacks=round(float(np.median(among))) if len(among) else None)


def _lookbacks(scenario: Scenario, rules: DriftRules, months: Sequence[Month]) -> Iterable[LookBack]:
    """How many values make a verdict possible depends on alpha: here it is that of a whole interval."""
    # The test of all cells has a part of the level; without the directed tests that is what its functions take it for.
    share = ORDERED["all cells"] / OMNIBUS_WEIGHT if rules.directed else 1.0
    alpha = _level(scenario, rules, months) * share
    reference = _spread(scenario.reference)
    reach = samples_needed(reference, alpha)
    needed = np.inf if reach is None else max(reach, rules.least_of_any)
    values = np.concatenate([month.when.values for month in months])
    for index, name in enumerate(rules.lookbacks):
        found = values[:, index]
        median = float(np.median(found)) if len(found) else 0.0
        df = degrees_of_freedom(reference, int(median)) if median >= needed else 0
        yield LookBack(
            lookback=name,
            values=median,
            share_decided=round(float((found >= needed).mean()), 4) if len(found) else 0.0,
            min_detectable_psi=round(minimum_detectable_psi(scenario.reference, int(median), df, alpha), 4)
            if df
            else None,
        )


def _spread(values: int) -> list[int]:
    """So many values, spread evenly over the coarse cells of a continuous feature."""
    return [values * (cell + 1) // CELLS - values * cell // CELLS for cell in range(CELLS)]
