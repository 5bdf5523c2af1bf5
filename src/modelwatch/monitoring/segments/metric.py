"""One metric of the labelled rows of segments, before and now, and how its change is divided among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelwatch.monitoring.checks.performance.rules import LOSSES
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import (
    Estimate,
    PerformanceCounts,
    ScoreCounts,
    mean_error_moved,
    performance,
    worsening,
    worsening_metrics,
)
from modelwatch.stats.performance.score_metrics import brier, log_loss, roc_auc
from modelwatch.stats.segments.decomposition import Part, decomposed, ratios_of


@dataclass(frozen=True, slots=True)
class Comparison:
    """The metric of all rows and of each segment, before and now, and what each contributes; None when nothing can be
    divided, and then `reason` says why."""

    before: Estimate
    now: Estimate
    by_segment: Mapping[str, tuple[Estimate, Estimate, float | None]]
    parts: Mapping[str, Part] | None
    reason: str | None


def metric_names(layout: OutcomeLayout) -> list[str]:
    """Every metric of a task."""
    return [name for family in OutcomeCounts.empty(layout).families() for name in performance(family)]


def compare(
    metric: str, before: Mapping[str, OutcomeCounts], now: Mapping[str, OutcomeCounts], layout: OutcomeLayout
) -> Comparison:
    """The metric of each segment on both sides. A p-value is one-sided, that the segment got worse by chance; for
    mean_error that it moved by chance, the way of the metric of all rows."""
    totals = [_sum(side, layout) for side in (before, now)]
    empty = OutcomeCounts.empty(layout)
    old, new = (estimate(metric, each) for each in totals)
    found = {}
    for segment in sorted({*before, *now}):
        first, last = before.get(segment, empty), now.get(segment, empty)
        found[segment] = (estimate(metric, first), estimate(metric, last), _p_value(metric, first, last, new.value))
    parts, reason = _divided(metric, before, now, old, new)
    return Comparison(old, new, found, parts, reason)


def loss_of(metric: str, change: float, now: float) -> float:
    """Loss that a change makes in the metric; negative when it improves. now: the metric of all rows, which says in
    which direction a mean_error gets worse.

    >>> loss_of("accuracy", 0.25, 0.75), loss_of("mean_error", 9.75, 5.0), loss_of("mean_error", 9.75, -5.0)
    (-0.25, 9.75, -9.75)
    """
    if metric == "mean_error":
        return change if now >= 0.0 else -change
    return change if metric in LOSSES or metric == "ece" else -change


def estimate(metric: str, counts: OutcomeCounts) -> Estimate:
    """The metric of these counts; the costly ones are computed only when they are asked for."""
    for family in counts.families():
        if isinstance(family, ScoreCounts) and metric in ("roc_auc", "log_loss", "brier"):
            if metric == "roc_auc":
                return roc_auc(family.positives, family.negatives)
            return log_loss(family) if metric == "log_loss" else brier(family)
        if metric in _names(family):
            return performance(family)[metric]
    return Estimate(None, reason="the task has no such metric")


def _names(family: PerformanceCounts) -> tuple[str, ...]:
    beside = {"ScoreCounts": ("ece",), "RegressionCounts": ("r2",)}
    return (*worsening_metrics(family), *beside.get(type(family).__name__, ()))


def _divided(
    metric: str,
    before: Mapping[str, OutcomeCounts],
    now: Mapping[str, OutcomeCounts],
    old: Estimate,
    new: Estimate,
) -> tuple[Mapping[str, Part] | None, str | None]:
    if old.value is None or new.value is None:
        undefined = old if old.value is None else new
        return None, f"{metric} is undefined {'before' if undefined is old else 'now'}: {undefined.reason}"
    sides = []
    for side in (before, now):
        ratios = {segment: ratios_of(metric, counts) for segment, counts in side.items()}
        if any(each is None for each in ratios.values()):
            return None, f"{metric} is not a ratio of sums over rows, so its change can't be divided among segments"
        sides.append({segment: each for segment, each in ratios.items() if each is not None})
    parts = decomposed(*sides)
    return parts, None if parts is not None else f"the classes that {metric} runs over are not the same before and now"


def _p_value(metric: str, before: OutcomeCounts, now: OutcomeCounts, of_all: float | None) -> float | None:
    """of_all: the metric of all rows now."""
    if metric == "mean_error" and before.regression is not None and now.regression is not None:
        return mean_error_moved(before.regression, now.regression, upwards=(of_all or 0.0) >= 0.0)
    for first, last in zip(before.families(), now.families(), strict=True):
        if metric in worsening_metrics(first):
            found = worsening(metric, first, last)
            return None if found.change is None else found.p_value
    return None


def _sum(side: Mapping[str, OutcomeCounts], layout: OutcomeLayout) -> OutcomeCounts:
    total = OutcomeCounts.empty(layout)
    for counts in side.values():
        total = total + counts
    return total
