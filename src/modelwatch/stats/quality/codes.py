"""Values that stand for a missing one: -999, 9999, "unknown", 0 where all others are far above it.

A code that the reference has itself leaves no trace in ranges and unseen categories. Its cell is counted, though, so
its share then and now is known from counts alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import NumericBinning, Scalar
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.errors import IncompatibleProfiles, StatsError

Side = Literal["below", "above"]
SENTINEL_SHARE = 0.01
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
    if _are_few_values(binning, held):
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


def _are_few_values(binning: NumericBinning, held: NDArray[np.intp]) -> bool:
    """True for cells of fewer than `LEAST_OTHERS` different values: a cell of several values may hold any number."""
    return len(held) < LEAST_OTHERS and bool(binning.atomic[held].all())


@dataclass(frozen=True, slots=True)
class Sentinel:
    """One value that seems to stand for a missing one: outside the reference range, such as -200 or 0 K; a text that
    the reference does not have; or (side `known`) a code that the reference has itself.

    share: of the valid values. p_value: one-sided, that chance alone gives as many, against the reference's values on
    that side of its range; of a known one against its own share there, reference_share of reference_n.
    """

    value: float | str
    side: Literal["below", "above", "text", "known"]
    count: int
    share: float
    p_value: float
    reference_share: float = 0.0
    reference_n: int = 0
    n: int = 0


def sentinel_sides(current: Profile, *, least_share: float = SENTINEL_SHARE) -> tuple[Side, ...]:
    """The sides of the reference range that hold enough of a window for one value there to be a sentinel.

    Counts alone can rule a sentinel out, never name it: a side with more than `least_share` of the valid values may
    hold one value or a thousand. Only for these sides are the raw values needed, by `sentinels`.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> import numpy as np
    >>> binning = numeric_binning(np.arange(10.0))
    >>> sentinel_sides(Profile.of(binning, [-200.0] * 2 + [3.0] * 98 + [11.0]))
    ('below',)
    """
    sides: tuple[tuple[Side, int], ...] = (("below", current.below), ("above", current.above))
    return tuple(side for side, count in sides if count > least_share * current.n)


def sentinels(
    reference: Profile,
    current: Profile,
    values: Mapping[float, int],
    *,
    least_share: float = SENTINEL_SHARE,
    codes_only: bool = False,
) -> tuple[Sentinel, ...]:
    """The values outside the reference range that hold more than `least_share` of the window, most frequent first.

    values: how often each raw value occurs in the window; what is inside the range is ignored, and a list of the most
        frequent values is enough. A profile does not keep them, so they come from the stored rows.
    A sentinel that the reference already has is inside its range, hence no news. Beside a reference of fewer than
    `LEAST_OTHERS` different values, a constant above all, a new value is a level that it has not had yet, and drift: a
    sentinel only where it is written like a code, and so is any of a column of ids (codes_only). Empty for a
    categorical feature: there a new value is an unseen category. Raises IncompatibleProfiles when the binnings differ,
    StatsError when the values outside are more than the profile has counted there.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> import numpy as np
    >>> binning = numeric_binning(np.arange(1_000.0))
    >>> reference = Profile.of(binning, np.arange(1_000.0))
    >>> current = Profile.of(binning, np.append(np.arange(95.0), [-200.0] * 4 + [-3.0]))
    >>> (found,) = sentinels(reference, current, {-200.0: 4, 7.0: 1})
    >>> found.value, found.side, found.count, found.share
    (-200.0, 'below', 4, 0.04)
    """
    binning = current.binning
    if reference.binning.id != binning.id:
        raise IncompatibleProfiles(f"got binnings {reference.binning.id} and {binning.id}, expected the same")
    if not isinstance(binning, NumericBinning):
        return ()
    outside: dict[Side, dict[float, int]] = {
        "below": {value: count for value, count in values.items() if binning.counted_as(value) < binning.low},
        "above": {value: count for value, count in values.items() if binning.counted_as(value) > binning.high},
    }
    expected: dict[Side, tuple[int, int]] = {
        "below": (reference.below, current.below),
        "above": (reference.above, current.above),
    }
    codes_only = codes_only or _are_few_values(binning, np.flatnonzero(reference.fine))
    found = []
    for side, counted in outside.items():
        reference_count, current_count = expected[side]
        if sum(counted.values()) > current_count or min(counted.values(), default=0) < 0:
            raise StatsError(
                f"{sum(counted.values())} values are {side} the reference range, the profile has counted "
                f"{current_count}: give the values of the same window"
            )
        for value, count in counted.items():
            if codes_only and not is_code_number(value):
                continue
            if count > least_share * current.n:
                p_value = rate_increase_p_value(reference_count, reference.n, count, current.n)
                found.append(
                    Sentinel(value, side, count, count / current.n, p_value, reference_n=reference.n, n=current.n)
                )
    return tuple(sorted(found, key=lambda each: (-each.count, each.value)))


def known_codes(reference: Profile, current: Profile) -> tuple[Sentinel, ...]:
    """The codes that the reference has itself, with their share then and now; none where a side has no values."""
    return tuple(
        Sentinel(
            each.value,
            "known",
            each.current_count,
            each.current_count / each.current_n,
            each.p_value,
            each.reference_count / each.reference_n,
            each.reference_n,
            each.current_n,
        )
        for each in codes_in_reference(reference, current)
        if each.reference_n and each.current_n
    )


def new_text_codes(
    reference: Profile, values: Sequence[Scalar], *, least_share: float = SENTINEL_SHARE
) -> tuple[Sentinel, ...]:
    """The texts among values that are written like a missing value and have no cell, most frequent first.

    In a number every text is of the wrong type; in a category a known one has its cell.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> reference = Profile.of(categorical_binning(["a", "b"]), ["a", "b"] * 50)
    >>> [(each.value, each.count, each.share) for each in new_text_codes(reference, ["a"] * 9 + ["Unknown"])]
    [('Unknown', 1, 0.1)]
    """
    given = [value for value in values if value is not None]
    found = []
    for text, count in Counter(value for value in given if isinstance(value, str) and is_code_text(value)).items():
        cells = Profile.of(reference.binning, [text])
        if count > least_share * len(given) and (cells.unseen or cells.invalid):
            known = reference.unseen if cells.unseen else reference.invalid
            p_value = rate_increase_p_value(known, reference.n + reference.invalid, count, len(given))
            found.append(
                Sentinel(text, "text", count, count / len(given), p_value, reference_n=reference.n, n=len(given))
            )
    return tuple(sorted(found, key=lambda each: (-each.count, str(each.value))))
