"""Gauges of the evaluations themselves: which streams can't be evaluated, and how long others have been due."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from modelwatch.storage.verdicts.evaluations import EvaluationFailure, EvaluationProgress
from modelwatch.times import MICROS_PER_SECOND

# Of a bug that all streams bring out, some say as much as all.
FAILURES_SHOWN = 100


def evaluation_families(
    failures: Sequence[EvaluationFailure], progress: EvaluationProgress | None, now: int
) -> list[Metric]:
    """The families of a scrape. now: microseconds."""
    failing = GaugeMetricFamily(
        "ml_evaluation_failing",
        f"1 for a check of a stream that ends with an error, of at most {FAILURES_SHOWN} such; absent for all others.",
        labels=("model_name", "model_version", "environment", "check"),
    )
    for failure in failures[:FAILURES_SHOWN]:
        failing.add_metric((*failure.stream, failure.check), 1)
    count = GaugeMetricFamily("modelwatch_failing_evaluations", "Checks of streams that fail with an error.")
    count.add_metric((), len(failures))
    waiting = GaugeMetricFamily("modelwatch_waiting_evaluations", "Streams due for evaluation.")
    lag = GaugeMetricFamily(
        "modelwatch_evaluation_lag_seconds", "Time for which the longest-waiting stream has been due; 0 without any."
    )
    last_run = GaugeMetricFamily(
        "modelwatch_last_evaluation_round_timestamp_seconds",
        "Time at which a process last checked for due streams, updated every few seconds.",
    )
    if progress is not None:
        waiting.add_metric((), progress.waiting)
        lag.add_metric((), 0.0 if progress.since is None else max(now - progress.since, 0) / MICROS_PER_SECOND)
        last_run.add_metric((), progress.looked_at / MICROS_PER_SECOND)
    return [failing, count, waiting, lag, last_run]
