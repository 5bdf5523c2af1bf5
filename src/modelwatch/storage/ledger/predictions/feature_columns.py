"""Features of many predictions as one block of bytes: a column of each, compressed together.

What is read from a block is what a row would have given: whole numbers stay whole, null is not the same as a feature
that a row does not name, and numbers that JSON does not have are null.

The block: a version byte and a checksum of what follows, as in every format, the length of the content, and the
content, compressed with Zstandard. The content: the length of the head, the head in JSON, and the data of the columns.
Floats are kept by byte planes (the first byte of all values, then the second), whole numbers and decimals as their
distance from the smallest one, texts as numbers of a list; the values of small blocks, and mixed ones, are in the head.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from math import nan
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.batches import PredictionBatch
from modelwatch.errors import DamagedBlock, NewerBlock
from modelwatch.events import Scalar
from modelwatch.stats.counting.columns import (
    MISSING,
    Column,
    FloatColumn,
    IntegerColumn,
    MixedColumn,
    TextColumn,
)
from modelwatch.stats.counting.kernel import Places

if TYPE_CHECKING:
    from pyarrow import Codec

FORMAT = 1
# Version, CRC-32 of the rest, length of the content.
_HEADER = struct.Struct("<BII")
_CHECKED_FROM = struct.calcsize("<BI")
_LENGTH = struct.Struct("<I")
# Below it a column in JSON takes less time than an array, and hardly more space once it is compressed.
ROWS_AS_ARRAYS = 128
# Decimals of up to so many places become whole numbers; doubles hold these exactly up to 2**53.
MOST_DECIMALS = 6
_EXACT = 2.0**53
# Rows that are read one by one before all of a block are.
SINGLE_READS = 4
# Of so many values first, whether they are decimals: most columns are given up there.
_TRIED = 8
# In memory, of a value by itself and of one in an array.
BYTES_OF_VALUE, BYTES_OF_NUMBER = 40, 8

Mask = NDArray[np.bool_]


Kind = Literal["v", "f", "d", "s", "u", "t"]


class _StoredColumn(msgspec.Struct, array_like=True, omit_defaults=True):
    """A column in the head. kind: values, floats, decimals, signed, unsigned or texts; by their first letter.

    values: those of `v`, and the texts of `t`. start: of its data; of floats, which of the matrix. low: the smallest
    number. size: bytes of a number. places: decimal places. missing, absent, negative (zeros with a sign): where its
    masks start; -1 for none.
    """

    name: str
    kind: Kind
    values: list[Scalar] = []
    start: int = 0
    low: int = 0
    size: int = 0
    places: int = 0
    missing: int = -1
    absent: int = -1
    negative: int = -1


class _Head(msgspec.Struct, array_like=True):
    """The head of a block. floats: number of columns in the matrix of floats, which is the first of the data. places:
    of the rows; none where they are 0, 1, …"""

    rows: int
    floats: int
    places: list[int]
    columns: list[_StoredColumn]


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode


@dataclass(frozen=True, eq=False)
class FeatureColumns:
    """The features of some predictions, a column of each.

    places: of each row its place, in rising order. absent: by name, the rows that do not name a feature; a name that
    all rows have is not there. In the columns, what is absent is missing.
    """

    places: Places
    columns: Mapping[str, Column]
    absent: Mapping[str, Mask]

    @classmethod
    def of(cls, batch: PredictionBatch, places: Places) -> FeatureColumns:
        """The features of the rows of a batch, of which each gets a place."""
        names = dict.fromkeys(name for block in batch.blocks for name in block)
        absent = {}
        if len(batch.blocks) > 1:
            for name in names:
                without = np.array([name not in block for block in batch.blocks])
                if without.any():
                    absent[name] = without[batch.block_of]
        return cls(places, {name: batch.feature(name) for name in names}, absent)

    def __len__(self) -> int:
        return len(self.places)

    def maps(self) -> list[dict[str, Scalar]]:
        """The features of each row."""
        if not self.columns:
            return [{} for _ in range(len(self))]
        values = zip(*(column.scalars() for column in self.columns.values()), strict=True)
        found = [dict(zip(self.columns, row, strict=True)) for row in values]
        for name, rows in self.absent.items():
            for row in np.flatnonzero(rows).tolist():
                del found[row][name]
        return found

    def without(self, place: int) -> FeatureColumns:
        """The features of the other rows."""
        rows = np.flatnonzero(self.places != place)
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        absent = {name: mask[rows] for name, mask in self.absent.items()}
        # A feature that no other row names is not named any more.
        named = {name: column for name, column in columns.items() if name not in absent or not absent[name].all()}
        return FeatureColumns(
            self.places[rows], named, {name: mask for name, mask in absent.items() if name in named and mask.any()}
        )

    def encode(self) -> bytes:
        """The block. Raises what the encoder raises for values that can't be kept."""
        if len(self) < ROWS_AS_ARRAYS and not self.absent:
            return _block(_small(self))
        content = _Content(len(self), self.columns)
        for name, column in self.columns.items():
            content.add(name, column, self.absent.get(name))
        return _block(content.joined(self.places))


def _small(features: FeatureColumns) -> bytes:
    """As `_Content` does it, at once: it is done for every few predictions that come one by one."""
    columns = [
        (name, "v", column.values if isinstance(column, MixedColumn) else column.scalars())
        for name, column in features.columns.items()
    ]
    head = _encode((len(features), 0, _listed(features.places), columns))
    return _LENGTH.pack(len(head)) + head


def _listed(places: Places) -> list[int]:
    return [] if not len(places) or places[-1] == len(places) - 1 else places.tolist()


def _block(content: bytes) -> bytes:
    compressed: bytes = _codec().compress(content, asbytes=True)
    length = _LENGTH.pack(len(content))
    return _HEADER.pack(FORMAT, zlib.crc32(compressed, zlib.crc32(length)), len(content)) + compressed


@cache
def _codec() -> Codec:
    # Takes a while to load, and is not needed for a store of few rows.
    from pyarrow import Codec

    return Codec("zstd", compression_level=1)


class _Content:
    """What becomes the content of a block, column by column."""

    def __init__(self, rows: int, columns: Mapping[str, Column]) -> None:
        self._rows = rows
        self._as_arrays = rows >= ROWS_AS_ARRAYS
        self._known = _floats_of(columns) if self._as_arrays else {}
        self._columns: list[_StoredColumn] = []
        self._floats: list[NDArray[np.float64]] = []
        self._data: list[bytes] = []
        self._size = 0

    def add(self, name: str, column: Column, absent: Mask | None) -> None:
        stored = self._stored(name, column) if self._as_arrays else _in_head(name, column)
        if absent is not None:
            stored.absent = self._put(np.packbits(absent).tobytes())
        self._columns.append(stored)

    def joined(self, places: Places) -> bytes:
        floats = _planes(np.array(self._floats)) if self._floats else b""
        head = _encode(_Head(self._rows, len(self._floats), _listed(places), self._columns))
        return b"".join([_LENGTH.pack(len(head)), head, floats, *self._data])

    def _stored(self, name: str, column: Column) -> _StoredColumn:
        match column:
            case FloatColumn():
                values, places = self._known[name]
                return (None if places is None else self._decimals(name, values, places)) or self._float(name, values)
            case IntegerColumn():
                signed = column.values.dtype.kind == "i"
                values = column.values.astype(np.int64 if signed else np.uint64)
                return self._whole(name, "s" if signed else "u", values, column.missing)
            case TextColumn():
                # Only the texts of these rows: what another row said is not kept with them.
                is_used = np.zeros(len(column.names) + 1, dtype=np.bool_)
                is_used[column.codes - MISSING] = True
                is_used[0] = True
                numbers = np.cumsum(is_used) - 1
                stored = self._whole(name, "t", numbers[column.codes - MISSING].astype(np.uint64), None)
                stored.values = [column.names[code] for code in np.flatnonzero(is_used[1:]).tolist()]
                return stored
            case _:
                return _in_head(name, column)

    def _float(self, name: str, values: NDArray[np.float64]) -> _StoredColumn:
        self._floats.append(values)
        return _StoredColumn(name, "f", start=len(self._floats) - 1)

    def _decimals(self, name: str, values: NDArray[np.float64], least: int) -> _StoredColumn | None:
        """The column when all values are decimals of a few places, at least so many, and are found again exactly; None
        otherwise."""
        missing = np.isnan(values)
        gaps = bool(missing.any())
        known = values[~missing] if gaps else values
        if not len(known):
            return None
        places = _decimal_places(known, least)
        if places is None:
            return None
        numbers = np.zeros(len(values), dtype=np.int64)
        numbers[~missing] = np.rint(known * 10.0**places)
        stored = self._whole(name, "d", numbers, missing if gaps else None)
        stored.places = places
        # What is rounded to zero from below is -0.0, and no whole number.
        negative = (values == 0.0) & np.signbit(values)
        if negative.any():
            stored.negative = self._put(np.packbits(negative).tobytes())
        return stored

    def _whole(self, name: str, kind: Kind, values: NDArray[Any], missing: Mask | None) -> _StoredColumn:
        gaps = missing is not None and bool(missing.any())
        known = values[~missing] if missing is not None and gaps else values
        low = int(known.min()) if len(known) else 0
        # Modulo 2**64, in which the distance between any two of them has a place.
        distances = values.astype(np.uint64) - np.uint64(low % 2**64)
        if missing is not None and gaps:
            distances[missing] = 0
        size = next(size for size in (1, 2, 4, 8) if int(distances.max(initial=0)) < 256**size)
        stored = _StoredColumn(name, kind, low=low, size=size)
        stored.start = self._put(_planes(distances.astype(f"<u{size}")))
        if missing is not None and gaps:
            stored.missing = self._put(np.packbits(missing).tobytes())
        return stored

    def _put(self, data: bytes) -> int:
        start = self._size
        self._data.append(data)
        self._size += len(data)
        return start


def _floats_of(columns: Mapping[str, Column]) -> dict[str, tuple[NDArray[np.float64], int | None]]:
    """Of the columns of floats, the values, NaN where they are not finite, and with how many decimal places the first
    few are found again; None for too many. All at once: one by one takes ten times as long."""
    floats = {name: column.values for name, column in columns.items() if isinstance(column, FloatColumn)}
    if not floats:
        return {}
    values = np.array(list(floats.values()), dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        values = np.where(finite, values, nan)
    tried = values[:, :_TRIED]
    factors = 10.0 ** np.arange(MOST_DECIMALS + 1)[:, None, None]
    with np.errstate(over="ignore"):
        fits = ((np.rint(tried * factors) / factors == tried) | np.isnan(tried)).all(axis=2)
    places = np.where(fits.any(axis=0), fits.argmax(axis=0), -1)
    found = zip(floats, values, places.tolist(), strict=True)
    return {name: (of_column, None if least < 0 else least) for name, of_column, least in found}


def _decimal_places(values: NDArray[np.float64], least: int) -> int | None:
    """With how many decimal places, at least so many, all values are found again exactly; None with too many."""
    for places in range(least, MOST_DECIMALS + 1):
        factor = 10.0**places
        with np.errstate(over="ignore"):
            whole = np.rint(values * factor)
        if (np.abs(whole) < _EXACT).all() and (whole / factor == values).all():
            return places
    return None


def _in_head(name: str, column: Column) -> _StoredColumn:
    return _StoredColumn(name, "v", column.values if isinstance(column, MixedColumn) else column.scalars())  # type: ignore[arg-type]


def _planes(values: NDArray[Any]) -> bytes:
    """The first byte of all values, then the second, and so on."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, values.dtype.itemsize).T).tobytes()


class FeatureBlock:
    """A block that is read.

    places: of its rows, in rising order. columns: by name, the values of a feature, missing where a row does not name
    it; each is read when it is asked for.
    """

    def __init__(self, raw: bytes) -> None:
        """Raises DamagedBlock, and NewerBlock for one that is as it was written, in a format that is not known here."""
        content = _content_of(raw)
        try:
            start = _LENGTH.size + _LENGTH.unpack_from(content)[0]
            self._head = _decode_head(content[_LENGTH.size : start])
        except (struct.error, msgspec.DecodeError) as error:
            raise DamagedBlock(f"A block of features can't be read: {error}") from error
        self._content = content
        self._floats_at, self._data_at = start, start + 8 * self._head.rows * self._head.floats
        self.columns: Mapping[str, Column] = _Columns(
            {column.name: column for column in self._head.columns}, self._column
        )
        self._asked = 0

    def __len__(self) -> int:
        return self._head.rows

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory, about, when all of its columns are read."""
        each = BYTES_OF_VALUE if len(self) < ROWS_AS_ARRAYS else BYTES_OF_NUMBER
        return len(self._content) + each * len(self) * len(self.columns)

    @cached_property
    def places(self) -> Places:
        """The places of its rows, in rising order."""
        return np.array(self._head.places or range(len(self)), dtype=np.intp)

    def _row_of(self, place: int) -> int:
        listed = self._head.places
        row = bisect_left(listed, place) if listed else place
        if not 0 <= row < len(self) or (listed and listed[row] != place):
            raise DamagedBlock("A block of features does not have a row that is said to be in it.")
        return row

    def rows_of(self, places: Places) -> Places:
        """The rows at these places. Raises DamagedBlock when one is not there."""
        if self._head.places:
            return np.array([self._row_of(place) for place in places.tolist()], dtype=np.intp)
        if len(places):
            self._row_of(int(places.min()))
            self._row_of(int(places.max()))
        return places

    def features(self, place: int) -> dict[str, Scalar]:
        """The features of the row at a place. Raises DamagedBlock when there is none."""
        row = self._row_of(place)
        self._asked += 1
        if self._asked > SINGLE_READS or len(self) <= ROWS_AS_ARRAYS:
            return self._maps[row]
        here = np.array([row])
        return {
            stored.name: self.columns[stored.name].take(here).scalars()[0]
            for stored in self._head.columns
            if stored.absent < 0 or not self._mask(stored.absent)[row]
        }

    def read(self) -> FeatureColumns:
        """Everything in it."""
        columns = dict(self.columns)
        absent = {column.name: self._mask(column.absent) for column in self._head.columns if column.absent >= 0}
        return FeatureColumns(self.places, columns, absent)

    @cached_property
    def _maps(self) -> list[dict[str, Scalar]]:
        stored = self._head.columns
        if stored and all(column.kind == "v" and column.absent < 0 for column in stored):
            # A small block, as most of them are where predictions come one by one.
            names = [column.name for column in stored]
            rows = zip(*(column.values for column in stored), strict=True)
            return [dict(zip(names, row, strict=True)) for row in rows]
        return self.read().maps()

    def _column(self, stored: _StoredColumn) -> Column:
        match stored.kind:
            case "v":
                return MixedColumn(stored.values)
            case "f":
                rows, columns = len(self), self._head.floats
                planes = np.frombuffer(self._content, np.uint8, 8 * rows * columns, self._floats_at)
                of_column = planes.reshape(8, columns, rows)[:, stored.start]
                return FloatColumn(np.ascontiguousarray(of_column.T).view("<f8").reshape(-1))
            case "t":
                codes = self._whole(stored).astype(np.intp) - 1
                return TextColumn(codes, tuple(stored.values))  # type: ignore[arg-type]
            case "d":
                floats = self._whole(stored).view(np.int64) / 10.0**stored.places
                if stored.negative >= 0:
                    floats[self._mask(stored.negative)] = -0.0
                if stored.missing >= 0:
                    floats[self._mask(stored.missing)] = nan
                return FloatColumn(floats)
            case _:
                missing = self._mask(stored.missing) if stored.missing >= 0 else None
                values = self._whole(stored)
                return IntegerColumn(values.view(np.int64) if stored.kind == "s" else values, missing)

    def _whole(self, stored: _StoredColumn) -> NDArray[np.uint64]:
        """The numbers, modulo 2**64."""
        planes = np.frombuffer(self._content, np.uint8, stored.size * len(self), self._data_at + stored.start)
        distances = np.ascontiguousarray(planes.reshape(stored.size, len(self)).T).view(f"<u{stored.size}").reshape(-1)
        return distances.astype(np.uint64) + np.uint64(stored.low % 2**64)

    def _mask(self, start: int) -> Mask:
        packed = np.frombuffer(self._content, np.uint8, (len(self) + 7) // 8, self._data_at + start)
        return np.unpackbits(packed, count=len(self)).astype(np.bool_)


class _Columns(Mapping[str, Column]):
    """The columns of a block, by name."""

    def __init__(self, stored: Mapping[str, _StoredColumn], read: Callable[[_StoredColumn], Column]) -> None:
        self._stored = stored
        self._read = read
        self._known: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        column = self._known.get(name)
        if column is None:
            column = self._known[name] = self._read(self._stored[name])
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _content_of(raw: bytes) -> bytes:
    if len(raw) < _HEADER.size:
        raise DamagedBlock("A block of features is cut off.")
    version, checksum, length = _HEADER.unpack_from(raw)
    if zlib.crc32(memoryview(raw)[_CHECKED_FROM:]) != checksum:
        raise DamagedBlock("A block of features is damaged: its checksum is another one.")
    if version != FORMAT:
        raise NewerBlock(f"A block of features has the format {version}, this modelwatch reads {FORMAT}.")

    try:
        content: bytes = _codec().decompress(memoryview(raw)[_HEADER.size :], length, asbytes=True)
    except (OSError, ValueError) as error:
        raise DamagedBlock(f"A block of features can't be read: {error}") from error
    return content
