"""Performance over time as a table, for downloads and spreadsheets. Numbers are as they are, unrounded."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.monitoring.checks.performance.history import PerformanceHistory

_OF_WINDOW = ("start", "end", "predictions", "labelled", "coverage", "immature")


def performance_csv(histories: Sequence[PerformanceHistory]) -> str:
    """A row for each step of each stream: its labels, why it is not final, and each metric with its interval."""
    windows = [each for history in histories for each in history.windows]
    metrics = list(dict.fromkeys(name for window in windows for name in window.metrics))
    rows: list[list[Cell]] = []
    for history in histories:
        for window in history.windows:
            row: list[Cell] = [history.model_version, history.environment]
            row += [getattr(window, name) for name in _OF_WINDOW]
            for name in metrics:
                found = window.metrics.get(name)
                row += [None] * 3 if found is None else [found.value, found.low, found.high]
            rows.append(row)
    of_metrics = [column for name in metrics for column in (name, f"{name} low", f"{name} high")]
    return csv_text(["model_version", "environment", *_OF_WINDOW, *of_metrics], rows)
