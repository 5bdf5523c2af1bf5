"""Scores of all predictions by what was predicted, labelled or not: what an estimate without labels is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.stats.performance.mergeable import Integers, MergeableCounts
from modelwatch.stats.performance.scores import CELLS, cells_of


class ScoredPrediction(NamedTuple):
    """A prediction and its probability, of one class or by class."""

    prediction: Scalar
    probability: Probability


@dataclass(frozen=True)
class ScoreByPredictedClass:
    """The cells of `SCORE_EDGES`, one for scores that are missing, and one for maps of probabilities without the
    predicted class (with exact naming those are missing, too).

    Two classes: the probability of the positive class in predictions of the negative class, then in those of the
    positive one. More classes: the probability of the predicted class.
    """

    outcome: OutcomeLayout

    @cached_property
    def id(self) -> str:
        """The fingerprint of the cells."""
        return self.outcome.id

    @property
    def scored(self) -> int:
        """Number of cells for scores."""
        return (2 if self.outcome.task == "binary" else 1) * CELLS

    @property
    def size(self) -> int:
        """Length of a count vector."""
        return self.scored + (1 if self.outcome.naming == "exact" else 2)

    def count(self, values: Sequence[ScoredPrediction]) -> NDArray[np.int64]:
        """Counts of these predictions, shape (size,)."""
        return np.bincount(self.places(values), minlength=self.size)

    def places(self, values: Sequence[ScoredPrediction]) -> NDArray[np.intp]:
        """The cell of each of these predictions, shape (predictions,)."""
        if self.outcome.task == "binary":
            scores = np.array([self.outcome.positive_score(*each) for each in values], dtype=np.float64)
            predicted = self.outcome.named([each.prediction for each in values])
            positive = np.array([name == self.outcome.positive for name in predicted], dtype=bool)
        else:
            scores = np.array([self.outcome.confidence(*each) for each in values], dtype=np.float64)
            positive = np.zeros(len(values), dtype=bool)
        usable = (scores >= 0.0) & (scores <= 1.0)
        places = np.full(len(values), self.scored, dtype=np.intp)
        places[usable] = cells_of(scores[usable]) + CELLS * positive[usable]
        if self.outcome.naming != "exact":
            nameless = [
                place for place in np.flatnonzero(~usable).tolist() if isinstance(values[place].probability, Mapping)
            ]
            places[nameless] = self.size - 1
        return places


@dataclass(frozen=True, eq=False)
class ScoreByPredictedClassCounts(MergeableCounts[ScoreByPredictedClass]):
    """Counts of scores by predicted class.

    >>> layout = OutcomeLayout("binary", ("no", "yes"), "yes", "predicted")
    >>> cells = ScoreByPredictedClass(layout)
    >>> rows = [ScoredPrediction("yes", 0.9), ScoredPrediction("no", 0.9), ScoredPrediction("no", None)]
    >>> counts = ScoreByPredictedClassCounts(cells, cells.count(rows))
    >>> int(counts.predicted_positive[244]), int(counts.predicted_negative.sum()), counts.unscored
    (1, 1, 1)
    """

    what: ClassVar[str] = "counts of predicted scores"

    @property
    def predicted_negative(self) -> Integers:
        """Two classes: scores of predictions of the negative class, shape (cells,)."""
        return self.vector[:CELLS]

    @property
    def predicted_positive(self) -> Integers:
        """Two classes: scores of predictions of the positive class, shape (cells,)."""
        return self.vector[CELLS : 2 * CELLS]

    @property
    def top(self) -> Integers:
        """More classes: probabilities of the predicted class, shape (cells,)."""
        return self.vector[:CELLS]

    @property
    def unscored(self) -> int:
        """Number of predictions without a usable score."""
        return int(self.vector[self.layout.scored :].sum())

    @property
    def nameless(self) -> int:
        """Number of predictions whose probabilities by class leave out the predicted one."""
        return 0 if self.layout.outcome.naming == "exact" else int(self.vector[-1])
