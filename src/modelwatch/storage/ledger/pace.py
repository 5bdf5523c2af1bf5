"""The pace of a rolled-up window: what each of its base windows had, beside the counts that were added up.

How much came when, and when it arrived, is a few bytes a base window. So everything that looks at volumes and silence
is as exact after a roll-up as before.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.times import MICROS_PER_SECOND

_COLUMNS = 5


class BaseWindow(NamedTuple):
    """Numbers of one base window. window_start: seconds. latest_ts, arrived_at: of the newest, in microseconds."""

    window_start: int
    predictions: int
    duplicates: int
    latest_ts: int
    arrived_at: int


def encode_pace(windows: Iterable[BaseWindow]) -> bytes:
    """Compact bytes of base windows; those of one start are added up.

    >>> raw = encode_pace([BaseWindow(600, 2, 0, 5, 7), BaseWindow(300, 1, 1, 3, 3), BaseWindow(600, 1, 0, 6, 6)])
    >>> [tuple(window) for window in decode_pace(raw)]
    [(300, 1, 1, 3, 3), (600, 3, 0, 6, 7)]
    """
    merged: dict[int, BaseWindow] = {}
    for each in windows:
        before = merged.get(each.window_start)
        merged[each.window_start] = each if before is None else _sum(before, each)
    table = np.array([merged[start] for start in sorted(merged)], dtype=np.int64).reshape(-1, _COLUMNS).T
    starts = table[0].copy()
    # Small numbers take less: times are kept from the start of their window, and windows from the one before.
    table[4] -= table[3]
    table[3] -= starts * MICROS_PER_SECOND
    table[0] = np.diff(starts // BASE_WINDOW_SECONDS, prepend=0)
    return zlib.compress(table.astype("<i8").tobytes(), 6)


def decode_pace(raw: bytes) -> list[BaseWindow]:
    """The base windows of these bytes, by their start."""
    table = np.frombuffer(zlib.decompress(raw), dtype="<i8").reshape(_COLUMNS, -1).astype(np.int64)
    starts = np.cumsum(table[0]) * BASE_WINDOW_SECONDS
    latest = table[3] + starts * MICROS_PER_SECOND
    columns = (starts, table[1], table[2], latest, table[4] + latest)
    return [BaseWindow(*row) for row in np.stack(columns, axis=1).tolist()]


def base_windows(row: Any) -> list[BaseWindow]:
    """Base windows that a row of the profile table holds; none of those of a segment once they are rolled up."""
    if row.pace is not None:
        return decode_pace(row.pace)
    if row.segment or row.window_len != BASE_WINDOW_SECONDS:
        return []
    return [BaseWindow(row.window_start, row.predictions, row.duplicates, row.latest_ts, row.arrived_at)]


def merged_pace(first: bytes | None, second: bytes | None) -> bytes | None:
    """The pace of two windows together; None has none."""
    if first is None or second is None:
        return first if second is None else second
    return encode_pace([*decode_pace(first), *decode_pace(second)])


def _sum(one: BaseWindow, other: BaseWindow) -> BaseWindow:
    return BaseWindow(
        one.window_start,
        one.predictions + other.predictions,
        one.duplicates + other.duplicates,
        max(one.latest_ts, other.latest_ts),
        max(one.arrived_at, other.arrived_at),
    )
