"""`modelwatch replay`: sends the predictions of a file, and what was true about them."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelwatch.cli.base import (
    DEFAULT_URL,
    EXIT_FOUND,
    EXIT_INTERRUPTED,
    AsJson,
    CliError,
    Url,
    connected,
    print_err,
    print_json,
    print_out,
)
from modelwatch.cli.columns import (
    ColumnMap,
    ColumnMapOption,
    ColumnTypeOption,
    ColumnTypes,
    FormatOption,
    MissingOption,
    with_hint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from modelwatch.cli.client import ServiceClient
    from modelwatch.cli.replay.progress import Evaluated
    from modelwatch.cli.replay.reading import Source
    from modelwatch.cli.replay.rows import Rows
    from modelwatch.cli.replay.sending import LabelTally, Outcome, Tally


def replay(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or NDJSON file with one prediction per row.")],
    url: Url = DEFAULT_URL,
    model: Annotated[str | None, typer.Option(help="Model for rows that name none.")] = None,
    version: Annotated[str | None, typer.Option(help="Version for rows that name none.")] = None,
    environment: Annotated[str | None, typer.Option(help="Environment for rows that name none.")] = None,
    format_name: FormatOption = "auto",
    column_map: ColumnMapOption = None,
    timestamp: Annotated[
        str | None, typer.Option(help="Time of rows without a timestamp, or `now`. Default: the time of the file.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column with the ground truth. Default: `ground_truth`, if there is one.")
    ] = None,
    label_time_column: Annotated[
        str | None,
        typer.Option(help="Column with the time at which it became known. Default: `ground_truth_timestamp`."),
    ] = None,
    speed: Annotated[str, typer.Option(help="Speed as a multiple of real time, such as 60, or max.")] = "max",
    batch_size: Annotated[int, typer.Option(help="Rows per request.", min=1, max=1_000_000)] = 5_000,
    column_type: ColumnTypeOption = None,
    missing_values: MissingOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everything has been evaluated.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send the predictions and labels of a file to a service.

    Rows without a prediction_id get one made of the file's content and their number, so a second replay counts nothing
    twice. A label with a time of its own is sent at that time, between the predictions; one without goes with its row.
    Exit code 1 when rows or labels were rejected.
    """
    from modelwatch.api.decoding.columns.csv_table import CsvReading
    from modelwatch.cli.replay.labels import TRUTH, TRUTH_TIME
    from modelwatch.cli.replay.progress import QUIET_SECONDS, bars
    from modelwatch.cli.replay.reading import DEFAULTS, format_of, open_source
    from modelwatch.cli.replay.sending import Tally, send_all

    columns = ColumnMap.parse(column_map or ())
    columns = columns.with_column("--label-column", label_column, TRUTH)
    columns = columns.with_column("--label-time-column", label_time_column, TRUTH_TIME)
    factor = parse_speed(speed)
    reading = CsvReading.parse(ColumnTypes.parse(column_type or ()).types, missing_values)
    if not file.is_file():
        raise CliError(f"There is no file {file}")
    stamp = _timestamp(file, timestamp)
    given = zip(DEFAULTS, (model, version, environment), strict=True)
    params = {name: value for name, value in given if value is not None}
    source = open_source(file, format_of(file, format_name), columns, stamp, batch_size, params, reading)
    for note in source.notes:
        print_err(note)
    origin = "from --timestamp" if timestamp else "the file's own; --timestamp sets another"
    if not source.has_times:
        if factor is not None:
            raise CliError("--speed needs a column timestamp: name it with --column-map OLD=timestamp")
        print_err(f"The rows have no timestamp: all get {stamp:%Y-%m-%dT%H:%M:%SZ} ({origin}).")
    stretches = _scheduled(source, factor, batch_size)

    tally, interrupted, began = Tally(), False, time.monotonic()
    seconds: float | None = None
    trouble: CliError | None = None
    with connected(url) as service:
        try:
            with bars(service, model, source.rows) as progress:
                send_all(stretches, service, params, tally, progress.sent)
                seconds = time.monotonic() - began
                if wait:
                    service.wait_until_evaluated(progress.look, quiet_seconds=QUIET_SECONDS)
        except KeyboardInterrupt:
            interrupted = True
        except CliError as error:
            trouble = error
        evaluated = None if trouble or interrupted else _evaluated(service, model)
    if tally.sent or trouble is None:
        seconds = time.monotonic() - began if seconds is None else seconds
        if as_json:
            _print_json(file, source.rows, tally, seconds, interrupted, evaluated)
        else:
            _summarise(source.rows, tally, seconds, interrupted, evaluated)
        if source.has_times and source.untimed.rows:
            print_err(
                f"Rows without a timestamp: {source.untimed.rows:,}; they got {stamp:%Y-%m-%dT%H:%M:%SZ} ({origin})."
            )
    if trouble is not None:
        raise with_hint(trouble)
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if tally.rejected or tally.labels.rejected:
        raise typer.Exit(EXIT_FOUND)


def parse_speed(text: str) -> float | None:
    """None for `max`, else the factor, above 0. Raises CliError.

    >>> parse_speed("60"), parse_speed("max")
    (60.0, None)
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise CliError(f"--speed {text!r}: expected a number above 0, such as 60, or max")
    return speed


def _scheduled(source: Source, speed: float | None, batch_size: int) -> Iterable[Rows]:
    """The rows and labels in the order in which they are sent; each when it is due, unless as fast as possible."""
    import math

    from modelwatch.cli.replay.pacing import in_order, paced, slice_of

    stretches: Iterable[Rows] = source.stretches
    if source.has_labels:
        longest = math.inf if speed is None else slice_of(speed)
        stretches = in_order(stretches, longest, batch_size)
    return stretches if speed is None else paced(stretches, speed, time.monotonic, time.sleep)


def _evaluated(service: ServiceClient, model: str | None) -> Evaluated | None:
    """The progress of the evaluation; None where the rows name several models, or it can't be found out."""
    from modelwatch.cli.replay.progress import evaluated_of

    if model is None:
        return None
    try:
        return evaluated_of(service, model)
    except CliError:
        return None


def _timestamp(path: Path, given: str | None) -> datetime:
    from datetime import UTC, datetime

    import msgspec

    if given == "now":
        return datetime.now(UTC)
    if given is None:
        # The same at every replay of the file, as its rows' identity includes their day.
        return datetime.fromtimestamp(min(path.stat().st_mtime, time.time()), UTC)
    try:
        moment = msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        raise CliError(f"--timestamp {given!r}: expected now, or a time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _print_json(
    file: Path, rows: int, tally: Tally, seconds: float, interrupted: bool, evaluated: Evaluated | None
) -> None:
    print_json(
        {
            "file": str(file),
            "rows": rows,
            **dataclasses.asdict(tally),
            "seconds": round(seconds, 3),
            "rows_per_second": round(_rate(tally, seconds), 1),
            "interrupted": interrupted,
            "data_until": None if evaluated is None else evaluated.data_until,
            "evaluated_until": None if evaluated is None else evaluated.until,
        }
    )


def _rate(tally: Tally, seconds: float) -> float:
    """Rows per second."""
    return tally.sent / seconds if seconds > 0 else 0.0


def _summarise(rows: int, tally: Tally, seconds: float, interrupted: bool, evaluated: Evaluated | None) -> None:
    state = "Interrupted after" if interrupted else "Sent"
    print_out(f"{state} {tally.sent:,} of {rows:,} rows in {seconds:.1f} s ({_rate(tally, seconds):,.0f} a second)")
    _print_number("accepted", tally.accepted)
    _print_number("duplicates", tally.duplicates, "already stored, not counted again")
    _print_rejections(tally)
    if tally.labels.sent:
        _summarise_labels(tally.labels)
    if evaluated is not None:
        until = "nothing" if evaluated.until is None else f"up to {evaluated.until}"
        print_out(f"Data up to {evaluated.data_until}; evaluated so far: {until}")
    if interrupted:
        print_out("Run the same command again to send the rest; stored rows are not counted again.")


def _summarise_labels(labels: LabelTally) -> None:
    print_out(f"and {labels.sent:,} labels, each at its time")
    _print_number("accepted", labels.accepted)
    if labels.corrected:
        _print_number("corrected", labels.corrected, "replaced another value")
    _print_number("duplicates", labels.duplicates, "nothing changed")
    if labels.waiting:
        _print_number("waiting", labels.waiting, "no prediction with that id yet")
    _print_rejections(labels)


def _print_number(name: str, number: int, meaning: str = "") -> None:
    print_out(f"  {name:<10}  {number:>10,}" + (f"   {meaning}" if number and meaning else ""))


def _print_rejections(outcome: Outcome) -> None:
    _print_number("rejected", outcome.rejected)
    for each in outcome.rejections:
        print_out(f"    row {each.row}: {each.pointer + ': ' if each.pointer else ''}{each.message}")
    if outcome.rejected > len(outcome.rejections):
        print_out(f"    and {outcome.rejected - len(outcome.rejections):,} more")
