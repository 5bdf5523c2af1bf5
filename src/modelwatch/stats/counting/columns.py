"""Columns of values as arrays: what a batch of rows holds of one subject.

A column gives back exactly the values that it was made of; NaN and null are missing, and come back as None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import inf, nan
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.kernel import Places
from modelwatch.stats.counting.numeric import PLAIN_NUMBERS, SCALAR_BATCH, Scalar, as_float

Floats = NDArray[np.float64]

MISSING = -1
FLOATS = frozenset((float, type(None)))
# From so many on, floats are told from others all at once.
MANY_VALUES = 100
# A float in MessagePack.
FLOAT_MARK = 0xCB
_WRITTEN_FLOAT = np.dtype([("mark", "u1"), ("value", ">f8")])

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True, eq=False)
class FloatColumn:
    """Floats; NaN is missing. values: shape (length,)."""

    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Places) -> FloatColumn:
        """The values at these places."""
        return FloatColumn(self.values[places])

    def scalars(self) -> list[Scalar]:
        """The values; None where one is missing."""
        return _with_gaps(self.values, np.isnan(self.values))

    def present(self) -> NDArray[np.bool_]:
        """Whether there is a value, shape (length,)."""
        return ~np.isnan(self.values)

    def numbers(self) -> Floats:
        """The values, NaN where one is missing and ±inf where it is no number."""
        return self.values

    def distinct(self) -> tuple[Places, list[Scalar]]:
        """Of each value the place in a list of distinct ones, MISSING where it is missing; and that list."""
        return _distinct(self.values, np.isnan(self.values))


@dataclass(frozen=True, slots=True, eq=False)
class IntegerColumn:
    """Whole numbers, signed or unsigned, of at most 64 bits. missing: where there is none; None: nowhere."""

    values: NDArray[Any]
    missing: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Places) -> IntegerColumn:
        """The values at these places."""
        return IntegerColumn(self.values[places], None if self.missing is None else self.missing[places])

    def scalars(self) -> list[Scalar]:
        """The values; None where one is missing."""
        return _with_gaps(self.values, self.missing)

    def present(self) -> NDArray[np.bool_]:
        """Whether there is a value, shape (length,)."""
        return np.ones(len(self), dtype=np.bool_) if self.missing is None else ~self.missing

    def numbers(self) -> Floats:
        """The values as the nearest floats, NaN where one is missing."""
        floats = self.values.astype(np.float64)
        if self.missing is not None:
            floats[self.missing] = nan
        return floats

    def distinct(self) -> tuple[Places, list[Scalar]]:
        """Of each value the place in a list of distinct ones, MISSING where it is missing; and that list."""
        return _distinct(self.values, self.missing)


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn:
    """Texts. codes: of each value the place in `names`, MISSING where it is missing. Some names may have no value."""

    codes: Places
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, places: Places) -> TextColumn:
        """The values at these places."""
        return TextColumn(self.codes[places], self.names)

    def scalars(self) -> list[Scalar]:
        """The values; None where one is missing."""
        # The last one is that of MISSING, as lists count from their end.
        texts = (*self.names, None)
        return [texts[code] for code in self.codes.tolist()]

    def present(self) -> NDArray[np.bool_]:
        """Whether there is a value, shape (length,)."""
        there: NDArray[np.bool_] = self.codes != MISSING
        return there

    def numbers(self) -> Floats:
        """No value is a number: inf, and NaN where one is missing."""
        return np.where(self.codes == MISSING, nan, inf)

    def distinct(self) -> tuple[Places, list[Scalar]]:
        """Of each value the place in a list of distinct ones, MISSING where it is missing; and that list."""
        if len(self.names) <= len(self.codes):
            return self.codes, list(self.names)
        used, places = np.unique(np.append(self.codes, MISSING), return_inverse=True)
        return places[:-1] - 1, [self.names[code] for code in used[1:].tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class MixedColumn:
    """Values of several types, or a few of any."""

    values: Sequence[Scalar]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, places: Places) -> MixedColumn:
        """The values at these places."""
        return MixedColumn([self.values[place] for place in places.tolist()])

    def scalars(self) -> list[Scalar]:
        """The values; None where one is missing."""
        return [None if value is None or value != value else value for value in self.values]

    def present(self) -> NDArray[np.bool_]:
        """Whether there is a value, shape (length,)."""
        return np.array([value is not None and value == value for value in self.values], dtype=np.bool_)

    def numbers(self) -> Floats:
        """The values as floats, NaN where one is missing and ±inf where it is no number."""
        if len(self.values) > SCALAR_BATCH and PLAIN_NUMBERS.issuperset(map(type, self.values)):
            try:
                return np.array(self.values, dtype=np.float64)
            except OverflowError:
                pass
        return np.array([number_of(value) for value in self.values], dtype=np.float64)

    def distinct(self) -> tuple[Places, list[Scalar]]:
        """Of each value the place in a list of distinct ones, MISSING where it is missing; and that list."""
        # True and 1 are equal to a dictionary but not to us.
        known: dict[tuple[type, Scalar], int] = {}
        codes = [
            MISSING if value is None or value != value else known.setdefault((type(value), value), len(known))
            for value in self.values
        ]
        return np.array(codes, dtype=np.intp), [value for _, value in known]


Column = FloatColumn | IntegerColumn | TextColumn | MixedColumn


def column_of(values: Sequence[Scalar]) -> Column:
    """The column of these values.

    >>> column_of(["a", None]).scalars(), column_of([1.5, True, 2]).scalars()
    (['a', None], [1.5, True, 2])
    >>> type(column_of([0.5, None] * 20)).__name__, type(column_of([1, None] * 20)).__name__
    ('FloatColumn', 'IntegerColumn')
    """
    if len(values) <= SCALAR_BATCH:
        return MixedColumn(values)
    if len(values) >= MANY_VALUES and type(values[0]) is float:
        floats = _floats(values)
        if floats is not None:
            return FloatColumn(floats)
    kinds = set(map(type, values))
    gaps = type(None) in kinds
    kinds.discard(type(None))
    if kinds <= {float}:
        return FloatColumn(np.array(values, dtype=np.float64))
    if kinds == {str}:
        # Comes first, so that the texts are numbered from 0 on and what is missing has -1.
        numbers = dict(zip(dict.fromkeys((None, *values)), count(MISSING), strict=False))
        codes = np.array(list(map(numbers.__getitem__, values)), dtype=np.intp)
        return TextColumn(codes, tuple(numbers)[1:])  # type: ignore[arg-type]
    if kinds == {int}:
        missing = np.array([value is None for value in values]) if gaps else None
        whole = [value or 0 for value in values] if gaps else values
        try:
            return IntegerColumn(np.array(whole, dtype=np.int64), missing)
        except OverflowError:
            return MixedColumn(values)
    return MixedColumn(values)


def _floats(values: Sequence[Scalar]) -> Floats | None:
    """The values, at least `MANY_VALUES`; None when they are not all floats.

    Written as MessagePack, each float takes nine bytes, of which the first one says that it is one: an array views them
    as they are, in a fifth of the time that asking each value for its type and converting it takes.
    """
    try:
        written = _encode(values)
    except (OverflowError, TypeError, ValueError):
        return None
    start = len(written) - len(values) * _WRITTEN_FLOAT.itemsize
    if start != (3 if len(values) < 1 << 16 else 5):
        return None
    found = np.frombuffer(written, dtype=_WRITTEN_FLOAT, offset=start)
    return found["value"].astype(np.float64) if (found["mark"] == FLOAT_MARK).all() else None


def missing_column(length: int) -> Column:
    """A column in which every value is missing."""
    return FloatColumn(np.full(length, nan))


def scattered(parts: Sequence[tuple[Places, Column]], length: int) -> Column:
    """The column with the values of each part at its places; missing where no part has any.

    >>> first, second = (np.array([2]), column_of([7.5])), (np.array([0]), column_of(["x"]))
    >>> scattered([first, second], 3).scalars()
    ['x', None, 7.5]
    """
    if length > SCALAR_BATCH:
        given = [_nothing_but_floats(column) for _, column in parts]
        if all(part is not None for part in given):
            floats = np.full(length, nan)
            for (places, _), part in zip(parts, given, strict=True):
                floats[places] = part
            return FloatColumn(floats)
        if all(isinstance(column, TextColumn) for _, column in parts):
            known: dict[Scalar, int] = {}
            codes = np.full(length, MISSING, dtype=np.intp)
            for places, column in parts:
                own, names = column.distinct()
                own_codes = np.array([*(known.setdefault(name, len(known)) for name in names), MISSING], dtype=np.intp)
                codes[places] = own_codes[own]
            return TextColumn(codes, tuple(known))  # type: ignore[arg-type]
    values: list[Scalar] = [None] * length
    for places, column in parts:
        for place, value in zip(places.tolist(), column.scalars(), strict=True):
            values[place] = value
    return column_of(values)


def _nothing_but_floats(column: Column) -> Floats | None:
    """The values of a column that has no other ones, also where it has so few that their types are not looked at."""
    if isinstance(column, FloatColumn):
        return column.values
    if isinstance(column, MixedColumn) and FLOATS.issuperset(map(type, column.values)):
        return np.array(column.values, dtype=np.float64)
    return None


def number_of(value: object) -> float:
    """The value as a float; NaN when it is missing, inf when it is no number."""
    if value is None:
        return nan
    number = as_float(value)
    return inf if number is None else number


def _with_gaps(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> list[Scalar]:
    result: list[Scalar] = values.tolist()
    if missing is not None:
        for place in np.flatnonzero(missing).tolist():
            result[place] = None
    return result


def _distinct(values: NDArray[Any], missing: NDArray[np.bool_] | None) -> tuple[Places, list[Scalar]]:
    if missing is None or not missing.any():
        found, codes = np.unique(values, return_inverse=True)
        return codes, found.tolist()
    codes = np.full(len(values), MISSING, dtype=np.intp)
    found, codes[~missing] = np.unique(values[~missing], return_inverse=True)
    return codes, found.tolist()
