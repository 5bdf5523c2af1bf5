"""The command: opens the file, plays it, and says what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from modelwatch.cli.columns import ColumnMap, with_hint
from modelwatch.cli.ending import FOUND, INTERRUPTED, OK, Stop
from modelwatch.cli.output import give_json, say, tell
from modelwatch.cli.replay.pacing import paced
from modelwatch.cli.replay.reading import DEFAULTS, format_of, open_source
from modelwatch.cli.replay.sending import Tally, send_all
from modelwatch.cli.service import Service


@dataclass(frozen=True, slots=True)
class Playback:
    """What to play, and how. `speed` None: as fast as the service takes it."""

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


def parse_speed(text: str) -> float | None:
    """None for `max`, else the number. Raises Stop.

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
        raise Stop(f"--speed {text!r}: expected a number above 0, such as 60, or max")
    return speed


def replay(playback: Playback) -> int:
    """Plays the file and prints the summary. Returns the exit code; raises Stop."""
    path = playback.path
    if not path.is_file():
        raise Stop(f"There is no file {path}")
    stamp = _timestamp(path, playback.timestamp)
    given = zip(DEFAULTS, (playback.model, playback.version, playback.environment), strict=True)
    params = {name: value for name, value in given if value is not None}
    source = open_source(
        path, format_of(path, playback.format_name), playback.columns, stamp, playback.batch_size, params
    )
    for note in source.notes:
        tell(note)
    if not source.has_times:
        if playback.speed is not None:
            raise Stop("--speed needs a column timestamp: name it with --column-map OLD=timestamp")
        origin = "from --timestamp" if playback.timestamp else "the file's own; --timestamp sets another"
        tell(f"The rows have no timestamp: all get {stamp:%Y-%m-%dT%H:%M:%SZ} ({origin}).")
    stretches = source.stretches
    if playback.speed is not None:
        stretches = paced(stretches, playback.speed, time.monotonic, time.sleep)

    tally, interrupted, began = Tally(), False, time.monotonic()
    trouble: Stop | None = None
    with Service(playback.url) as service:
        service.check_reachable()
        try:
            with _progress_bar(source.rows) as progress:
                send_all(stretches, service, params, tally, progress)
        except KeyboardInterrupt:
            interrupted = True
        except Stop as error:
            trouble = error
    if tally.sent or trouble is None:
        _summarise(playback, source.rows, tally, time.monotonic() - began, interrupted)
    if trouble is not None:
        raise with_hint(trouble)
    return INTERRUPTED if interrupted else FOUND if tally.rejected else OK


def _timestamp(path: Path, given: str | None) -> datetime:
    if given == "now":
        return datetime.now(UTC)
    if given is None:
        # The same at every replay of the file, as its rows' identity includes their day.
        return datetime.fromtimestamp(min(path.stat().st_mtime, time.time()), UTC)
    try:
        moment = msgspec.convert(given, datetime)
    except msgspec.ValidationError:
        raise Stop(f"--timestamp {given!r}: expected now, or a time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _summarise(playback: Playback, rows: int, tally: Tally, seconds: float, interrupted: bool) -> None:
    rate = tally.sent / seconds if seconds > 0 else 0.0
    if playback.as_json:
        give_json(
            {
                "file": str(playback.path),
                "rows": rows,
                **dataclasses.asdict(tally),
                "seconds": round(seconds, 3),
                "rows_per_second": round(rate, 1),
                "interrupted": interrupted,
            }
        )
        return
    state = "Interrupted after" if interrupted else "Sent"
    say(f"{state} {tally.sent:,} of {rows:,} rows in {seconds:.1f} s ({rate:,.0f} a second)")
    say(f"  accepted    {tally.accepted:>10,}")
    say(f"  duplicates  {tally.duplicates:>10,}" + ("   stored before, not counted again" if tally.duplicates else ""))
    say(f"  rejected    {tally.rejected:>10,}")
    for each in tally.rejections:
        say(f"    row {each.row}: {each.pointer + ': ' if each.pointer else ''}{each.message}")
    if tally.rejected > len(tally.rejections):
        say(f"    and {tally.rejected - len(tally.rejections):,} more")
    if interrupted:
        say("The same command sends the rest; what was stored already is not counted again.")


@contextlib.contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal; what it gives is told how many more rows are done."""
    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

    columns: Iterable[ProgressColumn] = (
        TextColumn("replay"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=total)
        yield lambda rows: progress.advance(task, rows)
