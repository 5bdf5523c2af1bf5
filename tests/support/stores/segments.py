"""Segments for tests, and what the counts of a store must come to in each of them: counted again from what was sent."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import GroundTruth, Prediction, Scalar
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.stats.segments.segmentation import Segmentation
from modelwatch.storage.counts.segments import segment_outcomes, segment_profiles
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import ModelLayouts, read_layouts
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import ALWAYS, NOON
from tests.support.stores.labels import generation

STREAM = StreamKey("m", "1", "production")


def name_segments(store: Store, *segments: object, model: str = "m") -> None:
    """Sets the monitor of a model to these segments."""
    config = parse_monitor({"segments": list(segments)})
    put_monitor(store, model, config, source="test", actor="test", now=NOON, new_id=lambda: uuid.uuid4().hex)


def set_values(store: Store, version: str | None = None, **values: list[Scalar]) -> int:
    """Sets references of features, numeric where every value is a number."""
    profiles = {}
    for name, sample in values.items():
        numbers = [float(value) for value in sample if isinstance(value, int | float)]
        binning = numeric_binning(np.array(numbers)) if len(numbers) == len(sample) else categorical_binning(sample)
        profiles[Subject("feature", name)] = Profile.of(binning, sample)
    return set_references(store, "m", version, profiles, source="test", now=NOON, new_id=lambda: uuid.uuid4().hex)


def layouts_now(store: Store, model: str = "m") -> ModelLayouts:
    """The layouts in force."""
    with store.read() as connection:
        return read_layouts(connection, model, generation(store, model))


def segmentation(store: Store, model: str = "m") -> Segmentation:
    """The segments in force."""
    return layouts_now(store, model).segmentation


def counted_by_segment(store: Store, stream: StreamKey = STREAM) -> dict[str, tuple[int, list[int]]]:
    """By segment, the predictions and the counts of all time."""
    with store.read() as connection:
        found = segment_profiles(connection, stream, layouts_now(store), ALWAYS)
    return {segment: (slot.predictions, slot.counts.tolist()) for segment, slot in sorted(found.items())}


def labelled_by_segment(store: Store, stream: StreamKey = STREAM) -> dict[str, list[int]]:
    """By segment, the outcome counts of all time."""
    with store.read() as connection:
        found = segment_outcomes(connection, stream, layouts_now(store), ALWAYS)
    return {segment: counts.tolist() for segment, counts in sorted(found.items())}


def counted_from(store: Store, events: Iterable[Prediction]) -> dict[str, tuple[int, list[int]]]:
    """Expected result of `counted_by_segment` for these predictions."""
    layouts = layouts_now(store)
    groups: defaultdict[str, list[Prediction]] = defaultdict(list)
    for event in events:
        for segment in ("", *layouts.segmentation.of(event.features)):
            groups[segment].append(event)
    layout = layouts.of(STREAM.version)
    return {segment: (len(members), layout.count(members).tolist()) for segment, members in sorted(groups.items())}


def labelled_from(store: Store, events: Iterable[Prediction], labels: Iterable[GroundTruth]) -> dict[str, list[int]]:
    """Expected result of `labelled_by_segment` for these predictions, each given once, and labels."""
    layouts = layouts_now(store)
    known: defaultdict[str, list[GroundTruth]] = defaultdict(list)
    for label in labels:
        known[label.prediction_id].append(label)
    groups: defaultdict[str, list[Outcome]] = defaultdict(list)
    for event in events:
        if event.prediction_id in known:
            given = known[event.prediction_id]
            delay = max(0, min(each.timestamp for each in given) - event.timestamp) / 1_000_000
            truth = max(given, key=lambda each: (each.timestamp, f'"{each.value}"')).value
            for segment in ("", *layouts.segmentation.of(event.features)):
                groups[segment].append(Outcome(event.prediction, event.probability, truth, delay))
    layout = layouts.of(STREAM.version).outcome
    return {segment: layout.entries(members).total(layout.size).tolist() for segment, members in sorted(groups.items())}


def sums_by_feature(store: Store, found: dict[str, list[int]]) -> dict[str, list[int]]:
    """By segment feature, the sum over its values."""
    sums: dict[str, list[int]] = {}
    for segment, counts in found.items():
        feature = segmentation(store).feature_of(segment)
        if segment and feature is not None:
            before = sums.get(feature.feature, [0] * len(counts))
            sums[feature.feature] = [a + b for a, b in zip(before, counts, strict=True)]
    return sums
