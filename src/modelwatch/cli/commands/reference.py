"""`modelwatch reference`: a file, or a window of stored predictions, becomes what drift is measured against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import DEFAULT_URL, AsJson, CliError, Refused, Url, connected, print_err, print_json, print_out
from modelwatch.cli.columns import (
    ColumnMap,
    ColumnMapOption,
    ColumnTypeOption,
    ColumnTypes,
    FormatOption,
    MissingOption,
    with_hint,
)
from modelwatch.cli.output import print_table
from modelwatch.errors import first_line

if TYPE_CHECKING:
    from modelwatch.api.decoding.columns.csv_table import CsvReading
    from modelwatch.cli.replay.reading import Format

REFERENCE_PATH = "/api/v1/reference"


reference = typer.Typer(help="References: the data that drift is measured against.", no_args_is_help=True)


@reference.command()
def upload(
    file: Annotated[Path, typer.Argument(help="Parquet or CSV file with one column for each feature.")],
    model: Annotated[str, typer.Option(help="Model of the reference.")],
    url: Url = DEFAULT_URL,
    version: Annotated[str | None, typer.Option(help="Only for this version of the model.")] = None,
    task: Annotated[str | None, typer.Option(help="Task: binary, multiclass or regression. Default: inferred.")] = None,
    positive_class: Annotated[
        str | None, typer.Option(help="Positive class of a binary task. Default: inferred.")
    ] = None,
    format_name: FormatOption = "auto",
    column_map: ColumnMapOption = None,
    column_type: ColumnTypeOption = None,
    missing_values: MissingOption = None,
    as_json: AsJson = False,
) -> None:
    """Set a model's reference from a file."""
    from modelwatch.api.decoding.columns.csv_table import CsvReading
    from modelwatch.cli.replay.reading import format_of

    columns = ColumnMap.parse(column_map or ())
    reading = CsvReading.parse(ColumnTypes.parse(column_type or ()).types, missing_values)
    if not file.is_file():
        raise CliError(f"There is no file {file}")
    body = _as_parquet(file, format_of(file, format_name), columns, reading)
    optional = {"model_version": version, "task": task, "positive_class": positive_class}
    params = {"model_name": model} | {name: value for name, value in optional.items() if value is not None}
    with connected(url) as service:
        try:
            answer = service.post(REFERENCE_PATH, body, "application/vnd.apache.parquet", params)
        except Refused as refusal:
            raise with_hint(refusal) from None
    if as_json:
        print_json(answer)
        return
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


@reference.command("list")
def list_references(
    model: Annotated[str, typer.Argument(help="Model.")],
    url: Url = DEFAULT_URL,
    every: Annotated[bool, typer.Option("--all", help="Also those that are no longer in force.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the references of a model, by subject."""
    with connected(url) as service:
        answer = service.get(REFERENCE_PATH, {"model_name": model})
    found = [each for each in answer["references"] if every or each["state"] != "retired"]
    if as_json:
        print_json({**answer, "references": found})
        return
    if not found and not answer["labelled"]:
        print_out(f"{model} has no reference. Set one with: modelwatch reference upload FILE --model {model}")
        return
    rows = [
        (
            each["feature_name"],
            each["model_version"] or "all",
            each["feature_type"],
            each["state"],
            f"{each['reference_size']:,}",
            each["created_at"][:16].replace("T", " "),
        )
        for each in found
    ]
    rows += [
        (
            "ground_truth",
            each["model_version"] or "all",
            each["task"] or "",
            each["state"],
            f"{each['labels']:,}",
            each["created_at"][:16].replace("T", " "),
        )
        for each in answer["labelled"]
    ]
    print_table(("what", "version", "type", "state", "values", "since"), rows, numbers=("values",), texts=2)


@reference.command()
def from_window(
    model: Annotated[str, typer.Option(help="Model of the reference.")],
    url: Url = DEFAULT_URL,
    lookback: Annotated[str | None, typer.Option(help="Look-back from the newest data, such as 7d.")] = None,
    start: Annotated[str | None, typer.Option(help="Start of the window, such as 2026-01-31T12:00:00Z.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window.")] = None,
    version: Annotated[
        str | None, typer.Option(help="Only this version: its predictions become its own reference.")
    ] = None,
    environment: Annotated[str | None, typer.Option(help="Default: production.")] = None,
    feature: Annotated[list[str] | None, typer.Option(help="Only this feature. Repeatable.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also use it as the reference for performance.")] = False,
    note: Annotated[str | None, typer.Option(help="Reason, for the audit trail and the alerts that it ends.")] = None,
    as_json: AsJson = False,
) -> None:
    """Accept received data as the new normal: a window of stored predictions becomes the reference."""
    body = {
        "lookback": lookback,
        "start": start,
        "end": end,
        "model_version": version,
        "environment": environment,
        "features": feature,
        "labels": labels,
        "note": note,
    }
    with connected(url) as service:
        path = f"/api/v1/models/{quote(model, safe='')}/reference/from-window"
        answer = service.post_json(path, {name: value for name, value in body.items() if value})
    if as_json:
        print_json(answer)
        return
    for warning in answer["warnings"]:
        print_err(f"warning: {warning['feature_name']}: {warning['message']}")
    rows = f"{answer['taken']:,} of {answer['predictions']:,} predictions"
    print_out(f"{model} has a reference of {rows} from {answer['start']} to {answer['end']}:")
    print_out(f"  {', '.join(answer['subjects'])}")
    if answer["labels"]:
        print_out(f"  ground_truth: {answer['labels']:,} labels")
    if answer["left_out"]:
        print_out(f"  not stored, so unchanged: {', '.join(answer['left_out'])}")
    for alert_id in answer["alerts_ended"]:
        print_out(f"  ended as accepted: alert {alert_id}")


def _task(labelled: dict[str, Any]) -> str:
    """The task and its classes in a few words."""
    if labelled["task"] == "binary":
        return f"two classes, {labelled['positive_class']} is the positive one"
    return f"{len(labelled['classes'])} classes" if labelled["task"] == "multiclass" else "numbers"


def _as_parquet(path: Path, format_name: Format, columns: ColumnMap, reading: CsvReading) -> bytes:
    """The file with its columns renamed. Types are those of the file; of CSV, those that hold for all of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from modelwatch.cli.replay.reading import check_reading, csv_shape

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
            raise CliError(f"{path} can't be read as Parquet: {first_line(error)}") from error
        columns.check(file.schema_arrow.names)
        types = ColumnTypes(reading.types)
        types.check(file.schema_arrow.names)
        batches = [types.apply(batch) for batch in file.iter_batches()]
    if not batches:
        raise CliError(f"{path} has no rows")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([columns.apply(batch) for batch in batches]), sink)
    return bytes(sink.getvalue())
