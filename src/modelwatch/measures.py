"""Metrics and scores as people read them: their names, and values with sensible digits and their unit.

Metrics that are shares are written as per cent and their changes as points of per cent, others as numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, Protocol

from modelwatch.charts.drawing.numbers import (
    MINUS,
    SPACE,
    Format,
    bare_percent,
    interval_text,
    number,
    percent,
    written_value,
)

# Of here for all above the charts.
from modelwatch.charts.drawing.numbers import from_to as from_to
from modelwatch.charts.drawing.numbers import psi_text as psi_text

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
# Rules of data quality: as a heading, what the values are that break one, and what there is more of then.
RULE_NAMES = {
    "missing": "missing",
    "invalid_type": "wrong type",
    "unseen_category": "unseen",
    "below_range": "below the range",
    "above_range": "above the range",
}
BROKEN_RULES = {
    "missing": "missing",
    "invalid_type": "of the wrong type",
    "unseen_category": "of a category unknown to the reference",
    "below_range": "below the reference's range",
    "above_range": "above the reference's range",
}
UNSOUND_VALUES = {
    "missing": "missing values",
    "invalid_type": "values of the wrong type",
    "unseen_category": "unseen categories",
    "below_range": "values below the range",
    "above_range": "values above the range",
}
# Below it a p-value is not told as a number: it rests on the tail of an approximation.
LEAST_P = 1e-12
P_DIGITS = 2
MOST_DIGITS = 16
NUMBERS = frozenset(
    {"mcc", "roc_auc", "roc_auc_macro", "pr_auc", "log_loss", "brier", "ece", "mae", "rmse", "r2", "mean_error"}
)
_OF_CLASSES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
# Scores of findings that are changes of a metric or of a share, and those that are shares themselves.
_CHANGES, _RISE, _SHARES = ("loss of ", "shortfall of "), "rise of ", ("share of ", "missing share of ")

ScoreForm = Literal["number", "percent", "points"]


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


def in_sentence(name: str) -> str:
    """The name inside of a sentence.

    >>> in_sentence("accuracy"), in_sentence("mae"), in_sentence("roc_auc"), in_sentence("brier")
    ('accuracy', 'MAE', 'ROC AUC', 'Brier score')
    """
    text = metric_name(name)
    is_proper = name == "brier" or text[1:2].isupper() or text[1:2].isdigit() or text[1:2] == "²"
    return text if is_proper else text[:1].lower() + text[1:]


def metric_form(name: str) -> Format:
    """Format of a metric's values: a share or a number.

    >>> metric_form("accuracy"), metric_form("f1_macro"), metric_form("roc_auc")
    ('percent', 'percent', 'number')
    """
    is_share = name in NAMES or name.partition("_")[0] in _OF_CLASSES
    return "percent" if is_share and name not in NUMBERS else "number"


def metric_value(name: str, value: float | None) -> str:
    """A value of a metric, or a dash.

    >>> metric_value("accuracy", 0.842193), metric_value("log_loss", 0.3264), metric_value("mae", None)
    ('84.2\\xa0%', '0.326', '–')
    """
    return written_value(math.nan if value is None else value, metric_form(name))


def metric_interval(name: str, metric: Valued) -> str:
    """The interval of a metric; empty without one.

    >>> from types import SimpleNamespace
    >>> metric_interval("accuracy", SimpleNamespace(value=0.842, low=0.833, high=0.85))
    '83.3–85.0'
    """
    if metric.low is None or metric.high is None:
        return ""
    return interval_text(metric.low, metric.high, metric_form(name))


def metric_change(name: str, change: float | None, *, unit: bool = True) -> str:
    """A change of a metric with its sign: of a share in points of per cent.

    >>> metric_change("accuracy", -0.056), metric_change("log_loss", 0.0593), metric_change("f1", None)
    ('−5.6\\xa0points', '+0.0593', '–')
    >>> metric_change("accuracy", -1e-9), metric_change("accuracy", 1e-9, unit=False)
    ('>\\xa0−0.01\\xa0points', '<\\xa0+0.01')
    """
    if change is None or math.isnan(change):
        return "–"
    if metric_form(name) == "number":
        text = number(change)
    else:
        text = points(change) if unit else _difference(change)
    if change <= 0:
        return text
    return text.replace(f"<{SPACE}", f"<{SPACE}+") if text.startswith("<") else f"+{text}"


def points(share: float) -> str:
    """A difference of two shares.

    >>> points(0.1207), points(0.01), points(0.05), points(0.00001)
    ('12.1\\xa0points', '1\\xa0point', '5\\xa0points', '<\\xa00.01\\xa0points')
    """
    text = _difference(share)
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text}{SPACE}{'point' if text in ('1', f'{MINUS}1') else 'points'}"


def _difference(share: float) -> str:
    # Of a difference, nearly all is no limit.
    is_nearly_all = 0.9995 <= abs(share) < 1
    return f"{share * 100:.2f}".replace("-", MINUS) if is_nearly_all else bare_percent(share)


def score_title(score: str) -> str:
    """Name of a finding's score, with that of its metric or rule.

    >>> score_title("loss of roc_auc"), score_title("PSI"), score_title("rise of missing")
    ('loss of ROC AUC', 'PSI', 'rise of missing values')
    >>> score_title("rise of above_range")
    'rise of values above the range'
    """
    if score.startswith(_RISE):
        rule = score.removeprefix(_RISE)
        return f"{_RISE}{UNSOUND_VALUES.get(rule, rule)}"
    for change in _CHANGES:
        if score.startswith(change):
            return f"{change}{in_sentence(score.removeprefix(change))}"
    return score


def quality_title(subject: str) -> str:
    """Subject of a finding about the quality of data, with the name of its rule.

    >>> quality_title("amount: above_range"), quality_title("amount: sentinel"), quality_title("duplicates")
    ('amount: above the range', 'amount: sentinel', 'duplicates')
    """
    feature, colon, rule = subject.rpartition(": ")
    return f"{feature}{colon}{RULE_NAMES.get(rule, rule)}" if colon else subject


def score_form(score: str) -> ScoreForm:
    """Format of the values of a finding's score, by its name.

    >>> score_form("loss of accuracy"), score_form("loss of mae"), score_form("share of the rows"), score_form("PSI")
    ('points', 'number', 'percent', 'number')
    """
    for change in _CHANGES:
        if score.startswith(change):
            return "points" if metric_form(score.removeprefix(change)) == "percent" else "number"
    return "points" if score.startswith(_RISE) else "percent" if score.startswith(_SHARES) else "number"


def score_value(score: str, value: float) -> str:
    """Value of a finding's score.

    >>> score_value("loss of f1", 0.1207), score_value("share of the rows", 0.5), score_value("PSI", 0.3)
    ('12.1\\xa0points', '50.0\\xa0%', '0.300')
    """
    return psi_text(value) if score == "PSI" else score_limit(score, value)


def score_limit(score: str, value: float) -> str:
    """Threshold of a finding's score.

    >>> score_limit("PSI", 0.25), score_limit("loss of f1", 0.05)
    ('0.25', '5\\xa0points')
    """
    match score_form(score):
        case "points":
            return points(value)
        case "percent":
            return percent(value)
        case "number":
            return number(value)


def chance(value: float | None) -> str:
    """A probability, such as a p-value; a dash where it is not known.

    >>> chance(0.0213), chance(1.84e-5), chance(0.0), chance(None)
    ('0.021', '1.8\\xa0×\\xa010⁻⁵', '<\\xa010⁻¹²', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"<{SPACE}10⁻¹²" if value < LEAST_P else number(value, P_DIGITS)


def chance_limit(alpha: float) -> str:
    """The limit of a p-value, which is exact however small it is.

    >>> chance_limit(4.2e-6), chance_limit(3e-14)
    ('4.2\\xa0×\\xa010⁻⁶', '3\\xa0×\\xa010⁻¹⁴')
    """
    return number(alpha, P_DIGITS)


def p_text(value: float) -> str:
    """A p-value as it stands in a sentence.

    >>> p_text(0.0213), p_text(1e-102)
    ('p\\xa0=\\xa00.021', 'p\\xa0<\\xa010⁻¹²')
    """
    text = chance(value)
    return f"p{SPACE}{text}" if text.startswith("<") else f"p{SPACE}={SPACE}{text}"


def p_needed(p_value: float, alpha: float) -> str:
    """A p-value beside the limit that it is above, with common spaces, and with so many digits that it is seen to be.

    >>> p_needed(0.0213, 4.2e-6), p_needed(0.0213, 0.0209)
    ('p = 0.021 (needs 4.2 × 10⁻⁶)', 'p = 0.0213 (needs 0.0209)')
    >>> p_needed(0.02, 0.02)
    'p = 0.02 (needs less than 0.02)'
    """
    if p_value < LEAST_P <= alpha:
        return plain(f"{p_text(p_value)} (needs {chance_limit(alpha)})")
    tries = ((number(p_value, digits), _limit(alpha, digits)) for digits in range(P_DIGITS, MOST_DIGITS))
    p, needed = next((pair for pair in tries if pair[0] != pair[1]), (chance(p_value), chance_limit(alpha)))
    return plain(f"p = {p} (needs {'less than ' * (p == needed)}{needed})")


@lru_cache(maxsize=256)
def _limit(alpha: float, digits: int) -> str:
    """One limit stands beside all p-values of an evaluation."""
    return number(alpha, digits)


def plain(text: str) -> str:
    """The text with common spaces, for what is sent and kept.

    >>> plain(metric_value("accuracy", 0.842193))
    '84.2 %'
    """
    return text.replace(SPACE, " ")
