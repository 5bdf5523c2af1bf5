"""The times of the rows of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelwatch.library.sources import Source, UnreadableColumn

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Seconds:
    """Times of rows in seconds since 1970. values: shape (rows,), 0 where there is none; known: where there is one."""

    values: NDArray[np.int64]
    known: NDArray[np.bool_]

    @property
    def all_known(self) -> bool:
        """True when each row has a time."""
        return bool(self.known.all())

    @property
    def of_known(self) -> NDArray[np.int64]:
        """Times of the rows that have one."""
        return self.values if self.all_known else self.values[self.known]

    def listed(self) -> list[int | None]:
        """Time of each row; None where there is none."""
        pairs = zip(self.values.tolist(), self.known.tolist(), strict=True)
        return [value if known else None for value, known in pairs]


def seconds_of(source: Source, name: str) -> Seconds | None:
    """The times of the rows; None without such a column. Raises ValueError for another type."""
    import pyarrow as pa

    from modelwatch.api.decoding.columns.schema import is_number

    if name not in source.names:
        return None
    try:
        column = source.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if is_number(column.type) or pa.types.is_boolean(column.type):
            raise UnreadableColumn(f"its type is {column.type}; times, or text as RFC 3339 writes them, are expected")
        found = _in_utc(column).cast(pa.int64())
    except (pa.ArrowException, UnreadableColumn) as error:
        raise ValueError(f"the column {name!r} holds no times: {str(error).splitlines()[0]}") from error
    return Seconds(found.fill_null(0).to_numpy() // 1_000_000, found.is_valid().to_numpy())


def _in_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times of a column in microseconds; those without a zone are UTC, as in the service."""
    import pyarrow as pa

    with_zone = pa.timestamp("us", tz="UTC")
    try:
        return column.cast(with_zone, safe=False)
    except pa.ArrowInvalid:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise
        return column.cast(pa.timestamp("us"), safe=False).cast(with_zone)
