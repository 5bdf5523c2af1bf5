"""How alike the rows of a reference are that have the same value of the monitor's key, such as a customer."""

from __future__ import annotations

from collections.abc import Mapping

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.clusters import Clusters, KeyedRows, clusters_of
from modelwatch.storage.references.subjects import Subject


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
