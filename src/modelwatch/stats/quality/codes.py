"""Values that stand for a missing one: -999, 9999, "unknown", 0 where all others are far above it.

A code that the reference has itself leaves no trace in ranges and unseen categories. Its cell is counted, though, so
its share then and now is known from counts alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value

TEXTS = frozenset(
    (
        *("", "-", "--", "?", ".", "n/a", "#n/a", "na", "<na>", "nan", "null", "(null)", "none", "nil"),
        *("unknown", "unk", "missing", "undefined", "unspecified", "not available", "not applicable"),
        *("-1", "-9", "-99", "-999", "-9999", "-99999", "9999", "99999", "999999"),
    )
)
# With fewer different values beside it a lowest or highest one is a level like the others.
LEAST_OTHERS = 5
# A code is as far from the other values as this share of the width of most of them.
APART = 0.5


@dataclass(frozen=True, slots=True)
class CodeCount:
    """A value that looks like a code, and how many of the valid values it is, in the reference and now.

    p_value: one-sided, that chance alone gives a rise like this.
    """

    value: float | str
    reference_count: int
    reference_n: int
    current_count: int
    current_n: int

    @property
    def p_value(self) -> float:
        return rate_increase_p_value(self.reference_count, self.reference_n, self.current_count, self.current_n)


def is_code_text(text: str) -> bool:
    """True when a text is a customary way to write that a value is missing.

    >>> [is_code_text(text) for text in ("N/A", " Unknown", "Nauru", "")]
    [True, True, False, True]
    """
    return text.strip().casefold() in TEXTS


def is_code_number(value: float) -> bool:
    """True when a number is one that people write for a missing one: -1, a digit repeated, a large power of ten less 1.

    >>> [is_code_number(value) for value in (-1.0, -9.0, -99.0, 999.0, 8888.0, -7.0, 42.0, 9.0, 123.0)]
    [True, True, True, True, True, False, False, False, False]
    """
    if not value.is_integer() or abs(value) >= 1e15:
        return False
    digits = str(int(abs(value)))
    return value in (-1.0, -9.0) or (len(set(digits)) == 1 and len(digits) >= 2)


def codes_in_reference(reference: Profile, current: Profile) -> tuple[CodeCount, ...]:
    """The values of the reference that look like codes, with their share then and now.

    Of a number: its smallest or largest value, where it has a cell of its own, is written like a code (or is the 0 of
    positive numbers) and lies apart from the others. Of a category: its name.

    >>> from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
    >>> ages = [float(18 + i % 60) for i in range(900)] + [-1.0] * 100
    >>> binning = numeric_binning(np.array(ages))
    >>> (found,) = codes_in_reference(Profile.of(binning, ages), Profile.of(binning, [-1.0] * 3 + [30.0]))
    >>> found.value, found.reference_count, found.current_count, found.current_n
    (-1.0, 100, 3, 4)
    """
    return tuple(
        CodeCount(value, int(reference.fine[cell]), reference.n, int(current.fine[cell]), current.n)
        for value, cell in _code_cells(reference)
    )


@lru_cache(maxsize=4_096)
def _code_cells(reference: Profile) -> tuple[tuple[float | str, int], ...]:
    binning = reference.binning
    if not isinstance(binning, NumericBinning):
        return tuple((name, cell) for cell, name in enumerate(binning.categories) if is_code_text(name))
    return tuple(
        (value, cell)
        for value in (binning.low, binning.high)
        if (cell := int(binning.edges.searchsorted(value))) < len(binning.edges)
        and binning.atomic[cell]
        and _stands_apart(binning, reference.fine, value, cell)
    )


def _stands_apart(binning: NumericBinning, fine: NDArray[np.int64], value: float, cell: int) -> bool:
    others = fine.copy()
    others[[cell, *(int(binning.edges.searchsorted(end)) for end in (binning.low, binning.high))]] = 0
    held = np.flatnonzero(others)
    if len(held) < LEAST_OTHERS:
        return False
    # A cell is known by its borders; those of the outer cells are the smallest and the largest value.
    upper = np.append(binning.edges, binning.high)
    lower = np.insert(binning.edges, 0, binning.low)
    shares = np.cumsum(others) / others.sum()
    most = float(upper[np.searchsorted(shares, 0.9)] - upper[np.searchsorted(shares, 0.1)])
    width = APART * (most or float(upper[held[-1]] - lower[held[0]]))
    if value != binning.low:
        return is_code_number(value) and value - float(lower[held[-1]]) > width
    nearest = float(upper[held[0]])
    negative, apart = value < 0.0 <= nearest, nearest - value > width
    if is_code_number(value):
        return negative or apart
    return apart and (value == 0.0 < nearest or (negative and value % 10.0 == 0.0))
