"""Rows of the page on drift: each subject with its course and what is said of it now, and their orders."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from modelwatch.charts.drawing.marks import State
from modelwatch.charts.small import histogram_pair, level_bar
from modelwatch.measures import psi_text
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport
from modelwatch.views.drift.series import DriftLine, DriftSeries
from modelwatch.views.newest_verdicts import KINDS, OpenFinding
from modelwatch.web.drift.subject_lanes import STATES
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import When, drawn, when

# A PSI so large fills its bar.
LARGEST_PSI = 1.0
FOUND: tuple[State, ...] = ("alert", "warning")
RANKS: dict[State, int] = {
    "alert": 0,
    "warning": 1,
    "unknown": 2,
    "no_data": 2,
    "catching_up": 2,
    "shifted": 3,
    "stable": 4,
}
SORTS: dict[str, tuple[str, Callable[[DriftRow], Any]]] = {
    "name": ("Feature", lambda row: row.name),
    "psi": ("PSI", lambda row: (math.isnan(row.psi), -row.psi, row.name)),
    "since": ("Since", lambda row: (row.began is None, row.began.iso if row.began else "", row.name)),
    "importance": ("Importance", lambda row: (-(row.importance or 0.0), row.name)),
    "p": ("p", lambda row: (row.p_value is None, row.p_value, row.name)),
}


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One subject: its course and what is said of it now. began: since when it has a finding; importance: its share."""

    report: SubjectReport
    line: DriftLine | None
    state: State
    began: When | None
    importance: float | None
    address: str

    @property
    def name(self) -> str:
        """Name of the subject."""
        return self.report.feature_name

    @property
    def psi(self) -> float:
        """PSI now; NaN where it is not known."""
        return math.nan if self.report.psi is None else self.report.psi.score

    @property
    def psi_text(self) -> str:
        """PSI now as text: what is far below any threshold has no digits that count."""
        return psi_text(self.psi)

    @property
    def p_value(self) -> float | None:
        """Probability of chance."""
        return None if self.report.evidence is None else self.report.evidence.p_value

    @property
    def bar(self) -> Markup:
        """PSI as a bar with its thresholds."""
        tolerance = self.report.tolerance
        levels = [] if tolerance is None else [tolerance.psi_warning, tolerance.psi_alert]
        style = f"f-{self.state}" if self.state in FOUND else "f-reference"
        return drawn(level_bar(f"PSI of {self.name}", self.psi, levels, highest=LARGEST_PSI, style=style))

    @property
    def pair(self) -> Markup:
        """The reference and now as small histograms."""
        counts = self.report.counts
        if counts is None or not any(counts.current) or not any(counts.reference):
            return Markup("")
        sides = [np.array(side) / sum(side) for side in (counts.reference, counts.current)]
        return drawn(histogram_pair(f"{self.name}, reference and now", *sides, moved=self.state in FOUND))

    @property
    def why_not(self) -> str:
        """Reason why it is not judged; empty where it is."""
        return (self.report.reason or "") if RANKS[self.state] == RANKS["unknown"] else ""


def drift_rows(
    of_model: ModelFrame,
    report: DriftReport,
    series: DriftSeries,
    findings: Sequence[OpenFinding],
    importance: Mapping[str, float],
) -> list[DriftRow]:
    """All subjects: what drifts first, then what is not judged, then the others; the largest PSI first."""
    lines = {(each.kind, each.feature_name): each for each in series.subjects}
    found = {(each.kind, each.finding.subject): each.finding for each in findings}
    total = sum(importance.values())
    rows = []
    for subject in report.drift_results:
        line = lines.get((subject.kind, subject.feature_name))
        finding = found.get((KINDS[subject.kind], subject.feature_name))
        state = STATES.get(subject.severity, "unknown") if finding is None else finding.severity
        since = line.began if line is not None and state in FOUND else None
        if finding is not None:
            since = finding.began or finding.since
        weight = importance.get(subject.feature_name) if subject.kind == "feature" else None
        rows.append(
            DriftRow(
                subject,
                line,
                state,
                None if since is None else when(since, of_model.now),
                weight / total if weight is not None and total else None,
                of_model.subject_address(subject.kind, subject.feature_name),
            )
        )
    by_psi = SORTS["psi"][1]
    return sorted(rows, key=lambda row: (RANKS[row.state], by_psi(row)))
