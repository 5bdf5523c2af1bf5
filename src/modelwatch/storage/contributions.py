"""Labelled predictions: how they are read, and what each adds to the counts of its window or takes back."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, case

from modelwatch.events import Prediction, Scalar
from modelwatch.stats import Outcome, OutcomeLayout, Probability
from modelwatch.storage import tables
from modelwatch.storage.layouts import ModelLayouts
from modelwatch.storage.rows import Segments, decode_probability, decode_scalar, decode_segments, segments_of
from modelwatch.storage.slots import SlotKey, window_start


class Counted(NamedTuple):
    """A prediction as far as its outcome is concerned. generation: in which it was stored. segments: that it is in."""

    prediction_id: str
    version: str
    environment: str
    ts: int
    generation: int
    prediction: Scalar
    probability: Probability
    segments: Segments = ()


COUNTED = tuple(
    tables.prediction.c[name]
    for name in ("prediction_id", "version", "environment", "ts", "generation", "prediction", "probability")
)


class Contribution(NamedTuple):
    """One labelled prediction more (sign 1) or less (-1) in a window. label_ts: when its truth became known last."""

    key: SlotKey
    layout: OutcomeLayout
    outcome: Outcome
    sign: int
    label_ts: int
    segments: Segments = ()


class Contributions:
    """What the predictions of one model add. Made for one transaction: the windows it has met are kept."""

    def __init__(self, model: str, layouts: ModelLayouts) -> None:
        self._model = model
        self._layouts = layouts
        self._windows: dict[tuple[str, str, int], tuple[SlotKey, OutcomeLayout]] = {}

    def of(self, prediction: Counted, truth: Scalar, first_ts: int, latest_ts: int, sign: int = 1) -> Contribution:
        """What a prediction with this truth adds to its window (sign 1), or takes back (-1).

        first_ts, latest_ts: when the truth became known first, and when the value that holds did; in microseconds.
        """
        _, version, environment, ts, _, said, probability, segments = prediction
        place = (version, environment, window_start(ts))
        window = self._windows.get(place)
        if window is None:
            key = SlotKey(self._model, self._layouts.outcome_generation, *place)
            window = self._windows[place] = key, self._layouts.of(version).outcome
        key, layout = window
        delay = (first_ts - ts) / 1_000_000 if first_ts > ts else 0.0
        return Contribution(key, layout, Outcome(said, probability, truth, delay), sign, latest_ts, segments)


def counted_event(event: Prediction, layouts: ModelLayouts) -> Counted:
    """The prediction of an event that is stored in these layouts."""
    return Counted(
        event.prediction_id,
        event.model_version,
        event.environment,
        event.timestamp,
        layouts.generation,
        event.prediction,
        event.probability,
        layouts.segmentation.of(event.features),
    )


def counted_of(row: Any, layouts: ModelLayouts | None = None) -> Counted:
    """The prediction of a row with the columns of `COUNTED`.

    layouts: those whose `segment_columns` it has too; None: its segments are left out.
    """
    identity, version, environment, ts, generation, prediction, probability = row[: len(COUNTED)]
    return Counted(
        identity,
        version,
        environment,
        ts,
        generation,
        decode_scalar(prediction),
        None if probability is None else decode_probability(probability),
        () if layouts is None or not layouts.segmentation else stored_segments(row, layouts),
    )


def segment_columns(generation: int | BindParameter[int]) -> tuple[ColumnElement[Any], ...]:
    """What tells the segments of a stored prediction; the features only where the row was stored with others.

    generation: since which the segments are what they are.
    """
    table = tables.prediction
    older = table.c.generation < generation
    return (
        table.c.segments,
        case((older, table.c.features)).label("features"),
        case((older, table.c.protected)).label("protected"),
    )


def stored_segments(row: Any, layouts: ModelLayouts) -> Segments:
    """The present segments of a stored prediction, by a row with its generation and the `segment_columns`."""
    if not layouts.segmentation:
        return ()
    if row.generation < layouts.segment_generation:
        return segments_of(row, layouts.segmentation)
    return () if row.segments is None else decode_segments(row.segments)
