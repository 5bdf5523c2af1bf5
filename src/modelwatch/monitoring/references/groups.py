"""Groups of the rows of a reference: its counts in each segment, and rows that are alike by the monitor's key."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.clusters import Clusters, KeyedRows, clusters_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.segments import segmentation_with
from modelwatch.storage.references.subjects import Subject

# By the id of a definition: how many segments, and the number of each row's.
RowsBySegment = dict[str, tuple[int, list[int]]]


def counts_by_segment(
    frame: ReferenceFrame, profiles: Mapping[Subject, Profile], rows: RowsBySegment
) -> dict[str, dict[Subject, Counts]]:
    """By the definition of a segment feature, the counts of the frame's samples in each of its segments.

    profiles: of the frame's samples. rows: as `rows_by_segment` says.
    """
    return {
        definition: _counts(frame, profiles, size, np.array(numbers, dtype=np.intp))
        for definition, (size, numbers) in rows.items()
    }


def rows_by_segment(store: Store, frame: ReferenceFrame, profiles: Mapping[Subject, Profile]) -> RowsBySegment:
    """By the definition of each segment feature that is a column of the frame, how many segments it has and the number
    of each row's. Empty for a frame that is no table."""
    if not frame.in_rows:
        return {}
    columns = {sample.name: sample.values for sample in frame.samples if sample.kind == "feature"}
    with store.read() as connection:
        monitor = monitor_of(connection, frame.model_name)
        wanted = [] if monitor is None else [each for each in monitor.config.segments or () if each.feature in columns]
        if not wanted:
            return {}
        fresh = {name: profiles[Subject("feature", name)] for name in columns}
        segmentation = segmentation_with(connection, frame.model_name, wanted, frame.model_version, fresh)
    found = {}
    for feature in segmentation.features:
        place = {text: number for number, text in enumerate(feature.texts)}
        found[feature.id] = len(place), [place[feature.text_of(value)] for value in columns[feature.feature]]
    return found


def _counts(
    frame: ReferenceFrame, profiles: Mapping[Subject, Profile], segments: int, rows: np.ndarray
) -> dict[Subject, Counts]:
    members = [np.flatnonzero(rows == number).tolist() for number in range(segments)]
    found = {}
    for sample in frame.samples:
        subject = Subject(sample.kind, sample.name)
        binning = profiles[subject].binning
        counts = np.zeros((len(members), binning.size), dtype=np.int64)
        for number, chosen in enumerate(members):
            if chosen:
                counts[number] = binning.count([sample.values[row] for row in chosen])
        found[subject] = counts
    return found


def clusters_by_subject(
    frame: ReferenceFrame, profiles: Mapping[Subject, Profile], rows: KeyedRows | None
) -> dict[Subject, Clusters]:
    """The clusters of each of the frame's subjects but the key. Empty where its rows have none. profiles: of the
    frame's samples."""
    if rows is None:
        return {}
    samples = {Subject(each.kind, each.name): each for each in frame.samples if not is_key(each, rows.key)}
    return {subject: clusters_of(profiles[subject], sample.values, rows) for subject, sample in samples.items()}


def is_key(sample: ReferenceSample, key: str) -> bool:
    """Whether a sample is that of the key."""
    return (sample.kind, sample.name) == ("feature", key)
