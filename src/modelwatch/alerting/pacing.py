"""How often, how long and how far apart deliveries are tried: the one place that knows of retries."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pacing:
    """All in seconds.

    poll: between two looks at the outbox. claim: how long nobody else sends what one process is sending; longer than
    any channel takes. base, longest: the back-off doubles from the one to the other. longest_retry_after: what a
    receiver may ask for. give_up: the age at which a notice that still fails is dead, but never before it was tried
    fewest_attempts times: it may have been deferred for long.
    """

    poll: float = 0.5
    claim: float = 60.0
    base: float = 2.0
    longest: float = 900.0
    longest_retry_after: float = 3_600.0
    give_up: float = 3 * 86_400.0
    fewest_attempts: int = 20

    def pause(self, attempt: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds until the next attempt, after this one (from 1) has failed: exponential, with full jitter.

        A receiver that asks for more is given it. Source: Brooker, Exponential Backoff And Jitter (AWS, 2015).

        >>> Pacing().pause(1, 30.0, random.Random(1))
        30.0
        >>> 0 <= Pacing().pause(500, None, random.Random(1)) <= 900
        True
        """
        ceiling = min(self.longest, self.base * 2 ** min(attempt - 1, 30))
        asked = 0.0 if retry_after is None else min(retry_after, self.longest_retry_after)
        return max(asked, rng.uniform(0.0, ceiling))

    def is_over(self, age: float, attempts: int) -> bool:
        """Whether a notice of this age that has failed so often is given up."""
        return age >= self.give_up and attempts >= self.fewest_attempts
