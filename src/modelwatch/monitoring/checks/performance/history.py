"""Performance over time: the labelled counts of one stretch after another, computed now from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.events import EARLIEST_TIME
from modelwatch.monitoring.checks.performance.evidence import (
    arrivals_as_of,
    delays_since,
    maturity_of,
)
from modelwatch.monitoring.checks.performance.judge import SEVERE, threshold_of
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, MetricReport
from modelwatch.monitoring.checks.performance.report_building import (
    confusion_report,
    estimate_report,
    finite,
    window_report,
)
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.stored_window_counts import window_counts
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, measured, window_of
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import newest_label
from modelwatch.storage.counts.rolled_windows import rolled_windows
from modelwatch.storage.counts.rollup_levels import whole
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import ModelLayouts, read_layouts
from modelwatch.storage.references.outcome_references import StoredOutcomes, outcomes_for, outcomes_in_force
from modelwatch.times import iso_of_seconds

MOST_STEPS = 500
STEPS_BY_DEFAULT = 48
# Of more classes the confusion matrices of hundreds of stretches are megabytes.
MOST_CLASSES = 20
REFUSED = "The performance can't be listed like this."


class PerformanceHistory(msgspec.Struct, frozen=True):
    """The stretches of one stream, oldest first; those without predictions are left out. They are shown, not judged.

    segment: null for all predictions. Metrics come with those of the reference and with both thresholds of what is
    watched, and, of up to 20 classes, with the confusion matrix; per_class, calibration and severity are null.
    """

    model_version: str
    environment: str
    step_seconds: int
    windows: list[LabelledWindowReport]
    segment: str | None = None


def performance_history(
    store: Store,
    stream: StreamKey,
    start: int | None,
    end: int | None,
    step: int | None,
    most: int = MOST_STEPS,
    *,
    rules: PerformanceRules | None = None,
    segment: str = "",
) -> PerformanceHistory:
    """The performance of a stream in each stretch of `step` seconds of [start, end), in seconds since 1970.

    rules: those of its model; None: without thresholds. segment: of the predictions of a segment; empty for all.
    A boundary inside of a window that was rolled up is left out: that stretch is longer, and says so.

    end: the newest data if None, and never beyond. start: a week before the end. step: so that there are some dozens.
    most: how many stretches may be computed; each takes about a hundredth of a second.
    Raises InvalidInput when there are more, and for an end that is not after the start.
    """
    if start is not None and end is not None and end <= start:
        raise InvalidInput(
            REFUSED, (FieldError("/end", f"It is not after the start, {iso_of_seconds(start)}", iso_of_seconds(end)),)
        )
    with store.read() as connection:
        newest = last_window_end(connection, stream.model, stream.environment, stream.version)
    if newest is None:
        newest = start = EARLIEST_TIME // 1_000_000
    until = newest if end is None else min(newest, _up(end))
    since = (until - 7 * 86_400 if start is None else start) // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    length = _up(max(1, -(-(until - since) // min(STEPS_BY_DEFAULT, most)))) if step is None else step
    if since >= until:
        # The stream has no data after the start, or none before the end.
        return PerformanceHistory(stream.version, stream.environment, length, [], segment or None)
    count = -(-(until - since) // length)
    if count > most:
        problem = FieldError("/step", f"{count} stretches from start to end; at most {most} are computed at once")
        raise InvalidInput(REFUSED, (problem,))
    boundaries = [*(since + number * length for number in range(count)), until]
    layouts, arrivals, reference, found = _read(store, stream, boundaries, newest, segment)
    layout = layouts.of(stream.version).outcome
    counts = None if reference is None else reference.counts
    # The reference of a segment is another one: `views` has it, of one stretch.
    beside = {} if counts is None or not counts.n or segment else _beside(counts, rules)
    reports = []
    for each in found:
        if each.predictions:
            window = window_of(each, layout, arrivals, counts)
            report = window_report(each, window, arrivals, {}, None, counts, details=False)
            confusion = window.counts.confusion if len(layout.classes) <= MOST_CLASSES else None
            reports.append(
                msgspec.structs.replace(
                    report,
                    estimate=estimate_report(counts, each),
                    confusion=None if confusion is None else confusion_report(confusion),
                    metrics={
                        name: _with_reference(metric, beside.get(name)) for name, metric in report.metrics.items()
                    },
                )
            )
    return PerformanceHistory(stream.version, stream.environment, length, reports, segment or None)


# The reference's value of a metric, and the losses that are a warning and an alert; None where it is not watched.
_Beside = tuple[float, float | None]


def _beside(reference: OutcomeCounts, rules: PerformanceRules | None) -> dict[str, _Beside]:
    task = reference.layout.task
    watched = () if task is None or rules is None else rules.watched(task)
    found: dict[str, _Beside] = {}
    for name, estimate in measured(reference.layout, encode_sparse(reference.vector))[1].items():
        if estimate.value is not None:
            threshold = None
            if rules is not None and name in watched:
                threshold = threshold_of(name, estimate.value, reference, rules)
            found[name] = (estimate.value, threshold)
    return found


def _with_reference(metric: MetricReport, beside: _Beside | None) -> MetricReport:
    if beside is None:
        return metric
    value, threshold = beside
    return msgspec.structs.replace(
        metric,
        reference=finite(value),
        change=None if metric.value is None else finite(metric.value - value),
        warning_threshold=threshold,
        alert_threshold=None if threshold is None else SEVERE * threshold,
    )


def _read(
    store: Store, stream: StreamKey, boundaries: Sequence[int], newest: int, segment: str
) -> tuple[ModelLayouts, LabelArrivals, StoredOutcomes | None, Sequence[WindowCounts]]:
    """Counts of the stretches between boundaries, in one generation. newest: end of the newest data, seconds."""
    model, version, environment = stream
    while True:
        with store.read() as connection:
            rolled = rolled_windows(connection, model, environment, boundaries[0], boundaries[-1], version)
            windows = [Window(*each) for each in pairwise(whole(boundaries, rolled))]
            generation = generation_of(connection, model) or 0
            layouts = read_layouts(connection, model, generation)
            label = newest_label(connection, stream)
            as_of = max(newest, 0 if label is None else label.latest_ts // 1_000_000)
            first, last = min(windows[0].start, delays_since(as_of)), max(windows[-1].end, as_of)
            stale = stale_days(connection, model, generation, first, last) or stale_outcome_days(
                connection, model, layouts.outcome_generation, first, last
            )
            if not stale:
                return (
                    layouts,
                    arrivals_as_of(connection, stream, layouts, as_of, maturity_of(connection, model)),
                    outcomes_for(outcomes_in_force(connection, model, generation), version),
                    window_counts(
                        connection,
                        store,
                        stream,
                        layouts,
                        [(window, False) for window in windows],
                        as_of,
                        segment=segment,
                    ),
                )
        backfill_profiles(store, model, first, last)


def _up(seconds: int) -> int:
    return -(-seconds // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
