"""`modelwatch reference upload`: a file becomes what drift is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from modelwatch.api.decoding.columns.csv_table import CsvReading
from modelwatch.cli.base import EXIT_OK, CliError, Refused, print_err, print_json, print_out
from modelwatch.cli.client import ServiceClient
from modelwatch.cli.columns import ColumnMap, ColumnTypes, with_hint
from modelwatch.cli.replay.reading import Format, check_reading, csv_shape, format_of

REFERENCE_PATH = "/api/v1/reference"


def upload(
    path: Path,
    url: str,
    params: dict[str, str],
    format_name: str,
    columns: ColumnMap,
    reading: CsvReading,
    as_json: bool,
) -> int:
    """Sends a Parquet or CSV file as the reference of a model and says what it became. Raises CliError.

    params: the model, and what else is said about the file.
    """
    if not path.is_file():
        raise CliError(f"There is no file {path}")
    body = _as_parquet(path, format_of(path, format_name), columns, reading)
    with ServiceClient(url) as service:
        service.check_reachable()
        try:
            answer = service.post(REFERENCE_PATH, body, "application/vnd.apache.parquet", params)
        except Refused as refusal:
            raise with_hint(refusal) from None
    if as_json:
        print_json(answer)
        return EXIT_OK
    for warning in answer["warnings"]:
        print_err(f"warning: {warning['feature_name']}: {warning['message']}")
    print_out(f"{answer['model_name']} has a reference:")
    for each in answer["references"]:
        gaps = "".join(f", {each[what]:,} {what}" for what in ("missing", "invalid") if each[what])
        print_out(f"  {each['feature_name']}: {each['feature_type']}, {each['reference_size']:,} values{gaps}")
    if answer["labelled"] is not None:
        labelled = answer["labelled"]
        print_out(f"  ground_truth: {_task(labelled)}, {labelled['labels']:,} labels")
        for name in ("task", "positive_class"):
            if labelled[f"{name}_reason"] is not None:
                print_out(f"    {name} {labelled[name]}: {labelled[f'{name}_reason']}")
        for warning in labelled["warnings"]:
            print_err(f"warning: {warning}")
    return EXIT_OK


def from_window(model: str, url: str, body: Mapping[str, Any], as_json: bool) -> int:
    """Makes a window of stored predictions the reference of a model, and says what became of it. Raises CliError."""
    path = f"/api/v1/models/{quote(model, safe='')}/reference/from-window"
    with ServiceClient(url) as service:
        service.check_reachable()
        answer = service.post_json(path, {name: value for name, value in body.items() if value})
    if as_json:
        print_json(answer)
        return EXIT_OK
    for warning in answer["warnings"]:
        print_err(f"warning: {warning['feature_name']}: {warning['message']}")
    rows = f"{answer['taken']:,} of {answer['predictions']:,} predictions"
    print_out(f"{model} has a reference of {rows} from {answer['start']} to {answer['end']}:")
    print_out(f"  {', '.join(answer['subjects'])}")
    if answer["labels"]:
        print_out(f"  ground_truth: {answer['labels']:,} labels")
    if answer["left_out"]:
        print_out(f"  not stored, so left as they were: {', '.join(answer['left_out'])}")
    for alert_id in answer["alerts_ended"]:
        print_out(f"  ended as accepted: alert {alert_id}")
    return EXIT_OK


def _task(labelled: dict[str, Any]) -> str:
    """What is predicted, in a few words."""
    if labelled["task"] == "binary":
        return f"two classes, {labelled['positive_class']} is the positive one"
    return f"{len(labelled['classes'])} classes" if labelled["task"] == "multiclass" else "numbers"


def _as_parquet(path: Path, format_name: Format, columns: ColumnMap, reading: CsvReading) -> bytes:
    """The file with its columns renamed. Types are those of the file; of CSV, those that hold for all of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if format_name == "ndjson":
        raise CliError("A reference is uploaded as Parquet or CSV; JSON is sent to POST /api/v1/reference.")
    check_reading(format_name, reading)
    if format_name == "parquet" and not columns.names and not reading.types:
        return path.read_bytes()
    batches: list[Any]
    if format_name == "csv":
        shape = csv_shape(path, columns, reading)
        for note in shape.notes:
            print_err(note)
        columns.check(shape.types)
        batches = list(shape.open(str(path)))
    else:
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise CliError(f"{path} can't be read as Parquet: {str(error).splitlines()[0]}") from error
        columns.check(file.schema_arrow.names)
        types = ColumnTypes(reading.types)
        types.check(file.schema_arrow.names)
        batches = [types.apply(batch) for batch in file.iter_batches()]
    if not batches:
        raise CliError(f"{path} has no rows")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([columns.apply(batch) for batch in batches]), sink)
    return bytes(sink.getvalue())
