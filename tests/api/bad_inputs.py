"""Malformed requests, and how each must be refused. Bodies are made when they are needed: some are large."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

API = "/api/v1"
PREDICTIONS = f"{API}/predictions"
BATCH = f"{API}/predictions/batch"
REFERENCE = f"{API}/reference"
DRIFT_CHECK = f"{API}/drift/check"

JSON = "application/json"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"

MIB = 1024 * 1024
BODY_LIMIT = 32 * MIB


@dataclass(frozen=True)
class BadInput:
    """A request that must be refused.

    pointer: one of the pointers in the answer's `errors`; None when the answer names no field.
    says: a part of the detail or of a message.
    """

    name: str
    path: str
    body: Callable[[], bytes]
    status: int
    pointer: str | None = None
    content_type: str = JSON
    encoding: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    says: str = ""
    method: str = "POST"

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers."""
        encoding = {} if self.encoding is None else {"Content-Encoding": self.encoding}
        return {"Content-Type": self.content_type, **encoding}


GOOD: dict[str, Any] = {
    "model_name": "fraud",
    "prediction_id": "p-1",
    "timestamp": "2025-01-01T00:00:00Z",
    "features": [{"name": "amount", "value": 127.5}, {"name": "category", "value": "grocery"}],
    "prediction": "legitimate",
}
GOOD_REFERENCE: dict[str, Any] = {"model_name": "fraud", "feature_name": "amount", "values": [1.0, 2.0, 3.5]}
GOOD_CHECK: dict[str, Any] = {"model_name": "fraud"}
ABSENT = object()


def good_body(**changes: Any) -> bytes:
    """A prediction in JSON with these fields instead; ABSENT leaves one out."""
    return _json(_changed(GOOD, changes))


def good_columns(rows: int = 3) -> dict[str, Any]:
    """The columns of a small batch."""
    return {
        "model_name": ["fraud"] * rows,
        "prediction_id": [f"p-{index}" for index in range(rows)],
        "timestamp": ["2025-01-01T00:00:00Z"] * rows,
        "prediction": ["legitimate"] * rows,
        "amount": [127.5 + index for index in range(rows)],
    }


def arrow_stream(table: pa.Table, options: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    """The table as an Arrow IPC stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet_file(table: pa.Table, **options: Any) -> bytes:
    """The table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def lying_parquet(size: int) -> bytes:
    """A file whose page says that it holds so many bytes, though neither its footer nor its content does."""
    content = bytearray(parquet_file(pa.table(good_columns()), compression="zstd", use_dictionary=False))
    # A page header: field 1 (type, 0x15), field 2 (uncompressed size, 0x15), field 3 (compressed size, 0x15).
    start = pq.read_metadata(pa.BufferReader(bytes(content))).row_group(0).column(0).data_page_offset
    assert content[start] == content[start + 2] == 0x15
    end = start + 3
    while content[end] & 0x80:
        end += 1
    claim = _varint(size << 1)
    # The next field's bytes are overwritten too: the header is then corrupt, unless the claim has the same length.
    content[start + 3 : end + 1] = claim
    return bytes(content)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not ABSENT}


def _with(field: str, text: bytes) -> Callable[[], bytes]:
    """A good prediction with a field written exactly so."""
    return lambda: good_body(**{field: "@"}).replace(b'"@"', text)


def _table(**changes: Any) -> pa.Table:
    return pa.table(_changed(good_columns(), changes))


def _features(count: int) -> list[dict[str, Any]]:
    return [{"name": f"f{index}", "value": index} for index in range(count)]


def _rows(count: int) -> list[dict[str, Any]]:
    return [{**GOOD, "prediction_id": f"p-{index}"} for index in range(count)]


def _single() -> list[BadInput]:
    def bad(name: str, pointer: str | None, says: str = "", status: int = 422, **changes: Any) -> BadInput:
        return BadInput(name, PREDICTIONS, lambda: good_body(**changes), status, pointer, says=says)

    def raw(name: str, field: str, text: bytes, pointer: str | None, says: str = "", status: int = 422) -> BadInput:
        return BadInput(name, PREDICTIONS, _with(field, text), status, pointer, says=says)

    def body(name: str, make: Callable[[], bytes], status: int, pointer: str | None = None, says: str = "") -> BadInput:
        return BadInput(name, PREDICTIONS, make, status, pointer, says=says)

    def flat(value: Any, name: str = "amount") -> dict[str, Any]:
        return {name: value}

    deep = 100_000
    return [
        # Unreadable
        body("empty body", lambda: b"", 400, says="empty"),
        body("only spaces", lambda: b"  \n ", 400, says="empty"),
        body("byte order mark", lambda: b"\xef\xbb\xbf" + good_body(), 400, says="byte order mark"),
        body("utf-16", lambda: good_body().decode().encode("utf-16"), 400),
        body("cut off", lambda: good_body()[:-20], 400, says="not JSON"),
        body("two values", lambda: good_body() + good_body(), 400, says="trailing"),
        body("trailing text", lambda: good_body() + b"x", 400),
        body("single quotes", lambda: good_body().replace(b'"', b"'"), 400),
        body("form data", lambda: b"model_name=fraud&prediction=1", 400),
        body("invalid utf-8 in a value", lambda: good_body(prediction="@").replace(b"@", b"\xff"), 400, says="UTF-8"),
        body("invalid utf-8 in a key", lambda: good_body(features=flat(1)).replace(b"amount", b"\xc3("), 400),
        body("encoded surrogate", lambda: good_body(prediction="@").replace(b"@", b"\xed\xa0\x80"), 400),
        raw("lone high surrogate", "prediction", rb'"\ud800"', None, "surrogate", 400),
        raw("lone low surrogate", "model_name", rb'"a\udc00b"', None, "surrogate", 400),
        raw("surrogate in a feature name", "features", rb'{"\ud83d": 1}', None, "", 400),
        raw("raw control character", "prediction", b'"a\x00b"', None, "", 400),
        raw("NaN token", "latency_ms", b"NaN", None, "null", 400),
        raw("Infinity token", "prediction", b"Infinity", None, "null", 400),
        raw("-Infinity in a feature", "features", b'{"amount": -Infinity}', None, "null", 400),
        raw("NaN in a list of features", "features", b'[{"name": "a", "value": NaN}]', None, "null", 400),
        raw("leading zero", "prediction", b"007", None, "", 400),
        raw("hexadecimal", "prediction", b"0x10", None, "", 400),
        raw("comment", "prediction", b"1 /* one */", None, "", 400),
        body("100k-deep arrays, cut off", lambda: b"[" * deep, 400, says="deep"),
        body("100k-deep arrays", lambda: b"[" * deep + b"]" * deep, 400, says="deep"),
        body("100k-deep objects", lambda: b'{"a":' * deep + b"1" + b"}" * deep, 400, says="deep"),
        raw("100k-deep feature", "features", b'{"a":' + b"[" * deep + b"]" * deep + b"}", None, "deep", 400),
        raw("100k-deep unknown field", "timestamp", b'null,"x":' + b"[" * deep + b"]" * deep, None, "deep", 400),
        # Wrong types
        body("array instead of object", lambda: _json([GOOD]), 422, "", "Expected an object, got a list"),
        body("null", lambda: b"null", 422, ""),
        body("number", lambda: b"12", 422, ""),
        body("text", lambda: b'"prediction"', 422, ""),
        body("empty object", lambda: b"{}", 422, "/prediction", "Required"),
        bad("model_name a number", "/model_name", model_name=5),
        bad("model_name null", "/model_name", model_name=None),
        bad("prediction_id a number", "/prediction_id", prediction_id=12345),
        bad("model_version a number", "/model_version", model_version=2.1),
        bad("environment an object", "/environment", environment={}),
        bad("features null", "/features", features=None),
        bad("features a number", "/features", features=3),
        bad("features of numbers", "/features/0", features=[1, 2]),
        bad("feature without name", "/features/0/name", "Required", features=[{"value": 1}]),
        bad("feature name a number", "/features/0/name", features=[{"name": 1, "value": 1}]),
        bad("feature value a list", "/features/1/value", features=[{"name": "a"}, {"name": "b", "value": [1]}]),
        bad("feature type unknown", "/features/0/data_type", features=[{"name": "a", "data_type": "float"}]),
        bad("feature with unknown field", "/features/0/valeu", "value", features=[{"name": "a", "valeu": 1}]),
        bad("flat value a list", "/features/amount", features=flat([1])),
        bad("flat value an object", "/features/amount", features=flat({"value": 1})),
        bad("flat name with slash and tilde", "/features/a~1b~0c", features=flat([1], "a/b~c")),
        bad("second of two flat values", "/features/other", features={"amount": 1, "other": {}}),
        bad("prediction null", "/prediction", prediction=None),
        bad("prediction a list", "/prediction", prediction=["legitimate"]),
        bad("prediction an object", "/prediction", prediction={"class": 1}),
        bad("timestamp a number", "/timestamp", timestamp=1767225600),
        bad("probability a text", "/prediction_probability", prediction_probability="0.9"),
        bad("probability a boolean", "/prediction_probability", prediction_probability=True),
        bad("probability map with text", "/prediction_probability/b", prediction_probability={"a": 0.5, "b": "x"}),
        bad("latency a text", "/latency_ms", latency_ms="45 ms"),
        bad("ground truth a list", "/ground_truth", ground_truth=[1]),
        bad("unknown field", "/model_nam", "model_name", model_nam="fraud"),
        bad("unknown field without likeness", "/zzzz", "known are", zzzz=1),
        # Missing
        bad("without model_name", "/model_name", "Required", model_name=ABSENT),
        bad("without features", "/features", "Required", features=ABSENT),
        bad("without prediction", "/prediction", "Required", prediction=ABSENT),
        # Numbers
        raw("1e999 in a feature", "features", b'{"amount": 1e999}', "/features/amount", "range"),
        raw("1e999 in a listed feature", "features", b'[{"name": "a", "value": 1e999}]', "/features/0/value", "range"),
        raw("1e999 as probability", "prediction_probability", b"1e999", "/prediction_probability", "range"),
        raw("-1e400 as latency", "latency_ms", b"-1e400", "/latency_ms", "range"),
        raw("integer of 400 digits", "features", b'{"amount": ' + b"9" * 400 + b"}", "/features/amount", "range"),
        raw("integer of 400 digits as prediction", "prediction", b"9" * 400, "/prediction", "range"),
        raw("integer of 100k digits", "features", b'{"a": ' + b"9" * 100_000 + b"}", "/features/a", "range"),
        raw("integer of 10 MB", "prediction", b"9" * (10 * MIB), "/prediction", "range"),
        bad("probability 1.5", "/prediction_probability", prediction_probability=1.5),
        bad("probability -0.1", "/prediction_probability", prediction_probability=-0.1),
        bad("probability map above 1", "/prediction_probability/a", prediction_probability={"a": 1.01}),
        bad("probability map empty", "/prediction_probability", prediction_probability={}),
        bad("probability map without a class name", "/prediction_probability/", prediction_probability={"": 0.5}),
        bad("latency negative", "/latency_ms", latency_ms=-1),
        # Times
        bad("time an hour ahead", "/timestamp", "ahead", timestamp="2124-01-01T00:00:00Z"),
        bad("year 0001", "/timestamp", "1970", timestamp="0001-01-01T00:00:00+14:00"),
        bad("year 9999", "/timestamp", "ahead", timestamp="9999-12-31T23:59:59-23:59"),
        bad("before 1900", "/timestamp", "1900", timestamp="1899-12-31T23:59:59.999999Z"),
        bad("bad time zone", "/timestamp", timestamp="2025-01-01T00:00:00+25:00"),
        bad("named time zone", "/timestamp", timestamp="2025-01-01T00:00:00 Europe/Berlin"),
        bad("month 13", "/timestamp", timestamp="2025-13-01T00:00:00Z"),
        bad("only a date", "/timestamp", timestamp="2025-01-01"),
        bad("empty timestamp", "/timestamp", timestamp=""),
        # Names and texts
        bad("model_name empty", "/model_name", model_name=""),
        bad("prediction_id empty", "/prediction_id", prediction_id=""),
        bad("model_version empty", "/model_version", model_version=""),
        bad("environment empty", "/environment", environment=""),
        bad("feature name empty", "/features/0/name", features=[{"name": "", "value": 1}]),
        bad("flat feature name empty", "/features/", features={"": 1}),
        bad("model_name of 513 characters", "/model_name", "512", model_name="m" * 513),
        bad("prediction_id of 513 characters", "/prediction_id", "512", prediction_id="p" * 513),
        bad("feature name of 513 characters", "/features/0/name", "512", features=[{"name": "f" * 513}]),
        body("model_name of 10 MB", lambda: good_body(model_name="m" * 10 * MIB), 422, "/model_name", "512"),
        body("prediction_id of 10 MB", lambda: good_body(prediction_id="p" * 10 * MIB), 422, "/prediction_id"),
        body("feature value of 10 MB", lambda: good_body(features=flat("x" * 10 * MIB)), 422, "/features/amount"),
        body("unknown field of 10 MB", lambda: good_body(**{"z" * 10 * MIB: 1}), 422),
        bad("text of 4097 characters", "/prediction", "4096", prediction="x" * 4097),
        bad("ground truth of 4097 characters", "/ground_truth", "4096", ground_truth="x" * 4097),
        bad("NUL in model_name", "/model_name", "U+0000", model_name="a\0b"),
        bad("NUL in prediction_id", "/prediction_id", "U+0000", prediction_id="\0"),
        bad("NUL in a feature name", "/features/0/name", "U+0000", features=[{"name": "a\0", "value": 1}]),
        bad("NUL in a feature value", "/features/0/value", "U+0000", features=[{"name": "a", "value": "\0"}]),
        bad("NUL in a flat value", "/features/amount", "U+0000", features=flat("a\0b")),
        bad("NUL in the prediction", "/prediction", "U+0000", prediction="a\0"),
        bad("NUL in a class", "/prediction_probability/\0", "U+0000", prediction_probability={"\0": 0.5}),
        # Features
        bad("feature twice", "/features/2/name", "earlier", features=[{"name": "a"}, {"name": "b"}, {"name": "a"}]),
        body("2,001 features", lambda: good_body(features=_features(2_001)), 422, "/features", "2000"),
        body(
            "2,001 flat features",
            lambda: good_body(features=dict.fromkeys(map(str, range(2_001)), 1)),
            422,
            "/features",
        ),
        body("300,000 flat features", lambda: good_body(features=dict.fromkeys(map(str, range(300_000)), 1)), 413),
        # Content
        BadInput("unknown content type", PREDICTIONS, good_body, 415, content_type="text/html"),
        BadInput("unknown encoding", PREDICTIONS, good_body, 415, encoding="br"),
    ]


def _compressed() -> list[BadInput]:
    def bad(name: str, encoding: str, make: Callable[[], bytes], status: int, says: str = "") -> BadInput:
        return BadInput(name, BATCH, make, status, encoding=encoding, says=says)

    def zipped() -> bytes:
        return gzip.compress(_json(_rows(100)))

    def zstd_frame() -> bytes:
        return zstandard.ZstdCompressor().compress(_json(_rows(100)))

    def gzip_bomb() -> bytes:
        maker = zlib.compressobj(9, wbits=31)
        return b"".join([*(maker.compress(b" " * MIB) for _ in range(256)), maker.flush()])

    def zstd_bomb() -> bytes:
        maker = zstandard.ZstdCompressor(level=3).compressobj()
        return b"".join([*(maker.compress(b" " * MIB) for _ in range(256)), maker.flush()])

    def nested_bomb() -> bytes:
        return gzip.compress(gzip_bomb())

    return [
        bad("truncated gzip", "gzip", lambda: zipped()[:-30], 400, "gzip"),
        bad("gzip without its checksum", "gzip", lambda: zipped()[:-8], 400, "gzip"),
        bad("gzip with a wrong checksum", "gzip", lambda: zipped()[:-8] + bytes(8), 400, "gzip"),
        bad("gzip with text behind", "gzip", lambda: zipped() + b"[]", 400, "gzip"),
        bad("gzip that is JSON", "gzip", good_body, 400, "gzip"),
        bad("gzip that is zstd", "gzip", zstd_frame, 400, "gzip"),
        bad("gzip of nothing at all", "gzip", lambda: b"", 400, "gzip"),
        bad("gzip bomb", "gzip", gzip_bomb, 413, "MAX_BODY_BYTES"),
        bad("gzip bomb in gzip", "gzip", nested_bomb, 400),
        bad("gzip of 20,000 empty members", "gzip", lambda: gzip.compress(b"") * 20_000, 400, "members"),
        bad("corrupt zstd", "zstd", lambda: zstd_frame()[:20] + b"\xff" * 20 + zstd_frame()[40:], 400, "zstd"),
        bad("truncated zstd", "zstd", lambda: zstd_frame()[:-5], 400, "zstd"),
        bad("zstd that is gzip", "zstd", zipped, 400, "zstd"),
        bad("zstd of nothing at all", "zstd", lambda: b"", 400, "zstd"),
        bad("zstd bomb", "zstd", zstd_bomb, 413, "MAX_BODY_BYTES"),
        bad("zstd with a window of 128 MiB", "zstd", lambda: bytes.fromhex("28b52ffd0088010000"), 400, "zstd"),
        bad("two encodings", "gzip, gzip", lambda: gzip.compress(zipped()), 415),
        BadInput("gzip without the header", BATCH, zipped, 400),
    ]


def _batches() -> list[BadInput]:
    def bad(
        name: str, make: Callable[[], bytes], status: int, pointer: str | None = None, says: str = "", type_: str = JSON
    ) -> BadInput:
        return BadInput(name, BATCH, make, status, pointer, content_type=type_, says=says)

    def arrow(name: str, pointer: str | None, says: str = "", status: int = 422, **changes: Any) -> BadInput:
        return bad(name, lambda: arrow_stream(_table(**changes)), status, pointer, says, ARROW)

    def parquet(
        name: str, make: Callable[[], bytes], status: int, pointer: str | None = None, says: str = ""
    ) -> BadInput:
        return bad(name, make, status, pointer, says, PARQUET)

    def stream() -> bytes:
        return arrow_stream(_table())

    def file() -> bytes:
        return parquet_file(_table())

    def twice() -> pa.Table:
        return pa.Table.from_arrays([*_table().columns, pa.array([1, 2, 3])], names=[*_table().column_names, "amount"])

    def many_columns() -> pa.Table:
        return pa.table({**good_columns(1), **{f"f{index}": [1.0] for index in range(2_020)}})

    def zeros(rows: int) -> pa.Table:
        names = {"model_name": pa.array(["fraud"]), "prediction": pa.array([0.0]), "x": pa.nulls(1)}
        return pa.table(names).take(pa.array([0] * rows))

    def compressed_bomb() -> bytes:
        table = pa.table({**good_columns(1), "big": pa.array(["x" * 64 * MIB])})
        return arrow_stream(table, pa.ipc.IpcWriteOptions(compression="zstd"))

    def parquet_bomb() -> bytes:
        return parquet_file(pa.table({**good_columns(1), "big": pa.array(["x" * 64 * MIB])}), compression="zstd")

    return [
        bad("batch a number", lambda: b"5", 422, ""),
        bad("batch empty", lambda: b"", 400, says="empty"),
        bad("batch of numbers", lambda: b"[1, 2]", 422, "/0"),
        bad("batch of arrays", lambda: b"[[], [1]]", 422, "/1"),
        bad("batch of null", lambda: b"[null]", 422, "/0"),
        bad("batch under another name", lambda: _json({"rows": [GOOD]}), 422, "/rows"),
        bad("batch with a field beside", lambda: _json({"predictions": [GOOD], "model_name": "x"}), 422, "/model_name"),
        bad("batch object without predictions", lambda: b"{}", 422, "/predictions"),
        bad("batch predictions an object", lambda: _json({"predictions": GOOD}), 422, "/predictions"),
        bad("batch cut off", lambda: _json(_rows(3))[:-9], 400, says="not JSON"),
        bad(
            "batch with NaN", lambda: b"[" + good_body(latency_ms="@").replace(b'"@"', b"NaN") + b"]", 400, says="null"
        ),
        bad(
            "batch row with a bad type", lambda: _json([{**GOOD, "features": [{"name": 3}]}]), 422, "/0/features/0/name"
        ),
        bad("batch row with a bad value", lambda: _json([{**GOOD, "latency_ms": -1}]), 422, "/0/latency_ms"),
        bad("no row is valid", lambda: _json([{**GOOD, "model_name": ""}] * 5), 422, "/4/model_name"),
        bad("10,001 rows", lambda: _json(_rows(10_001)), 413, says="10000"),
        bad("10,001 bad rows", lambda: _json([{}] * 10_001), 413, says="10000"),
        bad("a million zeros", lambda: b"[" + b"0," * 1_000_000 + b"0]", 413, says="10000"),
        bad("10,001 wrapped rows", lambda: _json({"predictions": _rows(10_001)}), 413, says="10000"),
        bad("100k-deep batch", lambda: b"[" * 100_000, 400, says="deep"),
        bad("10,001 lines", lambda: b"\n".join([good_body()] * 10_001), 413, says="10000", type_=NDJSON),
        bad("10,001 broken lines", lambda: b"{\n" * 10_001, 413, says="10000", type_=NDJSON),
        bad("lines that are no JSON", lambda: b"a,b\n1,2\n", 400, type_=NDJSON),
        bad("a line of another form", lambda: b'\n{"model": "x"}\n', 422, "/0/model_name", type_=NDJSON),
        bad("unknown batch type", lambda: _json([GOOD]), 415, type_="text/html"),
        bad("octets that are no Parquet", lambda: _json([GOOD]), 415, type_="application/octet-stream"),
        bad("JSON said to be Arrow", lambda: _json([GOOD]), 400, says="Arrow", type_=ARROW),
        bad("JSON said to be Parquet", lambda: _json([GOOD]), 400, says="Parquet", type_=PARQUET),
        bad("Arrow said to be JSON", stream, 400),
        bad("empty Arrow", lambda: b"", 400, says="empty", type_=ARROW),
        bad("truncated Arrow", lambda: stream()[:-60], 400, says="Arrow", type_=ARROW),
        bad("Arrow cut in its schema", lambda: stream()[:100], 400, says="Arrow", type_=ARROW),
        bad("Arrow with garbage metadata", lambda: stream()[:8] + b"\xff" * 200 + stream()[208:], 400, type_=ARROW),
        bad("Arrow bomb", compressed_bomb, 413, says="MAX_BODY_BYTES", type_=ARROW),
        bad("Arrow of 10,001 rows", lambda: arrow_stream(zeros(10_001)), 413, says="10000", type_=ARROW),
        bad("Arrow with a column twice", lambda: arrow_stream(twice()), 422, "/amount", type_=ARROW),
        bad("Arrow of 2,000 columns too many", lambda: arrow_stream(many_columns()), 422, "", "2000", ARROW),
        arrow("Arrow without prediction", "/prediction", "Column not found", prediction=ABSENT),
        arrow("Arrow without model_name", "/model_name", "Column not found", model_name=ABSENT),
        arrow("Arrow with a list column", "/amount", "list", amount=[[1], [2], [3]]),
        arrow("Arrow with a struct column", "/amount", "struct", amount=[{"a": 1}] * 3),
        arrow("Arrow with binary", "/amount", "binary", amount=[b"a", b"b", b"c"]),
        arrow("Arrow with dates", "/amount", "date", amount=pa.array([1, 2, 3], pa.date32())),
        arrow("Arrow with times", "/amount", "timestamp", amount=pa.array([1, 2, 3], pa.timestamp("us"))),
        arrow("Arrow with run ends", "/amount", "run_end", amount=pa.RunEndEncodedArray.from_arrays([3], [1.0])),
        arrow("Arrow with a column features", "/features", "a column for each", features=[{"a": 1}] * 3),
        arrow("Arrow with a pandas index", "/__index_level_0__", "index", __index_level_0__=[4, 5, 6]),
        arrow("Arrow with a column of no name", "/", "", **{"": [1, 2, 3]}),
        arrow("Arrow with numeric model_name", "/model_name", "text", model_name=[1, 2, 3]),
        arrow("Arrow with text latency", "/latency_ms", "numbers", latency_ms=["a", "b", "c"]),
        arrow("Arrow with integer timestamp", "/timestamp", "times", timestamp=[1, 2, 3]),
        arrow("Arrow with bad times", "/2/timestamp", "RFC 3339", timestamp=["a", "b", "c"]),
        arrow("Arrow with huge times", "/0/timestamp", "ahead", timestamp=pa.array([2**62] * 3, pa.timestamp("s"))),
        arrow("Arrow with infinities", "/1/amount", "finite", amount=[float("inf")] * 3),
        arrow("Arrow with null predictions", "/1/prediction", "null", prediction=pa.nulls(3)),
        arrow("Arrow with text probability", "/prediction_probability", "", prediction_probability=["a", "b", "c"]),
        arrow("Arrow with probability 2", "/0/prediction_probability", "", prediction_probability=[2.0, 3.0, 4.0]),
        arrow("Arrow with empty ids", "/0/prediction_id", "", prediction_id=["", "", ""]),
        arrow("Arrow with long text", "/0/amount", "4096", amount=["x" * 4097] * 3),
        arrow("Arrow with NUL", "/0/amount", "U+0000", amount=["\0"] * 3),
        parquet("empty Parquet", lambda: b"", 400, says="empty"),
        parquet("truncated Parquet", lambda: file()[:-100], 400, says="Parquet"),
        parquet("Parquet without its footer", lambda: b"PAR1" + bytes(100) + b"PAR1", 400),
        parquet("Parquet with corrupt pages", lambda: b"PAR1" + b"\xff" * 200 + file()[204:], 400),
        parquet("Parquet with a list column", lambda: parquet_file(_table(amount=[[1], [2], [3]])), 422, "/amount"),
        parquet("Parquet without prediction", lambda: parquet_file(_table(prediction=ABSENT)), 422, "/prediction"),
        parquet("Parquet of 10,001 rows", lambda: parquet_file(zeros(10_001)), 413, says="10000"),
        parquet("Parquet of 2 million rows", lambda: parquet_file(zeros(2_000_000)), 413, says="10000"),
        parquet("Parquet bomb", parquet_bomb, 413, says="MAX_BODY_BYTES"),
        parquet("Parquet whose page claims 2 GB", lambda: lying_parquet(2**31 - 2), 413, says="MAX_BODY_BYTES"),
        BadInput(
            "bad default", BATCH, stream, 422, "/model_version", content_type=ARROW, query={"model_version": "\0"}
        ),
    ]


def _references() -> list[BadInput]:
    def bad(name: str, pointer: str | None, says: str = "", status: int = 422, **changes: Any) -> BadInput:
        return BadInput(name, REFERENCE, lambda: _json(_changed(GOOD_REFERENCE, changes)), status, pointer, says=says)

    def frame(name: str, pointer: str | None, says: str = "", query: bool = True, **columns: Any) -> BadInput:
        parameters = {"model_name": "fraud"} if query else {}
        return BadInput(
            name,
            REFERENCE,
            lambda: parquet_file(pa.table(columns)),
            422,
            pointer,
            content_type=PARQUET,
            query=parameters,
            says=says,
        )

    several = {"feature_name": ABSENT, "values": ABSENT}
    return [
        BadInput("reference empty body", REFERENCE, lambda: b"", 400, says="empty"),
        BadInput("reference an array", REFERENCE, lambda: b"[]", 422, ""),
        BadInput("reference in lines", REFERENCE, lambda: _json(GOOD_REFERENCE), 415, content_type=NDJSON),
        BadInput("reference with NaN", REFERENCE, lambda: b'{"values": [NaN]}', 400, says="null"),
        BadInput("reference 100k deep", REFERENCE, lambda: b'{"values":' + b"[" * 100_000, 400, says="deep"),
        BadInput(
            "reference of another model", REFERENCE, lambda: _json(GOOD_REFERENCE), 422, "/model_name",
            query={"model_name": "churn"},
        ),
        BadInput(
            "reference with 1e999", REFERENCE, lambda: _json(GOOD_REFERENCE).replace(b"3.5", b"1e999"), 422,
            "/values/2", says="range",
        ),
        bad("reference without model", "/model_name", "Required", model_name=ABSENT),
        bad("reference with empty model", "/model_name", model_name=""),
        bad("reference without feature_name", "/feature_name", "Required", feature_name=ABSENT),
        bad("reference without values", "/values", "Required", values=ABSENT),
        bad("reference with empty feature_name", "/feature_name", feature_name=""),
        bad("reference of no values", "/values", "at least one", values=[]),
        bad("reference of nulls", "/values", "not null", values=[None, None]),
        bad("reference of texts said to be numbers", "/values", "finite", values=["a"], data_type="continuous"),
        bad("reference mostly of texts", "/values", "mostly finite", values=[1, "a", "b"], data_type="continuous"),
        bad("reference with a list inside", "/values/1", values=[1, [2]]),
        bad("reference with an integer of 400 digits", "/values/0", "range", values=[10**400]),
        bad("reference with a long text", "/values/1", "4096", values=["a", "x" * 4097]),
        bad("reference with NUL", "/values/0", "U+0000", values=["\0"]),
        bad("reference of a bad type", "/data_type", data_type="number"),
        bad("reference with a row of the year 9999", "/timestamp/1", "ahead",
            features={"amount": [1, 2]}, timestamp=[None, "9999-12-31T00:00:00Z"], **several),
        bad("reference in both forms", "/values", "either", features={"amount": [1]}),
        bad("reference of no features", "/features", "at least one", features={}, **several),
        bad("reference map with an empty list", "/features/b", "at least one", features={"a": [1], "b": []}, **several),
        bad("reference map with nulls", "/features/b", "not null", features={"a": [1], "b": [None]}, **several),
        bad("reference map with an object", "/features/a~1b/0", features={"a/b": [{}]}, **several),
        bad("reference with types of no feature", "/data_types/amont", "amount",
            features={"amount": [1]}, data_types={"amont": "continuous"}, **several),
        bad("reference with types of one", "/data_types", data_types={"amount": "continuous"}),
        bad("reference with a misspelt field", "/feature_nam", "feature_name", feature_nam="amount"),
        BadInput("reference of 2,001 features", REFERENCE, lambda: _json(
            {"model_name": "m", "features": {f"f{index}": [1] for index in range(2_001)}}), 422, "/features"),
        frame("frame without model", "/model_name", "query", query=False, amount=[1.0]),
        frame("frame of no rows", "", "row", amount=pa.array([], pa.float64())),
        frame("frame of no samples", "", "column", ground_truth=["a"]),
        frame("frame of nulls", "/amount", "not null", amount=pa.nulls(3)),
        frame("frame of NaN", "/amount", "not null", amount=[float("nan")]),
        frame("frame of infinities", "/amount", "finite", amount=[float("inf")]),
        frame("frame with lists", "/amount", "list", amount=[[1]]),
        frame("frame with a row of the year 103,374", "/timestamp/0", "ahead", amount=[1.0],
              timestamp=pa.array([3_200_000_000_000_000], pa.timestamp("ms"))),
        frame("frame with probability 3", "/prediction_probability/1", "between", prediction_probability=[0.5, 3.0]),
        frame("frame with classes but no prediction", "/prediction_probability", "prediction",
              prediction_probability=[{"a": 0.5}]),
    ]  # fmt: skip


def _checks() -> list[BadInput]:
    def bad(name: str, pointer: str | None, says: str = "", *, route: bool = False, **changes: Any) -> BadInput:
        body = _changed(GOOD_CHECK, changes)
        return BadInput(name, DRIFT_CHECK, lambda: _json(body), 422, pointer, says=says)

    day, next_day = "2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z"
    return [
        BadInput("check empty body", DRIFT_CHECK, lambda: b"", 400, says="empty"),
        BadInput("check an array", DRIFT_CHECK, lambda: b"[]", 422, ""),
        bad("check without model", "/model_name", "Required", model_name=ABSENT),
        bad("check with empty model", "/model_name", model_name=""),
        bad("check with NUL", "/environment", "U+0000", environment="\0"),
        bad("check with misspelt field", "/min_sample", "min_samples", min_sample=5),
        bad("check with min_samples 0", "/min_samples", min_samples=0),
        bad("check with min_samples text", "/min_samples", min_samples="100"),
        bad("check with features text", "/features", features="amount"),
        bad("check with an empty feature", "/features/0", features=[""]),
        bad("check with a bad start", "/start", start="yesterday", end=day),
        bad("check before 1900", "/start", "1900", start="0001-01-01T00:00:00Z", end=day),
        bad("check with lookback 6 fortnights", "/lookback", route=True, lookback="6 fortnights"),
        bad("check with lookback 0h", "/lookback", route=True, lookback="0h"),
        bad("check with lookback and start", "/lookback", route=True, lookback="6h", start=day, end=next_day),
        bad("check with start alone", "/end", route=True, start=day),
        bad("check with end before start", "/end", route=True, start=next_day, end=day),
        bad("check with unknown compat", "/compat", route=True, compat="excel"),
        bad("check of no features", "/features", route=True, features=[]),
    ]


BAD_INPUTS: tuple[BadInput, ...] = (*_single(), *_compressed(), *_batches(), *_references(), *_checks())
