"""What the events of one commit add to which window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.events import Prediction
from modelwatch.storage.contributions import Contribution
from modelwatch.storage.layouts import Counts, Layout, ModelLayouts
from modelwatch.storage.protection import Protection
from modelwatch.storage.rows import Segments
from modelwatch.storage.slots import OutcomeSlot, S, Slot, SlotKey, window_start


@dataclass(frozen=True, slots=True)
class Increment:
    """What one commit added to one window."""

    key: SlotKey
    layout: Layout
    predictions: int
    counts: Counts
    latest_ts: int


def counted(
    fresh: Sequence[Prediction], layouts: Mapping[str, ModelLayouts], protection: Protection
) -> list[Increment]:
    """What these predictions add."""
    groups: dict[SlotKey, list[Prediction]] = {}
    for event in fresh:
        groups.setdefault(window_of(event, layouts), []).append(event)
    increments = []
    for key, events in groups.items():
        layout = layouts[key.model].of(key.version)
        latest = max(event.timestamp for event in events)
        increments.append(Increment(key, layout, len(events), layout.count(events, protection), latest))
    return increments


def segments_counted(
    fresh: Sequence[Prediction],
    segments: Sequence[Segments],
    layouts: Mapping[str, ModelLayouts],
    protection: Protection,
    now: int,
) -> dict[SlotKey, Slot]:
    """What the predictions add to each of their segments."""
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


def outcomes_counted(contributions: Iterable[Contribution], now: int) -> dict[SlotKey, OutcomeSlot]:
    """What labelled predictions add to each window, and take back."""
    by_layout: dict[str, list[Contribution]] = {}
    for contribution in contributions:
        by_layout.setdefault(contribution.layout.id, []).append(contribution)
    slots: dict[SlotKey, OutcomeSlot] = {}
    for members in by_layout.values():
        layout = members[0].layout
        signs = np.array([member.sign for member in members], dtype=np.int64)
        entries = layout.entries([member.outcome for member in members]).times(signs)
        label_times = np.array([member.label_ts for member in members], dtype=np.int64)
        # Once for all of them together, then once for each segment feature.
        for place in range(-1, max(len(member.segments) for member in members)):
            keys = [member.key for member in members] if place < 0 else _segment_keys(members, place)
            numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
            groups = np.array([numbers[key] for key in keys], dtype=np.intp)
            newest = np.zeros(len(numbers), dtype=np.int64)
            np.maximum.at(newest, groups, label_times)
            sums = entries.sums(groups, len(numbers), layout.size)
            for (key, latest), counts in zip(zip(numbers, newest.tolist(), strict=True), sums, strict=True):
                if key is not None:
                    slots[key] = OutcomeSlot(counts, latest, now)
    return slots


def _segment_keys(members: Sequence[Contribution], place: int) -> list[SlotKey | None]:
    """Of each the key of its segment at a place; None for one that has none there."""
    known: dict[tuple[SlotKey, str], SlotKey] = {}
    keys: list[SlotKey | None] = []
    for member in members:
        if place >= len(member.segments):
            keys.append(None)
            continue
        pair = (member.key, member.segments[place])
        keys.append(known.get(pair) or known.setdefault(pair, member.key._replace(segment=pair[1])))
    return keys


def grown(before: Mapping[SlotKey, S], added: Mapping[SlotKey, S]) -> dict[SlotKey, S]:
    """The slots after something was added to them."""
    return {key: before[key] + slot if key in before else slot for key, slot in added.items()}


def slots_of(
    increments: Iterable[Increment], repeats: Mapping[SlotKey, int], layouts: Mapping[str, ModelLayouts], now: int
) -> dict[SlotKey, Slot]:
    """The slots of what was counted. repeats: how many known predictions came again, by the window they count in."""
    slots = {each.key: Slot(each.predictions, each.counts, each.latest_ts, now) for each in increments}
    for key, number in repeats.items():
        nothing = Slot(0, np.zeros(layouts[key.model].of(key.version).size, dtype=np.int64), duplicates=number)
        slots[key] = slots[key] + nothing if key in slots else nothing
    return slots
