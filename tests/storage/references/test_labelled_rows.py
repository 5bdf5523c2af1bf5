"""Rows of a labelled reference: read as they were kept, or an error that says of what the bytes are damaged."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from sqlalchemy import insert

from modelwatch.errors import DamagedData
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.labelled_rows import LabelledRows, decode_labelled_rows
from modelwatch.storage.references.outcome_references import labelled_rows_of

ROWS = LabelledRows(
    "binary", "yes", ["yes", "no"], [0.9, None], ["yes", "yes"], segments={"d": (2, [0, 1])}, times=[1, None]
)
KEPT = ROWS.encode()


def test_rows_are_read_as_they_were_kept() -> None:
    assert decode_labelled_rows("r1", KEPT) == ROWS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"rows",
        KEPT[:-5],
        KEPT[:20] + bytes((KEPT[20] ^ 0xFF,)) + KEPT[21:],
        zlib.compress(b""),
        zlib.compress(msgspec.msgpack.encode(["no rows"])),
        zlib.compress(msgspec.msgpack.encode({"predictions": 5})),
    ],
)
def test_damaged_rows_are_an_error_of_the_store(raw: bytes, store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(tables.labelled_rows), {"reference": "r", "document": raw})
    with store.read() as connection, pytest.raises(DamagedData, match="rows of the labelled reference r can't be read"):
        labelled_rows_of(connection, "r")
