"""Everything that a report on segments is computed from, read in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import UnknownModel
from modelwatch.events import EARLIEST_TIME
from modelwatch.monitoring.checks.drift.subject_counts import references_for
from modelwatch.monitoring.checks.performance.evidence import arrivals_as_of, delays_since, maturity_of
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window, look_back
from modelwatch.stats.segments.segmentation import Segmentation
from modelwatch.storage.counts.outcomes import newest_label
from modelwatch.storage.counts.segments import reference_segments, segment_outcomes, segment_profiles
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import Counts, ModelLayouts, read_layouts
from modelwatch.storage.references.outcome_references import StoredOutcomes, outcomes_for, outcomes_in_force
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import StoredReference, Subject
from modelwatch.times import MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class SegmentQuery:
    """Query of a segment report. metric: None for the first that is watched. baseline: start and end in seconds of
    the stretch to compare with; None for the reference, and for the stretch before where the reference knows no
    segments.
    end: seconds, to look back from; None for the newest data. length: of the look-back in seconds, whole windows, in
    place of `lookback`.
    """

    metric: str | None = None
    lookback: str = "24h"
    baseline: tuple[int, int] | None = None
    end: int | None = None
    length: int | None = None

    def looked_back(self, mark: int) -> Window:
        """The window that ends at this time, in seconds. It begins no earlier than predictions can be."""
        if self.length is None:
            return look_back(mark, self.lookback)
        return Window(max(mark - self.length, EARLIEST_TIME // MICROS_PER_SECOND), mark)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Counts of a stretch of event time, by segment: predictions, and outcomes in a stretch of their own."""

    window: Window
    labelled: Window
    profiles: Mapping[str, Slot]
    outcomes: Mapping[str, Counts]


@dataclass(frozen=True, slots=True)
class SegmentInputs:
    """Inputs that a segment report is computed from.

    now, earlier: None without data. parts: by reference and definition, the reference's counts in the segments.
    """

    query: SegmentQuery
    stream: StreamKey
    layouts: ModelLayouts
    now: Stretch | None
    earlier: Stretch | None
    outcomes: StoredOutcomes | None
    references: Mapping[Subject, StoredReference]
    parts: Mapping[tuple[str, str], Counts]

    @property
    def segmentation(self) -> Segmentation:
        """Segmentation of the model."""
        return self.layouts.segmentation


def gather_segments(store: Store, query: SegmentQuery, stream: StreamKey) -> SegmentInputs:
    """Reads the inputs of a segment report. Raises UnknownResource for an unknown model."""
    while True:
        with store.read() as connection:
            generation = generation_of(connection, stream.model)
            if generation is None:
                raise UnknownModel(stream.model)
            layouts = read_layouts(connection, stream.model, generation)
            newest = last_window_end(connection, stream.model, stream.environment, stream.version)
            mark = _mark(connection, query, stream)
            windows, looked_at = [], []
            if mark is not None and newest is not None:
                label = newest_label(connection, stream)
                as_of = max(newest, 0 if label is None else label.latest_ts // 1_000_000)
                lag = arrivals_as_of(connection, stream, layouts, as_of, maturity_of(connection, stream.model)).lag
                windows = _windows(connection, query, stream, mark, min(mark, _whole(as_of - lag)))
                looked_at = [Window(delays_since(as_of), as_of), *(each for pair in windows for each in pair)]
            start = min((each.start for each in looked_at), default=0)
            end = max((each.end for each in looked_at), default=0)
            stale = stale_days(connection, stream.model, generation, start, end) or stale_outcome_days(
                connection, stream.model, layouts.outcome_generation, start, end
            )
            if not stale:
                stretches = [
                    Stretch(
                        window,
                        labelled,
                        segment_profiles(connection, stream, layouts, (window.start, window.end)),
                        segment_outcomes(connection, stream, layouts, (labelled.start, labelled.end)),
                    )
                    for window, labelled in windows
                ]
                references = references_for(in_force(connection, stream.model, generation), stream.version)
                outcomes = outcomes_for(outcomes_in_force(connection, stream.model, generation), stream.version)
                named = [reference.id for reference in references.values()]
                named += [] if outcomes is None else [outcomes.id]
                definitions = [feature.id for feature in layouts.segmentation.features]
                parts = {} if query.baseline else reference_segments(connection, named, definitions)
                now, earlier = stretches or (None, None)
                return SegmentInputs(query, stream, layouts, now, earlier, outcomes, references, parts)
        backfill_profiles(store, stream.model, start, end)


def _mark(connection: Connection, query: SegmentQuery, stream: StreamKey) -> int | None:
    """End of the look-back, in seconds: that of the newest window with data, up to the requested end."""
    model, version, environment = stream
    mark = last_window_end(connection, model, environment, version, before=query.end)
    if mark is None or query.end is None:
        return mark
    return min(mark, -(-query.end // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS)


def _windows(
    connection: Connection, query: SegmentQuery, stream: StreamKey, mark: int, matured: int
) -> list[tuple[Window, Window]]:
    """Now and earlier: the windows of the predictions, and of the labels; whole ones where some were rolled up."""
    looked_at = [query.looked_back(mark), query.looked_back(matured)]
    now, labelled = stored_whole(connection, stream, looked_at)
    if query.baseline is not None:
        [given] = stored_whole(connection, stream, [Window(*query.baseline)])
        return [(now, labelled), (given, given)]
    before = [Window(2 * each.start - each.end, each.start) for each in (now, labelled)]
    earlier, labelled_earlier = stored_whole(connection, stream, before)
    return [(now, labelled), (earlier, labelled_earlier)]


def _whole(seconds: int) -> int:
    return seconds // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
