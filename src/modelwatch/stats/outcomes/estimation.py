"""Performance without labels: confidence-based estimation from score counts.

A labelled reference says how often the label is positive in every score cell; a window says how many predictions fall
into each. Together they give the confusion matrix that is expected of the window. This assumes that a score means what
it meant in the reference: a shift of the inputs is seen, a change of the relation between inputs and labels (concept
drift) is not. Mention it wherever an estimate is shown.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import IncompatibleProfiles, StatsError

Counts = Sequence[int] | NDArray[np.int64]
Floats = NDArray[np.float64]
Metric = Literal["accuracy", "precision", "recall", "f1", "roc_auc"]

SCORE_CELLS = 200
MIN_LABELS = 200
MIN_OF_CLASS = 20
MAX_OUTSIDE = 0.01
MAX_UNCOVERED = 0.1
DRAWS = 400
NORMAL_95 = 1.959963984540054
# Labels of each class that are added to cells with labels of one class only.
ADDED = 2.0
# A metric that is less likely than this to be defined at all has no interval.
LEAST_CHANCE = 0.005
# Stands for a denominator of 0 where the result is not used.
TINY = 1e-100
# So many standard errors below one half, a ranking is upside down.
REVERSED = 3.0

NO_LABELS = "the reference has no labels: upload a labelled reference"
TOO_FEW = "too few predictions for an interval"
NO_SCORES = "no prediction has a score: send prediction_probability"
REASONS: dict[Metric, str] = {
    "accuracy": "nothing was predicted",
    "precision": "nothing was predicted positive",
    "recall": "no positive label is expected",
    "f1": "nothing was predicted positive, and no positive label is expected",
    "roc_auc": "labels of one class only are expected",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why no estimate is given: an assumption of the method can't hold."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Share of positive labels (or right predictions) in every score cell of a labelled reference.

    probability: shape (cells,), in [0, 1]: what rises with the score (isotonic), less the optimism of that fit.
    refitted: shape (cells,), the mean of the fits to redrawn labels. covariance: shape (cells, cells), that of these
    fits, which says how sure the reference is of it. label_variance: shape (cells,), of a label of a cell, in [0, 1/4].
    labels: the number of labels. first, last: the outermost cells that have any.
    """

    probability: Floats
    refitted: Floats = field(repr=False)
    covariance: Floats = field(repr=False)
    label_variance: Floats = field(repr=False)
    labels: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class EstimatedMetric:
    """An expected metric and the 95 % interval of the realised one; None where undefined, `reason` says why."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ExpectedConfusion:
    """The confusion matrix expected of a window; the four add up to its scored predictions."""

    true_positive: float
    false_positive: float
    true_negative: float
    false_negative: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected performance of a window without its labels.

    n: scored predictions. uncovered: the share of them whose scores lie outside of those that the reference has labels
    for; there the nearest labelled cell decides. confusion: None for an estimate of accuracy alone.
    """

    n: int
    uncovered: float
    confusion: ExpectedConfusion | None
    metrics: dict[Metric, EstimatedMetric]


def score_counts(scores: Floats, *, cells: int = SCORE_CELLS) -> tuple[NDArray[np.int64], int]:
    """Counts of scores in equal cells on [0, 1], and the number of those outside or not a number.

    Cells are closed on the left, the last one on both sides: 0.29 times 100 is a hair less than 29.

    >>> counts, outside = score_counts(np.array([0.0, 0.29, 0.999, 1.0, 1.5, float("nan")]), cells=100)
    >>> np.flatnonzero(counts).tolist(), counts[99].item(), outside
    ([0, 28, 99], 2, 2)
    """
    inside = scores[(scores >= 0.0) & (scores <= 1.0)]
    cell = np.minimum((inside * cells).astype(np.intp), cells - 1)
    return np.bincount(cell, minlength=cells).astype(np.int64), len(scores) - len(inside)


def isotonic(values: Floats, weights: Floats) -> Floats:
    """The sequence that never falls and is nearest to `values` in weighted squares, shape (cells,).

    weights: >= 0. A cell without weight lies on the line between its neighbours that have some, and beyond the
        outermost of these as high as they. Raises StatsError when no cell has weight.
    Source: pool adjacent violators, Ayer et al. (1955), An empirical distribution function for sampling with incomplete
    information.

    >>> isotonic(np.array([0.1, 0.5, 0.0, 0.3, 0.9]), np.array([1.0, 1.0, 0.0, 3.0, 1.0])).round(3).tolist()
    [0.1, 0.35, 0.35, 0.35, 0.9]
    """
    known = np.flatnonzero(weights > 0.0)
    if not len(known):
        raise StatsError("a calibration needs a cell with labels, there is none")
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values[known].tolist(), weights[known].tolist(), strict=True):
        size = 1
        while blocks and blocks[-1][0] >= value:
            before, heavy, cells = blocks.pop()
            value = (before * heavy + value * weight) / (heavy + weight)
            weight, size = weight + heavy, size + cells
        blocks.append((value, weight, size))
    fitted = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
    line: Floats = np.interp(np.arange(len(values)), known, fitted)
    return line


def calibrate(
    positive: Counts,
    negative: Counts,
    *,
    outside: int = 0,
    rng: np.random.Generator,
    draws: int = DRAWS,
    min_labels: int = MIN_LABELS,
) -> Calibration | Refusal:
    """The calibration of a labelled reference, or why there can be none.

    positive, negative: shape (cells,), scores of the labelled reference by label, cells ascending on [0, 1] (see
        `score_counts`). For `estimate_accuracy` of several classes: top-class scores of right and of wrong predictions.
    outside: scores of the reference that are no number in [0, 1].
    rng: for the draws that carry the reference's own error; the same seed gives the same calibration.
    An isotonic fit follows the chance in its labels and so separates the classes too well, by up to a point or two of
    AUC with a few hundred labels. By how much more a fit to labels redrawn from it does so is taken off.
    Raises IncompatibleProfiles when the cells differ, StatsError for negative counts.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), ch. 10, for the correction.

    >>> found = calibrate([10, 30, 90], [90, 70, 10], rng=np.random.default_rng(0))
    >>> found.probability.round(2).tolist(), found.labels
    ([0.1, 0.3, 0.9], 300)
    >>> calibrate([0, 0], [0, 0], rng=np.random.default_rng(0)).reason
    'the reference has no labels: upload a labelled reference'
    """
    hits, misses = _same_cells(positive, negative)
    n_hits, n_misses = int(hits.sum()), int(misses.sum())
    labels = n_hits + n_misses
    if outside > MAX_OUTSIDE * (labels + outside):
        return Refusal(f"{outside} of {labels + outside} reference scores are no probabilities: expected 0 to 1")
    if not labels:
        return Refusal(NO_LABELS)
    if not n_hits or not n_misses:
        return Refusal(f"all {labels} labels of the reference are of one class: the classes can't be distinguished")
    if labels < min_labels or min(n_hits, n_misses) < MIN_OF_CLASS:
        return Refusal(
            f"the reference has {labels} labels with a score, {min(n_hits, n_misses)} of the rarer class: "
            f"at least {min_labels} and {MIN_OF_CLASS} are needed"
        )
    if _auc(hits, misses) < 0.5 - REVERSED * np.sqrt((1.0 / n_hits + 1.0 / n_misses) / 12.0):
        return Refusal("the positive class has the lower scores: is positive_class the class the scores are about?")
    sizes = hits + misses
    share = np.divide(hits, sizes, out=np.zeros_like(hits), where=sizes > 0.0)
    fitted = np.clip(isotonic(share, sizes), 0.0, 1.0)
    redrawn = rng.binomial(sizes.astype(np.int64), fitted, size=(draws, len(sizes)))
    again = np.array([isotonic(row, sizes) for row in redrawn / np.maximum(sizes, 1.0)]).clip(0.0, 1.0)
    refitted, covariance = again.mean(axis=0), np.atleast_2d(np.cov(again, rowvar=False))
    probability, known = np.clip(2.0 * fitted - refitted, 0.0, 1.0), np.flatnonzero(sizes)
    label_variance = probability * (1.0 - probability)
    for alike, certain in ((misses, 0.0), (hits, 1.0)):
        cells = fitted == certain
        of_label, of_share = _variances_of_one_class(float(alike[cells].sum()))
        label_variance = np.where(cells, np.maximum(label_variance, of_label), label_variance)
        covariance = covariance + of_share * np.outer(cells, cells)
    return Calibration(probability, refitted, covariance, label_variance, labels, int(known[0]), int(known[-1]))


def _variances_of_one_class(labels: float) -> tuple[float, float]:
    """The variance of a next label, and of its probability, after so many labels that were all of one class.

    Redrawn from that share they never vary: it is taken to be what it is with two labels more of each class.
    Source: Agresti and Coull (1998), Approximate is better than exact for interval estimation of binomial proportions.
    """
    share = ADDED / (labels + 2.0 * ADDED)
    return share * (1.0 - share), share * (1.0 - share) / (labels + 2.0 * ADDED)


def estimate(
    calibration: Calibration | Refusal, called_positive: Counts, called_negative: Counts, *, outside: int = 0
) -> Estimate | Refusal:
    """The binary metrics that are expected of a window, or why there can be no estimate.

    called_positive, called_negative: shape (cells,), the window's scores by predicted class, cells as calibrated.
    outside: scores of the window that are no number in [0, 1].
    The interval holds the chance in the window's labels and the reference's own error, both by the delta method; it
    covers the realised value in about 95 % of cases, 85 to 95 % with fewer than a few thousand reference labels. Raises
    as `calibrate`.
    Source: the confidence-based performance estimation of NannyML, here from counts.

    >>> found = calibrate([10, 30, 90], [90, 70, 10], rng=np.random.default_rng(0))
    >>> expected = estimate(found, [0, 0, 500], [400, 100, 0])
    >>> round(expected.metrics["accuracy"].value, 2), round(expected.confusion.true_positive)
    (0.88, 450)
    """
    positive, negative = _same_cells(called_positive, called_negative)
    sizes = positive + negative
    if isinstance(calibration, Refusal):
        return calibration
    if (refusal := _refusal(calibration, sizes, outside)) is not None:
        return refusal
    both = np.stack((positive, negative))
    true_positive, false_negative = (both @ calibration.probability).tolist()
    return Estimate(
        int(sizes.sum()),
        _uncovered(calibration, sizes),
        ExpectedConfusion(
            true_positive, float(positive.sum()) - true_positive, float(negative.sum()) - false_negative, false_negative
        ),
        _expected_metrics(calibration, both),
    )


def estimate_accuracy(calibration: Calibration | Refusal, scores: Counts, *, outside: int = 0) -> Estimate | Refusal:
    """The accuracy that is expected of a window of any number of classes, from its top-class scores.

    calibration: of right and wrong predictions by top-class score. scores: shape (cells,), the window's. Only accuracy
    follows from a top-class score: which class a wrong prediction belongs to, it doesn't say. Else as `estimate`.
    Raises IncompatibleProfiles when the cells are not those of the calibration.

    >>> right = calibrate([50, 80, 95], [50, 20, 5], rng=np.random.default_rng(0))
    >>> round(estimate_accuracy(right, [100, 0, 100]).metrics["accuracy"].value, 1)
    0.7
    """
    sizes, _ = _same_cells(scores, scores)
    if isinstance(calibration, Refusal):
        return calibration
    if (refusal := _refusal(calibration, sizes, outside)) is not None:
        return refusal
    # Right predictions are the true positives of one side alone.
    accuracy = _expected_metrics(calibration, np.stack((sizes, np.zeros_like(sizes))))["accuracy"]
    return Estimate(int(sizes.sum()), _uncovered(calibration, sizes), None, {"accuracy": accuracy})


def _expected_metrics(calibration: Calibration, counts: Floats) -> dict[Metric, EstimatedMetric]:
    """Every metric with its interval. counts: shape (2, cells), scores of those called positive and negative."""
    p = calibration.probability
    values, refitted = _metrics(counts, p), _metrics(counts, calibration.refitted)
    gradients = _gradients(counts, p, values["roc_auc"])
    likely = _chances_of_a_value(counts, p)
    label_variance = calibration.label_variance
    # The number of positive labels varies, too: the mean of its inverse is larger than the inverse of its mean.
    spread = float(counts.sum(axis=0) @ label_variance) / max(float((counts @ p).sum()), TINY) ** 2
    found = {}
    for name, value in values.items():
        if np.isnan(value):
            found[name] = EstimatedMetric(None, None, None, REASONS[name])
            continue
        if likely.get(name, 1.0) < LEAST_CHANCE:
            found[name] = EstimatedMetric(value, None, None, TOO_FEW)
            continue
        gradient = gradients[name]
        of_labels = float(((np.square(gradient) * counts).sum(axis=0) * label_variance).sum())
        if name == "recall":
            of_labels *= 1.0 + spread
        along = (gradient * counts).sum(axis=0)
        of_reference = max(0.0, float(along @ calibration.covariance @ along))
        # Fits to redrawn labels are twice as optimistic as the fit, whose optimism the value has lost: half of what
        # parts them is how far the correction went, and it is not surer than that.
        reach = NORMAL_95 * math.sqrt(of_labels + of_reference + ((refitted[name] - value) / 2.0) ** 2)
        found[name] = EstimatedMetric(value, max(0.0, value - reach), min(1.0, value + reach))
    return found


def _same_cells(first: Counts, second: Counts) -> tuple[Floats, Floats]:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape or not len(one):
        raise IncompatibleProfiles(
            f"two score counts over the same cells are needed, got {one.shape} and {other.shape}"
        )
    if min(one.min(), other.min()) < 0.0:
        raise StatsError("score counts are never negative")
    return one, other


def _refusal(calibration: Calibration, sizes: Floats, outside: int) -> Refusal | None:
    if sizes.shape != calibration.probability.shape:
        raise IncompatibleProfiles(
            f"a window is counted in the cells of its calibration, got {sizes.shape}, "
            f"expected {calibration.probability.shape}"
        )
    n = int(sizes.sum())
    if outside > MAX_OUTSIDE * (n + outside):
        return Refusal(f"{outside} of the window's {n + outside} scores are no probabilities: expected 0 to 1")
    if not n:
        return Refusal(NO_SCORES)
    uncovered = _uncovered(calibration, sizes)
    if uncovered > MAX_UNCOVERED:
        return Refusal(f"{100 * uncovered:.0f} % of the window's scores lie where the reference has no labels")
    return None


def _uncovered(calibration: Calibration, sizes: Floats) -> float:
    return 1.0 - float(sizes[calibration.first : calibration.last + 1].sum() / sizes.sum())


def _metrics(counts: Floats, probability: Floats) -> dict[Metric, float]:
    """Metrics of the positive labels expected by cell; NaN where undefined. counts: shape (2, cells), as above."""
    true_positive, false_negative = (counts @ probability).tolist()
    called, rejected = counts.sum(axis=1).tolist()
    sizes = counts.sum(axis=0)
    hits = sizes * probability
    return {
        "accuracy": (true_positive + rejected - false_negative) / (called + rejected),
        "precision": _ratio(true_positive, called),
        "recall": _ratio(true_positive, true_positive + false_negative),
        "f1": _ratio(2.0 * true_positive, called + true_positive + false_negative),
        "roc_auc": _auc(hits, sizes - hits),
    }


def _gradients(counts: Floats, probability: Floats, area: float) -> dict[Metric, Floats]:
    """Derivatives of the metrics by the positive labels among those called positive and negative.

    Shape (2, 1) for metrics of the confusion matrix, (cells,) for the area; without a meaning where one is undefined.
    """
    true_positive, false_negative = (counts @ probability).tolist()
    called, n = float(counts[0].sum()), float(counts.sum())
    sizes = counts.sum(axis=0)
    hits = sizes * probability
    misses = sizes - hits
    positives, negatives = float(hits.sum()), float(misses.sum())
    below, above = np.cumsum(misses) - misses / 2.0, positives - np.cumsum(hits) + hits / 2.0
    pairs, relevant, both = max(positives * negatives, TINY), max(positives, TINY), max(called + positives, TINY)

    def by_side(of_true_positive: float, of_false_negative: float) -> Floats:
        return np.array([[of_true_positive], [of_false_negative]])

    return {
        "accuracy": by_side(1.0 / n, -1.0 / n),
        "precision": by_side(1.0 / max(called, TINY), 0.0),
        "recall": by_side(false_negative / relevant**2, -true_positive / relevant**2),
        "f1": by_side(2.0 * (both - true_positive) / both**2, -2.0 * true_positive / both**2),
        "roc_auc": (below - above - area * (negatives - positives)) / pairs,
    }


def _chances_of_a_value(counts: Floats, probability: Floats) -> dict[Metric, float]:
    """The chance that the realised metric is defined, of those that need a positive label, or one of each class."""
    sizes = counts.sum(axis=0)
    none, all_positive = (float(np.prod(np.power(share, sizes))) for share in (1.0 - probability, probability))
    needed: dict[Metric, float] = {"recall": 1.0 - none, "roc_auc": 1.0 - none - all_positive}
    return needed if counts[0].any() else needed | {"f1": 1.0 - none}


def _auc(hits: Floats, misses: Floats) -> float:
    """Area under the ROC curve from class counts by ascending cell, ties by half; NaN with one class."""
    below = np.cumsum(misses) - misses / 2.0
    return _ratio(float(hits @ below), float(hits.sum() * misses.sum()))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else math.nan
