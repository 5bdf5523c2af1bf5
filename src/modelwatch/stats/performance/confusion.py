"""Confusion counts: how often each class was predicted for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from modelwatch.stats.categorical import category_names
from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.numeric import Scalar
from modelwatch.stats.performance.entries import Entries
from modelwatch.stats.performance.mergeable import Integers, MergeableCounts

OTHER = "(other)"


@dataclass(frozen=True, slots=True)
class ConfusionLayout:
    """The classes that were known when the reference was set, in a fixed order.

    classes: at least two distinct names, as `category_name` writes them.
    positive: for two classes, the one that precision, recall and F1 are about; None asks for the multiclass means.

    Raises StatsError for fewer than two classes, a name twice, or a positive class that is not one of two.
    """

    classes: tuple[str, ...]
    positive: str | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise StatsError(f"at least two distinct classes are needed, got {self.classes}")
        if self.positive is not None and (len(self.classes) != 2 or self.positive not in self.classes):
            raise StatsError(f"the positive class is one of two classes, got {self.positive!r} of {self.classes}")

    @property
    def size(self) -> int:
        """Length of a count vector: true by predicted class, both with `other` at the end, then `other` that agree."""
        return (len(self.classes) + 1) ** 2 + 1

    @property
    def positive_index(self) -> int | None:
        """Where the positive class stands; None for the multiclass means."""
        return None if self.positive is None else self.classes.index(self.positive)


@dataclass(frozen=True, eq=False)
class ConfusionCounts(MergeableCounts[ConfusionLayout]):
    """Counts of (true class, predicted class); a class that is not in the layout is `other`, on both sides.

    Two unknown names are right only when they are the same name, so those pairs are counted apart, at the end.

    >>> counts = ConfusionCounts.of(ConfusionLayout(("no", "yes"), "yes"), ["yes", "no", "z"], ["yes", "yes", "z"])
    >>> counts.matrix.tolist(), counts.correct, counts.n
    ([[0, 0, 0], [1, 1, 0], [0, 0, 1]], 2, 3)
    """

    what: ClassVar[str] = "confusion counts"

    @classmethod
    def of(cls, layout: ConfusionLayout, prediction: Sequence[Scalar], truth: Sequence[Scalar]) -> Self:
        """The counts of pairs of raw values; a pair with None or NaN on a side is left out.

        Raises IncompatibleProfiles when the lengths differ.
        """
        return cls(layout, cls.entries(layout, prediction, truth).total(layout.size))

    @classmethod
    def entries(cls, layout: ConfusionLayout, prediction: Sequence[Scalar], truth: Sequence[Scalar]) -> Entries:
        """What each pair adds to the counts of `of`."""
        if len(prediction) != len(truth):
            raise IncompatibleProfiles(f"one truth a prediction is needed, got {len(prediction)} and {len(truth)}")
        other = len(layout.classes)
        # No name of a class is None: a value without a name has a code beyond `other`.
        code: dict[str | None, int] = {name: index for index, name in enumerate(layout.classes)} | {None: other + 1}
        predicted, true = category_names(prediction), category_names(truth)
        columns = np.array([code.get(name, other) for name in predicted], dtype=np.intp)
        rows = np.array([code.get(name, other) for name in true], dtype=np.intp)
        places = rows * (other + 1) + columns
        for index in np.flatnonzero((rows == other) & (columns == other)).tolist():
            if predicted[index] == true[index]:
                places[index] = layout.size - 1
        usable = np.flatnonzero((rows <= other) & (columns <= other))
        return Entries.ones(usable, places[usable])

    @property
    def n(self) -> int:
        """Number of pairs."""
        return int(self.vector.sum())

    @property
    def matrix(self) -> Integers:
        """The confusion matrix, shape (classes + 1, classes + 1): rows are the truth, the last ones are `other`."""
        side = len(self.layout.classes) + 1
        matrix = self.vector[:-1].reshape(side, side).copy()
        matrix[-1, -1] += self.vector[-1]
        return matrix

    @property
    def correct(self) -> int:
        """Number of pairs of equal classes."""
        return int(np.trace(self.matrix)) - int(self.vector[-2])
