"""The counts of a reference in each of the model's segments: what its segments are compared with later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelwatch.events import ReferenceFrame
from modelwatch.stats import Outcome, OutcomeLayout, Profile, SegmentFeature
from modelwatch.storage import OUTCOMES, BySegment, Counts, Store, Subject, monitor_of, segmentation_with


def counts_by_segment(
    store: Store, frame: ReferenceFrame, profiles: Mapping[Subject, Profile], layout: OutcomeLayout | None
) -> BySegment:
    """For each segment feature that is a column of the frame, the counts of the others in each of its segments.

    profiles: of the frame's samples. layout: of its labelled rows. Empty for a frame that is no table.
    """
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
    outcomes = outcomes_of(frame) if layout is not None else []
    found = {}
    for feature in segmentation.features:
        place = {text: number for number, text in enumerate(feature.texts)}
        rows = np.array([place[feature.text_of(value)] for value in columns[feature.feature]], dtype=np.intp)
        found[feature.id] = _counts(frame, profiles, feature, rows)
        if layout is not None:
            found[feature.id][OUTCOMES] = _outcome_counts(outcomes, layout, rows, len(feature.texts))
    return found


def outcomes_of(frame: ReferenceFrame) -> list[Outcome | None]:
    """The outcome of each row; None where the prediction or the truth is missing. Empty without labels."""
    said = next((sample.values for sample in frame.samples if sample.kind == "prediction"), None)
    if frame.truths is None or said is None:
        return []
    probabilities = frame.probabilities or [None] * len(said)
    return [
        None if truth is None or prediction is None else Outcome(prediction, probability, truth)
        for prediction, probability, truth in zip(said, probabilities, frame.truths, strict=True)
    ]


def _counts(
    frame: ReferenceFrame, profiles: Mapping[Subject, Profile], feature: SegmentFeature, rows: np.ndarray
) -> dict[Subject, Counts]:
    members = [np.flatnonzero(rows == number).tolist() for number in range(len(feature.texts))]
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


def _outcome_counts(outcomes: list[Outcome | None], layout: OutcomeLayout, rows: np.ndarray, segments: int) -> Counts:
    labelled = [(outcome, row) for outcome, row in zip(outcomes, rows.tolist(), strict=True) if outcome is not None]
    entries = layout.entries([outcome for outcome, _ in labelled])
    groups = np.array([row for _, row in labelled], dtype=np.intp)
    return np.array(list(entries.sums(groups, segments, layout.size)), dtype=np.int64)
