"""Onsets of a rise in the share of values with an issue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection

from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.onsets import Onsets, span_before, subjects_by_window
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.stats.quality.rates import unsound_counts
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.subjects import Subject

# A feature that is not there any more is missing everywhere.
COUNTED_AS = {"disappeared": "missing"}


def quality_onsets(
    connection: Connection, stream: StreamKey, evidence: QualityEvidence, found: Sequence[Condition], end: int
) -> Onsets:
    """Onset of each of these findings, in seconds; without those that are not a rate of a feature's values."""
    wanted: dict[tuple[str, str], tuple[Subject, str]] = {}
    for each in found:
        feature, _, what = each.name.rpartition(": ")
        rule = COUNTED_AS.get(what, what)
        if rule in evidence.reference.get(feature, {}):
            wanted[each.kind, each.name] = Subject("feature", feature), rule
    span = span_before(end, min((window.start for window in evidence.windows), default=end))
    subjects = [subject for subject, _ in wanted.values()]
    timeline, known_windows = subjects_by_window(connection, stream, evidence.generation, span, subjects)
    known: dict[tuple[str, str], int] = {}
    for key, (subject, rule) in wanted.items():
        windows_of = known_windows.get(subject)
        counted = [] if windows_of is None else [unsound_counts(profile) for profile in windows_of.profiles]
        if not counted or rule not in counted[0]:
            continue
        # Each as what breaks the rule and what keeps it.
        pairs = [evidence.reference[subject.name][rule], *(counts[rule] for counts in counted)]
        reference, *windows = [(hits, n - hits) for hits, n in pairs]
        began = timeline.began(reference, np.array(windows))
        if began is not None:
            known[key] = began
    return known
