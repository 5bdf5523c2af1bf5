"""Predictions over time as bars of one width, also where what is stored is coarser."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.quality.volume_series import VolumeSeries
from modelwatch.web.frame.rendering import microseconds

MOST_BARS = 2_000


def even_bars(volume: VolumeSeries) -> tuple[Sequence[int], Sequence[float]]:
    """Starts of the bars, in seconds, and their predictions; a longer step is divided evenly among its bars.

    >>> from modelwatch.views.quality.volume_series import VolumeStep
    >>> steps = [VolumeStep("1970-01-01T00:00:00Z", "1970-01-01T02:00:00Z", 10)]
    >>> even_bars(VolumeSeries("m", None, "production", None, None, 3600, 0, steps, None))
    ([0, 3600], [5.0, 5.0])
    """
    starts: list[int] = []
    values: list[float] = []
    for each in volume.steps:
        start, end = (microseconds(at) // MICROS_PER_SECOND for at in (each.start, each.end))
        bars = max(1, round((end - start) / volume.step_seconds))
        if len(starts) + bars > MOST_BARS:
            bars = 1
        starts += [start + place * volume.step_seconds for place in range(bars)]
        values += [each.predictions / bars] * bars
    return starts, values
