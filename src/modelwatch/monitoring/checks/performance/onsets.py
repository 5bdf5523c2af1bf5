"""Onsets of a classifier's loss, and of label drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.onsets import Onsets, span_before, timeline_of
from modelwatch.monitoring.checks.performance.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.evidence import PerformanceInputs
from modelwatch.monitoring.checks.performance.judge import LABELS
from modelwatch.stats.performance.confusion import ConfusionCounts
from modelwatch.storage.counts.outcomes import outcomes_by_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.layouts import Counts, read_layouts


def performance_onsets(
    connection: Connection, stream: StreamKey, inputs: PerformanceInputs, found: Sequence[Condition]
) -> Onsets:
    """Onset of each of these findings, in seconds; without those where it is unknown: of a regression, of missing
    labels, and where a metric fell although as many predictions are right as before.

    Every metric is taken to have begun to fall when the predictions began to be wrong more often.
    """
    evidence, reference = inputs.evidence, inputs.reference
    part = inputs.layout.parts.get("confusion")
    confusion = None if reference is None else reference.counts.confusion
    wanted = [each for each in found if each.name != COVERAGE]
    if part is None or confusion is None or not wanted:
        return {}
    layouts = read_layouts(connection, stream.model, evidence.generation)
    windows = [counts.window for counts in evidence.windows]
    end = max(window.end for window in windows)
    span = span_before(end, min(window.start for window in windows))
    labelled = outcomes_by_window(connection, stream, layouts, span)
    timeline = timeline_of(connection, stream, list(labelled))
    counted = [ConfusionCounts(confusion.layout, counts[part.place]) for counts in labelled.values()]
    known: dict[tuple[str, str], int] = {}
    for each in wanted:
        pick = _labels if each.name == LABELS else _rightness
        began = timeline.began(pick(confusion), np.stack([pick(window) for window in counted])) if counted else None
        if began is not None:
            known[each.kind, each.name] = began
    return known


def _labels(counts: ConfusionCounts) -> Counts:
    """Number of labels of each class, shape (classes + 1,)."""
    of_class: Counts = counts.matrix.sum(axis=1)
    return of_class


def _rightness(counts: ConfusionCounts) -> Counts:
    """Numbers of wrong and right predictions, shape (2,)."""
    return np.array([counts.n - counts.correct, counts.correct], dtype=np.int64)
