"""Sampling variance of the means over classes and of Matthews' correlation, by the delta method."""

from __future__ import annotations

import numpy as np

from modelwatch.stats.performance.confusion import ConfusionCounts, prior_of
from modelwatch.stats.performance.margins import Margins, ratio
from modelwatch.stats.performance.mergeable import Booleans, Floats


def delta_variances(counts: ConfusionCounts, name: str, mask: Booleans) -> Floats:
    """Variance of a metric of `MEANS` from the rows of every true class, shape (classes + 1,).

    mask: the classes that the mean runs over; not used by the weighted means and by mcc.
    The counts get the prior of the bootstrap, which keeps a variance above 0 where a cell is empty by chance.
    Raises KeyError for any other name.
    """
    smooth = counts.vector + prior_of(counts)
    gradient = metric_gradient(Margins.of(smooth, len(counts.layout.classes)), name, mask)
    side = len(counts.layout.classes) + 1
    # The metrics depend on shares alone, so the gradient has mean 0 and this is the multinomial variance.
    added = smooth * np.square(gradient)
    variances: Floats = added[:-1].reshape(side, side).sum(axis=1)
    variances[-1] += added[-1]
    return variances


def metric_gradient(margins: Margins, name: str, mask: Booleans) -> Floats:
    """The derivative of a metric of `MEANS` by every entry of the count vector, shape (size,)."""
    if name == "mcc":
        return _of_mcc(margins)
    kind = "recall_macro" if name == "balanced_accuracy" else name
    metric, _, average = kind.partition("_")
    truth, predicted = margins.truth[:-1], margins.predicted[:-1]
    value, below, along_truth, along_predicted = {
        "precision": (margins.precision(), predicted, 0.0, 1.0),
        "recall": (margins.recall(), truth, 1.0, 0.0),
        "f1": (margins.f1(), truth + predicted, 1.0, 1.0),
    }[metric]
    support = float(truth.sum())
    weights = mask / max(1, int(mask.sum())) if average == "macro" else truth / max(support, 1.0)
    # A hit adds to numerator and denominator, any other row of the class or prediction of it to the denominator.
    hit = ratio(weights * (2.0 if metric == "f1" else 1.0), below)
    miss = -ratio(weights * value, below)
    by_truth, by_predicted = along_truth * miss, along_predicted * miss
    if average == "weighted":
        by_truth = by_truth + (value - float(weights @ value)) / max(support, 1.0)
    side = len(truth) + 1
    cells = np.zeros((side, side))
    cells[:-1] += by_truth[:, None]
    cells[:, :-1] += by_predicted
    cells[np.arange(side - 1), np.arange(side - 1)] += hit
    return np.append(cells.ravel(), 0.0)


def _of_mcc(margins: Margins) -> Floats:
    truth, predicted, n = margins.truth, margins.predicted, float(margins.n)
    covariance = float(margins.correct) * n - float(truth @ predicted)
    spread_truth, spread_predicted = n * n - float(truth @ truth), n * n - float(predicted @ predicted)
    side = len(truth)
    if spread_truth <= 0.0 or spread_predicted <= 0.0:
        return np.zeros(side * side + 1)
    right = np.eye(side)
    right[-1, -1] = 0.0
    of_covariance = float(margins.correct) - predicted[:, None] - truth[None, :] + right * n
    of_logarithm = (n - predicted[None, :]) / spread_predicted + (n - truth[:, None]) / spread_truth
    cells = (of_covariance - covariance * of_logarithm) / np.sqrt(spread_truth * spread_predicted)
    # Two unknown classes that agree differ from such that do not in being right.
    return np.append(cells.ravel(), cells[-1, -1] + n / np.sqrt(spread_truth * spread_predicted))
