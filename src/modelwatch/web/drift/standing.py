"""Standing of what drifts up to the newest data, beside the last evaluation: not evaluated yet, or no finding yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import DRIFT, newest_verdict
from modelwatch.views.models.unwatched import newest_drift
from modelwatch.views.newest_verdicts import KINDS, OpenFinding
from modelwatch.web.drift.rows import FOUND, DriftRow
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import near
from modelwatch.web.frame.verdict import joined


@dataclass(frozen=True, slots=True)
class EvaluatedDrift:
    """The newest verdict: its end in seconds, and the kinds and names of the subjects that it found."""

    until: int
    found: frozenset[tuple[str, str]]


def evaluated_drift(connection: Connection, stream: StreamKey) -> EvaluatedDrift | None:
    """The newest verdict on the drift of a stream; None before the first."""
    newest = newest_verdict(connection, stream, DRIFT)
    if newest is None:
        return None
    subjects = newest_drift(connection, stream) or ()
    found = frozenset((each.kind, each.feature_name) for each in subjects if each.severity in FOUND)
    return EvaluatedDrift(newest.window_end, found)


def standing_words(
    of_model: ModelFrame, moved: Sequence[DriftRow], findings: Sequence[OpenFinding], evaluated: EvaluatedDrift | None
) -> str:
    """Clause on why what drifts is no finding, or why nothing does although the last evaluation found it; empty
    where neither is so."""
    known = {(each.kind, each.finding.subject) for each in findings}
    rows = [(row.report.kind, row.name) for row in moved]
    without_finding = {(kind, name) for kind, name in rows if (KINDS[kind], name) not in known}
    if evaluated is None:
        return "not evaluated yet" if without_finding else ""
    if evaluated.until < of_model.end and (without_finding - evaluated.found or (evaluated.found and not moved)):
        return joined(["what came after ", near(of_model.when(evaluated.until)), " is not evaluated yet"], "")
    without = of_model.without_alert
    return without.why if without_finding and without is not None else ""
