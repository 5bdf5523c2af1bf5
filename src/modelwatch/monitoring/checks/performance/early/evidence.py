"""Evidence for an early verdict: a window with half of its labels, and older ones as they were at the same age.

Of the older windows most labels have come since. So they show whether the labels that are in first say the same as
those that come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.monitoring.checks.performance.labels.maturity import Day, LabelArrivals, lag_of
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.stored_window_counts import window_counts
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import look_back
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.labels.times import Stretch, outcomes_by_arrival
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import ModelLayouts
from modelwatch.times import SECONDS_PER_DAY

# Labels that mostly come as soon after the first half of them are not worth a verdict of their own.
LEAST_GAIN_SECONDS = SECONDS_PER_DAY
# The shortest look-back with so many labels is looked at early, else the longest.
ENOUGH_LABELS = 1_000
# Older windows are added up until they hold so many predictions, thinned where one holds more.
OLDER_PREDICTIONS = 20_000


@dataclass(frozen=True, slots=True)
class EarlyCounts:
    """found: the window that is judged early. start, end: of the older windows of the same length, in seconds.

    early, late: sparse counts of the older windows' labels, of those that were in at the same age, and of those that
    came later; empty while typical delays are unknown, and nothing older was read.
    """

    found: WindowCounts
    start: int = 0
    end: int = 0
    early: bytes = b""
    late: bytes = b""


def gather_early(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    layout: OutcomeLayout,
    rules: PerformanceRules,
    arrivals: LabelArrivals,
    days: Sequence[Day],
    watermark: int,
    mature_end: int,
    as_of: int,
    known_by: int | None,
) -> EarlyCounts | None:
    """The counts of an early verdict; None where labels come so quickly that there is none.

    layout: of the counts. days: the whole days before the matured windows' end. as_of, known_by: as for the others.
    """
    end = early_end(arrivals, watermark, as_of)
    if not rules.early or end is None or end - mature_end < LEAST_GAIN_SECONDS or layout.task is None:
        return None
    found = _chosen(connection, store, stream, layouts, layout, rules, end, as_of, known_by)
    length, last = found.window.end - found.window.start, mature_end // SECONDS_PER_DAY * SECONDS_PER_DAY
    number, predictions = _older(days, last, length)
    if arrivals.too_new is not None or not number:
        return EarlyCounts(found)
    ends = [last - length * place for place in range(number)]
    early, late = outcomes_by_arrival(
        connection,
        stream,
        layouts,
        [Stretch(end - length, end, end + found.age) for end in ends],
        known_by,
        one_of=max(1, round(predictions / OLDER_PREDICTIONS)),
    )
    return EarlyCounts(found, last - length * number, last, encode_sparse(early), encode_sparse(late))


def early_end(arrivals: LabelArrivals, watermark: int, as_of: int) -> int | None:
    """The end of the newest window of which half of the usual labels should have come, in seconds; None when that
    takes more than a year."""
    return None if arrivals.median is None else min(watermark, as_of - lag_of(arrivals.median))


def _chosen(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    layout: OutcomeLayout,
    rules: PerformanceRules,
    end: int,
    as_of: int,
    known_by: int | None,
) -> WindowCounts:
    """One look-back, so that early verdicts take one look of the budget: no shorter than a day, where any is so long,
    because hours differ in their labels as no two days do."""
    windows = stored_whole(connection, stream, [look_back(end, name) for name in rules.lookbacks])
    longest = max(window.end - window.start for window in windows)
    usable = [window for window in windows if window.end - window.start >= min(SECONDS_PER_DAY, longest)]
    ordered = sorted(usable, key=lambda window: window.end - window.start)
    counted = window_counts(
        connection, store, stream, layouts, [(window, False) for window in ordered], as_of, known_by
    )
    for found in counted:
        vector = counts_of(found.outcomes)
        if vector is not None and OutcomeCounts(layout, vector).n >= ENOUGH_LABELS:
            return found
    return counted[-1]


def _older(days: Sequence[Day], last: int, length: int) -> tuple[int, int]:
    """Number of older windows of this length to compare with, each ending with a day, and roughly their predictions.

    >>> _older([(day * 86_400, 9_000, 0) for day in range(30)], 30 * 86_400, 86_400)
    (3, 27000)
    >>> _older([(day * 86_400, 9_000, 0) for day in range(30)], 30 * 86_400, 7 * 86_400)
    (1, 63000)
    """
    known = [(start, predictions) for start, predictions, _ in days if start < last]
    first = min((start for start, _ in known), default=last)
    number = predictions = 0
    while last - length * (number + 1) >= first and predictions < OLDER_PREDICTIONS:
        number += 1
        predictions = sum(count for start, count in known if start + SECONDS_PER_DAY > last - length * number)
    return number, predictions
