"""Counts of a window of predictions and their labels: all, or those known by some moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.encoded_counts import decode_sparse

if TYPE_CHECKING:
    from modelwatch.storage.references.layouts import Counts


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """Counts of one window. outcomes, calls: counts as sparse bytes, empty without any.

    matured: whether it is one whose labels should have come; age: seconds from its end to the moment of the report.
    """

    window: Window
    matured: bool
    age: int
    predictions: int
    outcomes: bytes
    calls: bytes


def counts_of(raw: bytes) -> Counts | None:
    """The counts of a window; None without any."""
    return decode_sparse(raw) if raw else None
