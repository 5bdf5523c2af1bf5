"""Metrics of scores by label, with intervals: ranking, losses, calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from modelwatch.stats.performance.intervals import (
    Estimate,
    mean,
    proportion,
    student_quantile,
    undefined,
    wilson,
)
from modelwatch.stats.performance.mergeable import Floats, Integers, effective_df
from modelwatch.stats.performance.scores import SCORE_EDGES, ClassScoreCounts, ScoreCounts

CALIBRATION_BINS = 10
# The middle of a cell is at most this far from a score in it.
HALF_CELL = 1.0 / 400.0
NO_SCORES = "there are no labelled rows with a score"


@dataclass(frozen=True, slots=True)
class RankArea:
    """Area under the ROC curve from cells, and its variance by DeLong.

    value: ties within a cell count one half. bound: the exact area is at most this far away.
    spread_positives, spread_negatives: variance of the placements of each side, 0 when it has one row only.
    """

    value: float
    bound: float
    positives: int
    negatives: int
    spread_positives: float
    spread_negatives: float

    @property
    def variance(self) -> float:
        """Sampling variance of the area."""
        return self.spread_positives / self.positives + self.spread_negatives / self.negatives

    @property
    def df(self) -> float:
        """Degrees of freedom of the variance."""
        if self.variance <= 0.0:
            return float(self.positives + self.negatives - 2)
        return effective_df([(self.spread_positives, self.positives), (self.spread_negatives, self.negatives)])

    @property
    def rarer(self) -> int:
        """Number of rows of the rarer class."""
        return min(self.positives, self.negatives)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Scores in [low, high): how many, their mean score (from the middles of their cells), and the share of positives.

    score and observed are None where the bin is empty; observed_low, observed_high: Wilson's 95 % interval.
    """

    low: float
    high: float
    n: int
    score: float | None
    observed: float | None
    observed_low: float | None
    observed_high: float | None


def score_metrics(counts: ScoreCounts) -> dict[str, Estimate]:
    """roc_auc, pr_auc, log_loss, brier and ece (expected calibration error) of the scores of a binary classifier.

    roc_auc: trapezoids over the cells, with the logit-transformed interval of DeLong. pr_auc: average precision with a
    cell as one threshold, with that of the delta method. Both carry their bound. ece: 10 bins; a bin's mean score is
    known to half a cell, so the bound is 1/400; it has no interval. log_loss (nats, probabilities clipped at 1e-15) and
    brier: exact means with Student's interval.

    >>> metrics = score_metrics(ScoreCounts.of(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False])))
    >>> metrics["roc_auc"].value, metrics["pr_auc"].value, round(metrics["brier"].value, 4)
    (1.0, 1.0, 0.0375)
    """
    return {
        "roc_auc": roc_auc(counts.positives, counts.negatives),
        "pr_auc": pr_auc(counts),
        "log_loss": log_loss(counts),
        "brier": brier(counts),
        "ece": calibration_error(counts),
    }


def class_score_metrics(counts: ClassScoreCounts) -> dict[str, Estimate]:
    """roc_auc_macro (mean of one class against the rest) and log_loss of the true class.

    roc_auc_macro is undefined unless every class has rows of its own and of another class. The areas of the classes
    rest on the same rows; their errors are added as if they were fully correlated, so the interval is wide enough.
    """
    return {"roc_auc_macro": roc_auc_macro(counts), "log_loss": log_loss(counts)}


def log_loss(counts: ScoreCounts | ClassScoreCounts) -> Estimate:
    """Mean log loss in nats, with Student's interval, which does not go below 0."""
    return mean(counts.log_loss_sums, NO_SCORES, least=0.0)


def brier(counts: ScoreCounts) -> Estimate:
    """Mean squared distance of score and label, with Student's interval, which does not go below 0.

    >>> found = brier(ScoreCounts.of(np.array([0.9, 0.8, 0.3, 0.9]), np.array([True, True, False, False])))
    >>> round(found.value, 4), found.low
    (0.2375, 0.0)
    """
    return mean(counts.brier_sums, NO_SCORES, least=0.0)


def rank_area(positives: Integers, negatives: Integers) -> RankArea:
    """The area under the ROC curve of two histograms over the same cells; neither is empty.

    Source: DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more correlated ROC curves.

    >>> area = rank_area(np.array([0, 1, 3]), np.array([2, 1, 0]))
    >>> round(area.value, 4), round(area.bound, 4)
    (0.9583, 0.0417)
    """
    p, q = int(positives.sum()), int(negatives.sum())
    # Placements: the share of the other class that a row of this cell beats.
    of_positives = (np.cumsum(negatives) - negatives / 2.0) / q
    of_negatives = (p - np.cumsum(positives) + positives / 2.0) / p
    value = float(positives @ of_positives) / p
    bound = float(positives.astype(np.float64) @ negatives) / (2.0 * p * q)
    return RankArea(
        value,
        bound,
        p,
        q,
        spread_positives=float(positives @ np.square(of_positives - value)) / max(1, p - 1),
        spread_negatives=float(negatives @ np.square(of_negatives - value)) / max(1, q - 1),
    )


def roc_auc(positives: Integers, negatives: Integers) -> Estimate:
    """The area under the ROC curve with DeLong's interval on the logit scale, by Student's quantile.

    A perfect separation has no variance: there the interval is that of as many successes as the rarer class has rows.
    """
    p, q = int(positives.sum()), int(negatives.sum())
    if not p or not q:
        return undefined("there is no labelled row with a score" if not p + q else _one_class(p), p + q)
    area = rank_area(positives, negatives)
    if area.rarer < 2:
        return Estimate(area.value, n=p + q, bound=area.bound, reason="one row of a class has no interval")
    low, high = area_interval(area.value, area.variance, area.df, area.rarer)
    return Estimate(area.value, low, high, p + q, area.bound)


def area_interval(value: float, variance: float, df: float, rarer: int) -> tuple[float, float]:
    """95 % interval of an area with this variance, of `df` degrees of freedom.

    rarer: number of rows of the rarer class.
    """
    if variance <= 0.0 or not 0.0 < value < 1.0:
        return wilson(round(value * rarer), rarer) if value in (0.0, 1.0) else (value, value)
    middle = math.log(value / (1.0 - value))
    half = student_quantile(df) * math.sqrt(variance) / (value * (1.0 - value))
    return _logistic(middle - half), _logistic(middle + half)


def roc_auc_macro(counts: ClassScoreCounts) -> Estimate:
    """The mean area of every class against the rest, as `class_score_metrics`."""
    areas = class_areas(counts)
    for name, area in zip(counts.layout.classes, areas, strict=True):
        if area is None:
            return undefined(f"class {name} needs labelled rows with scores, and so do the other classes", counts.n)
    known = [area for area in areas if area is not None]
    value = float(np.mean([area.value for area in known]))
    bound = float(np.mean([area.bound for area in known]))
    rarer = min(area.rarer for area in known)
    if rarer < 2:
        return Estimate(value, n=counts.n, bound=bound, reason="one row of a class has no interval")
    deviation = float(np.mean([math.sqrt(area.variance) for area in known]))
    low, high = area_interval(value, deviation**2, rarer - 1, rarer)
    return Estimate(value, low, high, counts.n, bound)


def class_areas(counts: ClassScoreCounts) -> tuple[RankArea | None, ...]:
    """The area of every class against the rest; None for a class that has no rows, or has all of them."""
    return tuple(
        rank_area(positives, negatives) if positives.any() and negatives.any() else None
        for negatives, positives in counts.histograms
    )


def pr_auc(counts: ScoreCounts) -> Estimate:
    """Average precision with a cell as one threshold; bound: the best and worst order of rows within the cells.

    Its interval is that of the delta method on the logit scale, by Student's quantile. Where no negative row is above a
    positive one, there is no variance: there it is that of as many successes as there are positive rows.
    Source: scikit-learn's `average_precision_score`, which steps and does not interpolate; Boyd, Eng and Page (2013),
    Area under the precision-recall curve: point estimates and confidence intervals, for the scale.
    """
    positives, negatives = counts.positives, counts.negatives
    if not positives.any():
        return undefined("no labelled row with a score is positive", counts.n)
    value = average_precision_of(counts)
    bound = _precision_bound(positives[::-1], negatives[::-1], value)
    rows = int(positives.sum())
    if rows < 2:
        return Estimate(value, n=counts.n, bound=bound, reason="one positive row has no interval")
    parts = precision_spread(counts, value)
    variance = sum(spread / n for spread, n in parts)
    df = effective_df(parts) if variance > 0.0 else rows - 1.0
    low, high = area_interval(value, variance, df, rows)
    return Estimate(value, low, high, counts.n, bound)


def precision_spread(counts: ScoreCounts, value: float) -> list[tuple[float, int]]:
    """Variance of what a row adds to the average precision, and the number of rows, of the positive and negative ones.

    value: the average precision.
    """
    positives, negatives = (side[::-1].astype(np.float64) for side in (counts.positives, counts.negatives))
    hits = np.cumsum(positives)
    false = np.cumsum(negatives)
    per_called = np.divide(1.0, hits + false, out=np.zeros_like(hits), where=hits + false > 0.0)
    # A row changes the precision at its own threshold and at every lower one.
    weights = positives * np.square(per_called)
    gained, lost = (np.cumsum((weights * side)[::-1])[::-1] for side in (false, hits))
    parts = []
    for rows, effect in ((positives, hits * per_called + gained - value), (negatives, -lost)):
        n = int(rows.sum())
        # Per positive row, since the average is over these.
        if n:
            parts.append((float(rows @ np.square(effect)) * (n / hits[-1]) ** 2 / max(1, n - 1), n))
    return parts


def average_precision_of(counts: ScoreCounts) -> float:
    """The average precision of one sample; at least one row is positive."""
    both = np.concatenate((counts.negatives, counts.positives))
    return float(average_precision(both[None, :].astype(np.float64))[0])


def average_precision(cells: Floats) -> Floats:
    """Average precision of stacked histograms, negatives then positives by ascending cell: (rows, 2 * cells) to
    (rows,)."""
    held = cells.shape[1] // 2
    positives, negatives = cells[:, : held - 1 : -1], cells[:, held - 1 :: -1]
    hits = np.cumsum(positives, axis=1)
    called = hits + np.cumsum(negatives, axis=1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0.0)
    total: Floats = (precision * positives).sum(axis=1) / hits[:, -1]
    return total


def mean_score(counts: ScoreCounts) -> float | None:
    """The mean score, from the middles of the cells, so known to half a cell; None without scores.

    >>> round(mean_score(ScoreCounts.of(np.array([0.2, 0.4]), np.array([True, False]))), 2)
    0.3
    """
    rows = counts.positives + counts.negatives
    return float(rows @ _middles()) / counts.n if counts.n else None


def calibration_curve(counts: ScoreCounts) -> tuple[CalibrationBin, ...]:
    """Ten equal bins of the score: mean score against the observed share of positives."""
    curve = []
    for place, (n, positives, score) in enumerate(_calibration_bins(counts)):
        observed = proportion(positives, n, "the bin is empty")
        low, high = place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS
        mean_in_bin = score / n if n else None
        curve.append(CalibrationBin(low, high, n, mean_in_bin, observed.value, observed.low, observed.high))
    return tuple(curve)


def _calibration_bins(counts: ScoreCounts) -> list[tuple[int, int, float]]:
    """Of each bin the rows, those that are positive, and the sum of the scores."""
    middles, starts = _middles(), _bin_starts()
    rows = counts.positives + counts.negatives
    sums = (np.add.reduceat(each, starts).tolist() for each in (rows, counts.positives, rows * middles))
    return list(zip(*sums, strict=True))


@cache
def _middles() -> Floats:
    bounds = np.concatenate(([0.0], SCORE_EDGES, [1.0]))
    middles: Floats = (bounds[:-1] + bounds[1:]) / 2.0
    return middles


@cache
def _bin_starts() -> Integers:
    """The first cell of each bin of the calibration."""
    of_cell = np.minimum((_middles() * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return np.searchsorted(of_cell, np.arange(CALIBRATION_BINS))


def calibration_error(counts: ScoreCounts) -> Estimate:
    """Expected calibration error: mean over rows of the distance of their bin's score and share of positives.

    Source: Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian binning.
    """
    n = counts.n
    if not n:
        return undefined(NO_SCORES)
    gap = sum(abs(score - positives) for _, positives, score in _calibration_bins(counts))
    return Estimate(gap / n, n=n, bound=HALF_CELL, reason="it is never below 0, so no interval is known")


def _precision_bound(positives: Integers, negatives: Integers, value: float) -> float:
    """The larger distance of `value` to the best and to the worst order within cells; histograms from high cells on."""
    from scipy import special

    hits = np.cumsum(positives) - positives
    false_before = np.cumsum(negatives) - negatives
    # Best: the positives of a cell have one score, above its negatives; a threshold then calls all of them.
    called = hits + positives
    best = np.divide(positives * called, called + false_before, out=np.zeros(len(positives)), where=positives > 0)
    # Worst: they have scores of their own, below its negatives. The sum over j = 1 … p of (h + j) / (h + f + j).
    false = false_before + negatives
    start = hits + false
    below = special.digamma(start + positives + 1.0) - special.digamma(start + 1.0)
    total = float(positives.sum())
    return max(float(best.sum()) / total - value, value - float((positives - false * below).sum()) / total, 0.0)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _one_class(positives: int) -> str:
    return f"every labelled row with a score is {'positive' if positives else 'negative'}"
