"""From labelled rows to the counts of a reference: by the task and the positive class that are said, or inferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import ReferenceFrame, Scalar
from modelwatch.stats.counting.datatypes import number_of
from modelwatch.stats.outcomes.classes import class_names
from modelwatch.stats.outcomes.natural_variation import NaturalVariation, natural_variation
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout
from modelwatch.stats.outcomes.tasks import NOT_STATED, StatedTask
from modelwatch.storage.references.labelled_rows import LabelledRows
from modelwatch.storage.references.subjects import OUTCOMES, Subject

if TYPE_CHECKING:
    from modelwatch.storage.references.layouts import Counts

# So many classes are listed in an error.
LISTED = 10
# So many values that were predicted without a label are kept, to know their classes.
MAX_UNLABELLED = 1_000


def with_stated_task(frame: ReferenceFrame, stated: StatedTask) -> ReferenceFrame:
    """The frame as if this had been stated with it; the frame as it is where its labels can't be that."""
    changed = replace(frame, task=stated.task, positive_class=stated.positive_class)
    rows = labelled_rows(changed, {})
    if rows is None:
        return frame
    try:
        check_stated_task(rows, counted(rows, NOT_STATED))
    except InvalidInput:
        return frame
    return changed


def labelled_rows(frame: ReferenceFrame, segments: Mapping[str, tuple[int, list[int]]]) -> LabelledRows | None:
    """The frame's rows that have a prediction and a truth; None when it has no labels.

    segments: by definition, how many segments there are and that of each row of the frame.
    """
    predictions = next((sample.values for sample in frame.samples if sample.kind == "prediction"), None)
    if frame.truths is None or predictions is None:
        return None
    given = frame.probabilities or [None] * len(predictions)
    chosen = [
        row
        for row, (prediction, truth) in enumerate(zip(predictions, frame.truths, strict=True))
        if prediction is not None and truth is not None
    ]
    labelled = set(chosen)
    others = {(type(value), value): value for row, value in enumerate(predictions) if row not in labelled}
    unlabelled: list[Scalar] = [value for value in others.values() if value is not None]
    return LabelledRows(
        frame.task,
        frame.positive_class,
        [predictions[row] for row in chosen],
        [given[row] for row in chosen],
        [frame.truths[row] for row in chosen],
        unlabelled[:MAX_UNLABELLED],
        {name: (size, [numbers[row] for row in chosen]) for name, (size, numbers) in segments.items()},
        times=[] if frame.timestamps is None else _seconds([frame.timestamps[row] for row in chosen]),
    )


def _seconds(times: Sequence[int | None]) -> list[int | None]:
    """The times of rows, from microseconds; nothing where no row has one."""
    if all(time is None for time in times):
        return []
    return [None if time is None else time // 1_000_000 for time in times]


def counted(rows: LabelledRows, monitor: StatedTask) -> OutcomeCounts | None:
    """Outcome counts of the rows; None when they don't tell the task. The monitor's statement takes precedence over
    that of the rows."""
    layout = outcome_layout(
        rows.predictions,
        rows.truths,
        rows.probabilities,
        rows.positive_class if monitor.positive_class is None else monitor.positive_class,
        monitor.task or rows.task,
        more_predictions=rows.unlabelled,
    )
    return None if layout.task is None else OutcomeCounts.of(layout, outcomes_of_rows(rows))


def counted_by_segment(rows: LabelledRows, counts: OutcomeCounts) -> dict[str, dict[Subject, Counts]]:
    """The counts of the rows in each segment, by its definition, shape (segments, cells)."""
    entries, layout = counts.layout.entries(outcomes_of_rows(rows)), counts.layout
    return {
        definition: {
            OUTCOMES: np.array(
                list(entries.sums(np.array(numbers, dtype=np.intp), size, layout.size)), dtype=np.int64
            ).reshape(size, layout.size)
        }
        for definition, (size, numbers) in rows.segments.items()
    }


def natural_of(rows: LabelledRows | None, outcomes: OutcomeCounts | None) -> NaturalVariation | None:
    """Natural variation of the metrics over the time of the rows; None where that is not known. outcomes: the rows'
    counts."""
    if rows is None or outcomes is None or not rows.times or not rows.truths:
        return None
    return natural_variation(outcomes.layout, outcomes_of_rows(rows), rows.times, np.random.default_rng(0))


def outcomes_of_rows(rows: LabelledRows) -> list[Outcome]:
    """The rows as outcomes."""
    return [Outcome(*row) for row in zip(rows.predictions, rows.probabilities, rows.truths, strict=True)]


def check_stated_task(rows: LabelledRows, outcomes: OutcomeCounts | None) -> None:
    """Refuses a task or a positive class that the rows of a reference can't have. Raises InvalidInput."""
    problems: list[FieldError] = []
    layout = None if outcomes is None else outcomes.layout
    listed = ", ".join(excerpt(name) for name in (() if layout is None else layout.classes[:LISTED]))
    found = 0 if layout is None else len(layout.classes)
    if rows.task == "regression":
        if not any(np.isfinite(number_of(value)) for value in rows.predictions):
            problems.append(FieldError("/task", "A regression predicts numbers, and no labelled row has one"))
        elif layout is None:
            problems.append(FieldError("/task", "A regression predicts numbers, and no label is one"))
    elif rows.task == "binary" and found > 2:
        problems.append(FieldError("/task", f"Expected two classes; {found} are there: {listed}"))
    elif rows.task is not None and not found:
        problems.append(FieldError("/task", "Expected at least two classes among predictions and labels"))
    positive = rows.positive_class
    if positive is not None and not problems:
        if layout is None or layout.task != "binary":
            what = "an unknown task" if layout is None else f"a {layout.task} task"
            problems.append(FieldError("/positive_class", f"Goes with two classes; the labels are of {what}"))
        elif class_names(layout.classes).of(positive) is None:
            problems.append(FieldError("/positive_class", f"No such class; there are {listed}", excerpt(positive)))
    if problems:
        raise InvalidInput("The task or the positive class does not match the labels.", tuple(problems))
