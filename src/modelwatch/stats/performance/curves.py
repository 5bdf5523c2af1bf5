"""Curves of scores by label: ROC, precision and recall, from the cells that scores are counted in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch.stats.performance.mergeable import Booleans, Floats, Integers
from modelwatch.stats.performance.scores import SCORE_EDGES

# A curve of more points is thinned: what is left out lies this close to the straight line that stays.
FLAT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """Performance of a classifier at each threshold, with scores from there on counted as positive.

    thresholds: shape (n,), descending; the first, 1, stands for calling nothing. false_positive_rate,
    true_positive_rate: shape (n,), shares of the negatives and of the positives that are called. precision: shape (n,),
    the share of what is called that is positive; 1 where nothing is. positives, negatives: how many rows of each.
    """

    thresholds: Floats
    false_positive_rate: Floats
    true_positive_rate: Floats
    precision: Floats
    positives: int
    negatives: int


def threshold_curve(positives: Integers, negatives: Integers) -> ThresholdCurve | None:
    """The curve of scores counted in the cells between `SCORE_EDGES`; None unless both classes have rows.

    positives, negatives: shape (328,). Only thresholds between cells are known, so neighbours within a cell are one
    step. Points that lie on the line between their neighbours are left out.
    Source: Fawcett (2006), An introduction to ROC analysis.

    >>> from modelwatch.stats.performance.scores import ScoreCounts
    >>> counts = ScoreCounts.of(np.array([0.9, 0.6, 0.3, 0.1]), np.array([True, False, True, False]))
    >>> curve = threshold_curve(counts.positives, counts.negatives)
    >>> curve.thresholds.tolist(), curve.true_positive_rate.tolist()
    ([1.0, 0.9, 0.6, 0.3, 0.1], [0.0, 0.5, 0.5, 1.0, 1.0])
    >>> curve.false_positive_rate.tolist(), curve.precision.round(3).tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 1.0, 0.5, 0.667, 0.5])
    """
    p, q = int(positives.sum()), int(negatives.sum())
    if not p or not q:
        return None
    # Of each cell its lower edge: what lies in it or above is called.
    edges = np.concatenate(([0.0], SCORE_EDGES))[::-1]
    hits, alarms = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    held = (positives + negatives)[::-1] > 0
    thresholds = np.concatenate(([1.0], edges[held]))
    found, wrong = (np.concatenate(([0.0], each[held])) for each in (hits / p, alarms / q))
    precision = np.concatenate(([1.0], hits[held] / (hits + alarms)[held]))
    kept = _bends(np.stack([wrong, found, precision], axis=1))
    return ThresholdCurve(thresholds[kept], wrong[kept], found[kept], precision[kept], p, q)


def _bends(points: Floats) -> Booleans:
    """The points, shape (n, coordinates), that are needed so that no other is further than `FLAT` from the lines.

    Source: Ramer (1972), Douglas and Peucker (1973).
    """
    kept = np.zeros(len(points), dtype=np.bool_)
    kept[[0, -1]] = True
    stretches = [(0, len(points) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        line = points[last] - points[first]
        length = float(line @ line)
        beside = points[first + 1 : last] - points[first]
        along = np.clip(beside @ line / length, 0.0, 1.0) if length else np.zeros(len(beside))
        away = np.abs(beside - along[:, None] * line).max(axis=1)
        farthest = int(away.argmax())
        if away[farthest] > FLAT:
            middle = first + 1 + farthest
            kept[middle] = True
            stretches += [(first, middle), (middle, last)]
    return kept
