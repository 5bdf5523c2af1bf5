"""Performance over time: labels of a classifier by class, mean label of a regression, and metrics as a table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.checks.performance.history import PerformanceHistory
from modelwatch.stats.drift.scores import psi
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.regression import RegressionCounts, mean_target
from modelwatch.storage.counts.steps import outcome_steps
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.outcome_references import StoredOutcomes, outcomes_for, outcomes_in_force
from modelwatch.times import iso_of_micros, iso_of_seconds
from modelwatch.views.drift.subject_series import SeriesReference, SeriesStep, SubjectSeries, empty_series
from modelwatch.views.stretches.look_backs import blocks_of_windows
from modelwatch.views.stretches.stretch import REFUSED, Divided, SeriesQuery, read_divided

_OF_WINDOW = ("start", "end", "predictions", "labelled", "coverage", "immature")
OTHER = "(other)"
NO_CLASSES = "Labels over time need a classifier: there are no labels yet, or the task is regression."
NO_LABELS = "The reference has no labels, so there is nothing to compare with."


def label_series(store: Store, query: SeriesQuery, now: int) -> SubjectSeries:
    """Labels by class in each step, from committed counts; labels that are still to come are in none.

    n: the labelled predictions. A label has no severity of its own, and nothing is missing or invalid: what is no class
    of the model is in `(other)`. now: microseconds. Raises UnknownModel for an unknown model, and InvalidInput for a
    stretch that can't be had, or a window longer than a step.
    """
    if query.window is not None and query.window != query.step:
        raise InvalidInput(REFUSED, (FieldError("/window", "A label has no window but the step", f"{query.window} s"),))
    return read_divided(store, query, now, _series)


def _series(divided: Divided) -> SubjectSeries:
    query, series = divided.query, empty_series(divided, "label")
    outcomes = outcomes_for(outcomes_in_force(divided.connection, query.model, divided.generation), query.version)
    layout = divided.layouts.common.outcome if query.version is None else divided.layouts.of(query.version).outcome
    if layout.task not in ("binary", "multiclass"):
        return replace(series, reason=NO_CLASSES)
    cells = [*layout.classes, OTHER]
    reference = None if query.segment or outcomes is None else _reference(outcomes, layout, cells)
    counted = _labelled(divided, layout, len(cells))
    received = [
        sum(slot.predictions for slot in sums.values()) for block in blocks_of_windows(divided) for _, sums in block
    ]
    steps = [
        _step(span, predictions, counts, reference)
        for span, predictions, counts in zip(divided.spans, received, counted, strict=True)
    ]
    return replace(
        series,
        feature_type="categorical",
        reference=reference,
        compared_with=None if reference is None else "reference",
        steps=steps,
        reason=NO_LABELS if reference is None else None,
    )


def _labelled(divided: Divided, layout: OutcomeLayout, cells: int) -> NDArray[np.int64]:
    """Labels by class in each step, shape (steps, cells); of the versions that are counted in this layout."""
    counted = np.zeros((len(divided.spans), cells), dtype=np.int64)
    for step, sums in divided.read_steps(outcome_steps):
        for version, vector in sums.items():
            own = divided.layouts.of(version).outcome
            if step >= divided.shown and own.counts_like(layout):
                counted[step - divided.shown] += _by_class(OutcomeCounts(own, vector))
    return counted


def _by_class(counts: OutcomeCounts) -> NDArray[np.int64]:
    confusion = counts.confusion
    assert confusion is not None, "of a classifier"
    by_class: NDArray[np.int64] = confusion.matrix.sum(axis=1)
    return by_class


def _reference(outcomes: StoredOutcomes, layout: OutcomeLayout, cells: list[str]) -> SeriesReference | None:
    if not outcomes.counts.n or not outcomes.layout.counts_like(layout):
        return None
    counts = _by_class(outcomes.counts)
    n = int(counts.sum())
    return SeriesReference(
        state=outcomes.state,
        created_at=iso_of_micros(outcomes.created_at),
        n=n,
        missing=0,
        invalid=0,
        cells=cells,
        edges=[],
        counts=counts.tolist(),
        shares=(counts / max(n, 1)).tolist(),
        low=None,
        high=None,
        quantiles=[],
    )


def _step(
    span: tuple[int, int], predictions: int, counts: NDArray[np.int64], reference: SeriesReference | None
) -> SeriesStep:
    n = int(counts.sum())
    return SeriesStep(
        start=iso_of_seconds(span[0]),
        end=iso_of_seconds(span[1]),
        predictions=predictions,
        n=n,
        severity=None,
        counts=counts.tolist(),
        shares=(counts / max(n, 1)).tolist(),
        psi=psi(reference.counts, counts) if n and reference is not None and reference.n else None,
    )


def performance_csv(histories: Sequence[PerformanceHistory]) -> str:
    """A row for each step of each stream: its labels, why it is not final, and each metric with its interval."""
    windows = [each for history in histories for each in history.windows]
    metrics = list(dict.fromkeys(name for window in windows for name in window.metrics))
    rows: list[list[Cell]] = []
    for history in histories:
        for window in history.windows:
            row: list[Cell] = [history.model_version, history.environment]
            row += [getattr(window, name) for name in _OF_WINDOW]
            for name in metrics:
                found = window.metrics.get(name)
                row += [None] * 3 if found is None else [found.value, found.low, found.high]
            rows.append(row)
    of_metrics = [column for name in metrics for column in (name, f"{name} low", f"{name} high")]
    return csv_text(["model_version", "environment", *_OF_WINDOW, *of_metrics], rows)


class TargetStep(msgspec.Struct, frozen=True):
    """One step, [start, end), with labels: how many, and their mean."""

    start: str
    end: str
    n: int
    mean: float | None


class MeanTargets(msgspec.Struct, frozen=True):
    """Steps with labels, oldest first; and the mean of the reference. Both empty of a classifier."""

    steps: list[TargetStep]
    reference: float | None


def mean_targets(store: Store, query: SeriesQuery, now: int) -> MeanTargets:
    """The mean target in each step, from committed counts. now: microseconds.

    Raises UnknownModel for an unknown model, and InvalidInput for a stretch that can't be had.
    """
    return read_divided(store, query, now, _targets)


def _targets(divided: Divided) -> MeanTargets:
    query = divided.query
    outcomes = outcomes_for(outcomes_in_force(divided.connection, query.model, divided.generation), query.version)
    usual = None if outcomes is None else outcomes.counts.regression
    by_step: dict[int, RegressionCounts] = {}
    for step, sums in divided.read_steps(outcome_steps):
        for version, vector in sums.items():
            counts = OutcomeCounts(divided.layouts.of(version).outcome, vector).regression
            if counts is not None and counts.n and step >= divided.shown:
                place = step - divided.shown
                by_step[place] = by_step[place] + counts if place in by_step else counts
    return MeanTargets(
        [
            TargetStep(
                iso_of_seconds(divided.spans[place][0]),
                iso_of_seconds(divided.spans[place][1]),
                counts.n,
                mean_target(counts),
            )
            for place, counts in sorted(by_step.items())
        ],
        None if usual is None or not usual.n else mean_target(usual),
    )
