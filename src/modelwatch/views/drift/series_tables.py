"""Series as tables: one row a step, for downloads and spreadsheets. Numbers are as they are, unrounded."""

from __future__ import annotations

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.views.drift.drift_series import DriftSeries
from modelwatch.views.drift.subject_series import SubjectSeries

_OF_STEP = (
    "start",
    "end",
    "predictions",
    "n",
    "severity",
    "psi",
    "p_value",
    "psi_warning",
    "psi_alert",
    "missing",
    "invalid",
    "unseen",
    "below_range",
    "above_range",
)


def subject_csv(series: SubjectSeries) -> str:
    """A row for each step: its numbers, quantiles, and the counts of its cells."""
    quantiles = [f"q{share:g}" for share in series.quantile_shares]
    cells = [] if series.reference is None else [f"count {cell}" for cell in series.reference.cells]
    rows: list[list[Cell]] = []
    for step in series.steps:
        row: list[Cell] = [getattr(step, name) for name in _OF_STEP]
        rows.append([*row, *step.quantiles, *step.counts])
    return csv_text([*_OF_STEP, *quantiles, *cells], rows)


def drift_csv(series: DriftSeries) -> str:
    """A row for each step: its predictions, and the PSI and the severity of each subject."""
    columns = ["start", "end", "predictions"]
    for line in series.subjects:
        name = line.feature_name if line.kind == "feature" else f"({line.kind})"
        columns += [f"psi {name}", f"severity {name}"]
    rows: list[list[Cell]] = []
    for place, step in enumerate(series.steps):
        row: list[Cell] = [step.start, step.end, step.predictions]
        for line in series.subjects:
            row += [line.psi[place], line.severity[place]]
        rows.append(row)
    return csv_text(columns, rows)
