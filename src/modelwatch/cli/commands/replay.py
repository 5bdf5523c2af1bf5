"""The command: opens the file, plays it, and says what became of it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from modelwatch.api.decoding.columns.csv_table import CsvReading
from modelwatch.cli.base import EXIT_FOUND, EXIT_INTERRUPTED, EXIT_OK, CliError, print_err, print_json, print_out
from modelwatch.cli.client import ServiceClient
from modelwatch.cli.columns import ColumnMap, with_hint
from modelwatch.cli.replay.pacing import in_order, paced, slice_of
from modelwatch.cli.replay.progress import Evaluated, bars, evaluated_of, wait_for_evaluations
from modelwatch.cli.replay.reading import DEFAULTS, format_of, open_source
from modelwatch.cli.replay.rows import Rows
from modelwatch.cli.replay.sending import LabelTally, Outcome, Tally, send_all


@dataclass(frozen=True, slots=True)
class Playback:
    """What to play, and how. `speed` None: as fast as the service takes it. wait: until all of it is evaluated."""

    path: Path
    url: str
    model: str | None
    version: str | None
    environment: str | None
    format_name: str
    columns: ColumnMap
    timestamp: str | None
    speed: float | None
    batch_size: int
    as_json: bool
    reading: CsvReading = field(default_factory=CsvReading)
    wait: bool = False


def parse_speed(text: str) -> float | None:
    """None for `max`, else the number. Raises CliError.

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


def replay(playback: Playback) -> int:
    """Plays the file and prints the summary. Returns the exit code; raises CliError."""
    path = playback.path
    if not path.is_file():
        raise CliError(f"There is no file {path}")
    stamp = _timestamp(path, playback.timestamp)
    given = zip(DEFAULTS, (playback.model, playback.version, playback.environment), strict=True)
    params = {name: value for name, value in given if value is not None}
    source = open_source(
        path,
        format_of(path, playback.format_name),
        playback.columns,
        stamp,
        playback.batch_size,
        params,
        playback.reading,
    )
    for note in source.notes:
        print_err(note)
    origin = "from --timestamp" if playback.timestamp else "the file's own; --timestamp sets another"
    if not source.has_times:
        if playback.speed is not None:
            raise CliError("--speed needs a column timestamp: name it with --column-map OLD=timestamp")
        print_err(f"The rows have no timestamp: all get {stamp:%Y-%m-%dT%H:%M:%SZ} ({origin}).")
    stretches: Iterable[Rows] = source.stretches
    if source.has_labels:
        longest = math.inf if playback.speed is None else slice_of(playback.speed)
        stretches = in_order(stretches, longest, playback.batch_size)
    if playback.speed is not None:
        stretches = paced(stretches, playback.speed, time.monotonic, time.sleep)

    tally, interrupted, began = Tally(), False, time.monotonic()
    seconds: float | None = None
    trouble: CliError | None = None
    with ServiceClient(playback.url) as service:
        service.check_reachable()
        try:
            with bars(service, playback.model, source.rows) as progress:
                send_all(stretches, service, params, tally, progress.sent)
                seconds = time.monotonic() - began
                if playback.wait:
                    wait_for_evaluations(service, progress.look, time.monotonic, time.sleep)
        except KeyboardInterrupt:
            interrupted = True
        except CliError as error:
            trouble = error
        evaluated = None if trouble or interrupted else _evaluated(service, playback.model)
    if tally.sent or trouble is None:
        seconds = time.monotonic() - began if seconds is None else seconds
        _summarise(playback, source.rows, tally, seconds, interrupted, evaluated)
        if source.has_times and source.untimed.rows:
            print_err(
                f"Rows without a timestamp: {source.untimed.rows:,}; they got {stamp:%Y-%m-%dT%H:%M:%SZ} ({origin})."
            )
    if trouble is not None:
        raise with_hint(trouble)
    return EXIT_INTERRUPTED if interrupted else EXIT_FOUND if tally.rejected or tally.labels.rejected else EXIT_OK


def _evaluated(service: ServiceClient, model: str | None) -> Evaluated | None:
    """How far the evaluations have come; None where the rows name several models, or it can't be told."""
    if model is None:
        return None
    try:
        return evaluated_of(service, model)
    except CliError:
        return None


def _timestamp(path: Path, given: str | None) -> datetime:
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


def _summarise(
    playback: Playback, rows: int, tally: Tally, seconds: float, interrupted: bool, evaluated: Evaluated | None
) -> None:
    rate = tally.sent / seconds if seconds > 0 else 0.0
    if playback.as_json:
        print_json(
            {
                "file": str(playback.path),
                "rows": rows,
                **dataclasses.asdict(tally),
                "seconds": round(seconds, 3),
                "rows_per_second": round(rate, 1),
                "interrupted": interrupted,
                "data_until": None if evaluated is None else evaluated.data_until,
                "evaluated_until": None if evaluated is None else evaluated.until,
            }
        )
        return
    state = "Interrupted after" if interrupted else "Sent"
    print_out(f"{state} {tally.sent:,} of {rows:,} rows in {seconds:.1f} s ({rate:,.0f} a second)")
    _say_number("accepted", tally.accepted)
    _say_number("duplicates", tally.duplicates, "stored before, not counted again")
    _say_rejections(tally)
    if tally.labels.sent:
        _summarise_labels(tally.labels)
    if evaluated is not None:
        until = "nothing" if evaluated.until is None else f"up to {evaluated.until}"
        print_out(f"Data up to {evaluated.data_until}; evaluated so far: {until}")
    if interrupted:
        print_out("The same command sends the rest; what was stored already is not counted again.")


def _summarise_labels(labels: LabelTally) -> None:
    print_out(f"and {labels.sent:,} labels, each at its time")
    _say_number("accepted", labels.accepted)
    if labels.corrected:
        _say_number("corrected", labels.corrected, "another value held before")
    _say_number("duplicates", labels.duplicates, "nothing changed")
    if labels.waiting:
        _say_number("waiting", labels.waiting, "there is no prediction of that id yet")
    _say_rejections(labels)


def _say_number(name: str, number: int, meaning: str = "") -> None:
    print_out(f"  {name:<10}  {number:>10,}" + (f"   {meaning}" if number and meaning else ""))


def _say_rejections(outcome: Outcome) -> None:
    _say_number("rejected", outcome.rejected)
    for each in outcome.rejections:
        print_out(f"    row {each.row}: {each.pointer + ': ' if each.pointer else ''}{each.message}")
    if outcome.rejected > len(outcome.rejections):
        print_out(f"    and {outcome.rejected - len(outcome.rejections):,} more")
