"""Counts of windows as the store has them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from modelwatch.monitoring.checks.performance.window_counts import WindowCounts
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import encode_sparse
from modelwatch.storage.counts.labels.times import later_outcomes
from modelwatch.storage.counts.outcomes import sum_outcomes
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Counts, ModelLayouts
from modelwatch.storage.references.subjects import PREDICTED_SCORES


def window_counts(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    windows: Sequence[tuple[Window, bool]],
    as_of: int,
    known_by: int | None = None,
    segment: str = "",
) -> tuple[WindowCounts, ...]:
    """The counts of each window; the flag says whether it is a matured one.

    known_by: seconds; of the labels that were known by then. None: of all. segment: of the predictions of a segment,
    all labels of which count; empty for all predictions.
    """
    spans = [(window.start, window.end) for window, _ in windows]
    model, version, environment = stream
    profiles = sum_windows(connection, model, layouts, environment, spans, version, segment)
    outcomes = sum_outcomes(connection, model, layouts, environment, spans, version, segment)
    place = layouts.of(version).slices.get(PREDICTED_SCORES)
    later: Sequence[Counts | None] = [None] * len(spans)
    if known_by is not None:
        later = later_outcomes(connection, store, stream, layouts, spans, known_by)
    found = []
    for (window, matured), slots, labelled, unknown in zip(windows, profiles, outcomes, later, strict=True):
        slot, vector = slots.get(version), labelled.get(version)
        if vector is not None and unknown is not None:
            vector = vector - unknown
        calls = None if slot is None or place is None else slot.counts[place]
        found.append(
            WindowCounts(
                window,
                matured,
                max(0, as_of - window.end),
                0 if slot is None else slot.predictions,
                b"" if vector is None or not vector.any() else encode_sparse(vector),
                b"" if calls is None else encode_sparse(calls),
            )
        )
    return tuple(found)
