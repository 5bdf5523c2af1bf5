"""Charts of a stretch: right and wrong, classes, calibration, ROC, precision and recall, errors, delay of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.charts.curves import (
    AgreementPoint,
    CalibrationPoint,
    Curve,
    agreement_curve,
    calibration_curve,
    delay_curve,
    precision_recall_curve,
    roc_curve,
)
from modelwatch.charts.histogram import histogram, histogram_table
from modelwatch.charts.matrix import MOST_CLASSES as MOST_DRAWN
from modelwatch.charts.matrix import confusion_matrix, confusion_table
from modelwatch.measures import metric_value
from modelwatch.views.performance.outcomes import OutcomesView, ScoreCurves
from modelwatch.views.performance.stretch import LabelDelay, PerformanceStretch
from modelwatch.web.frame.rendering import drawn

CURVE_HEIGHT = 220.0
MOST_CLASSES = 50


@dataclass(frozen=True, slots=True)
class PerformanceCharts:
    """Charts of a stretch, each empty where there is nothing to draw. shifted: the class that drift of the labels
    names; None without."""

    stretch: PerformanceStretch
    shifted: str | None = None

    @property
    def matrix_note(self) -> str:
        """How many rows the matrix leaves out; empty where none."""
        now = self.stretch.outcomes
        rows = 0 if now is None or now.confusion is None else len(_without_other(now, self.stretch.reference)[0])
        return f"{MOST_DRAWN} of {rows} rows are drawn; the table has all." if rows > MOST_DRAWN else ""

    @property
    def matrix(self) -> Markup:
        """The confusion matrix now, above that of the reference, and its table."""
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or now.confusion is None:
            return Markup("")
        classes, counts, reference = _without_other(now, known)
        title = "Confusion matrix"
        order = _with_class_drawn(classes, self.shifted)
        names, now_drawn = [classes[place] for place in order], _ordered(counts, order)
        before = None if reference is None else _ordered(reference, order)
        return drawn(
            confusion_matrix(title, names, now_drawn, reference=before) + confusion_table(title, classes, counts)
        )

    @property
    def has_classes(self) -> bool:
        """True for classifiers."""
        return self.stretch.outcomes is not None and self.stretch.outcomes.confusion is not None

    @property
    def classes(self) -> list[tuple[str, ...]]:
        """Name, support, precision, recall, F1, and the reference's F1 of each class, the most frequent first."""
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or now.per_class is None:
            return []
        before = {} if known is None else {each.name: each.f1 for each in known.per_class or ()}
        ranked = sorted(now.per_class, key=lambda each: -each.support)[:MOST_CLASSES]
        return [
            (
                each.name,
                f"{each.support:,}",
                *(metric_value("precision", share) for share in (each.precision, each.recall, each.f1)),
                metric_value("f1", before.get(each.name)),
            )
            for each in ranked
        ]

    @property
    def calibration(self) -> Markup:
        """Share of positives by score; empty without scores."""
        now = self.stretch.outcomes
        if now is None or not now.calibration:
            return Markup("")
        points = [
            CalibrationPoint(each.score, each.observed, _or_nan(each.observed_low), _or_nan(each.observed_high))
            for each in now.calibration
            if each.score is not None and each.observed is not None
        ]
        return drawn(calibration_curve("Calibration: share of positives by score", points, height=CURVE_HEIGHT))

    @property
    def curve_class(self) -> str:
        """The class that the curves are of: the positive one, of more classes the one with the least area."""
        chosen = self._chosen_curves()
        return "" if chosen is None else chosen[0].class_name

    @property
    def roc(self) -> Markup:
        """ROC curves now and in the reference; empty without scores."""
        chosen = self._chosen_curves()
        if chosen is None:
            return Markup("")
        curves = [
            Curve(_with_area(word, each), each.false_positive_rate, each.true_positive_rate, role)
            for each, word, role in _sides(chosen)
        ]
        return drawn(roc_curve("ROC", curves, height=CURVE_HEIGHT))

    @property
    def precision_recall(self) -> Markup:
        """Precision by recall now and in the reference; empty without scores."""
        chosen = self._chosen_curves()
        if chosen is None:
            return Markup("")
        now = chosen[0]
        # What calls nothing has no precision.
        curves = [
            Curve(word, each.true_positive_rate[1:], each.precision[1:], role) for each, word, role in _sides(chosen)
        ]
        base = now.positives / (now.positives + now.negatives)
        return drawn(precision_recall_curve("Precision and recall", curves, base=base, height=CURVE_HEIGHT))

    def _chosen_curves(self) -> tuple[ScoreCurves, ScoreCurves | None] | None:
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or not now.curves:
            return None
        worst = min(now.curves, key=lambda each: _or_nan(each.roc_auc))
        before = () if known is None else known.curves
        return worst, next((each for each in before if each.class_name == worst.class_name), None)

    @property
    def error_histogram(self) -> Markup:
        """Errors of a regression beside those of the reference; empty for classifiers."""
        found = self.stretch.errors
        if found is None:
            return Markup("")
        now, before = _shares(found.counts), _shares(found.reference_counts or found.counts)
        title = "Errors, prediction minus label"
        return drawn(
            histogram(title, found.edges, before, now, height=CURVE_HEIGHT)
            + histogram_table(title, found.edges, before, now)
        )

    @property
    def agreement(self) -> Markup:
        """Targets by predicted value; empty for classifiers."""
        found = self.stretch.errors
        if found is None:
            return Markup("")
        now, before = (
            [AgreementPoint(each.predicted, each.truth, _or_nan(each.low), _or_nan(each.high)) for each in cells]
            for cells in (found.by_prediction, found.reference_by_prediction)
        )
        return drawn(agreement_curve("Predicted and actual", now, reference=before, height=CURVE_HEIGHT))

    @property
    def delay(self) -> Markup:
        """Text on the delay of labels; empty without labels."""
        return delay_chart(self.stretch.label_delay)

    @property
    def delay_title(self) -> str:
        """The title of the curve of the labels' delay."""
        return delay_title(self.stretch.label_delay)


def delay_title(delay: LabelDelay | None) -> str:
    """The title of that curve: of all labels, or where only the quick ones can have come, of those."""
    return "Label delay" if delay is None or delay.unknown is None else "Label delay so far"


def delay_chart(delay: LabelDelay | None) -> Markup:
    """The curve of the labels' delay; empty without labels."""
    if delay is None or not delay.curve or delay.p99_seconds == 0:
        # What comes with its prediction has no curve.
        return Markup("")
    # The longest hundredth of delays would take most of the width.
    kept = [
        each for each in delay.curve if delay.p99_seconds is None or each.seconds <= delay.p99_seconds
    ] or delay.curve
    seconds, shares = [each.seconds for each in kept], [each.share for each in kept]
    if seconds[0] > 0:
        # Delays are known by cell, four an octave: none is shorter than the first one's.
        seconds, shares = [0.0, seconds[0] / 2**0.25, *seconds], [0.0, 0.0, *shares]
    marks = [(0.5, "half"), (0.9, "90 %")]
    return drawn(delay_curve(delay_title(delay), seconds, shares, marks=marks))


def _sides(chosen: tuple[ScoreCurves, ScoreCurves | None]) -> list[tuple[ScoreCurves, str, str]]:
    now, before = chosen
    return [(now, "now", "now"), *([] if before is None else [(before, "reference", "reference")])]


def _with_area(word: str, curve: ScoreCurves) -> str:
    return word if curve.roc_auc is None else f"{word} {metric_value('roc_auc', curve.roc_auc)}"


def _without_other(
    now: OutcomesView, known: OutcomesView | None
) -> tuple[list[str], list[list[int]], list[list[int]] | None]:
    """The classes and both matrices, without that of all others where there are none."""
    assert now.confusion is not None, "of classifiers"
    matrices = [now.confusion.matrix]
    if known is not None and known.confusion is not None and known.confusion.classes == now.confusion.classes:
        matrices.append(known.confusion.matrix)
    used = any(any(each[-1]) or any(row[-1] for row in each) for each in matrices)
    kept = len(now.confusion.classes) - (not used)
    cut = [[row[:kept] for row in each[:kept]] for each in matrices]
    return now.confusion.classes[:kept], cut[0], cut[1] if len(cut) > 1 else None


def _with_class_drawn(classes: Sequence[str], shifted: str | None) -> list[int]:
    """Places of the classes in the order of the matrix: a class beyond those that are drawn takes the last of them."""
    order = list(range(len(classes)))
    if shifted in classes[MOST_DRAWN:]:
        place = classes.index(shifted)
        order.insert(MOST_DRAWN - 1, order.pop(place))
    return order


def _ordered(matrix: Sequence[Sequence[int]], order: Sequence[int]) -> list[list[int]]:
    return [[matrix[row][column] for column in order] for row in order]


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [each / total if total else math.nan for each in counts]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
