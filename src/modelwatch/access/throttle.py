"""How often a key may ask: a bucket of tokens for each, in each process."""

from __future__ import annotations

from dataclasses import dataclass

MOST_BUCKETS = 10_000
# Seconds of its rate that a key may spend at once after it has been quiet.
BURST_SECONDS = 2.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Throttle:
    """Buckets by key."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, key_id: str, rate: float, now: float) -> float:
        """Takes one request of a key. Returns 0 when it may go on, else after how many seconds it may be tried again.

        rate: requests per second. now: seconds of a clock that never goes back.

        >>> throttle = Throttle()
        >>> [throttle.wait("k", 1.0, now) for now in (0.0, 0.0, 0.0, 1.0)]
        [0.0, 0.0, 1.0, 0.0]
        """
        most = max(1.0, BURST_SECONDS * rate)
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[key_id] = _Bucket(most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / rate
        bucket.tokens -= 1.0
        return 0.0
