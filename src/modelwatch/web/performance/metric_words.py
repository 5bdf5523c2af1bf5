"""Names and formats of metrics: shares as per cent and their changes as points, others as numbers."""

from __future__ import annotations

import math
from typing import Protocol

from modelwatch.alerting.text import clipped
from modelwatch.charts.drawing.numbers import MINUS, SPACE, Format, number, percent, written_value

NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "f1": "F1",
    "mcc": "MCC",
    "roc_auc": "ROC AUC",
    "roc_auc_macro": "ROC AUC (macro)",
    "pr_auc": "PR AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "mean_error": "Mean error",
    "mape": "MAPE",
    "ground_truth": "Labels",
    "label_coverage": "Label coverage",
}
LONGEST_CLASS = 24
_OF_CLASSES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
NUMBERS = frozenset(
    {"mcc", "roc_auc", "roc_auc_macro", "pr_auc", "log_loss", "brier", "ece", "mae", "rmse", "r2", "mean_error"}
)
EXPLAINED = {
    "accuracy": "of all labelled",
    "precision": "of those called {positive}",
    "recall": "of all that are {positive}",
    "f1": "of precision and recall",
    "roc_auc": "ranking of the scores",
    "pr_auc": "ranking of the scores",
    "log_loss": "lower is better",
    "brier": "lower is better",
    "mae": "mean size of the errors",
    "rmse": "large errors count more",
    "mean_error": "prediction less truth",
    "mape": "size of the errors, of the truth",
    "f1_macro": "mean over the classes",
}


class Valued(Protocol):
    """A metric with its interval."""

    @property
    def value(self) -> float | None: ...

    @property
    def low(self) -> float | None: ...

    @property
    def high(self) -> float | None: ...


def metric_name(name: str) -> str:
    """The metric's name for people.

    >>> metric_name("roc_auc"), metric_name("f1_macro"), metric_name("other")
    ('ROC AUC', 'F1 (macro)', 'other')
    """
    base, _, mean = name.rpartition("_")
    if base in _OF_CLASSES and mean in ("macro", "micro", "weighted"):
        return f"{_OF_CLASSES[base]} ({mean})"
    return NAMES.get(name, name)


def metric_remark(name: str, positive: str | None = None) -> str:
    """Short explanation of a metric. positive: the positive class.

    >>> metric_remark("precision", "fraud"), metric_remark("precision"), metric_remark("mcc")
    ('of those called fraud', 'of those called positive', '')
    """
    return EXPLAINED.get(name, "").format(positive=clipped(positive or "positive", LONGEST_CLASS))


def in_sentence(name: str) -> str:
    """The name inside of a sentence.

    >>> in_sentence("accuracy"), in_sentence("mae"), in_sentence("roc_auc")
    ('accuracy', 'MAE', 'ROC AUC')
    """
    text = metric_name(name)
    return text if text[1:2].isupper() or text[1:2].isdigit() or text[1:2] == "²" else text[0].lower() + text[1:]


def form_of(name: str) -> Format:
    """Format of a metric: a share or a number.

    >>> form_of("accuracy"), form_of("roc_auc")
    ('percent', 'number')
    """
    is_share = name in NAMES or name.partition("_")[0] in _OF_CLASSES
    return "percent" if is_share and name not in NUMBERS else "number"


def metric_value(name: str, value: float | None) -> str:
    """A value of a metric, or a dash.

    >>> metric_value("accuracy", 0.842), metric_value("log_loss", 0.3264), metric_value("mae", None)
    ('84.2\\xa0%', '0.326', '–')
    """
    return written_value(math.nan if value is None else value, form_of(name))


def metric_interval(name: str, metric: Valued) -> str:
    """The interval of a metric; empty without one.

    >>> from modelwatch.views.performance.outcomes import MetricValue
    >>> metric_interval("accuracy", MetricValue(0.842, 0.833, 0.85, 100))
    '83.3–85.0'
    """
    if metric.low is None or metric.high is None:
        return ""
    ends = (metric_value(name, metric.low), metric_value(name, metric.high))
    low, high = (end.removesuffix(f"{SPACE}%") for end in ends)
    return f"{low} to {high}" if MINUS in low + high else f"{low}–{high}"


def metric_change(name: str, change: float | None, *, unit: bool = True) -> str:
    """A change of a metric with its sign: of a share in points of per cent.

    >>> metric_change("accuracy", -0.056), metric_change("log_loss", 0.0593), metric_change("f1", None)
    ('−5.6\\xa0points', '+0.0593', '–')
    """
    if change is None or math.isnan(change):
        return "–"
    sign = "+" if change > 0 else MINUS if change < 0 else ""
    if form_of(name) == "number":
        return f"{sign}{number(abs(change))}"
    points = percent(abs(change)).removesuffix(f"{SPACE}%")
    return f"{sign}{points}{SPACE}points" if unit else f"{sign}{points}"
