"""What subjects have shown since the onset of a shift that was detected: how large it is, without the time before it.

The onset is estimated from the stored windows when evidence is gathered, and kept with it, together with the counts
since: verdicts are made of that alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection

from modelwatch.monitoring.checks.drift.evaluation import SubjectResult, evaluate_drift, with_onsets
from modelwatch.monitoring.checks.drift.evidence import Inputs, Since
from modelwatch.monitoring.checks.onsets import subjects_together
from modelwatch.stats.drift.onset import shift_onset
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.layouts import Counts
from modelwatch.times import SECONDS_PER_DAY

# Seconds before the newest data in which an onset is looked for: as long as the longest look-back by default.
REACH = SECONDS_PER_DAY


def with_onsets_of_shifts(connection: Connection, inputs: Inputs) -> Inputs:
    """The inputs with the onset of each detected shift, and the counts since. Raises MalformedProfile when counts can't
    be read.

    An onset is looked for in the last day, where a look-back of at most a day detects the shift. The time since then is
    never shorter than the shortest look-back: a monitor that looks back over weeks does not judge an odd hour. As they
    are where the rules know no directed tests, and where one window was asked for.
    """
    evidence, query = inputs.evidence, inputs.evidence.query
    mark = evidence.watermark
    if not evidence.rules.directed or mark is None or query.window or query.lookback:
        return inputs
    shortest = min((window.end - window.start for window in evidence.windows), default=REACH)
    if shortest >= REACH:
        return inputs
    evaluation = evaluate_drift(inputs)
    detected = [each for each in evaluation.subjects if _is_recent(each, evaluation.alpha)]
    if not detected:
        return inputs
    versions = sorted({name for sums in evidence.sums for name in sums})
    streams = [StreamKey(query.model, version, query.environment) for version in versions]
    binnings = {each.subject: each.reference.profile.binning for each in detected}
    timeline, counted = subjects_together(connection, streams, evidence.generation, (mark - REACH, mark), binnings)
    found = []
    for each in detected:
        reference, windows = each.reference, counted[each.subject]
        cells = windows.counts[:, : windows.binning.n_fine]
        onset = shift_onset(reference.profile, _ending_together(cells, timeline.starts, mark - shortest))
        if onset is not None:
            earliest, start, latest = (timeline.starts[place] for place in (onset.earliest, onset.place, onset.latest))
            counts = windows.counts[onset.place :].sum(axis=0)
            # Older data may have shown it already.
            known = onset.place > 0 or timeline.is_whole
            found.append(Since(each.subject.kind, each.subject.name, start, earliest, latest, known, counts))
    evidence = replace(evidence, since=tuple(found))
    return Inputs(evidence, inputs.references, {None: with_onsets(evaluation, evidence)})


def _ending_together(counts: Counts, starts: Sequence[int], latest: int) -> Counts:
    """The counts of windows, shape (windows, cells), with those that start after `latest` added to the last before."""
    last = max(bisect_right(starts, latest) - 1, 0)
    return np.concatenate((counts[:last], counts[last:].sum(axis=0, keepdims=True)))


def _is_recent(result: SubjectResult, alpha: float) -> bool:
    """True when a look-back that an onset is looked for in detects a shift."""
    return any(each.window.end - each.window.start <= REACH for each in result.detecting(alpha))
