"""Headline of a verdict on performance."""

from __future__ import annotations

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.monitoring.checks.performance.evaluation import PerformanceEvaluation, WindowResult
from modelwatch.monitoring.checks.performance.report import finite
from modelwatch.monitoring.checks.performance.reports import PerformanceReport
from modelwatch.times import SECONDS_PER_DAY


def performance_headline(evaluation: PerformanceEvaluation, report: PerformanceReport) -> Headline:
    """The main metric, which is the first that is watched, in the matured window that is nearest to a day; of those
    alone that have labels, if any has."""
    matured = [each for each in evaluation.matured if each.found.window.lookback is not None]
    measured = [each for each in matured if each.window.metrics]
    result = min(measured or matured, key=lambda each: abs(_seconds(each) - SECONDS_PER_DAY), default=None)
    if result is None:
        return Headline(reason=report.reason)
    metrics, found = result.window.metrics, result.found
    coverage = result.window.counts.n / found.predictions if found.predictions else None
    if not metrics:
        return Headline(
            seconds=_seconds(result),
            predictions=found.predictions,
            coverage=coverage,
            end=found.window.end,
            reason=result.window.immature or report.reason,
        )
    watched = [name for name in metrics if name in result.judgements]
    name = next(iter(watched or metrics))
    estimate, judgement = metrics[name], result.judgements.get(name)
    return Headline(
        value=finite(estimate.value),
        subject=name,
        low=finite(estimate.low),
        high=finite(estimate.high),
        reference=None if judgement is None else finite(judgement.reference),
        warning=None if judgement is None else judgement.warning_threshold,
        alert=None if judgement is None else judgement.alert_threshold,
        n=estimate.n,
        found=len(report.worst),
        names=first_names(report.worst),
        checked=len(watched),
        seconds=_seconds(result),
        predictions=found.predictions,
        coverage=coverage,
        end=found.window.end,
        reason=result.window.immature or estimate.reason or (judgement and judgement.reason) or report.reason,
    )


def _seconds(result: WindowResult) -> int:
    lookback = result.found.window.lookback
    return 0 if lookback is None else parse_lookback(lookback)
