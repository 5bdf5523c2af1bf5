"""Counts of a window of predictions and their labels, all or those known by some moment, and the metrics they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from modelwatch.monitoring.checks.performance.judge import LabelledWindow, metrics_of
from modelwatch.monitoring.checks.performance.labels.interpretation import UNNAMED, contradiction, without_common_class
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals, immaturity
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import decode_sparse
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoreByPredictedClassCounts
from modelwatch.stats.performance import Estimate, performance, worsening_metrics

if TYPE_CHECKING:
    from modelwatch.storage.references.layouts import Counts


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts of one window. outcomes, calls: counts as sparse bytes, empty without any.

    matured: whether it is one whose labels should have come; age: seconds from its end to the moment of the report.
    """

    window: Window
    matured: bool
    age: int
    predictions: int
    outcomes: bytes
    calls: bytes


def counts_of(raw: bytes) -> Counts | None:
    """The counts of a window; None without any."""
    return decode_sparse(raw) if raw else None


def window_of(
    found: WindowCounts, layout: OutcomeLayout, arrivals: LabelArrivals, reference: OutcomeCounts | None = None
) -> LabelledWindow:
    """The window with its metrics; those of scores only where the scores mean what the layout says, and those of
    classes only where predictions and labels have any in common. reference: what it is compared with."""
    counts, known = measured(layout, found.outcomes)
    metrics = dict(known)
    wrong = wrong_scores(layout, counts_of(found.calls))
    apart = without_common_class(counts, reference)
    if apart is not None:
        metrics = {name: Estimate(None, reason=apart) for name in metrics}
    elif unnamed_of(layout, found) and (counts.class_scores or counts.scores) is not None:
        for scored in (counts.scores, counts.class_scores):
            if scored is not None and not scored.n and counts.n:
                metrics |= {name: Estimate(None, reason=UNNAMED) for name in performance(scored)}
    if wrong is not None and counts.scores is not None:
        refused = {name: Estimate(None, reason=wrong) for name in (*worsening_metrics(counts.scores), "ece")}
        metrics |= {name: estimate for name, estimate in refused.items() if name in metrics}
    return LabelledWindow(counts, metrics, immaturity(arrivals, found.age, found.predictions, counts.n))


def unnamed_of(layout: OutcomeLayout, found: WindowCounts) -> int:
    """Number of predictions of a window whose probabilities by class don't name the predicted class."""
    calls = counts_of(found.calls)
    return (
        0
        if calls is None or layout.task not in ("binary", "multiclass")
        else ScoreByPredictedClassCounts(ScoreByPredictedClass(layout), calls).nameless
    )


@lru_cache(maxsize=64)
def measured(layout: OutcomeLayout, outcomes: bytes) -> tuple[OutcomeCounts, Mapping[str, Estimate]]:
    """The counts of a window, from their sparse bytes, and its metrics.

    Several windows, and those of the next evaluation, hold the same rows.
    """
    vector = counts_of(outcomes)
    counts = OutcomeCounts.empty(layout) if vector is None else OutcomeCounts(layout, vector)
    return counts, metrics_of(counts)


def wrong_scores(layout: OutcomeLayout, calls: Counts | None) -> str | None:
    """Why the scores of a window are not to be used; None when they are fine."""
    if calls is None or layout.task != "binary":
        return None
    return contradiction(ScoreByPredictedClassCounts(ScoreByPredictedClass(layout), calls))
