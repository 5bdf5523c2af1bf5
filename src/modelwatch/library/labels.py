"""The labelled rows of a data set: their counts as the service's references and windows hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from modelwatch.errors import InvalidInput
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.library.label_columns import LabelColumns
from modelwatch.monitoring.checks.performance.judge import LabelledWindow
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, window_of
from modelwatch.monitoring.checks.windows import Window
from modelwatch.monitoring.references.labelled import check_stated_task, labelled_rows, natural_of
from modelwatch.stats.counting.datatypes import number_of
from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts, encode_sparse
from modelwatch.stats.outcomes.natural_variation import NaturalVariation
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout, Outcomes
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoredPrediction
from modelwatch.stats.outcomes.tasks import NOT_STATED, StatedTask
from modelwatch.stats.performance.mergeable import Floats, Integers
from modelwatch.stats.performance.residuals import error_edges, prediction_edges
from modelwatch.storage.references.labelled_rows import LabelledRows
from modelwatch.views.performance.outcomes import (
    RegressionErrors,
    TruthByPrediction,
    errors_by_cell,
    truths_by_cell,
)

# All labels are there: nothing is waited for.
COMPLETE = LabelArrivals(0, None, None, None, 0, None, ())
# Rows whose increments are in memory at a time.
BATCH_ROWS = 50_000


class ErrorsOfReference(msgspec.Struct, frozen=True):
    """Errors of a labelled regression: cells of the error and of the prediction, and what the reference has in them."""

    edges: list[float]
    counts: list[int]
    prediction_edges: list[float]
    by_prediction: list[TruthByPrediction]


@dataclass(frozen=True, slots=True)
class LabelledReference:
    """The labelled rows of a reference.

    counts: over their layout. natural: how the metrics vary over time, where that is known. errors: of a regression.
    stated: task and positive class as given. no_probabilities: as of `LabelColumns`. odd_values: clauses on those that
    are left out.
    """

    counts: OutcomeCounts
    natural: NaturalVariation | None = None
    errors: ErrorsOfReference | None = None
    stated: StatedTask = NOT_STATED
    no_probabilities: str | None = None
    odd_values: list[str] = field(default_factory=list)

    @property
    def layout(self) -> OutcomeLayout:
        """Layout of the counts."""
        return self.counts.layout


def labelled_reference(
    columns: LabelColumns, seconds: Sequence[int | None] | None, stated: StatedTask
) -> LabelledReference | None:
    """The counts of a reference's labelled rows; None when they tell no task.

    seconds: times of all rows. Raises ValueError when the rows can't have the stated task or positive class.
    """
    frame = ReferenceFrame(
        "",
        None,
        [ReferenceSample("prediction", "", "categorical", columns.predictions)],
        None if seconds is None else [None if second is None else second * 1_000_000 for second in seconds],
        columns.truths,
        [dict(each) if isinstance(each, Mapping) else each for each in columns.probabilities],
        in_rows=True,
        task=stated.task,
        positive_class=stated.positive_class,
    )
    rows = labelled_rows(frame, {})
    assert rows is not None, "there are labels"
    layout = layout_of(rows, stated)
    counts = None if layout.task is None else outcome_counts(layout, Outcomes(*_columns_of(rows)))
    try:
        check_stated_task(rows, counts)
    except InvalidInput as problem:
        raise ValueError("; ".join(f"{each.pointer.strip('/')}: {each.message}" for each in problem.errors)) from None
    if counts is None or not counts.n:
        return None
    return LabelledReference(
        counts,
        natural_of(rows, counts),
        _errors(rows, counts),
        stated,
        columns.no_probabilities,
        columns.odd_values(layout),
    )


def layout_of(rows: LabelledRows, stated: StatedTask) -> OutcomeLayout:
    """The layout that the service would give these rows."""
    return outcome_layout(
        rows.predictions,
        rows.truths,
        rows.probabilities,
        stated.positive_class,
        stated.task,
        more_predictions=rows.unlabelled,
    )


def _columns_of(rows: LabelledRows) -> tuple[list[Any], list[Any], list[Any], list[float]]:
    return rows.predictions, rows.probabilities, rows.truths, [0.0] * len(rows.truths)


def outcome_counts(layout: OutcomeLayout, outcomes: Outcomes) -> OutcomeCounts:
    """The counts of many outcomes, some thousands at a time."""
    total = np.zeros(layout.size, dtype=np.int64)
    for batch in batches(len(outcomes)):
        total += layout.entries(outcomes.some(batch)).total(layout.size)
    return OutcomeCounts(layout, total)


def score_counts(layout: OutcomeLayout, columns: LabelColumns) -> Integers | None:
    """The counts of the scores of all predictions, labelled or not; None without a task."""
    if layout.task not in ("binary", "multiclass"):
        return None
    cells = ScoreByPredictedClass(layout)
    total = np.zeros(cells.size, dtype=np.int64)
    for batch in batches(len(columns.predictions)):
        found = [ScoredPrediction(columns.predictions[row], columns.probabilities[row]) for row in batch]
        total += cells.count([each for each in found if each.prediction is not None])
    return total


def batches(rows: int) -> Iterator[range]:
    """Numbers of rows, some thousands at a time."""
    for start in range(0, rows, BATCH_ROWS):
        yield range(start, min(start + BATCH_ROWS, rows))


def finite_pairs(predictions: Sequence[Scalar], truths: Sequence[Scalar]) -> tuple[Floats, Floats]:
    """Predicted and true numbers of the rows where both are finite."""
    said, was = (np.array([number_of(value) for value in side], dtype=np.float64) for side in (predictions, truths))
    usable = np.isfinite(said) & np.isfinite(was)
    return said[usable], was[usable]


def _errors(rows: LabelledRows, counts: OutcomeCounts) -> ErrorsOfReference | None:
    if counts.layout.task != "regression":
        return None
    said, was = finite_pairs(rows.predictions, rows.truths)
    if not len(said):
        return None
    edges, cells = error_edges(said - was), prediction_edges(said)
    return ErrorsOfReference(
        edges.tolist(), errors_by_cell(said, was, edges), cells.tolist(), truths_by_cell(said, was, cells)
    )


class PackedLabels(msgspec.Struct):
    """A labelled reference as it is saved."""

    layout: bytes
    counts: bytes
    natural: NaturalVariation | None = None
    errors: ErrorsOfReference | None = None
    task: str | None = None
    positive_class: Scalar = None
    no_probabilities: str | None = None
    odd_values: list[str] = []


def packed_labels(labels: LabelledReference | None) -> PackedLabels | None:
    """What `unpacked_labels` turns back into the same."""
    if labels is None:
        return None
    return PackedLabels(
        labels.layout.encode(),
        encode_counts(labels.counts.vector),
        labels.natural,
        labels.errors,
        labels.stated.task,
        labels.stated.positive_class,
        labels.no_probabilities,
        labels.odd_values,
    )


def unpacked_labels(packed: PackedLabels | None) -> LabelledReference | None:
    """Labels as they were saved. Raises StatsError for counts that are damaged."""
    from modelwatch.stats.outcomes.outcome_layout import decode_outcome_layout

    if packed is None:
        return None
    layout = decode_outcome_layout(packed.layout)
    stated = StatedTask(packed.task, packed.positive_class)  # type: ignore[arg-type]
    counts = OutcomeCounts(layout, decode_counts(packed.counts))
    return LabelledReference(counts, packed.natural, packed.errors, stated, packed.no_probabilities, packed.odd_values)


@dataclass(frozen=True, slots=True)
class LabelledRowsNow:
    """Labels of the data set to compare, counted in the layout of the reference.

    rows: of the data set, labelled or not. calls: counts of the scores of all its predictions, as sparse bytes; empty
    without any. errors: of a regression. no_probabilities: why its scores are none. odd_values: clauses on those that
    are left out.
    """

    counts: OutcomeCounts
    rows: int
    calls: bytes = b""
    errors: RegressionErrors | None = None
    no_probabilities: str | None = None
    odd_values: Sequence[str] = ()

    def window(self, reference: OutcomeCounts | None) -> LabelledWindow:
        """The rows as a window with all of its labels."""
        outcomes = encode_sparse(self.counts.vector) if self.counts.n else b""
        found = WindowCounts(Window(0, 0), True, 0, self.rows, outcomes, self.calls)
        return window_of(found, self.counts.layout, COMPLETE, reference)


def labels_now(
    columns: LabelColumns, known: LabelledReference | None, stated: StatedTask = NOT_STATED
) -> LabelledRowsNow | None:
    """The labels of the data set to compare; None when nothing tells the task. known: those of the reference.

    Raises ValueError when the rows can't have the stated task.
    """
    outcomes = columns.labelled
    if known is not None:
        layout = known.layout
        counts = outcome_counts(layout, outcomes)
    else:
        own = labelled_reference(columns, None, stated)
        if own is None:
            return None
        layout, counts = own.layout, own.counts
    calls = score_counts(layout, columns)
    errors = None
    if layout.task == "regression":
        errors = _errors_now(*finite_pairs(outcomes.predictions, outcomes.truths), known)
    return LabelledRowsNow(
        counts,
        len(columns.predictions),
        b"" if calls is None else encode_sparse(calls),
        errors,
        columns.no_probabilities,
        columns.odd_values(layout),
    )


def _errors_now(said: Floats, was: Floats, known: LabelledReference | None) -> RegressionErrors | None:
    """Errors in the cells of the reference; None without one, and without rows."""
    if not len(said) or known is None or known.errors is None:
        return None
    errors: ErrorsOfReference = known.errors
    return RegressionErrors(
        rows=len(said),
        labelled=len(said),
        edges=errors.edges,
        counts=errors_by_cell(said, was, np.array(errors.edges)),
        reference_counts=errors.counts,
        by_prediction=truths_by_cell(said, was, np.array(errors.prediction_edges)),
        reference_by_prediction=errors.by_prediction,
    )
