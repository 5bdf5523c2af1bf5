"""Event time played back faster than it was lived."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from modelwatch.cli.replay.rows import Rows

SLICE_SECONDS = 0.5


def paced(
    stretches: Iterable[Rows], speed: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Rows]:
    """The same rows in smaller parts, each given when it is due: event time passes `speed` times as fast as the clock.

    Rows without a time, and those older than what was given before, are due at once.
    """
    began: float | None = None
    first = newest = 0
    for rows in stretches:
        times = _filled_forward(rows.times())
        steps = [(time - times[0]) // int(speed * SLICE_SECONDS * 1_000_000 + 1) if times else 0 for time in times]
        # A part ends where the next half second of playback begins.
        borders = [0, *(i for i, (a, b) in enumerate(itertools.pairwise(steps), start=1) if b > a), len(rows)]
        for start, end in itertools.pairwise(borders):
            if end == start:
                continue
            time = max(times[start], newest)
            if began is None:
                began, first = clock(), time
            newest = time
            wait = began + (time - first) / 1_000_000 / speed - clock()
            if wait > 0:
                sleep(wait)
            yield rows.part(start, end)


def _filled_forward(times: Sequence[int | None]) -> list[int]:
    """Each time, never before an earlier one; a missing one is that of the row before, or of the first that has one."""
    result: list[int] = []
    last = next((time for time in times if time is not None), 0)
    for time in times:
        last = max(last, time or 0)
        result.append(last)
    return result
