"""Label coverage: the share of predictions that get a label, compared with the best of the earlier weeks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwatch.monitoring.checks.performance.judge import Judgement, undecided
from modelwatch.monitoring.checks.performance.labels.maturity import Day, LabelArrivals
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.performance import Estimate
from modelwatch.times import SECONDS_PER_DAY

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.performance.evidence import PerformanceEvidence

COVERAGE = "label_coverage"
DAYS_A_WEEK = 7
# Which part of what is usual is missing: half of it is a warning, four fifths an alert.
COVERAGE_WARNING, COVERAGE_ALERT = 0.5, 0.8
# Usual is what the best quarter of the weeks had, so that a lack of two months does not become usual.
BEST_WEEKS = 0.25
# A day is nothing out of the ordinary when as many of those weeks' days are like it.
ORDINARY_DAYS = 0.05


@dataclass(frozen=True, slots=True)
class _Usual:
    predictions: int
    coverage: float
    days: tuple[float, ...]


def judge_coverage(evidence: PerformanceEvidence, found: WindowCounts, labelled: int, alpha: float) -> Judgement:
    """Judges whether a window has the labels that are usual at its age. labelled: number of its predictions with a
    label.

    The loss is the part of the usual labels that is missing; the reference is the share that is usual.
    """
    start, end, predictions = found.window.start, found.window.end, found.predictions
    now = labelled / predictions if predictions else None
    estimate = Estimate(now, n=predictions)
    if now is None:
        return undecided(COVERAGE, "no_data", estimate, alpha, "No predictions in this window.")
    days = [day for day in evidence.days if day[0] + SECONDS_PER_DAY <= start]
    usual = _usual(days, evidence.arrivals, evidence.as_of)
    share = evidence.arrivals.share_within(found.age)
    if usual is None or not usual.coverage or not share:
        return undecided(COVERAGE, "insufficient_data", estimate, alpha, "No earlier week has labels to compare with.")
    expected = min(1.0, usual.coverage) * share
    loss = 1.0 - now / expected
    had = round(usual.predictions * expected)
    p_value = rate_increase_p_value(usual.predictions - had, usual.predictions, predictions - labelled, predictions)
    ordinary = end - start <= SECONDS_PER_DAY and _is_ordinary(now / share, usual)
    lacking = loss >= COVERAGE_WARNING and p_value < alpha and not ordinary
    severe = lacking and loss >= COVERAGE_ALERT
    return Judgement(
        COVERAGE,
        "alert" if severe else "warning" if lacking else "stable",
        estimate,
        expected,
        now - expected,
        loss,
        COVERAGE_ALERT if severe else COVERAGE_WARNING,
        p_value,
        alpha,
        False,
        "Some days of the best weeks have as few labels." if ordinary and loss >= COVERAGE_WARNING else None,
        warning_threshold=COVERAGE_WARNING,
        alert_threshold=COVERAGE_ALERT,
    )


def _usual(days: Sequence[Day], arrivals: LabelArrivals, as_of: int) -> _Usual | None:
    """The best of the weeks before, each day with the labels that it will have."""
    newest = max((start for start, *_ in days), default=0)
    weeks: dict[int, list[tuple[int, float]]] = {}
    for start, predictions, labelled in days:
        share = arrivals.share_within(as_of - start - SECONDS_PER_DAY)
        if predictions and share:
            week = (newest - start) // (DAYS_A_WEEK * SECONDS_PER_DAY)
            weeks.setdefault(week, []).append((predictions, labelled / share))
    ranked = sorted(weeks.values(), key=_coverage, reverse=True)
    best = ranked[: max(1, math.ceil(BEST_WEEKS * len(ranked)))]
    if not best:
        return None
    together = [day for week in best for day in week]
    return _Usual(
        sum(predictions for predictions, _ in together),
        _coverage(together),
        tuple(labelled / predictions for predictions, labelled in together),
    )


def _coverage(days: Sequence[tuple[int, float]]) -> float:
    return sum(labelled for _, labelled in days) / sum(predictions for predictions, _ in days)


def _is_ordinary(coverage: float, usual: _Usual) -> bool:
    low = sum(day <= coverage for day in usual.days)
    return low > ORDINARY_DAYS * len(usual.days)
