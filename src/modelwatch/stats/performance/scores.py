"""Scores by label: histograms of predicted probabilities for rows whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.categorical import category_name
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.performance.mergeable import Entries, FixedPoint, Floats, Integers, MergeableCounts, Sums, slices

# The edges of 200 equal cells, and within the first and the last of them 64 more, 16 a decade: sure classifiers put
# most of their scores there, and equal cells alone would not see how they rank them. Rounded, they are the same
# on every machine.
TAILS = tuple(float(f"{0.005 * 10.0 ** (-step / 16):.6g}") for step in range(1, 65))
SCORE_EDGES = np.sort([*TAILS, *(cell / 200 for cell in range(1, 200)), *(1.0 - tail for tail in TAILS)])
SCORE_EDGES.flags.writeable = False
CELLS = len(SCORE_EDGES) + 1
# Log loss is infinite at a probability of 0; its largest term is 34.54 nats.
CLIP = 1e-15
LOSS = FixedPoint(unit=38, limbs=2)
LOSS_SQUARED = FixedPoint(unit=33, limbs=2)
BINARY_LENGTHS = (CELLS, CELLS, 1, 2, 2, 2, 2)
BINARY_SIZE = sum(BINARY_LENGTHS)
BINARY = slices(BINARY_LENGTHS)


@dataclass(frozen=True, slots=True)
class ScoreLayout:
    """328 left-closed cells of the probability of the positive class between `SCORE_EDGES`; twice, by label.

    They are 200 equal cells of [0, 1], the first and the last of which are divided into 65.
    """

    @property
    def size(self) -> int:
        """Length of a count vector: negatives, positives, unscored; log loss, its squares, Brier, its squares."""
        return BINARY_SIZE


@dataclass(frozen=True, eq=False)
class ScoreCounts(MergeableCounts[ScoreLayout]):
    """Counts of the scores of the negative and of the positive rows in cells, and exact sums of their losses.

    Log-loss and Brier terms are sums in units of 2^-38, their squares of 2^-33 (Brier: 2^-38).

    >>> counts = ScoreCounts.of(np.array([0.9, 0.2, np.nan]), np.array([True, False, True]))
    >>> counts.n, counts.unscored, int(counts.positives[244]), int(counts.negatives[104])
    (2, 1, 1, 1)
    """

    what: ClassVar[str] = "score counts"

    @classmethod
    def of(cls, scores: Floats, positive: NDArray[np.bool_]) -> Self:
        """The counts of scores, shape (rows,), and whether each row's truth is the positive class.

        A score that is NaN or outside [0, 1] is counted as unscored and in nothing else.
        Raises IncompatibleProfiles when the shapes differ.
        """
        return cls(ScoreLayout(), cls.entries(scores, positive).total(BINARY_SIZE))

    @classmethod
    def entries(cls, scores: Floats, positive: NDArray[np.bool_]) -> Entries:
        """Increments of the counts of `of` by each row. Raises IncompatibleProfiles for sides of unequal length."""
        given, labels = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
        if given.shape != labels.shape or given.ndim != 1:
            raise IncompatibleProfiles(f"one label a score is needed, got shapes {given.shape} and {labels.shape}")
        usable = (given >= 0.0) & (given <= 1.0)
        valid, unscored = np.flatnonzero(usable), np.flatnonzero(~usable)
        score, label = given[valid], labels[valid]
        probability = np.clip(score, CLIP, 1.0 - CLIP)
        loss = -np.log(np.where(label, probability, 1.0 - probability))
        brier = np.square(score - label)
        limbs = (
            LOSS.limbs_of(loss),
            LOSS_SQUARED.limbs_of(np.square(loss)),
            LOSS.limbs_of(brier),
            LOSS.limbs_of(np.square(brier)),
        )
        return Entries.joined(
            (
                Entries.ones(valid, cells_of(score) + CELLS * label),
                Entries.ones(unscored, np.full(len(unscored), BINARY[2].start)),
                Entries.limbs(valid, BINARY[3].start, np.concatenate(limbs, axis=1)),
            )
        )

    @property
    def negatives(self) -> Integers:
        """Scores of the negative rows by cell, shape (328,)."""
        return self.vector[BINARY[0]]

    @property
    def positives(self) -> Integers:
        """Scores of the positive rows by cell, shape (328,)."""
        return self.vector[BINARY[1]]

    @property
    def n(self) -> int:
        """Number of rows with a score."""
        return int(self.vector[: 2 * CELLS].sum())

    @property
    def unscored(self) -> int:
        """Number of rows without a usable score."""
        return int(self.vector[2 * CELLS])

    @property
    def log_loss_sums(self) -> Sums:
        """Log-loss terms in nats."""
        return Sums(self.n, LOSS.total(self.vector[BINARY[3]]), LOSS_SQUARED.total(self.vector[BINARY[4]]))

    @property
    def brier_sums(self) -> Sums:
        """Squared differences of score and label."""
        return Sums(self.n, LOSS.total(self.vector[BINARY[5]]), LOSS.total(self.vector[BINARY[6]]))


@dataclass(frozen=True, slots=True)
class ClassScoreLayout:
    """Two histograms of 328 cells a class: its probability in rows of other classes, and in rows of this class.

    Raises StatsError without two distinct classes.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise StatsError(f"at least two distinct classes are needed, got {self.classes}")

    @property
    def size(self) -> int:
        """Length of a count vector: the histograms class by class, unscored, log loss and its squares."""
        return 2 * CELLS * len(self.classes) + 1 + LOSS.limbs + LOSS_SQUARED.limbs

    def codes(self, truth: Sequence[Scalar]) -> NDArray[np.intp]:
        """The index of the class of each raw value, compared by `category_name`; `len(classes)` for any other."""
        code = {name: index for index, name in enumerate(self.classes)}
        names = map(category_name, truth)
        return np.array([len(code) if name is None else code.get(name, len(code)) for name in names], dtype=np.intp)


@dataclass(frozen=True, eq=False)
class ClassScoreCounts(MergeableCounts[ClassScoreLayout]):
    """Counts of the probabilities of every class in cells, one class against the rest, and the exact sum of log loss.

    >>> layout = ClassScoreLayout(("a", "b", "c"))
    >>> counts = ClassScoreCounts.of(layout, np.array([[0.5, 0.3, 0.2]]), np.array([0]))
    >>> counts.n, int(counts.histograms[0, 1, 164]), int(counts.histograms[1, 0, 124])
    (1, 1, 1)
    """

    what: ClassVar[str] = "class score counts"

    @classmethod
    def of(cls, layout: ClassScoreLayout, probabilities: Floats, truth: NDArray[np.integer]) -> Self:
        """The counts of probabilities, shape (rows, classes), and the index of each row's true class.

        An index outside the classes is a class that was not known: every probability of the row is then one of another
        class, and its log loss is that of probability 0. A row with a probability that is NaN or outside [0, 1] is
        unscored. Probabilities are taken as they are, not scaled to a sum of 1.
        Raises IncompatibleProfiles when the shapes differ.
        """
        return cls(layout, cls.entries(layout, probabilities, truth).total(layout.size))

    @classmethod
    def entries(cls, layout: ClassScoreLayout, probabilities: Floats, truth: NDArray[np.integer]) -> Entries:
        """Increments of the counts of `of` by each row. Raises IncompatibleProfiles for sides of unequal length."""
        given, codes = np.asarray(probabilities, dtype=np.float64), np.asarray(truth)
        classes = len(layout.classes)
        if given.shape != (len(codes), classes) or codes.dtype.kind not in "iu":
            raise IncompatibleProfiles(
                f"one row of {classes} probabilities and one integer a truth are needed, "
                f"got shapes {given.shape} and {codes.shape} of {codes.dtype}"
            )
        usable = ((given >= 0.0) & (given <= 1.0)).all(axis=1)
        valid, unscored = np.flatnonzero(usable), np.flatnonzero(~usable)
        probability, true = given[valid], codes[valid]
        is_true = true[:, None] == np.arange(classes)
        place = (2 * np.arange(classes) + is_true) * CELLS + cells_of(probability)
        of_truth = np.where(is_true, probability, 0.0).sum(axis=1)
        loss = -np.log(np.clip(of_truth, CLIP, 1.0 - CLIP))
        beside = 2 * CELLS * classes
        limbs = (LOSS.limbs_of(loss), LOSS_SQUARED.limbs_of(np.square(loss)))
        return Entries.joined(
            (
                Entries.ones(np.repeat(valid, classes), place.ravel()),
                Entries.ones(unscored, np.full(len(unscored), beside)),
                Entries.limbs(valid, beside + 1, np.concatenate(limbs, axis=1)),
            )
        )

    @property
    def histograms(self) -> Integers:
        """Counts by class, label (0: another class, 1: this class) and cell, shape (classes, 2, 328)."""
        classes = len(self.layout.classes)
        return self.vector[: 2 * CELLS * classes].reshape(classes, 2, CELLS)

    @property
    def n(self) -> int:
        """Number of rows with usable probabilities."""
        return int(self.vector[: 2 * CELLS].sum())

    @property
    def unscored(self) -> int:
        """Number of rows without usable probabilities."""
        return int(self.vector[2 * CELLS * len(self.layout.classes)])

    @property
    def log_loss_sums(self) -> Sums:
        """Log-loss terms of the true class, in nats."""
        return Sums(self.n, LOSS.total(self.vector[-4:-2]), LOSS_SQUARED.total(self.vector[-2:]))


def cells_of(scores: Floats) -> NDArray[np.intp]:
    """The cell of each score in [0, 1], 0 to 327; never falls as the score rises."""
    return SCORE_EDGES.searchsorted(scores, side="right")
