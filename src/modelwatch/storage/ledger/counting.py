"""Counts that the predictions of one commit add to each window, and that labelled ones add to it or take back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import BindParameter, ColumnElement, case

from modelwatch.batches import PredictionBatch
from modelwatch.events import EARLIEST_TIME, Scalar
from modelwatch.stats.counting.kernel import Places
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout, Outcomes
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.protection import Protection
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures
from modelwatch.storage.ledger.predictions.rows import (
    BLOCK_COLUMNS,
    Segments,
    decode_probability,
    decode_scalar,
    decode_segments,
    segments_of,
)
from modelwatch.storage.ledger.repeats import Repeats
from modelwatch.storage.ledger.slots import OutcomeSlot, S, Slot, SlotKey, window_start, window_starts
from modelwatch.storage.references.layouts import Counts, Layout, ModelLayouts

# Of a model without references.
NO_COUNTS: Counts = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Increment:
    """Counts that one commit added to one window. latest_ts: microseconds."""

    key: SlotKey
    layout: Layout
    predictions: int
    counts: Counts
    latest_ts: int


def count_predictions(
    fresh: PredictionBatch, layouts: Mapping[str, ModelLayouts], protection: Protection
) -> list[Increment]:
    """Counts of these predictions, by window."""
    windows = _Windows(fresh, layouts)
    return _counted(fresh, windows.keys, windows.of_rows, layouts, protection)


def count_segments(
    fresh: PredictionBatch,
    segments: Sequence[Segments],
    layouts: Mapping[str, ModelLayouts],
    protection: Protection,
    now: int,
) -> dict[SlotKey, Slot]:
    """Counts of these predictions in each of their segments. now: microseconds."""
    slots: dict[SlotKey, Slot] = {}
    for model in fresh.models:
        if not layouts[model].segmentation:
            continue
        rows = fresh.rows_of(model)
        batch = fresh.take(rows)
        windows = _Windows(batch, layouts)
        for texts in zip(*(segments[row] for row in rows.tolist()), strict=True):
            numbers: dict[tuple[int, str], int] = {}
            pairs = zip(windows.of_rows.tolist(), texts, strict=True)
            groups = np.array([numbers.setdefault(pair, len(numbers)) for pair in pairs], dtype=np.intp)
            keys = [windows.keys[window]._replace(segment=text) for window, text in numbers]
            for each in _counted(batch, keys, groups, layouts, protection):
                slots[each.key] = Slot(each.predictions, each.counts, each.latest_ts, now)
    return slots


class _Windows:
    """The windows that predictions count in. of_rows: of each row the place in `keys`."""

    def __init__(self, batch: PredictionBatch, layouts: Mapping[str, ModelLayouts]) -> None:
        times = window_starts(batch.times)
        if len(batch.streams) == 1 and (times == times[0]).all():
            # Most commits are of one stream, now.
            starts, pairs, self.of_rows = times[:1], np.zeros(1, dtype=np.intp), np.zeros(len(batch), dtype=np.intp)
        else:
            starts, window_of = np.unique(times, return_inverse=True)
            pairs, self.of_rows = np.unique(batch.stream_of * len(starts) + window_of, return_inverse=True)
        self.keys = []
        for pair in pairs.tolist():
            place, start = divmod(pair, len(starts))
            stream = batch.streams[place]
            generation = layouts[stream.model].generation
            self.keys.append(SlotKey(stream.model, generation, stream.version, stream.environment, int(starts[start])))


def _counted(
    batch: PredictionBatch,
    keys: Sequence[SlotKey],
    groups: Places,
    layouts: Mapping[str, ModelLayouts],
    protection: Protection,
) -> list[Increment]:
    """Counts of predictions by their group. keys: of the groups."""
    of_keys = [layouts[key.model].of(key.version) for key in keys]
    counts: list[Counts] = [NO_COUNTS] * len(keys)
    by_layout: dict[tuple[str, int], list[int]] = {}
    for group, (key, layout) in enumerate(zip(keys, of_keys, strict=True)):
        if layout.size:
            by_layout.setdefault((key.model, id(layout)), []).append(group)
    for chosen in by_layout.values():
        layout = of_keys[chosen[0]]
        if len(chosen) == len(keys):
            counts = layout.count_groups(batch, groups, len(keys), protection)
            break
        # The number of a group among the chosen; of another one, their number.
        numbers = np.full(len(keys), len(chosen), dtype=np.intp)
        numbers[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(numbers[groups] < len(chosen))
        of_chosen = layout.count_groups(batch.take(rows), numbers[groups[rows]], len(chosen), protection)
        for group, vector in zip(chosen, of_chosen, strict=True):
            counts[group] = vector
    latest = np.full(len(keys), EARLIEST_TIME)
    np.maximum.at(latest, groups, batch.times)
    predictions = np.bincount(groups, minlength=len(keys))
    return list(map(Increment, keys, of_keys, predictions.tolist(), counts, latest.tolist()))


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
    def from_row(
        cls, row: Any, layouts: ModelLayouts | None = None, kept: KeptFeatures | None = None
    ) -> LabelledPrediction:
        """The prediction of a row with `PREDICTION_COLUMNS`.

        layouts: those whose `segment_columns` it has too, and `kept`, where its features are; None: its segments are
        left out.
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
            () if layouts is None or kept is None else stored_segments(row, layouts, kept),
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
        *(case((older, table.c[name])).label(name) for name in ("features", "protected", *BLOCK_COLUMNS)),
    )


def stored_segments(row: Any, layouts: ModelLayouts, kept: KeptFeatures) -> Segments:
    """The present segments of a stored prediction, by a row with its generation and the `segment_columns`."""
    if not layouts.segmentation:
        return ()
    if row.generation < layouts.segment_generation:
        return segments_of(row, kept, layouts.segmentation)
    return () if row.segments is None else decode_segments(row.segments)


def count_outcomes(contributions: Contributions, now: int) -> dict[SlotKey, OutcomeSlot]:
    """Outcomes that labelled predictions add to each window, or take back. now: microseconds."""
    slots: dict[SlotKey, OutcomeSlot] = {}
    places = np.array(contributions.places, dtype=np.intp)
    signs = np.array(contributions.signs, dtype=np.int64)
    label_times = np.array(contributions.label_times, dtype=np.int64)
    for layout, rows in _by_layout(contributions.layouts, places):
        some = rows.tolist()
        outcomes = contributions.outcomes
        entries = layout.entries(outcomes if len(some) == len(outcomes) else outcomes.some(some)).times(signs[rows])
        segments = [contributions.segments[row] for row in some]
        # Once for all of them together, then once for each segment feature.
        for feature in range(-1, max(map(len, segments))):
            if feature < 0:
                present, groups = np.unique(places[rows], return_inverse=True)
                keys: list[SlotKey | None] = [contributions.keys[place] for place in present.tolist()]
            else:
                keys, groups = _segment_keys(contributions, some, segments, feature)
            newest = np.full(len(keys), EARLIEST_TIME)
            np.maximum.at(newest, groups, label_times[rows])
            sums = entries.sums(groups, len(keys), layout.size)
            for key, latest, counts in zip(keys, newest.tolist(), sums, strict=True):
                if key is not None:
                    slots[key] = OutcomeSlot(counts, latest, now)
    return slots


def _by_layout(layouts: Sequence[OutcomeLayout], places: Places) -> Iterator[tuple[OutcomeLayout, Places]]:
    """The rows of each layout. layouts: of the places."""
    numbers = {layout: number for number, layout in enumerate(dict.fromkeys(layouts))}
    of_places = np.array([numbers[layout] for layout in layouts], dtype=np.intp)
    for layout, number in numbers.items():
        yield layout, np.flatnonzero(of_places[places] == number)


def _segment_keys(
    contributions: Contributions, rows: Sequence[int], segments: Sequence[Segments], feature: int
) -> tuple[list[SlotKey | None], Places]:
    """The windows of the rows in their segments of one feature, and which of them is whose; None: of rows in none."""
    pairs = [
        (contributions.places[row], texts[feature] if feature < len(texts) else None)
        for row, texts in zip(rows, segments, strict=True)
    ]
    numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
    keys = [None if text is None else contributions.keys[place]._replace(segment=text) for place, text in numbers]
    return keys, np.array([numbers[pair] for pair in pairs], dtype=np.intp)


def add_to_slots(before: Mapping[SlotKey, S], added: Mapping[SlotKey, S]) -> dict[SlotKey, S]:
    """The slots after something was added to them."""
    return {key: before[key] + slot if key in before else slot for key, slot in added.items()}


def to_slots(
    increments: Iterable[Increment], repeats: Mapping[SlotKey, Repeats], layouts: Mapping[str, ModelLayouts], now: int
) -> dict[SlotKey, Slot]:
    """The slots of what was counted. repeats: how many known predictions came again, by the window they count in.

    now: microseconds.
    """
    slots = {each.key: Slot(each.predictions, each.counts, each.latest_ts, now) for each in increments}
    for key, again in repeats.items():
        counts = np.zeros(layouts[key.model].of(key.version).size, dtype=np.int64)
        nothing = Slot(0, counts, duplicates=again.total, changed_duplicates=again.changed)
        slots[key] = slots[key] + nothing if key in slots else nothing
    return slots
