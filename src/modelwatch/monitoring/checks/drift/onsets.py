"""Onsets of drift."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.onsets import Onsets, span_before, subjects_by_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.subjects import Subject


def drift_onsets(
    connection: Connection, stream: StreamKey, inputs: Inputs, found: Sequence[Condition], end: int
) -> Onsets:
    """Onset of each of these findings, in seconds; without those where it is unknown."""
    evidence = inputs.evidence
    subjects = {subject.kind: subject for subject in inputs.chosen if subject.kind != "feature"}
    wanted = {
        (each.kind, each.name): subjects.get(each.kind, Subject("feature", each.name))  # type: ignore[call-overload]
        for each in found
    }
    span = span_before(end, min((window.start for window in evidence.windows), default=end))
    timeline, counted = subjects_by_window(connection, stream, evidence.generation, span, wanted.values())
    known: dict[tuple[str, str], int] = {}
    for key, subject in wanted.items():
        reference = inputs.chosen.get(subject)
        windows = counted.get(subject)
        if reference is None or windows is None or windows.binning.id != reference.profile.binning.id:
            continue
        began = timeline.began(reference.profile.coarse, windows.coarse)
        if began is not None:
            known[key] = began
    return known
