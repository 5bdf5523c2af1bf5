"""Cells of the verdicts that an alert rests on: the shares of all of them, in order, in the reference and now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.views.alerts import MemberReport
from modelwatch.charts.rows import Category
from modelwatch.errors import DamagedData
from modelwatch.monitoring.checks.drift.observations import KINDS
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport, WindowReport
from modelwatch.storage.verdicts.verdicts import DRIFT, report_of, verdict_by_id
from modelwatch.web.frame.rendering import name

# One verdict a version; of more versions the page shows no cells.
MOST_VERDICTS = 10

_decode = msgspec.json.Decoder(DriftReport).decode


@dataclass(frozen=True, slots=True)
class CellShares:
    """Shares of all cells of a subject, in their order, in the window that decides the verdict: [start, end). named:
    the category whose odds decided, else the cell that adds most to the PSI."""

    rows: tuple[Category, ...]
    window_start: str
    window_end: str
    named: tuple[str, ...] = ()


Cells = dict[tuple[str, str, str], CellShares]


def cells_of(connection: Connection, members: Iterable[MemberReport]) -> Cells:
    """Cells by verdict, kind of alert and subject; none for verdicts that can't be read."""
    ids = list(dict.fromkeys(member.verdict_id for member in members))[:MOST_VERDICTS]
    found: Cells = {}
    for verdict_id in ids:
        try:
            verdict = verdict_by_id(connection, verdict_id)
            if verdict is None or verdict.check != DRIFT:
                continue
            report = report_of(verdict, _decode)
        except DamagedData:  # another release wrote it, or it is damaged
            continue
        for subject in report.drift_results:
            if subject.kind in KINDS and subject.counts is not None and subject.window is not None:
                found[verdict_id, KINDS[subject.kind], subject.feature_name] = _shares(subject, subject.window)
    return found


def _cell_name(subject: SubjectReport, cell: str) -> str:
    is_first_range = subject.feature_type != "categorical" and cell.startswith("<= ")
    return name(f"≤ {cell.removeprefix('<= ')}" if is_first_range else cell)


def _shares(subject: SubjectReport, window: WindowReport) -> CellShares:
    counts = subject.counts
    assert counts is not None, "a subject that was compared has counts"
    before, now = max(sum(counts.reference), 1), max(sum(counts.current), 1)
    rows = [
        Category(_cell_name(subject, cell), reference / before, current / now)
        for cell, reference, current in zip(counts.cells, counts.reference, counts.current, strict=True)
        # Of categories, those that were never sent: the cell for what is new.
        if reference or current
    ]
    by_odds = subject.odds is not None and subject.odds.decides
    most = (
        [subject.odds.category] if subject.odds is not None and by_odds else [each.cell for each in subject.top_cells]
    )
    named = tuple(_cell_name(subject, cell) for cell in most[:1])
    return CellShares(tuple(rows), window.start, window.end, named)
