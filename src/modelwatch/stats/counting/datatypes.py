"""The data type of a sample, where none is stated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, TypeGuard

from modelwatch.stats.counting.binning import Scalar

# Whole numbers of so few kinds are the ids of classes, not measurements.
MAX_CLASS_IDS = 20


def is_number(value: Scalar) -> TypeGuard[int | float]:
    """True when the value is a number; a boolean is not one here.

    >>> is_number(1), is_number(True), is_number("1")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite_number(value: Scalar) -> TypeGuard[int | float]:
    """True when the value is a number other than NaN and infinity.

    >>> is_finite_number(10**400), is_finite_number(float("inf"))
    (True, False)
    """
    # An integer is finite, and may be too long for math.isfinite.
    return is_number(value) and (isinstance(value, int) or math.isfinite(value))


def number_of(value: Scalar) -> float:
    """The number that a value is or a text says; NaN for anything else.

    >>> number_of(" 12.50 "), number_of(7), number_of("twelve"), number_of(True)
    (12.5, 7.0, nan, nan)
    """
    if not isinstance(value, str):
        return float(value) if is_finite_number(value) else math.nan
    try:
        number = float(value) if "_" not in value else math.nan
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def inferred_type(values: Sequence[Scalar]) -> Literal["continuous", "categorical"]:
    """Continuous when more than half of the values that are there are numbers.

    >>> inferred_type([1, 2.5, None]), inferred_type(["a", 1]), inferred_type([True, False])
    ('continuous', 'categorical', 'categorical')
    """
    present = numbers = 0
    for value in values:
        if value is not None:
            present += 1
            numbers += is_number(value)
    return "continuous" if 2 * numbers > present else "categorical"


def prediction_type(values: Iterable[Scalar]) -> Literal["continuous", "categorical"]:
    """Categorical for text, and for whole numbers of at most 20 kinds, which are ids of classes; else continuous.

    >>> prediction_type([0, 1, 1.0, None]), prediction_type([0.5, 1]), prediction_type(["fraud"])
    ('categorical', 'continuous', 'categorical')
    """
    present = [value for value in values if value is not None]
    if inferred_type(present) == "categorical":
        return "categorical"
    distinct: set[Scalar] = set()
    for value in present:
        if is_number(value):
            if not float(value).is_integer():
                return "continuous"
            distinct.add(value)
            if len(distinct) > MAX_CLASS_IDS:
                return "continuous"
    return "categorical"
