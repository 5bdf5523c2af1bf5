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
from modelwatch.monitoring.checks.windows import Window
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
    shortest = shortest_of(evidence.windows)
    if shortest >= REACH:
        return inputs
    evaluation = evaluate_drift(inputs)
    detected = [each for each in evaluation.subjects if is_recent(each, evaluation.alpha)]
    if not detected:
        return inputs
    versions = sorted({name for sums in evidence.sums for name in sums})
    streams = [StreamKey(query.model, version, query.environment) for version in versions]
    binnings = {each.subject: each.reference.profile.binning for each in detected}
    timeline, counted = subjects_together(connection, streams, evidence.generation, (mark - REACH, mark), binnings)
    found = []
    for each in detected:
        since = since_of(each, counted[each.subject].counts, timeline.starts, mark - shortest)
        if since is not None:
            found.append(replace(since, known=since.known or timeline.is_whole))
    evidence = replace(evidence, since=tuple(found))
    return Inputs(evidence, inputs.references, {None: with_onsets(evaluation, evidence)})


def since_of(result: SubjectResult, counts: Counts, starts: Sequence[int], latest: int) -> Since | None:
    """What is known since the onset of a shift that was detected in a subject; None where no stretch holds enough.

    counts, starts: of the windows of the last day that hold something, oldest first; shape (windows, size of the
    binning), and in seconds. latest: when the time since the onset begins at the latest. It is known when the shift
    began where it did not begin with the first of these windows.
    """
    reference, subject = result.reference.profile, result.subject
    onset = shift_onset(reference, _ending_together(counts[:, : reference.binning.n_fine], starts, latest))
    if onset is None:
        return None
    earliest, start, last = (starts[place] for place in (onset.earliest, onset.place, onset.latest))
    # Older data may have shown it already.
    known = onset.place > 0
    return Since(subject.kind, subject.name, start, earliest, last, known, counts[onset.place :].sum(axis=0))


def _ending_together(counts: Counts, starts: Sequence[int], latest: int) -> Counts:
    """The counts of windows, shape (windows, cells), with those that start after `latest` added to the last before."""
    last = max(bisect_right(starts, latest) - 1, 0)
    return np.concatenate((counts[:last], counts[last:].sum(axis=0, keepdims=True)))


def shortest_of(windows: Sequence[Window]) -> int:
    """The seconds of the shortest of these windows; without one, as long as an onset is looked for."""
    return min((window.end - window.start for window in windows), default=REACH)


def is_recent(result: SubjectResult, alpha: float) -> bool:
    """True when a look-back that an onset is looked for in detects a shift."""
    return any(each.window.end - each.window.start <= REACH for each in result.detecting(alpha))
