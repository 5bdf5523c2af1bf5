"""Metrics of regression errors, with intervals."""

from __future__ import annotations

import math
from dataclasses import replace

from modelwatch.stats.performance.intervals import Estimate, mean, student_quantile, undefined
from modelwatch.stats.performance.regression import RegressionCounts

NO_ROWS = "there are no labelled rows"
# Below this share of the mean square, a variance is the rounding of the squares.
EQUAL = 1e-14


def regression_metrics(counts: RegressionCounts) -> dict[str, Estimate]:
    """mae, rmse, r2, mean_error (prediction - truth) and mape (a ratio: 0.1 is 10 %), in the units of the target.

    Intervals: Student's for mae, mean_error and mape, for rmse the delta method on the logarithm of the mean square,
    none for r2.
    mape is undefined when a target is 0, r2 when all targets are equal. Saturated rows make mae, rmse and mape lower
    bounds, say so, and leave mean_error and r2 undefined.
    Source: scikit-learn's definitions; r2 is that of `r2_score`.

    >>> import numpy as np
    >>> from modelwatch.stats.performance.regression import RegressionLayout
    >>> prediction, truth = np.array([2.5, 0.0, 2.0, 8.0]), np.array([3.0, -0.5, 2.0, 7.0])
    >>> metrics = regression_metrics(RegressionCounts.of(RegressionLayout.of(truth), prediction, truth))
    >>> metrics["mae"].value, metrics["mean_error"].value, round(metrics["r2"].value, 4)
    (0.5, 0.25, 0.9486)
    """
    scale = counts.layout.scale
    found = {
        "mae": mean(counts.absolute_errors, NO_ROWS, scale, least=0.0),
        "rmse": _rmse(counts),
        "r2": _r2(counts),
        "mean_error": mean(counts.errors, NO_ROWS, scale),
        "mape": _mape(counts),
    }
    if counts.saturated:
        reason = f"{counts.saturated} rows are too far out to be summed"
        found["mean_error"] = found["r2"] = undefined(reason, counts.n)
        for name in ("mae", "rmse"):
            found[name] = replace(found[name], low=None, high=None, reason=f"a lower bound: {reason}")
    return found


def mean_target(counts: RegressionCounts) -> float | None:
    """Mean of the targets; None when there are no rows or some are saturated."""
    if not counts.n or counts.saturated:
        return None
    return counts.layout.center + counts.targets.mean * counts.layout.scale


def _rmse(counts: RegressionCounts) -> Estimate:
    squares, scale, n = counts.squared_errors, counts.layout.scale, counts.n
    if not n:
        return undefined(NO_ROWS)
    root = math.sqrt(squares.mean)
    if n == 1:
        return Estimate(root * scale, n=1, reason="one row has no interval")
    if root == 0.0:
        return Estimate(0.0, 0.0, 0.0, n)
    # Of the logarithm: the interval is never below 0, and reaches further up, as the squares do.
    factor = math.exp(min(700.0, student_quantile(n - 1) * math.sqrt(squares.variance / n) / (2.0 * squares.mean)))
    return Estimate(root * scale, root / factor * scale, root * factor * scale, n)


def _r2(counts: RegressionCounts) -> Estimate:
    targets, n = counts.targets, counts.n
    if n < 2:
        return undefined("at least two labelled rows are needed", n)
    # Exact until the end: the difference of two nearly equal sums keeps its digits.
    total = targets.second - targets.first * targets.first / n
    if targets.variance <= EQUAL * float(targets.second) / n:
        return undefined("all targets are equal", n)
    value = 1.0 - float(counts.errors.second / total)
    return Estimate(value, n=n, reason="no interval is known")


def _mape(counts: RegressionCounts) -> Estimate:
    if counts.zero_targets:
        return undefined(f"{counts.zero_targets} targets are 0", counts.n)
    estimate = mean(counts.relative_errors, NO_ROWS, least=0.0)
    if counts.saturated_ratios or counts.saturated:
        reason = "a lower bound: some errors are too many times their target to be summed"
        return replace(estimate, low=None, high=None, reason=reason)
    return estimate
