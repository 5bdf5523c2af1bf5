"""A reference from what is stored: the predictions of a window become what drift is measured against from now on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.config import parse_lookback
from modelwatch.errors import Conflict, FieldError, InvalidInput, excerpt
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.labelled import with_stated_task
from modelwatch.monitoring.references.outcome_layouts import task_of_reference
from modelwatch.monitoring.references.references import SampledRows, provisional_samples, set_reference_frame
from modelwatch.privacy import KEEP_ALL
from modelwatch.stats.counting.datatypes import is_finite_number
from modelwatch.storage.alerts.audit import AuditEntry
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.engine.protection import StoredPrediction
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import count_events, events_between, truths_of
from modelwatch.storage.ledger.predictions.rows import in_sample
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

# A reference gains nothing from more: of more predictions so many are taken, by their ids.
MOST_ROWS = 50_000
# What is looked through to find them.
MOST_LOOKED_AT = 2_000_000
NAMED = 10


@dataclass(frozen=True, slots=True)
class WindowOfReference:
    """Selection of predictions that become the reference, and its subjects.

    version: only its predictions, and a reference of it alone. start, end: event time in microseconds; or lookback,
    back from the newest data. subjects: None for everything that is stored. labels: also as the reference of
    performance.
    """

    model: str
    environment: str
    version: str | None = None
    start: int | None = None
    end: int | None = None
    lookback: str | None = None
    subjects: frozenset[Subject] | None = None
    labels: bool = False


@dataclass(frozen=True, slots=True)
class TakenWindow:
    """Predictions that became the reference. subjects: those with a reference now. left_out: features whose values are
    not stored. labels: number of them.

    start, end: microseconds. predictions: in the window; taken: of how many of them the reference is.
    """

    start: int
    end: int
    predictions: int
    taken: int
    subjects: frozenset[Subject]
    left_out: tuple[str, ...]
    labels: int


@dataclass(frozen=True, slots=True)
class WindowThere:
    """Content of a window. start, end: microseconds. predictions: number of stored ones. version: of these alone."""

    start: int
    end: int
    predictions: int
    version: str | None


def window_there(store: Store, window: WindowOfReference) -> WindowThere:
    """Content of the window that would become the reference. Raises UnknownModel, InvalidInput and Conflict for a
    window without data."""
    with store.read() as connection:
        require_model(connection, window.model)
        start, end = _span(connection, window)
        there = count_events(connection, window.model, window.environment, window.version, start, end)
    if not there:
        raise Conflict(f"No prediction of {_place(window)} is stored from {_iso(start)} to {_iso(end)}.")
    return WindowThere(start, end, there, window.version)


def set_reference_from_window(
    store: Store, window: WindowOfReference, *, actor: str, note: str | None, now: int, new_id: Callable[[], str]
) -> TakenWindow:
    """Puts the stored predictions of a window in force as the reference, with an entry in the audit trail.

    Raises UnknownModel for an unknown model, Conflict when nothing is stored in the window, and InvalidInput when the
    values that are asked for are not stored with the predictions, or there are too many. now: microseconds.
    """
    with store.read() as connection:
        require_model(connection, window.model)
        start, end = _span(connection, window)
        there = count_events(connection, window.model, window.environment, window.version, start, end)
        if not there:
            raise Conflict(f"No prediction of {_place(window)} is stored from {_iso(start)} to {_iso(end)}.")
        if there > MOST_LOOKED_AT:
            raise InvalidInput(
                "The window is too long.",
                (FieldError("/start", f"Expected at most {MOST_LOOKED_AT:,} predictions in it; it has {there:,}"),),
            )
        rows = list(_sample(connection, store, window, start, end, min(1.0, MOST_ROWS / there)))
        present = {
            reference.subject: reference.profile.binning.kind for reference in in_force(connection, window.model)
        }
        truths = truths_of(connection, window.model, [row.event.prediction_id for row in rows]) if window.labels else {}
        stated = task_of_reference(connection, window.model, window.version)
    found, hashed = provisional_samples(window.model, SampledRows(rows), store.protection)
    samples = {Subject(each.kind, each.name): _as_before(each, present) for each in found}
    left_out = _left_out(window, samples, present, rows)
    wanted = window.subjects
    chosen = {subject: each for subject, each in samples.items() if wanted is None or subject in wanted}
    if window.labels:
        beside = (Subject("prediction", ""), Subject("score", ""))
        chosen |= {subject: samples[subject] for subject in beside if subject in samples}
        if not truths:
            raise Conflict(
                f"No prediction of {_place(window)} in the window has a label, so there is nothing to compare."
            )
    frame = ReferenceFrame(
        window.model,
        window.version,
        list(chosen.values()),
        timestamps=[row.event.timestamp for row in rows] if _in_rows(rows) else None,
        truths=[truths.get(row.event.prediction_id) for row in rows] if window.labels else None,
        probabilities=[row.event.probability for row in rows] if window.labels else None,
        in_rows=_in_rows(rows),
    )
    # What was said about the labels before still holds.
    frame = with_stated_task(frame, stated)
    taken = TakenWindow(start, end, there, len(rows), frozenset(chosen), left_out, len(truths))
    set_reference_frame(
        store,
        frame,
        now=now,
        new_id=new_id,
        source=f"window {_iso(start)} to {_iso(end)}",
        hashed=hashed & frozenset(chosen),
        audit=_entry(window, taken, actor, note, now, new_id),
    )
    return taken


def _span(connection: Connection, window: WindowOfReference) -> tuple[int, int]:
    if window.start is not None and window.end is not None:
        return window.start, window.end
    newest = last_window_end(connection, window.model, window.environment, window.version)
    if newest is None:
        raise Conflict(f"There is no data of {_place(window)}.")
    assert window.lookback is not None, "a window has a start and an end, or a look-back"
    return (newest - parse_lookback(window.lookback)) * MICROS_PER_SECOND, newest * MICROS_PER_SECOND


def _sample(
    connection: Connection, store: Store, window: WindowOfReference, start: int, end: int, rate: float
) -> Iterator[StoredPrediction]:
    """The stored predictions of the window, or a sample of them that every process would take."""

    def chosen(prediction_id: str) -> bool:
        return in_sample(window.model, prediction_id, rate)

    return events_between(
        connection, window.model, window.environment, window.version, start, end, store.protection, chosen
    )


def _in_rows(rows: Sequence[StoredPrediction]) -> bool:
    """True when every row has all features, so that the values at one place of the samples belong together."""
    return all(row.policy is KEEP_ALL for row in rows)


def _as_before(sample: ReferenceSample, present: Mapping[Subject, str]) -> ReferenceSample:
    """The sample with the type that its subject has now: what is a category may look like numbers."""
    kind = present.get(Subject(sample.kind, sample.name))
    if kind == "categorical":
        return msgspec.structs.replace(sample, data_type="categorical")
    if kind == "continuous" and any(is_finite_number(value) for value in sample.values):
        return msgspec.structs.replace(sample, data_type="continuous")
    return sample


def _left_out(
    window: WindowOfReference,
    samples: dict[Subject, ReferenceSample],
    present: Mapping[Subject, str],
    rows: Sequence[StoredPrediction],
) -> tuple[str, ...]:
    """The features that no value is stored of. Raises InvalidInput when that leaves out what was asked for."""
    known = {subject.name for subject in present if subject.kind == "feature"}
    missing = sorted(name for name in known if Subject("feature", name) not in samples)
    if window.subjects is not None:
        unavailable = sorted((each.name or each.kind) for each in window.subjects if each not in samples)
        problems = tuple(
            FieldError("/features", f"{_why_missing(name, rows)}: {excerpt(name)}", excerpt(name))
            for name in unavailable
        )
        if problems:
            raise InvalidInput("The window can't become the reference.", problems[:NAMED])
        return ()
    if missing and not any(subject.kind == "feature" for subject in samples):
        message = (
            "No feature's values are stored with these predictions (privacy, or a sample rate of 0), so they can't"
            " become a reference; upload one"
        )
        raise InvalidInput("The window can't become the reference.", (FieldError("/features", message),))
    return tuple(missing)


def _why_missing(name: str, rows: Sequence[StoredPrediction]) -> str:
    if all(row.form(name) == "none" for row in rows):
        return "Its values are not stored with these predictions (privacy, or a sample rate of 0); upload a reference"
    return "No prediction of the window has a value of it"


def _entry(
    window: WindowOfReference,
    taken: TakenWindow,
    actor: str,
    note: str | None,
    now: int,
    new_id: Callable[[], str],
) -> AuditEntry:
    detail = {
        "environment": window.environment,
        "model_version": window.version,
        "start": _iso(taken.start),
        "end": _iso(taken.end),
        "predictions": taken.taken,
        "labels": taken.labels,
        "subjects": sorted(subject.name or subject.kind for subject in taken.subjects),
        "note": note,
    }
    target = f"model/{window.model}"
    return AuditEntry(new_id(), now, actor, "reference.from_window", target, msgspec.json.encode(detail).decode())


def _place(window: WindowOfReference) -> str:
    version = "" if window.version is None else f" version {excerpt(window.version)!r}"
    return f"{excerpt(window.model)!r}{version} in {excerpt(window.environment)!r}"


def _iso(microseconds: int) -> str:
    return iso_of_seconds(microseconds // MICROS_PER_SECOND)
