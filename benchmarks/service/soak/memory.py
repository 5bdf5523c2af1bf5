"""Memory of processes, read from /proc, and a test whether it grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MIB = 1024 * 1024
# 95 % of a normal distribution lie within so many standard errors.
WITHIN = 1.96


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. rss: resident; pss: of what is shared, this process's part; uss: what it holds alone."""

    rss: int
    pss: int
    uss: int

    @classmethod
    def of(cls, process: int) -> Memory:
        """Of a process that runs. Raises ProcessLookupError or FileNotFoundError when it has ended."""
        kilobytes = {}
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
            name, value = line.split(":")
            kilobytes[name] = int(value.split()[0])
        alone = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
        return cls(kilobytes["Rss"] * 1024, kilobytes["Pss"] * 1024, alone * 1024)


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through a series. slope, within: MiB an hour; 95 % of the time the slope is no further off.

    residual: standard deviation of what is left, in MiB.
    """

    slope: float
    within: float
    residual: float


def trend(seconds: list[float], sizes: list[int]) -> Trend:
    """Least squares through sizes in bytes. What follows upon another is no independent sample: the slope's error
    counts how much of what is left of one sample is still there in the next.

    >>> found = trend([0.0, 3600.0, 7200.0, 10800.0], [0, 2 * MIB, 4 * MIB, 6 * MIB])
    >>> round(found.slope, 6), round(found.within, 6)
    (2.0, 0.0)
    """
    hours, heights = np.array(seconds) / 3_600, np.array(sizes) / MIB
    centred = hours - hours.mean()
    spread = float(centred @ centred)
    slope = float(centred @ heights) / spread
    left = heights - heights.mean() - slope * centred
    freedom = max(1, len(hours) - 2)
    error = math.sqrt(float(left @ left) / freedom / spread)
    return Trend(slope, WITHIN * error * _inflation(left), float(np.sqrt(left @ left / freedom)))


def _inflation(left: np.ndarray) -> float:
    """Factor by which the error is larger than of independent samples, by what remains from one to the next (AR 1)."""
    power = float(left @ left)
    if power == 0.0:
        return 1.0
    kept = min(0.99, max(0.0, float(left[1:] @ left[:-1]) / power))
    return math.sqrt((1 + kept) / (1 - kept))


def workers_of(process: int) -> dict[str, int]:
    """The processes of a service by their part: the only one, or the supervisor and its workers."""
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    found = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    if not found:
        return {"worker": process}
    return {"supervisor": process} | {f"worker {number}": child for number, child in enumerate(sorted(found), 1)}
