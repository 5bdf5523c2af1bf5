"""Short explanations of metrics, for those who don't know them by name."""

from __future__ import annotations

from modelwatch.text import clipped

LONGEST_CLASS = 24
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


def metric_remark(name: str, positive: str | None = None) -> str:
    """Short explanation of a metric. positive: the positive class.

    >>> metric_remark("precision", "fraud"), metric_remark("precision"), metric_remark("mcc")
    ('of those called fraud', 'of those called positive', '')
    """
    return EXPLAINED.get(name, "").format(positive=clipped(positive or "positive", LONGEST_CLASS))
