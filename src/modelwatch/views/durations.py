"""Durations as counts in buckets: small, and those of several processes are summed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import accumulate

import msgspec

# A bucket's ends differ by 12 %, so a quantile is right within 6 %.
LEAST_SECONDS = 1e-4
BUCKETS_A_DECADE = 20
DECADES = 7
BUCKETS = BUCKETS_A_DECADE * DECADES

# Number of durations in each bucket that has some.
DurationCounts = Mapping[int, int]


class DurationReport(msgspec.Struct, frozen=True):
    """Durations of something that was done `count` times: the median, and what 99 of 100 did not exceed; within 6 %."""

    what: str
    count: int
    p50_seconds: float
    p99_seconds: float


def bucket_of(seconds: float) -> int:
    """The bucket that a duration belongs to; the outermost ones have no end.

    >>> bucket_of(0.0), bucket_of(0.001), bucket_of(1e9)
    (0, 20, 139)
    """
    if seconds <= LEAST_SECONDS:
        return 0
    return min(int(BUCKETS_A_DECADE * math.log10(seconds / LEAST_SECONDS)), BUCKETS - 1)


def quantile(counts: DurationCounts, share: float) -> float:
    """Seconds that this share of the durations did not exceed. Raises ValueError without durations.

    >>> round(quantile({bucket_of(0.002): 98, bucket_of(0.5): 2}, 0.5), 4)
    0.0021
    """
    total = sum(counts.values())
    if not total:
        raise ValueError("there are no durations")
    rank = max(math.ceil(share * total), 1)
    buckets = sorted(counts)
    bucket = buckets[bisect_left(list(accumulate(counts[each] for each in buckets)), rank)]
    return LEAST_SECONDS * 10 ** ((bucket + 0.5) / BUCKETS_A_DECADE)


def duration_report(what: str, counts: Iterable[DurationCounts]) -> DurationReport | None:
    """The durations of several processes together; None when there are none."""
    total: Counter[int] = Counter()
    for each in counts:
        total.update(each)
    if not total.total():
        return None
    return DurationReport(what, total.total(), *(float(f"{quantile(total, share):.3g}") for share in (0.5, 0.99)))
