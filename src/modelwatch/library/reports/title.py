"""What a comparison found, in one line: its drift, and what else is worse."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.library.drift import SubjectComparison
from modelwatch.library.performance import PerformanceComparison
from modelwatch.library.quality import UnsoundValues
from modelwatch.library.segments import SegmentsComparison
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES


def drift_title(subjects: Sequence[SubjectComparison]) -> str:
    """How many columns have drifted, of those that could be judged: a column without a verdict is not one without
    drift."""
    drifted = sum(each.severity in DRIFTED for each in subjects)
    judged = sum(each.severity in KNOWN_STATES for each in subjects)
    columns = "1 column" if len(subjects) == 1 else f"{len(subjects):,} columns"
    if drifted:
        return f"{drifted:,} of {columns} drifted"
    if not subjects:
        return "No column could be compared"
    if not judged:
        return f"No verdict on {columns}"
    if judged < len(subjects):
        return f"No drift in {judged:,} of {columns}, no verdict on {others(len(subjects) - judged)}"
    return f"No drift in {columns}"


def others(some: int) -> str:
    """So many that are left, after those that were named.

    >>> others(1), others(2)
    ('the other', 'the others')
    """
    return "the other" if some == 1 else "the others"


def other_findings(
    quality: Sequence[UnsoundValues], performance: PerformanceComparison | None, segments: SegmentsComparison | None
) -> list[str]:
    """What else was found, as short clauses; empty without anything."""
    found = []
    if quality:
        found.append("data quality is worse")
    if performance is not None and any(each.severity in DRIFTED for each in performance.metrics):
        found.append("performance is worse")
    if performance is not None and performance.label_drift is not None and performance.label_drift.severity in DRIFTED:
        found.append("the labels have shifted")
    if (
        performance is not None
        and performance.label_coverage is not None
        and performance.label_coverage.severity in DRIFTED
    ):
        found.append("labels are missing")
    if segments is not None and segments.severity in DRIFTED:
        found.append("segments have shifted")
    return found
