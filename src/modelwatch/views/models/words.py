"""Words and numbers of views: names of metrics and subjects, and values with their unit, as people read them."""

from __future__ import annotations

import math

from modelwatch.charts.drawing.numbers import Format, number, percent

# Shares of predictions; areas and F scores are numbers between 0 and 1, too, but of nothing.
SHARES = frozenset({"accuracy", "precision", "recall", "specificity", "balanced_accuracy", "mape"})
_TITLES = {
    "f1": "F1",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "mae": "MAE",
    "rmse": "RMSE",
    "mape": "MAPE",
    "r2": "R²",
    "brier": "Brier score",
}


def metric_title(name: str) -> str:
    """Name of a metric inside of a sentence.

    >>> metric_title("roc_auc"), metric_title("log_loss")
    ('ROC AUC', 'log loss')
    """
    return _TITLES.get(name, name.replace("_", " "))


def metric_format(name: str) -> Format:
    """Format of a metric's values."""
    return "percent" if name in SHARES else "number"


def metric_text(name: str, value: float | None) -> str:
    """Value of a metric with sensible digits.

    >>> metric_text("accuracy", 0.842193), metric_text("roc_auc", 0.78123), metric_text("mae", None)
    ('84.2\\xa0%', '0.781', '–')
    """
    known = math.nan if value is None else value
    return percent(known) if metric_format(name) == "percent" else number(known)


def interval_text(name: str, low: float, high: float) -> str:
    """Interval of a metric, with its unit once.

    >>> interval_text("accuracy", 0.833, 0.85)
    '83.3–85.0\\xa0%'
    """
    left, right = metric_text(name, low), metric_text(name, high)
    return f"{left.removesuffix(chr(160) + '%')}–{right}" if right.endswith("%") else f"{left}–{right}"


def capitalized(sentence: str) -> str:
    """The sentence with a large first letter; the rest as it is."""
    return sentence[:1].upper() + sentence[1:]


def listed(names: list[str], total: int) -> str:
    """Some names of so many in all.

    >>> listed(["a", "b"], 2), listed(["a", "b"], 5), listed(["a"], 1)
    ('a and b', 'a, b and 3 more', 'a')
    """
    left = total - len(names)
    if left > 0:
        return f"{', '.join(names)} and {left:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
