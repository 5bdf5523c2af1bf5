"""Files become rows with ids and times, whatever their format."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwatch.api.decoding.columns.csv_table import CsvReading
from modelwatch.cli.base import CliError
from modelwatch.cli.columns import ColumnMap
from modelwatch.cli.replay.reading import Source, format_of, open_source
from modelwatch.cli.replay.rows import ArrowRows, LineRows, Rows

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def opened(path: Path, *pairs: str, size: int = 1_000, reading: CsvReading | None = None, **defaults: str) -> Source:
    return open_source(path, format_of(path, "auto"), ColumnMap.parse(pairs), NOON, size, defaults, reading)


def records(stretches: list[Rows]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    for rows in stretches:
        if isinstance(rows, ArrowRows):
            result += pa.ipc.open_stream(rows.body()).read_all().to_pylist()
        else:
            result += [json.loads(line) for line in rows.body().splitlines()]
    return result


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_csv_types_hold_for_the_whole_file(tmp_path: Path) -> None:
    """The first megabyte shows whole numbers and gaps only; what comes later decides."""
    lines = ["amount,note,gap,prediction"] + ["7,1,,0"] * 200_000 + ["7.5,late,x,1"]
    source = opened(written(tmp_path / "p.csv", "\n".join(lines)), size=50_000)
    rows = records(list(source.stretches))
    assert source.rows == len(rows) == 200_001
    assert (rows[0]["amount"], rows[0]["note"], rows[0]["gap"]) == (7.0, "1", None)
    assert (rows[-1]["amount"], rows[-1]["note"], rows[-1]["gap"]) == (7.5, "late", "x")
    assert any("'note'" in note for note in source.notes)


def test_csv_versions_are_text_and_gaps_are_missing(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "v;id;x;prediction\n2.10;007;NA;0\n2.1;008;;1\n")
    source = opened(path, "v=model_version", "id=prediction_id")
    rows = records(list(source.stretches))
    assert [row["model_version"] for row in rows] == ["2.10", "2.1"]
    assert [row["prediction_id"] for row in rows] == ["007", "008"]
    assert [row["x"] for row in rows] == [None, None]


def test_ids_are_the_same_at_every_reading_and_in_every_batch_size(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "x,prediction\n" + "1,0\n" * 25)
    small, large = (records(list(opened(path, size=size).stretches)) for size in (4, 100))
    assert [row["prediction_id"] for row in small] == [row["prediction_id"] for row in large]
    assert len({row["prediction_id"] for row in small}) == 25
    other = records(list(opened(written(tmp_path / "q.csv", "x,prediction\n" + "1,0\n" * 26)).stretches))
    assert not {row["prediction_id"] for row in small} & {row["prediction_id"] for row in other}


def test_parquet_keeps_ids_and_fills_the_gaps(tmp_path: Path) -> None:
    table = pa.table(
        {
            "prediction_id": ["a", None, "c"],
            "timestamp": pa.array([1_000_000, 2_000_000, None], pa.timestamp("us", "UTC")),
            "prediction": [1, 2, 3],
        }
    )
    path = tmp_path / "p.parquet"
    pq.write_table(table, path)
    source = opened(path)
    [rows] = list(source.stretches)
    got = records([rows])
    assert source.has_times
    assert (got[0]["prediction_id"], got[2]["prediction_id"]) == ("a", "c")
    assert got[1]["prediction_id"].endswith("-2")
    assert rows.times() == [1_000_000, 2_000_000, int(NOON.timestamp() * 1e6)]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("ns"), pa.timestamp("s", "Europe/Berlin"), pa.string()])
def test_every_type_of_time_can_be_played(tmp_path: Path, kind: pa.DataType) -> None:
    moments: list[Any] = (
        ["2026-01-01T00:00:00Z", None] if kind == pa.string() else [datetime(2026, 1, 1, tzinfo=UTC), None]
    )
    if kind == pa.date32():
        moments[0] = moments[0].date()
    elif kind == pa.timestamp("ns"):
        moments[0] = moments[0].replace(tzinfo=None)
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"timestamp": pa.array(moments, kind), "prediction": [1, 2]}), path)
    [rows] = list(opened(path).stretches)
    assert rows.times() == [int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6), int(NOON.timestamp() * 1e6)]


def test_lines_of_json_keep_their_values_byte_for_byte(tmp_path: Path) -> None:
    line = b'{"features": {"x": 1.10, "big": 12345678901234567890123}, "prediction": 1e2, "prediction_id": "own"}'
    path = tmp_path / "p.ndjson"
    path.write_bytes(line + b'\n\n{"prediction": 0, "prediction_id": null}\nnot json\n')
    source = opened(path, model_name="m")
    [rows] = list(source.stretches)
    assert isinstance(rows, LineRows)
    assert source.rows == 3
    assert [rows.number(index) for index in range(3)] == [1, 3, 4]
    assert b'{"x": 1.10, "big": 12345678901234567890123}' in rows.lines[0]
    first, second = (json.loads(each) for each in rows.lines[:2])
    assert (first["prediction_id"], first["model_name"], first["timestamp"]) == ("own", "m", "2026-01-01T12:00:00Z")
    assert second["prediction_id"].endswith("-3")
    assert rows.lines[2] == b"not json"


def test_compressed_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prediction": 1}\n' * 10))
    assert opened(path).rows == 10


def test_the_format_is_told_by_name_or_content(tmp_path: Path) -> None:
    assert format_of(tmp_path / "x.csv.gz", "auto") == "csv"
    assert format_of(written(tmp_path / "lines", '{"a": 1}\n'), "auto") == "ndjson"
    assert format_of(tmp_path / "x.txt", "parquet") == "parquet"
    with pytest.raises(CliError, match="--format"):
        format_of(written(tmp_path / "x.txt", "hello"), "auto")


@pytest.mark.parametrize(("name", "content"), [("p.parquet", "no"), ("p.csv", "a,b\n1\n2,3,4\n"), ("e.csv", "")])
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(CliError, match=name):
        opened(written(tmp_path / name, content))


def test_leading_zeros_are_text_and_said(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "zip,share,prediction\n01321,0.5,0\n90210,0.25,1\n")
    source = opened(path)
    assert [row["zip"] for row in records(list(source.stretches))] == ["01321", "90210"]
    assert any("'zip' is read as text, because '01321' has a zero in front" in note for note in source.notes)
    assert "Read as numbers: share, prediction" in source.notes


def test_what_is_read_as_missing_is_said_and_can_be_chosen(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "country,age,prediction\nNA,-999,0\nDE,40,1\nNA,,1\n")
    source = opened(path)
    assert [row["country"] for row in records(list(source.stretches))] == [None, "DE", None]
    assert any("Read as missing in 'country': 'NA' 2 times; --missing-values" in note for note in source.notes)
    chosen = opened(path, reading=CsvReading.parse({}, "-999"))
    assert any("Read as missing in 'age': '-999' once" in note for note in chosen.notes)
    rows = records(list(chosen.stretches))
    assert [row["country"] for row in rows] == ["NA", "DE", "NA"]
    assert [row["age"] for row in rows] == [None, 40, None]


def test_types_can_be_chosen(tmp_path: Path) -> None:
    reading = CsvReading({"code": "categorical", "zip": "continuous"})
    path = written(tmp_path / "p.csv", "code,zip,prediction\n1,01321,0\n2,90210,1\n")
    rows = records(list(opened(path, reading=reading).stretches))
    assert [(row["code"], row["zip"]) for row in rows] == [("1", 1321.0), ("2", 90210.0)]
    parquet = tmp_path / "p.parquet"
    pq.write_table(pa.table({"code": [1, 2], "zip": ["1321", "90210"], "prediction": [0, 1]}), parquet)
    [part] = list(opened(parquet, reading=reading).stretches)
    assert isinstance(part, ArrowRows)
    assert pa.types.is_dictionary(part.batch.schema.field("code").type)
    assert part.batch.column("zip").to_pylist() == [1321.0, 90210.0]


@pytest.mark.parametrize(
    ("types", "missing", "name", "named"),
    [
        ({"nothing": "categorical"}, None, "p.csv", "no column 'nothing'"),
        ({"word": "continuous"}, None, "p.csv", "--type word=continuous"),
        ({"nothing": "categorical"}, None, "p.parquet", "no column 'nothing'"),
        ({"word": "continuous"}, None, "p.parquet", "--type word=continuous"),
        ({"word": "categorical"}, None, "p.ndjson", "in JSON a feature has a data_type"),
        ({}, "-", "p.ndjson", "--missing-values is for CSV"),
        ({}, "-", "p.parquet", "--missing-values is for CSV"),
    ],
)
def test_a_choice_that_does_not_fit_is_named(
    tmp_path: Path, types: dict[str, str], missing: str | None, name: str, named: str
) -> None:
    path = tmp_path / name
    if name == "p.parquet":
        pq.write_table(pa.table({"word": ["a"], "prediction": [1]}), path)
    else:
        path.write_text('{"prediction": 1}\n' if name == "p.ndjson" else "word,prediction\na,1\n")
    with pytest.raises(CliError, match=re.escape(named)):
        list(opened(path, reading=CsvReading.parse(types, missing)).stretches)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="two columns named 'x'"):
        opened(written(tmp_path / "p.csv", "x,prediction,x\n1,0,2\n"))


def test_an_id_of_na_is_an_id(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "prediction_id,model_version,x,prediction\nNA,null,1,0\n,,1,0\n")
    first, second = records(list(opened(path).stretches))
    assert (first["prediction_id"], first["model_version"]) == ("NA", "null")
    assert second["prediction_id"].startswith("replay-")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_missing_time_is_filled_whatever_the_unit(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "p.parquet"
    times = pa.array([1_000, None], pa.timestamp(unit))
    pq.write_table(pa.table({"timestamp": times, "prediction": [1, 2]}), path, coerce_timestamps=None, version="2.6")
    moment = NOON.replace(microsecond=123_456)
    source = open_source(path, "parquet", ColumnMap({}), moment, 10, {})
    [rows] = list(source.stretches)
    [_, filled] = rows.times()
    assert filled is not None
    assert abs(filled - int(moment.timestamp() * 1_000_000)) < 1_000_000


def test_a_missing_time_in_csv_is_filled(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "timestamp,prediction\n2026-01-01 00:00:00,1\n,2\n")
    source = open_source(path, "csv", ColumnMap({}), NOON.replace(microsecond=5), 10, {})
    [rows] = list(source.stretches)
    assert rows.times()[1] == int(NOON.timestamp() * 1_000_000)
