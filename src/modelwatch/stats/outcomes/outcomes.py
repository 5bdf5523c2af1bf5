"""Outcomes: predictions whose truth is known, counted in one vector of integers.

The vector holds the delays of the labels and, by the task of the model, a confusion matrix, scores by label, class
scores or regression errors. Its layout is frozen with the model's reference; vectors of equal layout add and subtract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from modelwatch.stats.counting.datatypes import number_of
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.outcomes.classes import class_name, class_names, count_classes
from modelwatch.stats.outcomes.delays import DelayCounts, DelayLayout
from modelwatch.stats.outcomes.outcome_layout import MAX_SCORED_CLASSES, NO_OUTCOMES, Outcome, OutcomeLayout
from modelwatch.stats.outcomes.tasks import (
    MAX_CLASSES,
    Probability,
    Task,
    TaskFrom,
    infer_positive,
    infer_task,
    score_of,
    scores_about,
)
from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    PerformanceCounts,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    ScoreLayout,
)
from modelwatch.stats.performance.mergeable import MergeableCounts


@dataclass(frozen=True, eq=False)
class OutcomeCounts(MergeableCounts[OutcomeLayout]):
    """The counts of some outcomes.

    >>> layout = OutcomeLayout("binary", ("no", "yes"), "yes", "positive")
    >>> counts = OutcomeCounts.of(layout, [Outcome("yes", 0.9, "yes"), Outcome("no", 0.4, "yes", 3_600.0)])
    >>> counts.n, counts.confusion.matrix.tolist(), counts.scores.n, counts.delays.quantile(1.0)
    (2, [[0, 0, 0], [1, 1, 0], [0, 0, 0]], 2, 4096.0)
    """

    what: ClassVar[str] = "outcome counts"

    @classmethod
    def of(cls, layout: OutcomeLayout, outcomes: Sequence[Outcome]) -> OutcomeCounts:
        """The counts of these outcomes."""
        return cls(layout, layout.entries(outcomes).total(layout.size))

    @property
    def n(self) -> int:
        """Number of predictions whose truth is known."""
        return self.delays.n

    @cached_property
    def delays(self) -> DelayCounts:
        """Counts of the labels' delays."""
        return DelayCounts(DelayLayout(), self.vector[self.layout.parts["delays"].place])

    @cached_property
    def confusion(self) -> ConfusionCounts | None:
        """Predicted by true class."""
        part = self.layout.parts.get("confusion")
        return None if part is None else ConfusionCounts(self.layout.confusion, self.vector[part.place])

    @cached_property
    def scores(self) -> ScoreCounts | None:
        """The probability of the positive class by label."""
        part = self.layout.parts.get("scores")
        return None if part is None else ScoreCounts(ScoreLayout(), self.vector[part.place])

    @cached_property
    def confidence(self) -> ScoreCounts | None:
        """Several classes: probability of the predicted one, by whether it was right."""
        part = self.layout.parts.get("confidence")
        return None if part is None else ScoreCounts(ScoreLayout(), self.vector[part.place])

    @cached_property
    def class_scores(self) -> ClassScoreCounts | None:
        """Several classes: probability of each, by whether it was the true one."""
        part = self.layout.parts.get("class_scores")
        if part is None:
            return None
        return ClassScoreCounts(ClassScoreLayout(self.layout.classes), self.vector[part.place])

    @cached_property
    def regression(self) -> RegressionCounts | None:
        """Errors and targets."""
        part, layout = self.layout.parts.get("regression"), self.layout.regression
        return None if part is None or layout is None else RegressionCounts(layout, self.vector[part.place])

    def families(self) -> tuple[PerformanceCounts, ...]:
        """The counts that metrics are computed from."""
        found = (self.confusion, self.scores, self.class_scores, self.regression)
        return tuple(counts for counts in found if counts is not None)


def outcome_layout(
    predictions: Sequence[Scalar],
    truths: Sequence[Scalar],
    probabilities: Sequence[Probability] = (),
    positive_class: Scalar = None,
    task: Task | None = None,
    *,
    more_predictions: Sequence[Scalar] = (),
    more_truths: Sequence[Scalar] = (),
) -> OutcomeLayout:
    """The layout for outcomes like these; `NO_OUTCOMES` when they don't tell the task yet.

    predictions, truths, probabilities: row by row. task, positive_class: as they were said, as far as the values allow
    them; else they are inferred (see tasks.py). more_predictions, more_truths: of other rows, for the classes alone.

    >>> found = outcome_layout(["no", "no"], ["no", "yes"])
    >>> found.task, found.classes, found.positive
    ('binary', ('no', 'yes'), 'yes')
    >>> outcome_layout([1.5, 2.5], [1.0, 3.0]).regression
    RegressionLayout(scale=2.0, center=2.0)
    >>> outcome_layout([1, 2, 3], [1, 2, 2], task="regression").task
    'regression'
    """
    if task is None:
        kind, rests_on = infer_task([*predictions, *more_predictions], truths, probabilities)
    else:
        kind, rests_on = "regression" if task == "regression" else "classes", "stated"
    if kind == "regression":
        numbers = np.array([number_of(value) for value in truths], dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return NO_OUTCOMES
        return OutcomeLayout("regression", regression=RegressionLayout.of(numbers), task_from=rests_on)
    names = count_classes([*predictions, *more_predictions], [*truths, *more_truths])
    named = class_name(positive_class)
    if len(names) == 1 and named is not None and class_names(tuple(names)).of(named) is None:
        names[named] += 0
    kept = sorted(names, key=lambda name: (-names[name], name))[:MAX_CLASSES]
    classes = tuple(sorted(kept))
    if len(classes) < 2:
        return NO_OUTCOMES
    maps = len(classes) <= MAX_SCORED_CLASSES and any(isinstance(each, Mapping) for each in probabilities)
    if len(classes) > 2 or task == "multiclass":
        following = None
        if len(names) > MAX_CLASSES:
            known = class_names(classes)
            labelled = count_classes(predictions, truths)
            following = max((n for name, n in labelled.items() if known.of(name) is None), default=0)
        return OutcomeLayout("multiclass", classes, class_scores=maps, task_from=rests_on, next_frequency=following)
    return _binary((classes[0], classes[1]), predictions, truths, probabilities, positive_class, rests_on)


def _binary(
    classes: tuple[str, str],
    predictions: Sequence[Scalar],
    truths: Sequence[Scalar],
    probabilities: Sequence[Probability],
    positive_class: Scalar,
    task_from: TaskFrom,
) -> OutcomeLayout:
    stated = class_names(classes).of(positive_class)
    if stated is None:
        positive, about, rests_on = infer_positive(classes, predictions, truths, probabilities)
        return OutcomeLayout("binary", classes, positive, about, task_from=task_from, positive_from=rests_on)
    # Scores are about the class that was said, unless the rows clearly show that they are about the predicted one.
    shown = scores_about(classes, predictions, truths, probabilities)
    about = score_of(stated, "" if shown == "" else stated)
    return OutcomeLayout("binary", classes, stated, about, task_from=task_from, positive_from="stated")
