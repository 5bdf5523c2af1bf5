"""Volume over time: how many predictions came in each step, and how many usually come at that hour."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.quality.evidence import volumes_of, weeks_before
from modelwatch.monitoring.checks.quality.judge import volume_of_hours
from modelwatch.storage.counts.streams import streams_of
from modelwatch.storage.counts.volumes import first_window, hourly_volumes, predictions_by_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.times import SECONDS_PER_HOUR, iso_of_seconds
from modelwatch.views.stretches.stretch import Divided, SeriesQuery, read_divided

HOURS_OF_WEEK = 168
SECONDS_PER_WEEK = HOURS_OF_WEEK * SECONDS_PER_HOUR


class VolumeStep(msgspec.Struct, frozen=True, gc=False):
    """One step, [start, end).

    usual: the mean of the same hours of earlier weeks; low, high: the range in which 99 of 100 usual ones lie. Null
    where the step is no whole number of hours, up to a week, or too few weeks are known.
    """

    start: str
    end: str
    predictions: int
    usual: float | None = None
    low: int | None = None
    high: int | None = None


class VolumeSeries(msgspec.Struct, frozen=True):
    """Predictions over time. weeks: number of earlier weeks known at the end of the stretch. reason: reason why the
    usual range is unknown."""

    model_name: str
    model_version: str | None
    environment: str
    start: str | None
    end: str | None
    step_seconds: int
    weeks: int
    steps: list[VolumeStep]
    reason: str | None


def volume_series(store: Store, query: SeriesQuery, now: int) -> VolumeSeries:
    """Predictions of a model in an environment, of one version or of all, step by step.

    What is usual is computed as in the check of data quality: a step that is the last hour of the data has its numbers.
    now: microseconds. Raises UnknownModel for an unknown model, InvalidInput for a stretch that can't be had.
    """
    return read_divided(store, query, now, _series, counted=False)


def _series(divided: Divided) -> VolumeSeries:
    query, span = divided.query, divided.span
    streams = [
        each
        for each in streams_of(divided.connection, query.model)
        if each.environment == query.environment and query.version in (None, each.version)
    ]
    first = min(
        (window for each in streams if (window := first_window(divided.connection, each)) is not None), default=None
    )
    steps, weeks, reason = [], 0, None
    if span is not None:
        numbers = _predictions(divided.connection, streams, divided)
        by_hour = _by_hour(divided.connection, streams, first, *span)
        for (start, end), predictions in zip(divided.spans, numbers, strict=True):
            usual = low = high = None
            weeks = 0 if first is None else max(weeks_before(end, first), 0)
            hours, rest = divmod(end - start, SECONDS_PER_HOUR)
            if rest or end % SECONDS_PER_HOUR or not 1 <= hours <= HOURS_OF_WEEK:
                reason = "The usual volume is known for whole hours only: use a step of 1h or longer."
            else:
                volumes = volumes_of(by_hour, end, weeks) if weeks else None
                check = volume_of_hours(volumes, hours)
                usual, low, high, reason = check.expected, check.low, check.high, check.reason
            steps.append(VolumeStep(iso_of_seconds(start), iso_of_seconds(end), predictions, usual, low, high))
        if any(each.usual is not None for each in steps):
            reason = None
    return VolumeSeries(
        model_name=query.model,
        model_version=query.version,
        environment=query.environment,
        start=None if span is None else iso_of_seconds(span[0]),
        end=None if span is None else iso_of_seconds(span[1]),
        step_seconds=divided.step,
        weeks=weeks,
        steps=steps,
        reason=reason,
    )


def _predictions(connection: Connection, streams: list[StreamKey], divided: Divided) -> list[int]:
    """Predictions of the streams in each step."""
    start, end = divided.boundaries[0], divided.boundaries[-1]
    found = [0] * len(divided.spans)
    for stream in streams:
        for window, predictions in predictions_by_window(connection, stream, start, end):
            found[divided.step_at(window)] += predictions
    return found


def _by_hour(connection: Connection, streams: list[StreamKey], first: int | None, start: int, end: int) -> Counter[int]:
    """Predictions of the streams by hour, over the stretch and as many weeks before it as are looked at."""
    by_hour: Counter[int] = Counter()
    if first is not None:
        weeks = max(weeks_before(end, first), 0) + 1
        for stream in streams:
            since = start - start % BASE_WINDOW_SECONDS - weeks * SECONDS_PER_WEEK
            by_hour.update(hourly_volumes(connection, stream, since, end))
    return by_hour
