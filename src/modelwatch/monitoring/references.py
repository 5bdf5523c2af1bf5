"""From samples to references: what users set, and what the first predictions become until they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample, SampleKind
from modelwatch.stats import (
    Outcome,
    OutcomeCounts,
    Profile,
    Variation,
    categorical_binning,
    inferred_type,
    is_finite_number,
    numeric_binning,
    outcome_layout,
    prediction_type,
    variation_of,
)
from modelwatch.storage import (
    Store,
    Subject,
    carry_over,
    days_with_data,
    first_events,
    in_force,
    monitor_of,
    set_provisional_references,
    set_references,
    streams,
    subject_values,
)

CARRY_OVER_AT_ONCE_SECONDS = 2 * 86_400


def set_reference_frame(
    store: Store, frame: ReferenceFrame, *, now: int, new_id: Callable[[], str], source: str = "api"
) -> int:
    """Freezes binnings and counts of the samples, puts them in force and carries the last two days of profiles over.

    Returns the model's new generation. Older windows are carried over when they are asked for, or as a chore.
    """
    profiles = {Subject(sample.kind, sample.name): profile_of(sample) for sample in frame.samples}
    generation = set_references(
        store,
        frame.model_name,
        frame.model_version,
        profiles,
        variations=_variations(frame, profiles),
        outcomes=labelled_outcomes(frame, positive_class_of(store, frame.model_name)),
        source=source,
        now=now,
        new_id=new_id,
    )
    with store.read() as connection:
        ends = [stream.last_window_end for stream in streams(connection, frame.model_name)]
    if ends:
        carry_over(store, frame.model_name, max(ends) - CARRY_OVER_AT_ONCE_SECONDS, max(ends))
    return generation


def positive_class_of(store: Store, model: str) -> str | None:
    """The positive class that the model's monitor names."""
    with store.read() as connection:
        monitor = monitor_of(connection, model)
    return None if monitor is None else monitor.config.positive_class


def labelled_outcomes(frame: ReferenceFrame, positive_class: str | None) -> OutcomeCounts | None:
    """What the frame's labelled rows come to; None when it has no labels, or labels that tell no task."""
    said = next((sample.values for sample in frame.samples if sample.kind == "prediction"), None)
    if frame.truths is None or said is None:
        return None
    probabilities = frame.probabilities or [None] * len(said)
    outcomes = [
        Outcome(prediction, probability, truth)
        for prediction, probability, truth in zip(said, probabilities, frame.truths, strict=True)
        if truth is not None and prediction is not None
    ]
    truths = [outcome.truth for outcome in outcomes]
    layout = outcome_layout(said, truths, probabilities, positive_class)
    return None if layout.task is None else OutcomeCounts.of(layout, outcomes)


def _variations(frame: ReferenceFrame, profiles: dict[Subject, Profile]) -> dict[Subject, Variation]:
    if frame.timestamps is None:
        return {}
    seconds = [None if time is None else time // 1_000_000 for time in frame.timestamps]
    found = {}
    for sample in frame.samples:
        subject = Subject(sample.kind, sample.name)
        variation = variation_of(profiles[subject].binning, sample.values, seconds, np.random.default_rng(0))
        if variation is not None:
            found[subject] = variation
    return found


def profile_of(sample: ReferenceSample) -> Profile:
    """The sample's own binning, and its counts in it."""
    if sample.data_type == "categorical":
        return Profile.of(categorical_binning(sample.values), sample.values)
    numbers = np.array([value for value in sample.values if is_finite_number(value)], dtype=np.float64)
    return Profile.of(numeric_binning(numbers), sample.values)


def take_provisional_reference(store: Store, model: str, size: int, *, now: int, new_id: Callable[[], str]) -> bool:
    """Makes the model's first `size` predictions its reference, for subjects that have none. True when it did."""
    with store.read() as connection:
        if sum(stream.predictions for stream in streams(connection, model)) < size:
            return False
        covered = {reference.subject for reference in in_force(connection, model)}
        events = first_events(connection, model, days_with_data(connection, model), size)
    samples = [sample for sample in provisional_samples(events) if Subject(sample.kind, sample.name) not in covered]
    profiles = {Subject(sample.kind, sample.name): profile_of(sample) for sample in samples}
    return set_provisional_references(store, model, profiles, now=now, new_id=new_id)


def provisional_samples(events: Sequence[Prediction]) -> list[ReferenceSample]:
    """One sample for each subject that has a usable value in these predictions."""
    names = sorted({name for event in events for name in event.features})
    wanted: list[tuple[SampleKind, str]] = [("feature", name) for name in names]
    wanted += [("prediction", ""), ("score", ""), ("latency", "")]
    samples = []
    for kind, name in wanted:
        values = subject_values(Subject(kind, name), events)
        if any(is_finite_number(value) or isinstance(value, str | bool) for value in values):
            data_type = prediction_type(values) if kind == "prediction" else inferred_type(values)
            samples.append(ReferenceSample(kind, name, data_type, values))
    return samples
