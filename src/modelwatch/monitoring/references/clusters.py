"""How alike the rows of a reference are that have the same value of the monitor's key, such as a customer."""

from __future__ import annotations

from collections.abc import Mapping

from modelwatch.events import ReferenceFrame
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.clusters import Clusters, KeyedRows, clusters_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.subjects import Subject


def clusters_by_subject(
    store: Store, frame: ReferenceFrame, profiles: Mapping[Subject, Profile]
) -> dict[Subject, Clusters]:
    """The clusters of each of the frame's subjects but the key. Empty where the monitor names none, or the frame has no
    column of it or is no table. profiles: of the frame's samples."""
    with store.read() as connection:
        monitor = monitor_of(connection, frame.model_name)
    key = None if monitor is None else monitor.config.drift.cluster_by
    keys = None if key is None else next((each for each in frame.samples if each.name == key), None)
    if not frame.in_rows or key is None or keys is None or keys.kind != "feature":
        return {}
    rows = KeyedRows(key, keys.values, profiles[Subject("feature", key)].binning)
    samples = {Subject(sample.kind, sample.name): sample for sample in frame.samples if sample is not keys}
    return {subject: clusters_of(profiles[subject], sample.values, rows) for subject, sample in samples.items()}
