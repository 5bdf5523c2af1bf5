"""Single values far outside of everything in a reference, and whether the reference's own tail could reach so far."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile

# From the median, a value is far outside from so many times the distance of the reference's own end.
LEAST_TIMES = 3.0
# Shares of the reference beyond which its tail is looked at.
TAILS = (0.2, 0.1, 0.05, 0.02)
LEAST_BEYOND = 5.0


@dataclass(frozen=True, slots=True)
class Extreme:
    """The farthest of the values that are far outside on one side.

    times: its distance from the reference's median, over that of the reference's own smallest or largest value; None
    when all values of that side of the reference are the median. count: values as far as `LEAST_TIMES` at least. n: the
    values among which it was. p_value: that chance alone reaches as far, by the reference's tail.
    """

    value: float
    side: Literal["below", "above"]
    times: float
    count: int
    n: int
    p_value: float


def extremes(reference: Profile, values: NDArray[np.float64], n: int) -> tuple[Extreme, ...]:
    """The values, of those outside the reference's range, that are far outside; the farthest side first.

    values: shape (m,), all that are outside of the range among n valid ones. Empty for a categorical reference, and
    for sides on which the reference does not vary.
    A tail is taken for a power law with the slowest decay that the reference shows beyond any of `TAILS`, so that long
    tails are given what they may reach.
    Source: Hill (1975), A simple general approach to inference about the tail of a distribution, on quantiles.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> amounts = np.exp(np.random.default_rng(1).normal(3.0, 1.0, size=2_000))
    >>> reference = Profile.of(numeric_binning(amounts), amounts.tolist())
    >>> (found,) = extremes(reference, np.array([170.0 * amounts.max(), 1.2 * amounts.max()]), n=1_000)
    >>> found.side, round(found.times), found.count, found.p_value < 1e-4
    ('above', 174, 1, True)
    """
    binning = reference.binning
    if not isinstance(binning, NumericBinning) or not len(values) or not reference.n or n <= 0:
        return ()
    middle = _quantile(reference, 0.5)
    found = []
    sides: tuple[tuple[Literal["below", "above"], float, float], ...] = (
        ("below", -1.0, middle - binning.low),
        ("above", 1.0, binning.high - middle),
    )
    for side, sign, reach in sides:
        if reach <= 0.0:
            continue
        times = sign * (values - middle) / reach
        far = times >= LEAST_TIMES
        if far.any():
            farthest = int(np.argmax(times))
            beyond = float(times[farthest])
            slope = _slope(reference, side)
            # A further value is beyond the end of N with the chance 1/(N + 1).
            p_value = min(1.0, n / (reference.n + 1.0) * beyond ** (-1.0 / slope))
            found.append(Extreme(float(values[farthest]), side, beyond, int(far.sum()), n, p_value))
    return tuple(sorted(found, key=lambda each: -each.times))


@lru_cache(maxsize=4_096)
def _slope(reference: Profile, side: Literal["below", "above"]) -> float:
    """By how much the logarithm of the distance from the median grows with that of the rarity, at the most."""
    binning = reference.binning
    assert isinstance(binning, NumericBinning)
    middle = _quantile(reference, 0.5)
    end = binning.high - middle if side == "above" else middle - binning.low
    slopes = [0.05]
    for share in TAILS:
        beyond = share * reference.n
        if beyond < LEAST_BEYOND:
            continue
        at = _quantile(reference, 1.0 - share if side == "above" else share)
        distance = at - middle if side == "above" else middle - at
        # Where nothing of the tail is apart from the median its decay is not known: it is taken for slow.
        slopes.append(math.log(end / distance) / math.log(beyond) if distance > 0.0 else 2.0)
    return max(slopes) if len(slopes) > 1 else 2.0


def _quantile(reference: Profile, share: float) -> float:
    """A quantile of the reference, by the upper border of its fine cell."""
    binning = reference.binning
    assert isinstance(binning, NumericBinning)
    reached = np.cumsum(reference.fine) / reference.n
    cell = int(np.searchsorted(reached, share - 1e-12))
    return float(binning.edges[cell]) if cell < len(binning.edges) else binning.high
