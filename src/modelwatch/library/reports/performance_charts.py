"""Charts of performance in a report: confusion matrix, calibration, ROC curve, errors of a regression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from modelwatch.charts.curves import (
    AgreementPoint,
    CalibrationPoint,
    Curve,
    agreement_curve,
    calibration_curve,
    roc_curve,
)
from modelwatch.charts.drawing.numbers import number
from modelwatch.charts.histogram import histogram
from modelwatch.charts.matrix import confusion_matrix
from modelwatch.library.performance import PerformanceComparison
from modelwatch.views.performance.outcomes import RegressionErrors, ScoreCurves

HEIGHT = 220.0
# A matrix of more classes can't be read.
MOST_CLASSES = 20


def performance_charts(found: PerformanceComparison) -> list[tuple[str, Markup]]:
    """The charts that there are, by their titles."""
    drawn = [_matrix(found), _calibration(found), _roc(found), *([] if found.errors is None else _errors(found.errors))]
    return [(title, Markup(each)) for title, each in drawn if each]


def _matrix(found: PerformanceComparison) -> tuple[str, str]:
    now, before = found.current.confusion, None if found.reference is None else found.reference.confusion
    title = "Confusion matrix"
    if now is None:
        return title, ""
    sides = [now.matrix, *([] if before is None or before.classes != now.classes else [before.matrix])]
    # The last class stands for all others.
    others = any(any(side[-1]) or any(row[-1] for row in side) for side in sides)
    kept = len(now.classes) - (not others)
    if kept > MOST_CLASSES:
        return title, ""
    cut = [[row[:kept] for row in side[:kept]] for side in sides]
    if len(cut) == 1:
        return title, confusion_matrix(title, now.classes[:kept], cut[0])
    title += ", reference below"
    return title, confusion_matrix(title, now.classes[:kept], cut[0], reference=cut[1])


def _calibration(found: PerformanceComparison) -> tuple[str, str]:
    points = [
        CalibrationPoint(each.score, each.observed, _or_nan(each.observed_low), _or_nan(each.observed_high))
        for each in found.current.calibration or ()
        if each.score is not None and each.observed is not None
    ]
    title = "Calibration: share of positives by score"
    return title, calibration_curve(title, points, height=HEIGHT) if points else ""


def _roc(found: PerformanceComparison) -> tuple[str, str]:
    """That of the positive class; of more classes that of the one with the least area."""
    now = found.current.curves
    if not now:
        return "ROC", ""
    worst = min(now, key=lambda each: _or_nan(each.roc_auc))
    before = [] if found.reference is None else found.reference.curves
    curves = [_curve("now", worst, "now")]
    curves += [_curve("reference", each, "reference") for each in before if each.class_name == worst.class_name]
    title = f"ROC of {worst.class_name}"
    return title, roc_curve(title, curves, height=HEIGHT)


def _curve(word: str, curve: ScoreCurves, role: str) -> Curve:
    name = word if curve.roc_auc is None else f"{word} {number(curve.roc_auc)}"
    return Curve(name, curve.false_positive_rate, curve.true_positive_rate, role)


def _errors(found: RegressionErrors) -> Iterator[tuple[str, str]]:
    now, before = _shares(found.counts), _shares(found.reference_counts)
    title = "Errors, prediction minus label"
    yield title, histogram(title, found.edges, before, now, height=HEIGHT)
    points, known = (
        [AgreementPoint(each.predicted, each.truth, _or_nan(each.low), _or_nan(each.high)) for each in cells]
        for cells in (found.by_prediction, found.reference_by_prediction)
    )
    title = "Predicted and actual"
    yield title, agreement_curve(title, points, reference=known, height=HEIGHT)


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [each / total if total else math.nan for each in counts]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
