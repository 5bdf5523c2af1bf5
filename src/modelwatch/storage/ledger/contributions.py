"""Labelled predictions: how they are read, and what each adds to the counts of its window or takes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, case

from modelwatch.batches import PredictionBatch
from modelwatch.events import Scalar
from modelwatch.stats.outcomes.outcomes import OutcomeLayout, Outcomes
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.storage.engine import tables
from modelwatch.storage.ledger.rows import Segments, decode_probability, decode_scalar, decode_segments, segments_of
from modelwatch.storage.ledger.slots import SlotKey, window_start
from modelwatch.storage.references.layouts import ModelLayouts


class LabelledPrediction(NamedTuple):
    """The columns of a prediction that its outcome needs. ts: microseconds. generation: in which it was stored.

    segments: those that it is in.
    """

    prediction_id: str
    version: str
    environment: str
    ts: int
    generation: int
    prediction: Scalar
    probability: Probability
    segments: Segments = ()

    @classmethod
    def from_row(cls, row: Any, layouts: ModelLayouts | None = None) -> LabelledPrediction:
        """The prediction of a row with `PREDICTION_COLUMNS`.

        layouts: those whose `segment_columns` it has too; None: its segments are left out.
        """
        identity, version, environment, ts, generation, predicted, probability = row[: len(PREDICTION_COLUMNS)]
        return cls(
            identity,
            version,
            environment,
            ts,
            generation,
            decode_scalar(predicted),
            None if probability is None else decode_probability(probability),
            () if layouts is None or not layouts.segmentation else stored_segments(row, layouts),
        )


def labelled_predictions(
    batch: PredictionBatch, segments: Sequence[Segments], model: str, generation: int
) -> list[LabelledPrediction]:
    """A model's predictions in a batch that is stored in this generation. segments: of each row of the batch."""
    rows = batch.rows_of(model)
    part = batch.take(rows)
    streams, times = part.stream_of.tolist(), part.times.tolist()
    columns = zip(part.ids, streams, times, part.predictions, part.probabilities, rows.tolist(), strict=True)
    return [
        LabelledPrediction(
            identity,
            part.streams[stream].version,
            part.streams[stream].environment,
            ts,
            generation,
            predicted,
            probability,
            segments[row],
        )
        for identity, stream, ts, predicted, probability, row in columns
    ]


PREDICTION_COLUMNS = tuple(
    tables.prediction.c[name]
    for name in ("prediction_id", "version", "environment", "ts", "generation", "prediction", "probability")
)


class Contributions:
    """Labelled predictions of one model, each more (sign 1) or less (-1) in the counts of its window.

    Each list has an entry for each of them. places: of its window in `keys` and `layouts`. label_times: when its truth
    became known last, microseconds.
    """

    def __init__(self, model: str, layouts: ModelLayouts) -> None:
        self._model = model
        self._of_model = layouts
        self._places: dict[tuple[str, str, int], int] = {}
        self.keys: list[SlotKey] = []
        self.layouts: list[OutcomeLayout] = []
        self.places: list[int] = []
        self.outcomes = Outcomes()
        self.signs: list[int] = []
        self.label_times: list[int] = []
        self.segments: list[Segments] = []

    def add(self, prediction: LabelledPrediction, truth: Scalar, first_ts: int, latest_ts: int, sign: int = 1) -> None:
        """Adds a prediction with this truth to its window (sign 1), or takes it back (-1).

        first_ts, latest_ts: when the truth became known first, and when the value that holds did; in microseconds.
        """
        _, version, environment, ts, _, predicted, probability, segments = prediction
        window = (version, environment, window_start(ts))
        place = self._places.get(window)
        if place is None:
            place = self._places[window] = len(self.keys)
            self.keys.append(SlotKey(self._model, self._of_model.outcome_generation, *window))
            self.layouts.append(self._of_model.of(version).outcome)
        self.places.append(place)
        self.outcomes.add(predicted, probability, truth, (first_ts - ts) / 1_000_000 if first_ts > ts else 0.0)
        self.signs.append(sign)
        self.label_times.append(latest_ts)
        self.segments.append(segments)


def segment_columns(generation: int | BindParameter[int]) -> tuple[ColumnElement[Any], ...]:
    """Columns that tell the segments of a stored prediction; its features only where it was stored with other segments.

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
