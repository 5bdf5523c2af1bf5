"""Onsets of findings: estimates from the stored windows. Verdicts do not depend on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import Connection

from modelwatch.monitoring.checks.conditions import Began
from modelwatch.stats.counting.binning import Binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.onset import onset
from modelwatch.storage.counts.profiles import counts_by_window
from modelwatch.storage.counts.streams import last_window_end
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.layouts import Counts, read_layouts
from modelwatch.storage.references.subjects import Subject

# What was found in the longest look-back may have begun before it.
TIMES_AS_LONG = 2

Onsets = Mapping[tuple[str, str], int | Began]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stored windows of a span: their starts in seconds, oldest first. is_whole: whether there is nothing older."""

    starts: list[int]
    is_whole: bool

    def began(self, reference: ArrayLike, windows: ArrayLike) -> int | None:
        """Time, in seconds, at which the counts of the windows, shape (windows, cells), left those of the reference.

        None where nothing tells, and where it was so from the first window on although there are older ones.
        """
        place = onset(reference, windows) if self.starts else None
        if place is None or (place == 0 and not self.is_whole):
            return None
        return self.starts[place]


def timeline_of(connection: Connection, stream: StreamKey, starts: list[int]) -> Timeline:
    """The timeline of windows with these starts, in seconds, oldest first."""
    model, version, environment = stream
    older = last_window_end(connection, model, environment, version, before=starts[0]) if starts else None
    return Timeline(starts, older is None)


@dataclass(frozen=True, slots=True)
class SubjectWindows:
    """Counts of a subject in windows, oldest first: shape (windows, binning.size)."""

    binning: Binning
    counts: Counts

    @property
    def coarse(self) -> Counts:
        """Counts of the coarse cells, shape (windows, binning.n_coarse)."""
        fine = self.counts[:, : self.binning.n_fine]
        sums: Counts = np.add.reduceat(fine, self.binning.coarse_starts, axis=1)
        return sums

    @property
    def profiles(self) -> list[Profile]:
        """Profile of each window."""
        return [Profile(self.binning, row) for row in self.counts]


def subjects_by_window(
    connection: Connection, stream: StreamKey, generation: int, span: tuple[int, int], subjects: Iterable[Subject]
) -> tuple[Timeline, dict[Subject, SubjectWindows]]:
    """The stored windows of a span [start, end) in seconds, and each subject's counts in all of them; subjects that the
    stream does not count are left out. Raises MalformedProfile when counts can't be read."""
    layout = read_layouts(connection, stream.model, generation).of(stream.version)
    counted = [subject for subject in dict.fromkeys(subjects) if subject in layout.binnings]
    if not counted:
        return Timeline([], True), {}
    places = [layout.slices[subject] for subject in counted]
    cells = np.concatenate([np.arange(place.start, place.stop) for place in places])
    starts, counts = counts_by_window(connection, stream, generation, span, cells)
    ends = np.cumsum([place.stop - place.start for place in places])[:-1]
    parts = np.split(counts, ends, axis=1)
    return timeline_of(connection, stream, starts), {
        subject: SubjectWindows(layout.binnings[subject], part) for subject, part in zip(counted, parts, strict=True)
    }


def subjects_together(
    connection: Connection,
    streams: Iterable[StreamKey],
    generation: int,
    span: tuple[int, int],
    binnings: Mapping[Subject, Binning],
) -> tuple[Timeline, dict[Subject, SubjectWindows]]:
    """As `subjects_by_window`, of several streams together: the counts of each subject in all windows of any of them,
    without those of streams that count it in other cells than these."""
    parts = [subjects_by_window(connection, stream, generation, span, binnings) for stream in streams]
    starts = sorted({start for timeline, _ in parts for start in timeline.starts})
    found = {}
    for subject, binning in binnings.items():
        counts = np.zeros((len(starts), binning.size), dtype=np.int64)
        for timeline, counted in parts:
            windows = counted.get(subject)
            if windows is not None and windows.binning.id == binning.id:
                counts[np.searchsorted(starts, timeline.starts)] += windows.counts
        found[subject] = SubjectWindows(binning, counts)
    return Timeline(starts, all(timeline.is_whole for timeline, _ in parts)), found


def span_before(end: int, start: int) -> tuple[int, int]:
    """The span in which an onset is looked for, where the longest look-back is [start, end) in seconds."""
    return end - TIMES_AS_LONG * (end - start), end
