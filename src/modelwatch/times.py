"""Units of time.

Times of the ledger are integers in microseconds since 1970-01-01 UTC, edges of windows integers in seconds.
"""

from __future__ import annotations

MICROS_PER_SECOND = 1_000_000
SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400
MICROS_PER_DAY = SECONDS_PER_DAY * MICROS_PER_SECOND
