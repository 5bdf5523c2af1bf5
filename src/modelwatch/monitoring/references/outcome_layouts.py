"""Task of a model as it is stated, and layout of its outcomes when no labelled reference gives it.

Such a layout is there from the first labels on. It is provisional: it grows with classes that come later, follows the
monitor's positive class, and gives way to a labelled reference. It has no counts of its own; nothing is compared with
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from modelwatch.monitoring.references.labelled import counted, counted_by_segment, natural_of
from modelwatch.stats.counting.binning import Scalar, category_name
from modelwatch.stats.outcomes.natural_variation import NaturalVariation
from modelwatch.stats.outcomes.outcome_layout import NO_OUTCOMES, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts, outcome_layout
from modelwatch.stats.outcomes.tasks import NOT_STATED, StatedTask
from modelwatch.storage.counts.outcomes import label_values, labelled_sample
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.labelled_rows import LabelledRows
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.outcome_references import (
    StoredOutcomes,
    labelled_rows_of,
    outcomes_for,
    outcomes_in_force,
)
from modelwatch.storage.references.references import set_references
from modelwatch.times import MICROS_PER_SECOND

SAMPLE_SIZE = 2_000
# With fewer labelled predictions nothing is settled.
ENOUGH_LABELS = 20
# A provisional layout is looked at again after a share of its age, so that a long history settles few times.
SHORTEST_PAUSE_SECONDS = 10
PAUSE_SHARE = 0.5


class OutcomeLayouts:
    """Settles how each model's outcomes are laid out."""

    def __init__(self, store: Store, *, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        self._checked_at: dict[str, int] = {}
        # By model, what was said when its references were found to be laid out by it.
        self._fitting: dict[str, tuple[StatedTask, tuple[str, ...]]] = {}

    def settle(self, model: str, now: int) -> bool:
        """Puts a layout in force that fits what is known now. True when it did. now: microseconds."""
        with self._store.read() as connection:
            references = outcomes_in_force(connection, model)
            stated = task_of_monitor(connection, model)
            state = stated, tuple(each.id for each in references)
            known_before = self._fitting.get(model)
            if known_before != state:
                for found in references:
                    relaid = _relaid(connection, found, stated) if found.state == "active" else None
                    if relaid is not None:
                        return self._put(found, *relaid, now)
            common = outcomes_for(references, None)
            of_numbers = common is not None and common.layout.task == "regression"
            if (common is not None and common.state == "active") or (common is None and references):
                self._fitting[model] = state
                return False
            if of_numbers and stated.task in (None, "regression"):
                return False
            changed = known_before is not None and known_before[0] != stated
            if not changed and not self._is_due(model, common, now):
                return False
            self._checked_at[model] = now
            self._fitting[model] = state
            sample = labelled_sample(connection, model, SAMPLE_SIZE)
            if len(sample) < ENOUGH_LABELS:
                return False
            truths = label_values(connection, model)
        # What was known by exact names may be one class under two of them.
        known = [] if common is None or common.layout.naming == "exact" else list(common.layout.classes)
        layout = outcome_layout(
            [outcome.prediction for outcome in sample],
            [outcome.truth for outcome in sample],
            [outcome.probability for outcome in sample],
            stated.positive_class,
            stated.task,
            more_predictions=known,
            more_truths=[*truths, *known],
        )
        if layout == NO_OUTCOMES or (common is not None and layout.counts_like(common.layout)):
            return False
        if common is not None and layout.task == common.layout.task == "regression":
            return False
        set_references(
            self._store,
            model,
            None,
            {},
            outcomes=OutcomeCounts.empty(layout),
            state="provisional",
            source="first labels",
            now=now,
            new_id=self._new_id,
        )
        return True

    def _put(self, found: StoredOutcomes, counts: OutcomeCounts, rows: LabelledRows | None, now: int) -> bool:
        set_references(
            self._store,
            found.model,
            found.version,
            {},
            outcomes=counts,
            by_segment=None if rows is None or not rows.truths else counted_by_segment(rows, counts),
            labelled=rows,
            natural=_natural(found, counts, rows),
            state=found.state,
            source=found.source,
            now=now,
            new_id=self._new_id,
        )
        return True

    def _is_due(self, model: str, common: StoredOutcomes | None, now: int) -> bool:
        last = self._checked_at.get(model)
        if last is None or last > now:
            return True
        age = 0 if common is None else now - common.created_at
        return now - last >= max(SHORTEST_PAUSE_SECONDS * MICROS_PER_SECOND, int(PAUSE_SHARE * age))


def _natural(found: StoredOutcomes, counts: OutcomeCounts, rows: LabelledRows | None) -> NaturalVariation | None:
    """Natural variation of the metrics in the new layout, or as much of it as is still true."""
    if rows is not None and rows.truths:
        return natural_of(rows, counts)
    return None if found.natural is None else found.natural.with_another_positive_class()


def _relaid(
    connection: Connection, found: StoredOutcomes, stated: StatedTask
) -> tuple[OutcomeCounts, LabelledRows | None] | None:
    """The labelled reference in the layout of the present settings, with its rows; None when it is laid out so.

    Where the rows were not kept, the positive class alone can be changed, and the scores are left out.
    """
    rows = labelled_rows_of(connection, found.id)
    if rows is not None and rows.truths:
        counts = counted(rows, stated)
        return None if counts is None or counts.layout.counts_like(found.layout) else (counts, rows)
    layout = _with_positive(found.layout, stated.positive_class)
    return None if layout == found.layout else (renamed(found.counts, layout), rows)


def _with_positive(layout: OutcomeLayout, positive: Scalar) -> OutcomeLayout:
    """The layout with the positive class that the monitor names, where that is one of two."""
    exact = layout.naming == "exact"
    name = category_name(positive) if exact else layout.names.of(positive)
    if layout.task != "binary" or name is None or name not in layout.classes:
        return layout
    if name == layout.positive and (layout.score_of == "positive" or layout.positive_from == "stated"):
        return layout
    return replace(layout, positive=name, score_of="positive", positive_from="" if exact else "stated")


def renamed(counts: OutcomeCounts, layout: OutcomeLayout) -> OutcomeCounts:
    """Counts of a labelled reference after its positive class has been named: the scores meant something else then.

    They are left out; who wants them compared sets the reference again.
    """
    vector = np.zeros(layout.size, dtype=np.int64)
    for name, part in layout.parts.items():
        if name != "scores":
            vector[part.place] = counts.vector[counts.layout.parts[name].place]
    return OutcomeCounts(layout, vector)


def task_of_monitor(connection: Connection, model: str) -> StatedTask:
    """Task and positive class as the model's monitor states them."""
    monitor = monitor_of(connection, model)
    return NOT_STATED if monitor is None else StatedTask(monitor.config.task, monitor.config.positive_class)


def task_of_reference(connection: Connection, model: str, version: str | None) -> StatedTask:
    """Task and positive class as stated with the labelled reference in force."""
    found = outcomes_for(outcomes_in_force(connection, model), version)
    rows = None if found is None else labelled_rows_of(connection, found.id)
    return NOT_STATED if rows is None else StatedTask(rows.task, rows.positive_class)
