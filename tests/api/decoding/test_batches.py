"""The same data in JSON, NDJSON, Arrow and Parquet give the same events; bad rows are named."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.api.decoding.compression import decompress
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput, MalformedBody, RequestError
from modelwatch.events import Prediction, Rejection
from tests.api.bad_inputs import ARROW, GOOD, JSON, NDJSON, PARQUET, arrow_stream, good_columns, parquet_file
from tests.api.decoding.clock import NOW
from tests.support.examples import examples

decoder = Decoder(Limits(), lambda: NOW, lambda: "made-here")

ROWS: list[dict[str, Any]] = [
    {
        "model_name": "fraud",
        "model_version": "2",
        "environment": "staging",
        "prediction_id": f"p-{index}",
        "timestamp": f"2025-01-01T00:00:0{index}.250000Z",
        "features": {"amount": amount, "count": count, "category": category, "member": member},
        "prediction": prediction,
        "prediction_probability": probability,
        "latency_ms": 1.5 * index,
        "ground_truth": truth,
    }
    for index, (amount, count, category, member, prediction, probability, truth) in enumerate(
        [
            (1.5, 3, "grocery", True, "ok", 0.25, None),
            (None, None, None, None, "fraud", None, "ok"),
            (-1e300, -(2**63), "größe 😀", False, "", 1.0, "fraud"),
        ]
    )
]


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        [{**{name: value for name, value in row.items() if name != "features"}, **row["features"]} for row in rows]
    )


def events(body: bytes, content_type: str, **defaults: str) -> list[Prediction]:
    batch = decoder.batch(body, content_type, defaults)
    assert batch.rejected == []
    return batch.events


def test_every_format_gives_the_same_events() -> None:
    array = events(json.dumps(ROWS).encode(), JSON)
    assert [event.prediction_id for event in array] == ["p-0", "p-1", "p-2"]
    assert array[0].features == {"amount": 1.5, "count": 3, "category": "grocery", "member": "true"}
    assert array[1].features == dict.fromkeys(array[0].features)
    assert events(json.dumps({"predictions": ROWS}).encode(), "application/json; charset=utf-8") == array
    assert events(b"\n\n" + as_lines(ROWS).replace(b"\n", b"\r\n \n") + b"\n", NDJSON) == array
    assert events(as_lines(ROWS), "application/jsonl") == array
    assert events(arrow_stream(as_table(ROWS)), ARROW) == array
    assert events(parquet_file(as_table(ROWS)), PARQUET) == array
    assert events(parquet_file(as_table(ROWS)), "application/octet-stream") == array


names = st.sampled_from(["amount", "café", "a/b", "x~y", "model"])
texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)
columns = st.one_of(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3),
    st.lists(st.none() | texts, min_size=3, max_size=3),
    st.lists(st.none() | st.booleans(), min_size=3, max_size=3),
)


@settings(max_examples=examples(50))
@given(st.dictionaries(names, columns))
def test_any_columns_give_the_events_of_their_rows(data: dict[str, list[Any]]) -> None:
    rows = [{**row, "features": {name: values[i] for name, values in data.items()}} for i, row in enumerate(ROWS)]
    array = events(json.dumps(rows).encode(), JSON)
    assert events(as_lines(rows), NDJSON) == array
    assert events(arrow_stream(as_table(rows)), ARROW) == array
    assert events(parquet_file(as_table(rows)), PARQUET) == array


@pytest.mark.parametrize("options", [{"data_page_version": "2.0"}, {"compression": "zstd"}, {"row_group_size": 1}])
def test_other_ways_to_write_parquet_are_read(options: dict[str, Any]) -> None:
    assert events(parquet_file(as_table(ROWS), **options), PARQUET) == events(as_lines(ROWS), NDJSON)


@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
def test_a_stream_with_compressed_buffers_is_read(compression: str | None) -> None:
    rows = [{**ROWS[0], "prediction_id": f"p-{index}"} for index in range(1_000)]
    body = arrow_stream(as_table(rows), pa.ipc.IpcWriteOptions(compression=compression))
    assert events(body, ARROW) == events(as_lines(rows), NDJSON)


def test_compressed_bodies_are_read() -> None:
    plain = json.dumps(ROWS).encode()
    for encoding, body in (("gzip", gzip.compress(plain)), ("zstd", zstandard.compress(plain))):
        assert events(decompress(body, encoding, 10_000), JSON) == events(plain, JSON)


def test_an_empty_batch_has_no_rows() -> None:
    empty = pa.schema([("model_name", pa.string()), ("prediction", pa.float64())]).empty_table()
    for body, kind in ((b"[]", JSON), (b'{"predictions": []}', JSON), (b"", NDJSON), (b"\n\n", NDJSON)):
        assert decoder.batch(body, kind).events == []
    assert decoder.batch(arrow_stream(empty), ARROW).events == []
    assert decoder.batch(parquet_file(empty), PARQUET).events == []


def test_good_rows_are_kept_and_bad_ones_named() -> None:
    bad: list[Any] = [
        {**GOOD, "features": [{"name": 3}]},
        [1],
        {**GOOD, "latency_ms": -1, "model_name": ""},
        {**GOOD, "features": {"a/b": []}},
        7,
    ]
    rows = [GOOD, *bad, GOOD]
    expected = [
        Rejection(1, "/features/0/name", "Expected text, got a whole number"),
        Rejection(2, "", "Expected an object, got a list"),
        Rejection(3, "/model_name", "Expected at least one character (and 1 more)"),
        Rejection(4, "/features/a~1b", "Expected true or false, a number, text or null, got a list"),
        Rejection(5, "", "Expected an object, got a whole number"),
    ]
    for body, kind in ((json.dumps(rows).encode(), JSON), (as_lines(rows), NDJSON)):
        batch = decoder.batch(body, kind)
        assert batch.rejected == expected
        assert len(batch.events) == 2


def test_a_line_that_is_cut_off_is_named_and_the_others_are_kept() -> None:
    batch = decoder.batch(as_lines([GOOD, GOOD])[:-5], NDJSON)
    assert len(batch.events) == 1
    assert [(rejection.index, rejection.pointer) for rejection in batch.rejected] == [(1, "")]
    assert "not JSON" in batch.rejected[0].message


def test_bad_rows_of_a_table_are_named_by_column() -> None:
    columns = {
        **good_columns(4),
        "amount": [1.0, float("inf"), float("nan"), 4.0],
        "prediction": ["a", "b", "c", None],
        "model_name": ["m", "m", "m", ""],
    }
    batch = decoder.batch(arrow_stream(pa.table(columns)), ARROW)
    assert [event.features for event in batch.events] == [{"amount": 1.0}, {"amount": None}]
    assert [(rejection.index, rejection.pointer) for rejection in batch.rejected] == [
        (1, "/amount"),
        (3, "/prediction"),
    ]


def test_the_same_id_twice_is_not_an_error_here() -> None:
    assert len(events(json.dumps([GOOD, GOOD]).encode(), JSON)) == 2


def test_defaults_fill_what_rows_and_columns_leave_out() -> None:
    table = pa.table({"prediction": [1, 2], "x": [0.5, 1.5], "model_version": ["7", None]})
    first, second = events(arrow_stream(table), ARROW, model_name="churn", model_version="1", environment="dev")
    assert (first.model_name, first.model_version, first.environment) == ("churn", "7", "dev")
    assert (second.model_version, second.prediction_id, second.timestamp) == ("1", "made-here", NOW)


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([3, None, 4]).dictionary_encode(), ["3", None, "4"]),
        (pa.array(["a", "b", None], pa.large_string()), ["a", "b", None]),
        (pa.array(["a", "b", None], pa.string_view()), ["a", "b", None]),
        (pa.array([1, 2, None]).cast(pa.decimal128(30, 2)), [1.0, 2.0, None]),
        (pa.array([1.5, None, 2], pa.float16()), [1.5, None, 2.0]),
        (pa.array([2**64 - 1, None, 0], pa.uint64()), [2**64 - 1, None, 0]),
        (pa.nulls(3), [None, None, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_column_types_become_scalars(column: pa.Array, kept: list[Any]) -> None:
    table = pa.table({**good_columns(3), "x": column})
    assert [event.features["x"] for event in events(arrow_stream(table), ARROW)] == kept


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_times_of_every_unit_and_zone_are_read(unit: str, zone: str | None) -> None:
    moments = pa.array([dt.datetime(2025, 1, 1, tzinfo=dt.UTC)] * 3, pa.timestamp(unit, zone))
    table = pa.table({**good_columns(3), "timestamp": moments})
    assert {event.timestamp for event in events(arrow_stream(table), ARROW)} == {1_735_689_600_000_000}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"a": 0.5, "b": None}, None, {"a": None, "b": 1.0}]),
        pa.array([[("a", 0.5)], None, [("b", 1.0)]], pa.map_(pa.string(), pa.float64())),
    ],
    ids=["struct", "map"],
)
def test_probabilities_by_class_come_as_struct_or_map(column: pa.Array) -> None:
    table = pa.table({**good_columns(3), "prediction_probability": column})
    assert [event.probability for event in events(arrow_stream(table), ARROW)] == [{"a": 0.5}, None, {"b": 1.0}]


def test_integer_ids_are_text() -> None:
    table = pa.table({**good_columns(2), "prediction_id": [17, None]})
    assert [event.prediction_id for event in events(arrow_stream(table), ARROW)] == ["17", "made-here"]


def test_a_batch_without_a_good_row_lists_no_more_than_a_hundred_problems() -> None:
    with pytest.raises(InvalidInput, match="None of the 500 rows") as caught:
        decoder.batch(json.dumps([{**GOOD, "latency_ms": -1}] * 500).encode(), JSON)
    assert len(caught.value.errors) == 100


def test_the_limit_of_rows_is_inclusive() -> None:
    small = Decoder(Limits(max_batch_rows=3), lambda: NOW, lambda: "id")
    for body, kind in (
        (json.dumps(ROWS).encode(), JSON),
        (as_lines(ROWS), NDJSON),
        (arrow_stream(as_table(ROWS)), ARROW),
        (parquet_file(as_table(ROWS)), PARQUET),
    ):
        assert len(small.batch(body, kind).events) == 3


@settings(max_examples=examples(150))
@given(st.data())
def test_a_damaged_table_is_a_batch_or_a_request_error(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([ARROW, PARQUET]))
    body = bytearray((arrow_stream if kind == ARROW else parquet_file)(as_table(ROWS)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RequestError):
        decoder.batch(bytes(body[: data.draw(st.integers(0, len(body)))]), kind)


CSV = "text/csv"


def test_a_csv_file_gives_the_events_of_the_same_table() -> None:
    body = b"prediction_id,amount,zip,note,prediction\na-1,1.5,01321,x,1\na-2,,90210,NA,0\n"
    found = decoder.batch(body, CSV, {"model_name": "m"})
    assert [(event.prediction_id, event.features, event.prediction) for event in found.events] == [
        ("a-1", {"amount": 1.5, "zip": "01321", "note": "x"}, 1),
        ("a-2", {"amount": None, "zip": "90210", "note": None}, 0),
    ]
    labels = decoder.ground_truths(b"prediction_id,ground_truth\nNA,1\n", CSV, {"model_name": "m"})
    assert [(label.prediction_id, label.value) for label in labels.labels] == [("NA", 1)]


@pytest.mark.parametrize("body", [b"", b"a,a,prediction\n1,2,3\n", b"\xff\xfe", b'a,prediction\n"1,2\n'])
def test_what_is_no_csv_file_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decoder.batch(body, CSV, {"model_name": "m"})


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_the_request_names_the_model_of_rows_that_name_none(kind: str) -> None:
    unnamed = {name: value for name, value in GOOD.items() if name not in ("model_name", "environment")}
    rows = [unnamed, {**GOOD, "model_name": "own", "environment": "own"}]
    body = json.dumps(rows).encode() if kind == JSON else as_lines(rows)
    found = decoder.batch(body, kind, {"model_name": "m2", "environment": "staging"})
    assert [(event.model_name, event.environment) for event in found.events] == [("m2", "staging"), ("own", "own")]
    with pytest.raises(InvalidInput) as refused:
        decoder.batch(body if kind == JSON else as_lines([unnamed]), kind, {"environment": "\0"})
    assert refused.value.errors[0].pointer == "/environment"
    missing = decoder.batch(body, kind, {"environment": "staging"})
    assert missing.rejected == [Rejection(0, "/model_name", "Required")]


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_the_request_names_the_model_of_labels_that_name_none(kind: str) -> None:
    rows = [{"prediction_id": "a", "ground_truth": 1}]
    body = json.dumps(rows).encode() if kind == JSON else as_lines(rows)
    [label] = decoder.ground_truths(body, kind, {"model_name": "m2"}).labels
    assert label.model_name == "m2"


@pytest.mark.parametrize(("truth", "got"), [([1], "a list"), ({}, "an object"), (None, "null")])
def test_a_label_that_is_none_is_told_what_one_is(truth: object, got: str) -> None:
    label, good = ({"model_name": "m", "prediction_id": "a", "ground_truth": each} for each in (truth, 1))
    message = f"Expected true or false, a number or text, got {got}"
    for body, kind in ((json.dumps([good, label]).encode(), JSON), (as_lines([good, label]), NDJSON)):
        assert decoder.ground_truths(body, kind).rejected == [Rejection(1, "/ground_truth", message)]
    with pytest.raises(InvalidInput) as caught:
        decoder.ground_truth(json.dumps(label).encode())
    assert [(each.pointer, each.message) for each in caught.value.errors] == [("/ground_truth", message)]


def test_a_column_of_labels_that_are_lists_is_told_what_they_are() -> None:
    table = pa.table({"model_name": ["m"], "prediction_id": ["a"], "ground_truth": [[1]]})
    with pytest.raises(InvalidInput) as caught:
        decoder.ground_truths(parquet_file(table), PARQUET)
    [problem] = caught.value.errors
    assert problem.message.startswith("Expected numbers, booleans or text, got list<")


def test_one_row_where_many_are_expected_is_told_where_it_belongs() -> None:
    with pytest.raises(MalformedBody, match="This is one row: send it to POST /api/v1/predictions, or in a list"):
        decoder.batch(json.dumps(GOOD).encode(), JSON)
    label = {"model_name": "m", "prediction_id": "a", "ground_truth": 1}
    with pytest.raises(MalformedBody, match="send it to POST /api/v1/ground-truth"):
        decoder.ground_truths(json.dumps(label).encode(), JSON)


def test_choices_are_named() -> None:
    row = {**GOOD, "features": [{"name": "x", "value": 1, "data_type": "numeric"}]}
    assert decoder.batch(json.dumps([GOOD, row]).encode(), JSON).rejected == [
        Rejection(1, "/features/0/data_type", "Expected continuous or categorical")
    ]


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet=',;"\n\r\t0123456789.eENA-', max_size=200).map(str.encode))
def test_any_csv_is_a_batch_or_a_request_error(body: bytes) -> None:
    with suppress(RequestError):
        decoder.batch(b"a,prediction\n" + body, CSV, {"model_name": "m"})
    with suppress(RequestError):
        decoder.batch(body, CSV, {"model_name": "m"})


@pytest.mark.parametrize("form", [b"[%s]", b'{"%s":[]}'])
def test_many_rows_where_one_belongs_are_told_where_to_go(form: bytes) -> None:
    for decode, name, words in (
        (decoder.prediction, b"predictions", "many predictions go to POST /api/v1/predictions/batch"),
        (decoder.ground_truth, b"ground_truths", "many labels go to POST /api/v1/ground-truth/batch"),
    ):
        with pytest.raises(InvalidInput) as caught:
            decode(form % (name if b"{" in form else b'{"model_name":"m"}'))
        [problem] = caught.value.errors
        assert problem.message.startswith("Expected an object, got ")
        assert problem.message.endswith(words)


def wide_rows(rows: int, features: int) -> list[dict[str, Any]]:
    return [
        {
            "model_name": "wide",
            "prediction_id": f"p-{row}",
            "features": {f"feature_{number:04d}": float(row * number) for number in range(features)},
            "prediction": "ok",
        }
        for row in range(rows)
    ]


def test_rows_of_a_wide_model_share_their_names() -> None:
    rows = wide_rows(3, 300)
    rows[2]["features"] = dict(reversed(rows[2]["features"].items()))
    first, second, third = events(json.dumps(rows).encode(), JSON)
    assert [dict(each.features) for each in (first, second, third)] == [row["features"] for row in rows]
    assert all(map(lambda one, other: one is other, first.features, second.features))


def test_large_rows_are_decoded_one_at_a_time_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = wide_rows(4, 300)
    rows[1]["prediction"] = None
    rows[2]["features"]["feature_0001"] = [1]
    bodies = [json.dumps(each).encode() for each in (rows, {"predictions": rows})]
    usual = [decoder.batch(body, JSON) for body in bodies]
    monkeypatch.setattr("modelwatch.api.decoding.json_batches.row_by_row.LARGE_BODY", 0)
    monkeypatch.setattr("modelwatch.api.decoding.json_batches.row_by_row.LARGE_ROW", 1)
    assert [decoder.batch(body, JSON) for body in bodies] == usual
    assert [each.index for each in usual[0].rejected] == [1, 2]
    for broken in (bodies[1].replace(b'{"predictions"', b'{"predictions": [], "predictions"'), bodies[0][:-1]):
        with pytest.raises(RequestError):
            decoder.batch(broken, JSON)
    with pytest.raises(RequestError, match="MAX_BATCH_ROWS"):
        Decoder(Limits(max_batch_rows=3), lambda: NOW, lambda: "x").batch(json.dumps(wide_rows(4, 300)).encode(), JSON)
