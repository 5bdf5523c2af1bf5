"""Performance over time: the labelled counts of one stretch after another, computed now from what is stored."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.performance.evidence import arrivals_as_of, window_counts
from modelwatch.monitoring.performance.reporting import estimate_report, window_of, window_report
from modelwatch.monitoring.performance.reports import WindowReport
from modelwatch.monitoring.windows import Window, iso
from modelwatch.storage import (
    Store,
    StreamKey,
    carry_over,
    generation_of,
    last_window_end,
    newest_label,
    outcomes_for,
    outcomes_in_force,
    read_layouts,
    rolled_windows,
    whole,
)

MOST_STEPS = 500
STEPS_BY_DEFAULT = 48
REFUSED = "The performance can't be listed like this."


class PerformanceHistory(msgspec.Struct, frozen=True):
    """The stretches of one stream, oldest first; those without predictions are left out. They are shown, not judged."""

    model_version: str
    environment: str
    step_seconds: int
    windows: list[WindowReport]


def performance_history(
    store: Store,
    stream: StreamKey,
    start: int | None,
    end: int | None,
    step: int | None,
    most: int = MOST_STEPS,
) -> PerformanceHistory:
    """The performance of a stream in each stretch of `step` seconds of [start, end), in seconds since 1970.

    A boundary inside of a window that was rolled up is left out: that stretch is longer, and says so.

    end: the newest data if None, and never beyond. start: a week before the end. step: so that there are some dozens.
    most: how many stretches may be computed; each takes about a hundredth of a second.
    Raises InvalidInput when there are more, and for an end that is not after the start.
    """
    if start is not None and end is not None and end <= start:
        raise InvalidInput(REFUSED, (FieldError("/end", f"It is not after the start, {iso(start)}", iso(end)),))
    with store.read() as connection:
        newest = last_window_end(connection, stream.model, stream.environment, stream.version) or 0
    until = newest if end is None else min(newest, _up(end))
    since = max(0, until - 7 * 86_400 if start is None else start) // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    length = _up(max(1, -(-(until - since) // min(STEPS_BY_DEFAULT, most)))) if step is None else step
    if since >= until:
        # The stream has no data after the start, or none before the end.
        return PerformanceHistory(stream.version, stream.environment, length, [])
    count = -(-(until - since) // length)
    if count > most:
        problem = FieldError("/step", f"{count} stretches from start to end; at most {most} are computed at once")
        raise InvalidInput(REFUSED, (problem,))
    boundaries = [*(since + number * length for number in range(count)), until]
    carry_over(store, stream.model, since, until)
    with store.read() as connection:
        rolled = rolled_windows(connection, stream.model, stream.environment, since, until, stream.version)
        windows = [Window(*each) for each in pairwise(whole(boundaries, rolled))]
        layouts = read_layouts(connection, stream.model, generation_of(connection, stream.model) or 0)
        label = newest_label(connection, stream)
        as_of = max(newest, 0 if label is None else label.latest_ts // 1_000_000)
        arrivals = arrivals_as_of(connection, stream, layouts, as_of)
        reference = outcomes_for(outcomes_in_force(connection, stream.model), stream.version)
        found = window_counts(connection, stream, layouts, [(window, False) for window in windows], as_of)
    layout = layouts.of(stream.version).outcome
    counts = None if reference is None else reference.counts
    reports = []
    for each in found:
        if each.predictions:
            window = window_of(each, layout, arrivals)
            report = window_report(each, window, arrivals, {}, None, counts, details=False)
            reports.append(msgspec.structs.replace(report, estimate=estimate_report(counts, each)))
    return PerformanceHistory(stream.version, stream.environment, length, reports)


def _up(seconds: int) -> int:
    return -(-seconds // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
