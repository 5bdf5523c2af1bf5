"""Scores of all predictions by what was predicted, labelled or not: what an estimate without labels is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.categorical import category_name
from modelwatch.stats.numeric import Scalar
from modelwatch.stats.outcomes import OutcomeLayout, Probability, confidence
from modelwatch.stats.performance.mergeable import Integers, MergeableCounts
from modelwatch.stats.performance.scores import CELLS, cells_of


class Call(NamedTuple):
    """A prediction and its probability, of one class or by class."""

    prediction: Scalar
    probability: Probability


@dataclass(frozen=True)
class CallCells:
    """The cells of `SCORE_EDGES`, and one for scores that are missing.

    Two classes: the probability of the positive class in predictions of the negative class, then in those of the
    positive one. More classes: the probability of the predicted class.
    """

    outcome: OutcomeLayout

    @cached_property
    def id(self) -> str:
        """The fingerprint of the cells."""
        return self.outcome.id

    @property
    def size(self) -> int:
        """Length of a count vector."""
        return (2 if self.outcome.task == "binary" else 1) * CELLS + 1

    def count(self, values: Sequence[Call]) -> NDArray[np.int64]:
        """The counts of these calls, shape (size,)."""
        if self.outcome.task == "binary":
            scores = np.array([self.outcome.positive_score(*call) for call in values], dtype=np.float64)
            called = [category_name(call.prediction) == self.outcome.positive for call in values]
            positive = np.array(called, dtype=bool)
        else:
            scores = np.array([confidence(*call) for call in values], dtype=np.float64)
            positive = np.zeros(len(values), dtype=bool)
        usable = (scores >= 0.0) & (scores <= 1.0)
        places = cells_of(scores[usable]) + CELLS * positive[usable]
        counts = np.bincount(places, minlength=self.size)
        counts[-1] = len(values) - int(usable.sum())
        return counts.astype(np.int64)


@dataclass(frozen=True, eq=False)
class CallCounts(MergeableCounts[CallCells]):
    """The counts of some calls.

    >>> layout = OutcomeLayout("binary", ("no", "yes"), "yes", "predicted")
    >>> cells = CallCells(layout)
    >>> counts = CallCounts(cells, cells.count([Call("yes", 0.9), Call("no", 0.9), Call("no", None)]))
    >>> int(counts.called_positive[244]), int(counts.called_negative.sum()), counts.unscored
    (1, 1, 1)
    """

    what: ClassVar[str] = "call counts"

    @property
    def called_negative(self) -> Integers:
        """Of two classes: scores of the predictions of the negative class, by cell."""
        return self.vector[:CELLS]

    @property
    def called_positive(self) -> Integers:
        """Of two classes: scores of the predictions of the positive class, by cell."""
        return self.vector[CELLS : 2 * CELLS]

    @property
    def top(self) -> Integers:
        """Of more classes: the probability of the predicted class, by cell."""
        return self.vector[:CELLS]

    @property
    def unscored(self) -> int:
        """Number of calls without a usable score."""
        return int(self.vector[-1])
