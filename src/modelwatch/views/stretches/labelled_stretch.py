"""A named stretch of a stream: its predictions, and the labels of the part whose labels should have come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput, UnknownModel
from modelwatch.monitoring.checks.performance.evidence import arrivals_as_of, delays_since, maturity_of
from modelwatch.monitoring.checks.performance.judge import LabelledWindow
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.stored_window_counts import window_counts
from modelwatch.monitoring.checks.performance.window_counts import (
    WindowCounts,
    counts_of,
    measured,
    window_of,
    wrong_scores,
)
from modelwatch.monitoring.checks.schedule import whole_windows
from modelwatch.monitoring.checks.stored_windows import stored_whole
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate
from modelwatch.storage.counts.outcomes import newest_label
from modelwatch.storage.counts.segments import reference_segments
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import ModelLayouts, read_layouts
from modelwatch.storage.references.outcome_references import StoredOutcomes, outcomes_for, outcomes_in_force
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_seconds
from modelwatch.views.stretches.stretch import segment_feature_of

REFUSED = "The stretch is not valid."


@dataclass(frozen=True, slots=True)
class StretchQuery:
    """Query: [start, end) in seconds, and a segment; empty for all predictions.

    end: the newest data if None. start: if None, a day before the end of what has matured by then.
    """

    stream: StreamKey
    start: int | None = None
    end: int | None = None
    segment: str = ""


@dataclass(frozen=True, slots=True)
class LabelledStretch:
    """Counts of a stretch, and of the reference.

    window: all of it, in whole stored windows. found: its counts. matured: those of the part whose labels should have
    come; None where no part has. measured: its labels and metrics. reference: None without any; known: its labelled
    counts, of the segment that was asked for; None where it has none. metrics: of these.
    """

    query: StretchQuery
    generation: int
    layout: OutcomeLayout
    arrivals: LabelArrivals
    window: Window
    found: WindowCounts
    matured: WindowCounts | None
    measured: LabelledWindow | None
    reference: StoredOutcomes | None
    known: OutcomeCounts | None
    metrics: Mapping[str, Estimate]

    @property
    def labelled(self) -> int:
        """Number of predictions of the whole stretch that have a label by now."""
        vector = counts_of(self.found.outcomes)
        return 0 if vector is None else OutcomeCounts(self.layout, vector).n

    @property
    def wrong_scores(self) -> str | None:
        """Reason not to use the scores; None when they are fine."""
        return None if self.matured is None else wrong_scores(self.layout, counts_of(self.matured.calls))


def read_stretch(store: Store, query: StretchQuery) -> LabelledStretch | None:
    """Counts of a stretch, read in one snapshot; None for a stream without data.

    Raises UnknownModel for an unknown model, InvalidInput for a segment that it has not, or for an end that is not
    after the start.
    """
    if query.start is not None and query.end is not None and query.end <= query.start:
        problem = FieldError("/end", f"It is not after the start, {iso_of_seconds(query.start)}")
        raise InvalidInput(REFUSED, (problem,))
    model, version, environment = query.stream
    while True:
        with store.read() as connection:
            generation = generation_of(connection, model)
            if generation is None:
                raise UnknownModel(model)
            layouts = read_layouts(connection, model, generation)
            if query.segment:
                segment_feature_of(layouts.segmentation, query.segment)
            newest = last_window_end(connection, model, environment, version)
            if newest is None:
                return None
            label = newest_label(connection, query.stream)
            as_of = max(newest, 0 if label is None else label.latest_ts // MICROS_PER_SECOND)
            arrivals = arrivals_as_of(connection, query.stream, layouts, as_of, maturity_of(connection, model))
            mature_end = min(newest, whole_windows((as_of - arrivals.lag) * MICROS_PER_SECOND))
            window_wanted = _window_of(query, newest, mature_end)
            [window] = stored_whole(connection, query.stream, [window_wanted])
            first, last = min(window.start, delays_since(as_of)), max(window.end, as_of)
            stale = stale_days(connection, model, generation, first, last) or stale_outcome_days(
                connection, model, layouts.outcome_generation, first, last
            )
            if not stale:
                return _read(connection, store, query, layouts, arrivals, window, mature_end, as_of)
        backfill_profiles(store, model, first, last)


def _window_of(query: StretchQuery, newest: int, mature_end: int) -> Window:
    end = newest if query.end is None else -(-query.end // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
    start = min(end, mature_end) - SECONDS_PER_DAY if query.start is None else query.start
    first = start // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    return Window(first, max(end, first + BASE_WINDOW_SECONDS))


def _read(
    connection: Connection,
    store: Store,
    query: StretchQuery,
    layouts: ModelLayouts,
    arrivals: LabelArrivals,
    window: Window,
    mature_end: int,
    as_of: int,
) -> LabelledStretch:
    stream = query.stream
    windows = [(window, False)]
    if mature_end > window.start:
        [matured] = stored_whole(connection, stream, [Window(window.start, min(window.end, mature_end))])
        windows.append((matured, True))
    found, *rest = window_counts(connection, store, stream, layouts, windows, as_of, segment=query.segment)
    reference = outcomes_for(outcomes_in_force(connection, stream.model, layouts.generation), stream.version)
    layout = layouts.of(stream.version).outcome
    known = _reference_of(connection, layouts, reference, query.segment, layout)
    metrics = {} if known is None else measured(layout, encode_sparse(known.vector))[1]
    return LabelledStretch(
        query=query,
        generation=layouts.generation,
        layout=layout,
        arrivals=arrivals,
        window=window,
        found=found,
        matured=rest[0] if rest else None,
        measured=window_of(rest[0], layout, arrivals, known) if rest else None,
        reference=reference,
        known=known,
        metrics=metrics,
    )


def _reference_of(
    connection: Connection,
    layouts: ModelLayouts,
    reference: StoredOutcomes | None,
    segment: str,
    layout: OutcomeLayout,
) -> OutcomeCounts | None:
    """The labelled reference, or its rows in a segment; None where it has no labels, or they are not known."""
    if reference is None or not reference.counts.n or reference.layout != layout:
        return None
    if not segment:
        return reference.counts
    feature = segment_feature_of(layouts.segmentation, segment)
    parts = reference_segments(connection, [reference.id], [feature.id]).get((reference.id, feature.id))
    if parts is None or len(parts) != len(feature.texts) * layout.size:
        return None
    counts = OutcomeCounts(layout, parts.reshape(len(feature.texts), layout.size)[feature.texts.index(segment)])
    return counts if counts.n else None
