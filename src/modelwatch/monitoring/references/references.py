"""From samples to references: what users set, and what the first predictions become until they do."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from contextlib import closing

import msgspec
import numpy as np
from msgspec.structs import replace

from modelwatch.events import Prediction, ReferenceFrame, ReferenceSample, SampleKind, Scalar
from modelwatch.monitoring.checks.drift.reasons import ids_reason
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.groups import clusters_by_subject, counts_by_segment, is_key, rows_by_segment
from modelwatch.monitoring.references.labelled import (
    check_stated_task,
    counted,
    counted_by_segment,
    labelled_rows,
    natural_of,
)
from modelwatch.monitoring.references.outcome_layouts import task_of_monitor
from modelwatch.privacy import KEEP_ALL, Policy
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.datatypes import inferred_type, is_finite_number, prediction_type
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.names import Split, is_ids, split_reference, times_each
from modelwatch.stats.drift.variation.clusters import KeyedRows
from modelwatch.stats.drift.variation.natural_variation import Variation, variation_of
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.tasks import NOT_STATED, StatedTask, Task
from modelwatch.storage.alerts.audit import AuditEntry
from modelwatch.storage.counts.streams import days_with_data, streams
from modelwatch.storage.engine.protection import Form, Protection, StoredPrediction, form_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references.layouts import subject_values
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.references import in_force, set_provisional_references, set_references
from modelwatch.storage.references.subjects import StoredReference, Subject

CARRY_OVER_AT_ONCE_SECONDS = 2 * 86_400
# With more classes, the most frequent ones come from the sample, even where probabilities name them all.
MOST_DECLARED = 20
# How uncertain a reference is, is said of a cell with this share: a decile.
SHOWN_SHARE = 0.1
CONFIDENCE_95 = 1.96


def set_reference_frame(
    store: Store,
    frame: ReferenceFrame,
    *,
    now: int,
    new_id: Callable[[], str],
    source: str = "api",
    hashed: frozenset[Subject] = frozenset(),
    audit: AuditEntry | None = None,
) -> int:
    """Freezes binnings and counts of the samples, puts them in force and carries the last two days of profiles over.

    hashed: subjects whose values are hashes already. audit: an entry that is written with them.
    Returns the model's new generation. Older windows are backfilled when a check needs them, or by maintenance.
    """
    with store.read() as connection:
        monitor = task_of_monitor(connection, frame.model_name)
    frame, hashed = _protected(store, frame, hashed)
    outcomes = labelled_outcomes(frame, monitor)
    task = monitor.task or frame.task if outcomes is None else outcomes.layout.task
    frame = replace(frame, samples=[of_task(sample, task) for sample in frame.samples])
    keyed = keyed_rows(store, frame)
    profiles, splits = frozen(frame, keyed)
    segments = rows_by_segment(store, frame, profiles)
    by_segment = counts_by_segment(frame, profiles, segments)
    rows = None if outcomes is None else labelled_rows(frame, segments)
    if outcomes is not None and rows is not None:
        for definition, counts in counted_by_segment(rows, outcomes).items():
            by_segment[definition] |= counts
    generation = set_references(
        store,
        frame.model_name,
        frame.model_version,
        profiles,
        variations=_variations(frame, profiles),
        splits=splits,
        clusters=clusters_by_subject(frame, profiles, keyed),
        outcomes=outcomes,
        hashed=hashed,
        by_segment=by_segment,
        labelled=rows,
        natural=natural_of(rows, outcomes),
        source=source,
        now=now,
        new_id=new_id,
        audit=audit,
    )
    with store.read() as connection:
        ends = [stream.last_window_end for stream in streams(connection, frame.model_name)]
    if ends:
        backfill_profiles(store, frame.model_name, max(ends) - CARRY_OVER_AT_ONCE_SECONDS, max(ends))
    return generation


def _protected(
    store: Store, frame: ReferenceFrame, hashed: frozenset[Subject] = frozenset()
) -> tuple[ReferenceFrame, frozenset[Subject]]:
    """The frame with hashes for the values of categorical features that are not kept, and which those are.

    Their names would otherwise stand in the store. Without a key nothing but dropping can be asked for, and the names
    of dropped features stay as they were given. hashed: those whose values are hashes already.
    """
    with store.read() as connection:
        monitor = monitor_of(connection, frame.model_name)
    privacy = None if monitor is None else monitor.config.privacy
    if privacy is None or not store.protection.can_hash:
        return frame, hashed
    policy = Policy(privacy.default or "keep", dict(privacy.features or {}))
    protected = {
        Subject(sample.kind, sample.name)
        for sample in frame.samples
        if sample.kind == "feature" and sample.data_type == "categorical" and policy.treatment(sample.name) != "keep"
    } - hashed
    samples = [
        replace(sample, values=store.protection.hash_all(frame.model_name, sample.name, sample.values))
        if Subject(sample.kind, sample.name) in protected
        else sample
        for sample in frame.samples
    ]
    return replace(frame, samples=samples), hashed | protected


def labelled_outcomes(frame: ReferenceFrame, monitor: StatedTask = NOT_STATED) -> OutcomeCounts | None:
    """Outcome counts of the frame's labelled rows; None when it has no labels, or labels that tell no task.

    Raises InvalidInput when the rows can't have the stated task or positive class.
    """
    rows = labelled_rows(frame, {})
    if rows is None:
        return None
    check_stated_task(rows, counted(rows, NOT_STATED))
    return counted(rows, monitor)


def of_task(sample: ReferenceSample, task: Task | None) -> ReferenceSample:
    """The sample of a prediction as the task says: numbers of a regression, and else the names of classes."""
    if sample.kind != "prediction" or task is None:
        return sample
    numeric = task == "regression" and any(is_finite_number(value) for value in sample.values)
    return replace(sample, data_type="continuous" if numeric else "categorical")


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


def frozen(frame: ReferenceFrame, rows: KeyedRows | None = None) -> tuple[dict[Subject, Profile], dict[Subject, Split]]:
    """The counts of each sample in its own binning, and how the categorical ones were split for their tests.

    rows: by their key, where they have one."""
    named = {name for given in frame.probabilities or () if isinstance(given, dict) for name in given}
    profiles, splits = {}, {}
    for sample in frame.samples:
        subject = Subject(sample.kind, sample.name)
        if sample.data_type == "continuous" or _is_declared(sample, named):
            profiles[subject] = profile_of(sample)
            continue
        clusters = None if rows is None or is_key(sample, rows.key) else rows.cluster_of
        binning, split = split_reference(sample.values, clusters)
        profiles[subject] = Profile.of(binning, sample.values)
        if split is not None:
            splits[subject] = split
    return profiles, splits


def _is_declared(sample: ReferenceSample, classes: Collection[str]) -> bool:
    """True when the names don't come from the sample: booleans, and few classes that probabilities name."""
    if {type(value) for value in sample.values if value is not None} == {bool}:
        return True
    return sample.kind == "prediction" and 0 < len(classes) <= MOST_DECLARED


def profile_of(sample: ReferenceSample) -> Profile:
    """The sample's own binning, and its counts in it."""
    if sample.data_type == "categorical":
        return Profile.of(categorical_binning(sample.values), sample.values)
    numbers = np.array([value for value in sample.values if is_finite_number(value)], dtype=np.float64)
    return Profile.of(numeric_binning(numbers), sample.values)


def keyed_rows(store: Store, frame: ReferenceFrame) -> KeyedRows | None:
    """The rows of a frame by the monitor's key. None where the monitor names none, or the frame has no column of it or
    is no table."""
    with store.read() as connection:
        monitor = monitor_of(connection, frame.model_name)
    key = None if monitor is None else monitor.config.drift.cluster_by
    keys = None if key is None else next((each for each in frame.samples if is_key(each, key)), None)
    if not frame.in_rows or key is None or keys is None:
        return None
    return KeyedRows(key, keys.values, profile_of(keys).binning)


def take_provisional_reference(store: Store, model: str, size: int, *, now: int, new_id: Callable[[], str]) -> bool:
    """Makes the model's first `size` predictions its reference, for subjects that have none. True when it did.

    now: microseconds.
    """
    with store.read() as connection:
        if sum(stream.predictions for stream in streams(connection, model)) < size:
            return False
        covered = {reference.subject for reference in in_force(connection, model)}
        days = days_with_data(connection, model)
        with closing(first_events(connection, model, days, size, store.protection)) as first:
            rows = SampledRows(first)
        task = task_of_monitor(connection, model).task
    found, stored_hashed = provisional_samples(model, rows, store.protection)
    samples = [of_task(sample, task) for sample in found if Subject(sample.kind, sample.name) not in covered]
    frame = ReferenceFrame(model, None, samples, in_rows=rows.are_whole)
    del rows, found  # they are large, and the frame has what is still needed
    frame, hashed = _protected(store, frame, stored_hashed)
    keyed = keyed_rows(store, frame)
    profiles, splits = frozen(frame, keyed)
    return set_provisional_references(
        store,
        model,
        profiles,
        splits=splits,
        clusters=clusters_by_subject(frame, profiles, keyed),
        by_segment=counts_by_segment(frame, profiles, rows_by_segment(store, frame, profiles)),
        hashed=hashed,
        now=now,
        new_id=new_id,
    )


class SampledRows:
    """Stored predictions as one list of values for each feature: a fourth of the memory of the predictions.

    rows: read once, in their order. are_whole: True when each of them keeps all its features as they came.
    """

    def __init__(self, rows: Iterable[StoredPrediction]) -> None:
        self.events: list[Prediction] = []
        # Which policy each row was stored by, as the text of a row says it; None: none of its features is kept.
        self._texts: list[str | None] = []
        self._distinct: dict[str | None, Policy | None] = {}
        self._columns: dict[str, list[Scalar]] = {}
        for number, row in enumerate(rows):
            for name, value in row.event.features.items():
                column = self._columns.setdefault(name, [])
                column.extend([None] * (number - len(column)))
                column.append(value)
            self.events.append(replace(row.event, features={}))
            text = None if row.policy is None else row.policy.text
            self._texts.append(text)
            self._distinct[text] = row.policy
        for column in self._columns.values():
            column.extend([None] * (len(self.events) - len(column)))
        self.are_whole = all(policy is KEEP_ALL for policy in self._distinct.values())

    @property
    def features(self) -> list[str]:
        """The names of the features that any of the rows has, sorted."""
        return sorted(self._columns)

    def values(self, feature: str, form: Form) -> list[Scalar]:
        """The feature's values in the rows that have it in this form, None where a row has none."""
        column = self._columns[feature]
        if self.are_whole:
            return column if form == "clear" else []
        forms = {text: form_of(policy, feature) for text, policy in self._distinct.items()}
        return [value for value, text in zip(column, self._texts, strict=True) if forms[text] == form]


def provisional_samples(
    model: str, rows: SampledRows, protection: Protection
) -> tuple[list[ReferenceSample], frozenset[Subject]]:
    """One sample for each subject that has a usable value in these rows; of a feature, where it is stored.

    Also which of them are hashes: those that some row has as a hash.
    """
    wanted: list[tuple[SampleKind, str]] = [("feature", name) for name in rows.features]
    wanted += [("prediction", ""), ("score", ""), ("latency", "")]
    samples, hashed = [], set()
    for kind, name in wanted:
        subject = Subject(kind, name)
        values = rows.values(name, "clear") if kind == "feature" else subject_values(subject, rows.events)
        hashes = rows.values(name, "hash") if kind == "feature" else []
        if hashes:
            values = protection.hash_all(model, name, values) + hashes
            hashed.add(subject)
        if any(is_finite_number(value) or isinstance(value, str | bool) for value in values):
            data_type = prediction_type(values) if kind == "prediction" else inferred_type(values)
            samples.append(ReferenceSample(kind, name, data_type, values))
    return samples, frozenset(hashed)


class ReferenceWarning(msgspec.Struct, frozen=True):
    """Warning about a reference that was accepted. feature_name: as in the answers to drift checks."""

    feature_name: str
    message: str


def warnings_about(references: Iterable[StoredReference], rules: DriftRules) -> list[ReferenceWarning]:
    """Warnings about weak references: too few values for a verdict, or values that don't match their type."""
    found = []
    for reference in references:
        subject, profile = reference.subject, reference.profile
        enough = rules.thresholds(subject.kind, subject.name).min_samples
        if profile.n < enough:
            points = 100 * CONFIDENCE_95 * math.sqrt(SHOWN_SHARE * (1 - SHOWN_SHARE) / max(profile.n, 1))
            values = "1 value" if profile.n == 1 else f"{profile.n:,} values"
            message = (
                f"Only {values}, and {enough:,} are wanted for a verdict: a share of {100 * SHOWN_SHARE:.0f} % is known"
                f" to within {points:.0f} points only, so that small shifts can't be distinguished from chance."
            )
            found.append(ReferenceWarning(subject.name or subject.kind, message))
        if reference.split is not None and is_ids(profile, reference.split):
            found.append(ReferenceWarning(subject.name or subject.kind, ids_reason(profile, reference.split)))
        times = times_each(profile)
        if times is not None:
            message = (
                f"Each of its {profile.n // times:,} names occurs exactly {times:,} times. Such a reference is not a"
                " random sample of the model's data: windows differ from it by more than chance. Use a random"
                " sample."
            )
            found.append(ReferenceWarning(subject.name or subject.kind, message))
        if profile.invalid:
            kind = "finite numbers" if profile.binning.kind == "continuous" else "values of a category"
            message = f"{profile.invalid:,} of {profile.total:,} values are no {kind}; they are left out, as invalid."
            found.append(ReferenceWarning(subject.name or subject.kind, message))
    return found
