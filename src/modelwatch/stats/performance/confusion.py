"""Confusion counts: how often each class was predicted for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import ClassVar, Self

import numpy as np

from modelwatch.stats.counting.categorical import category_names
from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.performance.confusion_resamples import sparse_bootstrap
from modelwatch.stats.performance.intervals import (
    BOOTSTRAP_SEED,
    Estimate,
    ResampledEstimate,
    bootstrap,
    percentile_interval,
    proportion,
    undefined,
)
from modelwatch.stats.performance.margins import Margins, ratio
from modelwatch.stats.performance.mergeable import Booleans, Entries, Floats, Integers, MergeableCounts


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
        """Index of the positive class; None for the multiclass means."""
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
        """Increments of the counts of `of` by each pair. Raises IncompatibleProfiles for sides of unequal length."""
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


NO_ROWS = "there are no labelled rows"
PRIOR_MASS = 2.0
# Of a larger matrix the cells with rows are drawn, and the others together: most of them are empty.
MOST_CELLS = 1_000
MEANS = (
    "balanced_accuracy",
    "mcc",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
)


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class against the rest.

    support: rows of this class. predicted: predictions of this class.
    """

    name: str
    support: int
    predicted: int
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    f1: Estimate


def confusion_metrics(counts: ConfusionCounts, *, seed: int = BOOTSTRAP_SEED) -> dict[str, Estimate]:
    """Every metric of a confusion matrix by its name.

    Always accuracy, balanced_accuracy and mcc. With a positive class: precision, recall, specificity and f1 of it; else
    precision, recall and f1 with `_macro`, `_micro` and `_weighted` at the end.
    Intervals: Wilson for proportions, else a Dirichlet bootstrap of the counts with this seed, drawn when an interval
    is asked for; see `prior_of`.
    Source: Gorodkin (2004) for the multiclass Matthews correlation.

    >>> from modelwatch.stats.performance.confusion import ConfusionLayout
    >>> counts = ConfusionCounts.of(ConfusionLayout(("no", "yes"), "yes"), ["yes", "no", "no"], ["yes", "yes", "no"])
    >>> metrics = confusion_metrics(counts)
    >>> metrics["recall"].value, metrics["precision"].value, round(metrics["f1"].value, 4)
    (0.5, 1.0, 0.6667)
    """
    found = {"accuracy": proportion(counts.correct, counts.n, NO_ROWS)}
    means, table = _resample(counts, seed)
    positive = counts.layout.positive_index
    if positive is not None:
        row = _class_row(counts, positive, table[positive])
        found |= {name: means[name] for name in ("balanced_accuracy", "mcc")}
        return found | {
            "precision": row.precision,
            "recall": row.recall,
            "specificity": row.specificity,
            "f1": row.f1,
        }
    return {**found, **means, **_micro(counts)}


def class_metrics(counts: ConfusionCounts, *, seed: int = BOOTSTRAP_SEED) -> tuple[ClassMetrics, ...]:
    """Every class against the rest, in the order of the layout.

    >>> from modelwatch.stats.performance.confusion import ConfusionLayout
    >>> table = class_metrics(ConfusionCounts.of(ConfusionLayout(("a", "b", "c")), ["a", "a"], ["a", "b"]))
    >>> table[0].precision.value, table[1].recall.value, table[2].recall.reason
    (0.5, 0.0, 'no row is of class c')
    """
    _, f1 = _resample(counts, seed)
    return tuple(_class_row(counts, place, estimate) for place, estimate in enumerate(f1))


def prior_of(counts: ConfusionCounts) -> Floats:
    """Two rows spread evenly over the pairs of classes that occur, so that a cell that is empty by chance can fill.

    Shape of the count vector. For two classes this is Jeffreys' prior of one half a cell.
    """
    matrix = counts.matrix
    occurring = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    if counts.layout.positive is not None:
        occurring[:2] = True
    cells = np.outer(occurring, occurring)
    prior: Floats = np.zeros(len(counts.vector))
    prior[:-1] = cells.ravel() * (PRIOR_MASS / max(1, int(cells.sum())))
    return prior


def _resample(counts: ConfusionCounts, seed: int) -> tuple[Mapping[str, Estimate], tuple[Estimate, ...]]:
    """The means over classes and Matthews' correlation by name, and the F1 of every class."""
    return _resampled(counts.layout, counts.vector.tobytes(), seed)


# The metrics of a matrix and those of its classes rest on the same resamples.
@lru_cache(maxsize=16)
def _resampled(
    layout: ConfusionLayout, vector: bytes, seed: int
) -> tuple[Mapping[str, Estimate], tuple[Estimate, ...]]:
    counts = ConfusionCounts(layout, np.frombuffer(vector, dtype=np.int64))
    classes, n = len(counts.layout.classes), counts.n
    margins = Margins.of(counts.vector, classes)
    supported = margins.truth[:-1] > 0.0
    occurring = supported | (margins.predicted[:-1] > 0.0)
    if not n:
        return {name: undefined(NO_ROWS) for name in MEANS}, (undefined(NO_ROWS),) * classes

    def statistics(found: Margins) -> Floats:
        return mean_columns(found, supported, occurring)

    def of_cells(cells: Floats) -> Floats:
        # Column by column, since there are many rows and few columns.
        return statistics(Margins.of(np.asfortranarray(cells), classes))

    def resamples() -> Floats:
        prior = prior_of(counts)
        if len(counts.vector) > MOST_CELLS:
            return sparse_bootstrap(counts.vector, prior, classes, statistics, seed=seed)
        return bootstrap(counts.vector, prior, of_cells, seed=seed)

    values = of_cells(counts.vector[None, :].astype(np.float64))[0]

    @cache
    def intervals() -> tuple[list[float], list[float]]:
        low, high = percentile_interval(resamples())
        # The prior pulls the resamples a little towards chance; the interval holds the value all the same.
        return np.minimum(low, values).tolist(), np.maximum(high, values).tolist()

    def interval(place: int) -> tuple[float, float]:
        low, high = intervals()
        return low[place], high[place]

    estimates: list[Estimate] = [
        ResampledEstimate(value, partial(interval, place), n) for place, value in enumerate(values.tolist())
    ]
    means = dict(zip(MEANS, estimates[: len(MEANS)], strict=True))
    if not supported.any():
        reason = "no row is of a known class"
        means |= {name: undefined(reason) for name in MEANS if name == "balanced_accuracy" or "weighted" in name}
    if not occurring.any():
        reason = "no known class is in the truth or in the predictions"
        means |= {name: undefined(reason) for name in MEANS if "macro" in name}
    without_mcc = margins.without_mcc()
    if without_mcc is not None:
        means["mcc"] = undefined(without_mcc, n)
    f1 = tuple(
        estimate if occurs else undefined(f"class {name} is neither in the truth nor in the predictions")
        for name, occurs, estimate in zip(counts.layout.classes, occurring, estimates[len(MEANS) :], strict=True)
    )
    return means, f1


def mean_columns(margins: Margins, supported: Booleans, occurring: Booleans) -> Floats:
    """`MEANS`, then the F1 of every class, of a stack of matrices: shape (matrices, metrics).

    supported, occurring: shape (classes,), the classes that balanced accuracy and the macro means run over.
    """
    parts = (margins.precision(), margins.recall(), margins.f1())
    support = margins.truth[..., :-1]
    columns = [_mean_over(margins.recall(), supported), margins.mcc()]
    columns += [_mean_over(part, occurring) for part in parts]
    columns += [ratio((part * support).sum(axis=-1), support.sum(axis=-1)) for part in parts]
    return np.concatenate((np.stack(columns, axis=-1), parts[-1]), axis=-1)


def _mean_over(values: Floats, mask: Booleans) -> Floats:
    """Mean over the classes of the mask; 0 when it is empty."""
    total: Floats = values[..., mask].sum(axis=-1)
    return total / max(1, int(mask.sum()))


def _micro(counts: ConfusionCounts) -> dict[str, Estimate]:
    """All known classes together; without unknown ones each of the three is the accuracy."""
    matrix = counts.matrix
    hits = int(np.trace(matrix[:-1, :-1]))
    support, predicted = int(matrix[:-1].sum()), int(matrix[:, :-1].sum())
    found = {
        "precision_micro": proportion(hits, predicted, "no known class was predicted"),
        "recall_micro": proportion(hits, support, "no row is of a known class"),
    }
    if not support + predicted:
        return found | {"f1_micro": undefined("no known class is in the truth or in the predictions", counts.n)}
    # A row is right or wrong; the share of right rows is F1 itself when every class is known.
    right, scale = proportion(hits, counts.n, NO_ROWS), 2.0 * counts.n / (support + predicted)
    low, high = (min(1.0, (end or 0.0) * scale) for end in (right.low, right.high))
    return found | {"f1_micro": Estimate((right.value or 0.0) * scale, low, high, counts.n)}


def _class_row(counts: ConfusionCounts, place: int, f1: Estimate) -> ClassMetrics:
    matrix, name = counts.matrix, counts.layout.classes[place]
    hits, support, predicted = int(matrix[place, place]), int(matrix[place].sum()), int(matrix[:, place].sum())
    others = counts.n - support
    return ClassMetrics(
        name,
        support,
        predicted,
        precision=proportion(hits, predicted, f"class {name} was never predicted" if counts.n else NO_ROWS),
        recall=proportion(hits, support, f"no row is of class {name}" if counts.n else NO_ROWS),
        specificity=proportion(
            others - predicted + hits, others, f"no row is of another class than {name}" if counts.n else NO_ROWS
        ),
        f1=f1,
    )
