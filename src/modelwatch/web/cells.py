"""Cells of a verdict in which a subject moved, as bars."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.views import MemberReport
from modelwatch.monitoring.checks.drift.observations import KINDS
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport
from modelwatch.storage.verdicts.verdicts import DRIFT, verdict_by_id
from modelwatch.web.rendering import name, percent

# One verdict a version; of more versions the page shows no cells.
MOST_VERDICTS = 10
FULL_WIDTH = 100.0

_decode = msgspec.json.Decoder(DriftReport).decode


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell with its shares in the reference and now, and the lengths of their bars, of 100."""

    label: str
    reference: str
    current: str
    reference_width: float
    current_width: float


Cells = dict[tuple[str, str, str], tuple[Cell, ...]]


def cells_of(connection: Connection, members: Iterable[MemberReport]) -> Cells:
    """Cells that moved most, by verdict, kind of alert and subject; none for verdicts that can't be read."""
    ids = list(dict.fromkeys(member.verdict_id for member in members))[:MOST_VERDICTS]
    found: Cells = {}
    for verdict_id in ids:
        verdict = verdict_by_id(connection, verdict_id)
        if verdict is None or verdict.check != DRIFT:
            continue
        try:
            report = _decode(verdict.result)
        except msgspec.DecodeError:  # another release wrote it
            continue
        for subject in report.drift_results:
            if subject.kind in KINDS:
                found[verdict_id, KINDS[subject.kind], subject.feature_name] = _bars(subject)
    return found


def _bars(subject: SubjectReport) -> tuple[Cell, ...]:
    longest = max((max(cell.reference, cell.current) for cell in subject.top_cells), default=0.0)
    scale = FULL_WIDTH / longest if longest > 0 else 0.0
    return tuple(
        Cell(
            label=name(cell.cell),
            reference=percent(cell.reference),
            current=percent(cell.current),
            reference_width=round(cell.reference * scale, 2),
            current_width=round(cell.current * scale, 2),
        )
        for cell in subject.top_cells
    )
