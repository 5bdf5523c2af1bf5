"""Traffic: times of predictions and of evaluations, and the number of predictions that each look finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.schedule import due_points

Arrivals = Literal["even", "poisson"]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR = 3_600
# Whole predictions are not lost to the rounding of a rate such as 1/3 a second.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Traffic:
    """Predictions by base window. Time 0 is when the simulation starts; before it there is history.

    arrived: shape (windows,), predictions in each base window, oldest first. history: how many of the windows are
    before time 0.
    """

    arrived: Integers
    history: int

    def until(self, times: Integers) -> Integers:
        """Number of predictions have come before these times: seconds, multiples of the base window."""
        totals = np.concatenate(([0], np.cumsum(self.arrived)))
        return np.asarray(totals[times // BASE_WINDOW_SECONDS + self.history])


def traffic(rate: float, history: int, length: int, arrivals: Arrivals, rng: np.random.Generator) -> Traffic:
    """Traffic of `rate` predictions an hour.

    history, length: seconds before and after time 0, multiples of the base window. arrivals: `even` spaces predictions
    evenly, `poisson` makes them come independently of one another; only that takes numbers from `rng`.
    """
    before, after = history // BASE_WINDOW_SECONDS, length // BASE_WINDOW_SECONDS
    expected = rate * BASE_WINDOW_SECONDS / HOUR
    if arrivals == "poisson":
        return Traffic(rng.poisson(expected, before + after).astype(np.int64), before)
    # Counted from time 0, so that a whole number of predictions an hour is the same number in every hour.
    totals = np.floor(np.arange(-before, after + 1) * expected + ROUNDING).astype(np.int64)
    return Traffic(np.diff(totals), before)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The evaluations of some traffic.

    ends: shape (evaluations,), when each evaluation is, in seconds. elapsed: shape (evaluations,), seconds of budget
    that each may spend. spans: the look-backs in seconds. values: shape (evaluations, spans), predictions in each look.
    """

    ends: Integers
    elapsed: Integers
    spans: tuple[int, ...]
    values: Integers


def schedule(traffic: Traffic, spans: Sequence[int], interval: int, enough: int | None) -> Schedule:
    """The evaluations after time 0, at which there was one too, by the rules of the service's own scheduler.

    spans: look-backs in seconds, none longer than the history. interval, enough: as `due_points` takes them.
    """
    after = traffic.arrived[traffic.history :]
    filled = np.flatnonzero(after)
    windows = zip(((filled + 1) * BASE_WINDOW_SECONDS).tolist(), after[filled].tolist(), strict=True)
    points = list(due_points(0, windows, interval=interval, enough=enough))
    ends = np.array([point.end for point in points], dtype=np.int64)
    starts = ends[:, None] - np.array(spans, dtype=np.int64)
    return Schedule(
        ends=ends,
        elapsed=np.array([point.elapsed for point in points], dtype=np.int64),
        spans=tuple(spans),
        values=traffic.until(ends)[:, None] - traffic.until(starts),
    )
