"""Headline of a verdict on performance."""

from __future__ import annotations

from datetime import datetime, timedelta

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.monitoring.checks.performance.reports import PerformanceReport, WindowReport
from modelwatch.times import EPOCH, SECONDS_PER_DAY


def performance_headline(report: PerformanceReport) -> Headline:
    """The main metric, which is the first that is watched, in the matured window that is nearest to a day."""
    matured = [each for each in report.windows if each.matured and each.lookback is not None and each.metrics]
    window = min(matured, key=lambda each: abs(_seconds(each) - SECONDS_PER_DAY), default=None)
    if window is None:
        return Headline(reason=report.reason)
    watched = [name for name, metric in window.metrics.items() if metric.severity is not None]
    name = next(iter(watched or window.metrics))
    metric = window.metrics[name]
    return Headline(
        value=metric.value,
        subject=name,
        low=metric.low,
        high=metric.high,
        reference=metric.reference,
        warning=metric.warning_threshold,
        alert=metric.alert_threshold,
        n=metric.n,
        found=len(report.worst),
        names=first_names(report.worst),
        checked=len(watched),
        seconds=_seconds(window),
        predictions=window.predictions,
        coverage=window.coverage,
        end=(datetime.fromisoformat(window.end) - EPOCH) // timedelta(seconds=1),
        reason=window.immature or metric.reason or report.reason,
    )


def _seconds(window: WindowReport) -> int:
    return 0 if window.lookback is None else parse_lookback(window.lookback)
