"""Blocks of features: what is read is what a row would have given, and a damaged block is never read as another one."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.batches import PredictionBatch, joined
from modelwatch.errors import DamagedBlock, NewerBlock
from modelwatch.events import Scalar
from modelwatch.stats.counting.columns import FloatColumn
from modelwatch.storage.engine.protection import decode_features
from modelwatch.storage.ledger.predictions import feature_columns
from modelwatch.storage.ledger.predictions.feature_columns import ROWS_AS_ARRAYS, FeatureBlock, FeatureColumns
from tests.support.events import event
from tests.support.examples import examples

Row = dict[str, Scalar]

FLOATS = st.floats() | st.integers(-(10**9), 10**9).map(lambda number: number / 1_000) | st.sampled_from([-0.0, 0.0])
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=8) | st.sampled_from(["red", "green", "größe 😀", "", "1", "null"])
ANY: st.SearchStrategy[Scalar] = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | TEXTS
# Of one type each, with gaps or without: what columns are made for.
TYPED = [FLOATS, st.integers(-300, 300), INTEGERS, st.integers(2**63, 2**64 - 1), TEXTS, st.booleans(), ANY]
KINDS = st.sampled_from([*TYPED, *(st.none() | kind for kind in TYPED)])


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    names = draw(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    kinds = {name: draw(KINDS) for name in names}
    always = st.fixed_dictionaries(kinds)
    sometimes = st.fixed_dictionaries({}, optional=kinds)
    size = draw(st.integers(1, 12) | st.integers(ROWS_AS_ARRAYS, ROWS_AS_ARRAYS + 12))
    return draw(st.lists(draw(st.sampled_from([always, sometimes])), min_size=size, max_size=size))


def written(given_rows: list[Row], places: list[int] | None = None) -> bytes:
    batch = PredictionBatch.of([event(str(number), row) for number, row in enumerate(given_rows)])
    return FeatureColumns.of(batch, np.array(places or range(len(batch)), dtype=np.intp)).encode()


def as_row(row: Row) -> Row:
    """What a row that is kept as JSON gives back."""
    return decode_features(msgspec.json.encode(row))


def exact(row: Row) -> dict[str, tuple[type, str]]:
    return {name: (type(value), repr(value)) for name, value in row.items()}


@settings(max_examples=examples(150))
@given(rows())
def test_what_is_read_is_what_a_row_would_have_given(given_rows: list[Row]) -> None:
    expected = [exact(as_row(row)) for row in given_rows]
    raw = written(given_rows)
    assert [exact(row) for row in FeatureBlock(raw).read().maps()] == expected
    one_by_one = FeatureBlock(raw)
    assert [exact(one_by_one.features(place)) for place in range(len(given_rows))] == expected
    for name, column in FeatureBlock(raw).columns.items():
        assert [repr(value) for value in column.scalars()] == [repr(as_row(row).get(name)) for row in given_rows]


@settings(max_examples=examples(60))
@given(rows(), st.data())
def test_without_a_row_the_others_stay_where_they_were(given_rows: list[Row], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(given_rows) - 1))
    left = {place: as_row(row) for place, row in enumerate(given_rows)}
    block = FeatureBlock(written(given_rows))
    for place in data.draw(st.permutations(range(len(given_rows))))[: 1 + first]:
        del left[place]
        block = FeatureBlock(block.read().without(place).encode())
        with pytest.raises(DamagedBlock, match="does not have a row"):
            block.features(place)
    assert block.places.tolist() == list(left)
    assert [exact(row) for row in block.read().maps()] == [exact(row) for row in left.values()]


@settings(max_examples=examples(40))
@given(rows(), rows())
def test_bodies_of_one_commit_share_a_block(one: list[Row], other: list[Row]) -> None:
    parts = [PredictionBatch.of([event(str(number), row) for number, row in enumerate(each)]) for each in (one, other)]
    block = FeatureColumns.of(joined(parts), np.arange(len(one) + len(other))).encode()
    assert [exact(row) for row in FeatureBlock(block).read().maps()] == [exact(as_row(row)) for row in [*one, *other]]


@pytest.mark.parametrize("count", [5, 200])
def test_a_text_that_no_row_is_left_with_is_not_kept(count: int) -> None:
    given_rows: list[Row] = [{"c": "red", "n": float(number)} for number in range(count)]
    given_rows[3] = {"c": "secret-value", "secret-name": 1, "n": 9876.5}
    left = FeatureBlock(written(given_rows)).read().without(3)
    content = b"".join([repr(left.encode()).encode(), repr(dict(FeatureBlock(left.encode()).read().columns)).encode()])
    assert b"secret" not in content
    assert list(FeatureBlock(left.encode()).columns) == ["c", "n"]


@pytest.mark.parametrize("count", [5, 200])
def test_texts_of_other_rows_of_a_batch_are_not_written(count: int) -> None:
    batch = PredictionBatch.of([event(str(number), {"c": f"text-{number}"}) for number in range(2 * count)])
    half = batch.take(np.arange(count))
    block = FeatureBlock(FeatureColumns.of(half, np.arange(count)).encode())
    assert "text-7777" not in str(block.read().columns["c"])
    assert f"text-{count + 1}" not in str(block.read().columns["c"])


def test_decimals_take_less_than_half_of_floats() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(1_000, 10))
    sizes = [
        len(written([{f"f{place}": value for place, value in enumerate(row)} for row in each.tolist()]))
        for each in (values, values.round(3))
    ]
    assert sizes[1] < sizes[0] / 2
    assert sizes[0] < 75 * 1_000


def test_texts_that_a_row_can_not_keep_are_refused_alike() -> None:
    for count in (5, 200):
        with pytest.raises(UnicodeError):
            written([{"c": "\ud800"}] * count)
    with pytest.raises(UnicodeError):
        msgspec.json.encode({"c": "\ud800"})


@settings(max_examples=examples(100))
@given(st.data())
def test_a_block_with_a_changed_byte_is_not_read(data: st.DataObject) -> None:
    raw = bytearray(written([{"x": 1.5 * number, "c": "ab"[number % 2]} for number in range(40)]))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedBlock):
        FeatureBlock(bytes(raw))


def test_floats_of_single_precision_are_written_as_doubles() -> None:
    values = np.array([0.1, 1 / 3, math.nan] * ROWS_AS_ARRAYS, dtype=np.float32)
    columns = FeatureColumns(np.arange(len(values)), {"x": FloatColumn(values)}, {})  # type: ignore[arg-type]
    read = FeatureBlock(columns.encode()).columns["x"]
    np.testing.assert_array_equal(read.numbers(), values.astype(np.float64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"", "cut off"),
        (lambda raw: raw[:-1], "checksum"),
        (lambda raw: b"\x02" + raw[1:-1] + b"x", "checksum"),
    ],
)
def test_what_is_wrong_with_a_block_is_said(change: Any, message: str) -> None:
    with pytest.raises(DamagedBlock, match=message) as raised:
        FeatureBlock(change(written([{"x": math.pi}] * 4)))
    assert raised.type is DamagedBlock


def test_a_block_with_a_kind_of_column_that_is_not_known_is_not_read() -> None:
    """At once: its columns are read one by one, far from where a damaged block is reported."""

    def block(kind: str) -> FeatureBlock:
        head = msgspec.json.encode([4, 0, [], [["x", kind, [1.5] * 4]]])
        return FeatureBlock(feature_columns._block(struct.pack("<I", len(head)) + head))

    assert block("v").columns["x"].numbers().tolist() == [1.5] * 4
    with pytest.raises(DamagedBlock, match="can't be read: Invalid enum value 'w'"):
        block("w")


def test_a_block_of_a_newer_format_is_not_taken_for_a_damaged_one() -> None:
    raw = written([{"x": math.pi}] * 4)
    with pytest.raises(NewerBlock, match="has the format 2, this modelwatch reads 1"):
        FeatureBlock(b"\x02" + raw[1:])
