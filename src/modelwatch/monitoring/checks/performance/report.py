"""Performance report, as it goes over the wire and as it is kept with a verdict."""

from __future__ import annotations

from datetime import datetime

import msgspec

from modelwatch.monitoring.checks.not_judged import NotJudged, by_reason
from modelwatch.monitoring.checks.performance.judge import Severity
from modelwatch.monitoring.checks.performance.labels.shift import LABELS
from modelwatch.monitoring.checks.rules import AlphaReport


class MetricReport(msgspec.Struct, frozen=True):
    """A metric of a window: its value with a 95 % interval, and how it compares.

    value: null where it is undefined, and `reason` says why; 0 is a value. n: the rows that it rests on. bound: how far
    the exact value may be away, because scores are known by cell. reference, change, loss, threshold, p_value, alpha:
    of the comparison with the labelled reference; of macro means, loss leaves out what few rows of a class do to an
    unchanged model. by_limit: an absolute limit is crossed. threshold: the one that decided the severity;
    warning_threshold, alert_threshold: both. odds_ratio: of label drift, the factor by which the odds of the most
    shifted class have changed; by_odds: that is the loss; odds_class: that class, absent where another loss decided.
    natural: by how much the metric varies in the reference itself, as a standard deviation (of label drift, of the
    logarithm of the odds of that class, or of the mean target); it counts in the p-value. Only watched metrics have a
    severity.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    bound: float
    severity: Severity | None = None
    reference: float | None = None
    change: float | None = None
    loss: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    alpha: float | None = None
    by_limit: bool = False
    reason: str | None = None
    odds_ratio: float | None = None
    by_odds: bool = False
    natural: float | None = None
    warning_threshold: float | None = None
    alert_threshold: float | None = None
    odds_class: str | msgspec.UnsetType = msgspec.UNSET


class ConfusionReport(msgspec.Struct, frozen=True):
    """matrix: rows are the labels, columns the predictions, in the order of `classes`; the last is any other class."""

    classes: list[str]
    matrix: list[list[int]]


class ClassReport(msgspec.Struct, frozen=True):
    """One class against the rest."""

    name: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None


class CalibrationReport(msgspec.Struct, frozen=True):
    """One bin of the score: its mean score and the share of positives observed there, with a 95 % interval."""

    low: float
    high: float
    n: int
    score: float | None
    observed: float | None
    observed_low: float | None
    observed_high: float | None


class EstimatedValue(msgspec.Struct, frozen=True):
    """Expected value of a metric before the labels arrive, with the 95 % interval of the realised value."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


class EstimateReport(msgspec.Struct, frozen=True):
    """Performance without labels; `refused` says why there is none."""

    assumption: str
    predictions: int
    metrics: dict[str, EstimatedValue]
    refused: str | None = None


class LabelledWindowReport(msgspec.Struct, frozen=True):
    """One window. matured: true for the window of its look-back that is judged; its labels should have come.

    coverage: labelled over predictions. expected_share: the share of the labels of its newest part that should have
    come. immature: why it is not judged, else null. label_drift: drift of the labels; `loss` is the PSI of its classes,
    the odds ratio of one of them, or the shift of the mean target in standard deviations of the reference, then with
    both means. label_coverage: whether the usual labels come; `loss` is the part of them that is missing. severity: the
    worst of a matured window; null for the others, which are not judged. unknown_labels: labels of classes that were
    never predicted and are not in the reference. unnamed_probabilities: predictions whose probabilities by class don't
    name the predicted class.
    """

    lookback: str | None
    start: str
    end: str
    matured: bool
    predictions: int
    labelled: int
    coverage: float | None
    expected_share: float
    immature: str | None
    severity: Severity | None
    metrics: dict[str, MetricReport]
    label_drift: MetricReport | None = None
    label_coverage: MetricReport | None = None
    confusion: ConfusionReport | None = None
    per_class: list[ClassReport] | None = None
    calibration: list[CalibrationReport] | None = None
    estimate: EstimateReport | None = None
    unknown_labels: int = 0
    unnamed_probabilities: int = 0


class EarlyReport(msgspec.Struct, frozen=True):
    """A window that is judged before most of its labels have arrived; its findings are marked early.

    window: with the judgement on each metric; one that is not worse is `immature`, never stable. labelled_share: the
    share of its usual labels that is in. decides: whether it decides the overall severity, rather than a matured
    window. reason: why nothing is judged early, else null. compared_early, compared_late: labels of older windows of
    the same length, within [compared_start, compared_end), that were in at that age, and that came later. p_value: the
    chance that the two differ as much where the delay does not depend on the label; null where that was not tested.
    """

    window: LabelledWindowReport
    labelled_share: float
    decides: bool
    reason: str | None
    compared_early: int
    compared_late: int
    compared_start: str | None
    compared_end: str | None
    p_value: float | None


class ArrivalsReport(msgspec.Struct, frozen=True):
    """Arrivals of labels: delays in seconds after the prediction; share of predictions that get one in the end.

    lag_seconds: lag of the judgements. waiting: labels without a prediction yet; orphaned: those given up. expired:
    labels for a day whose predictions had expired. unknown: why it is not known yet how late most labels are, so that
    all of these are of quick ones; else null.
    """

    labels: int
    median_seconds: float | None
    p90_seconds: float | None
    p99_seconds: float | None
    lag_seconds: int
    coverage: float | None
    waiting: int
    orphaned: int
    expired: int = 0
    unknown: str | None = None


class PerformanceReport(msgspec.Struct, frozen=True):
    """A model's performance by its labels.

    score_of: the class that a prediction_probability of one number is about. severity: the worst of the matured windows
    and of the early window. worst: the metrics that are not stable, by name. not_judged: the watched metrics that no
    matured window judges. task_reason, positive_class_reason: reasons for these, and settings to change if they are
    wrong. warnings: reasons to distrust the figures. early: the window whose labels are still arriving; left out where
    there is none.
    """

    model_name: str
    model_version: str
    environment: str
    task: str | None
    classes: list[str]
    positive_class: str | None
    score_of: str | None
    as_of: str
    severity: Severity
    worst: list[str]
    reference_id: str | None
    reference_labels: int
    reference_state: str | None
    alpha: float
    arrivals: ArrivalsReport
    windows: list[LabelledWindowReport]
    reason: str | None
    not_judged: list[NotJudged] = []
    task_reason: str | None = None
    positive_class_reason: str | None = None
    warnings: list[str] = []
    alpha_from: AlphaReport | None = None
    early: EarlyReport | msgspec.UnsetType = msgspec.UNSET


def unjudged_metrics(report: PerformanceReport) -> list[NotJudged]:
    """What no matured window judges, by state and by reason: that of the longest window."""
    matured = sorted((each for each in report.windows if each.matured), key=_seconds, reverse=True)
    reasons: dict[str, str | None] = {}
    for group in report.not_judged:
        for name in group.subjects:
            metrics = [each.label_drift if name == LABELS else each.metrics.get(name) for each in matured]
            own = (each.reason for each in metrics if each is not None and each.severity == group.state)
            reasons[name] = next(own, None)
        reasons |= dict.fromkeys(group.subjects[:1], group.reason)
    return by_reason(report.not_judged, reasons)


def _seconds(window: LabelledWindowReport) -> float:
    start, end = (datetime.fromisoformat(each) for each in (window.start, window.end))
    return (end - start).total_seconds()
