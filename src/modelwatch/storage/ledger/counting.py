"""Counts that the events of one commit add to each window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.events import EARLIEST_TIME, Prediction
from modelwatch.stats.outcomes.outcomes import OutcomeLayout
from modelwatch.storage.engine.protection import Protection
from modelwatch.storage.ledger.contributions import Contributions
from modelwatch.storage.ledger.repeats import Repeats
from modelwatch.storage.ledger.rows import Segments
from modelwatch.storage.ledger.slots import OutcomeSlot, S, Slot, SlotKey, window_start
from modelwatch.storage.references.layouts import Counts, Layout, ModelLayouts

Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Increment:
    """Counts that one commit added to one window. latest_ts: microseconds."""

    key: SlotKey
    layout: Layout
    predictions: int
    counts: Counts
    latest_ts: int


def count_predictions(
    fresh: Sequence[Prediction], layouts: Mapping[str, ModelLayouts], protection: Protection
) -> list[Increment]:
    """Counts of these predictions, by window."""
    groups: dict[SlotKey, list[Prediction]] = {}
    for event in fresh:
        groups.setdefault(window_of(event, layouts), []).append(event)
    increments = []
    for key, events in groups.items():
        layout = layouts[key.model].of(key.version)
        latest = max(event.timestamp for event in events)
        increments.append(Increment(key, layout, len(events), layout.count(events, protection), latest))
    return increments


def count_segments(
    fresh: Sequence[Prediction],
    segments: Sequence[Segments],
    layouts: Mapping[str, ModelLayouts],
    protection: Protection,
    now: int,
) -> dict[SlotKey, Slot]:
    """Counts of these predictions in each of their segments. now: microseconds."""
    groups: dict[tuple[SlotKey, str], list[Prediction]] = {}
    for event, texts in zip(fresh, segments, strict=True):
        if texts:
            window = window_of(event, layouts)
            for text in texts:
                groups.setdefault((window, text), []).append(event)
    slots = {}
    for (window, text), events in groups.items():
        latest = max(event.timestamp for event in events)
        counts = layouts[window.model].of(window.version).count(events, protection)
        slots[window._replace(segment=text)] = Slot(len(events), counts, latest, now)
    return slots


def window_of(event: Prediction, layouts: Mapping[str, ModelLayouts]) -> SlotKey:
    """The window that a prediction counts in."""
    return SlotKey(
        event.model_name,
        layouts[event.model_name].generation,
        event.model_version,
        event.environment,
        window_start(event.timestamp),
    )


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
    """The slots of what was counted. repeats: how many known predictions came again, by the window they count in."""
    slots = {each.key: Slot(each.predictions, each.counts, each.latest_ts, now) for each in increments}
    for key, again in repeats.items():
        counts = np.zeros(layouts[key.model].of(key.version).size, dtype=np.int64)
        nothing = Slot(0, counts, duplicates=again.total, changed_duplicates=again.changed)
        slots[key] = slots[key] + nothing if key in slots else nothing
    return slots
