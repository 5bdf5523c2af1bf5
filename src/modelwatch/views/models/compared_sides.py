"""Sides of a comparison: as requested, with defaults for the rest."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.events import EARLIEST_TIME, LATEST_TIME
from modelwatch.storage.counts.streams import Newest, newest_windows
from modelwatch.storage.engine.models import StreamKey, require_model
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY
from modelwatch.views.models.comparison import REFUSED
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.views.stretches.stretch import segment_feature_of

# Of the times that a prediction can have: there is no other in an address.
FIRST = EARLIEST_TIME // MICROS_PER_SECOND
FIRST_END = FIRST + BASE_WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class SideQuery:
    """One side as requested. None: not given. start, end: seconds. segment: "" for all predictions."""

    version: str | None = None
    environment: str | None = None
    start: int | None = None
    end: int | None = None
    segment: str | None = None


def settled_sides(
    connection: Connection, model: str, current: SideQuery, baseline: SideQuery
) -> tuple[StretchQuery, StretchQuery] | None:
    """The baseline and the current side, with all that was not said; None for a model that has sent nothing.

    The current side is by default the newest stream, a day up to its newest data. The baseline is as the current side
    in what was not said; the stretch before it where nothing else differs, else the same stretch, or of a stream that
    has ended by then the last one as long. Raises UnknownResource for a version or an environment that has sent
    nothing, and InvalidInput for an end that is not after the start, or a segment that the model has not.
    """
    newest = newest_windows(connection, model)
    if not newest:
        return None
    stream = _stream(newest, model, current.version, current.environment)
    end = _end_of(newest[stream]) if current.end is None else max(current.end, FIRST_END)
    start = max(end - SECONDS_PER_DAY, FIRST) if current.start is None else current.start
    _check(start, end, "/end")
    other = stream
    if baseline.version is not None or baseline.environment is not None:
        version = baseline.version or (stream.version if baseline.environment is None else None)
        other = _stream(newest, model, version, baseline.environment or stream.environment)
    segment = current.segment or ""
    other_segment = segment if baseline.segment is None else baseline.segment
    length = end - start
    if baseline.end is not None:
        until = max(baseline.end, FIRST_END)
    elif baseline.start is not None:
        until = min(baseline.start + length, LATEST_TIME // MICROS_PER_SECOND)
    else:
        # The stretch before, unless another segment or stream is compared over the same time.
        same = start if other_segment == segment else end
        until = max(same if other == stream else min(end, _end_of(newest[other])), FIRST_END)
    since = max(until - length, FIRST) if baseline.start is None else baseline.start
    _check(since, until, "/with_end")
    if segment or other_segment:
        segmentation = read_layouts(connection, model, require_model(connection, model)).segmentation
        for text, pointer in ((segment, "/segment"), (other_segment, "/with_segment")):
            if text:
                segment_feature_of(segmentation, text, pointer)
    return StretchQuery(other, since, until, other_segment), StretchQuery(stream, start, end, segment)


def _stream(newest: dict[StreamKey, Newest], model: str, version: str | None, environment: str | None) -> StreamKey:
    """The stream with the newest data of a version and an environment, as far as they were said."""
    wanted = [each for each in newest if version in (None, each.version) and environment in (None, each.environment)]
    if not wanted:
        what = " in ".join(excerpt(each) for each in (version, environment) if each is not None)
        raise UnknownResource(f"{excerpt(model)} has sent nothing as {what}.")
    return max(wanted, key=lambda each: (newest[each].latest_ts, each))


def _end_of(newest: Newest) -> int:
    return newest.window_start + BASE_WINDOW_SECONDS


def _check(start: int, end: int, pointer: str) -> None:
    if end <= start:
        raise InvalidInput(REFUSED, (FieldError(pointer, "Expected a time after the start"),))
