"""List of models: one line a model and environment, the worst first, with what is read of it at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.onsets import first_needed
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.headline import Headline, decode_headline
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.references import newest_references
from modelwatch.storage.verdicts.evaluations import evaluation_progress
from modelwatch.storage.verdicts.headlines import NewestState, Reading, newest_of, readings_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE
from modelwatch.times import (
    MICROS_PER_SECOND,
    SECONDS_PER_DAY,
)
from modelwatch.views.models.line import POINTS, ModelLine, model_line, small_series
from modelwatch.views.models.rows import ORDERS, STATES, ModelRow, ModelState, Wanted, matches, read_rows

RANGES = {"24h": SECONDS_PER_DAY, "7d": 7 * SECONDS_PER_DAY, "30d": 30 * SECONDS_PER_DAY}


class ModelsOverview(msgspec.Struct, frozen=True):
    """A page of the list. total: lines that match. states: of all lines, by state, without the filters.

    environments, owners, tags: that there are to filter by. waiting: streams that are due to be evaluated.
    """

    models: list[ModelLine]
    total: int
    states: dict[ModelState, int]
    environments: list[str]
    owners: list[str]
    tags: list[str]
    waiting: int
    next_cursor: str | None


def models_overview(
    connection: Connection,
    wanted: Wanted,
    *,
    now: int,
    offset: int = 0,
    limit: int = 50,
    only: Callable[[str], bool] = lambda _model: True,
) -> tuple[ModelsOverview, int | None]:
    """The lines from `offset` on that match, and the offset of the next page; None at the end. now: microseconds.

    only: the models that may be seen. Of models that are not on the page, no headline is read.
    """
    rows = read_rows(connection, now, only)
    matching = sorted((each for each in rows if matches(each, wanted)), key=ORDERS[wanted.sort])
    shown = matching[offset : offset + limit]
    progress = evaluation_progress(connection)
    following = offset + limit if offset + limit < len(matching) else None
    view = ModelsOverview(
        models=_lines(connection, shown, wanted.range, now),
        total=len(matching),
        states={state: sum(each.state == state for each in rows) for state in STATES},
        environments=sorted({each.stream.environment for each in rows if each.stream is not None}),
        owners=sorted({each.owner for each in rows if each.owner is not None}),
        tags=sorted({tag for each in rows for tag in each.tags}),
        waiting=0 if progress is None else progress.waiting,
        next_cursor=None,
    )
    return view, following


def _lines(connection: Connection, rows: Sequence[ModelRow], chosen: str, now: int) -> list[ModelLine]:
    streams = [row.stream for row in rows if row.stream is not None]
    drift, performance = (newest_of(connection, streams, check) for check in (DRIFT, PERFORMANCE))
    references = newest_references(connection, [row.model for row in rows])
    ends = {row.stream: _series_end(row, RANGES[chosen], now) for row in rows if row.stream is not None}
    step = RANGES[chosen] // POINTS
    series: dict[StreamKey, tuple[list[Reading], list[Reading]]] = {}
    for end in set(ends.values()):
        there = [stream for stream in streams if ends[stream] == end]
        of_drift, of_performance = (
            readings_of(connection, there, check, end - POINTS * step, end, step) for check in (DRIFT, PERFORMANCE)
        )
        series |= {stream: (of_drift.get(stream, []), of_performance.get(stream, [])) for stream in there}
    return [
        model_line(
            row,
            _headline(drift, row.stream),
            _headline(performance, row.stream),
            references.get(row.model),
            small_series(series.get(row.stream, ([], [])) if row.stream else ([], []), _end(row, ends, now), step),
            now,
            next((at for each in row.alerts if (at := first_needed(connection, each)) is not None), None),
        )
        for row in rows
    ]


def _series_end(row: ModelRow, seconds: int, now: int) -> int:
    """Now, on a common axis; of a history that was replayed, its end."""
    clock = now // MICROS_PER_SECOND
    clock -= clock % BASE_WINDOW_SECONDS
    data = clock if row.newest is None else row.newest.window_start + BASE_WINDOW_SECONDS
    return clock if clock - seconds < data <= clock else data


def _end(row: ModelRow, ends: Mapping[StreamKey, int], now: int) -> int:
    return now // MICROS_PER_SECOND if row.stream is None else ends[row.stream]


def _headline(found: Mapping[StreamKey, tuple[NewestState, bytes | None]], stream: StreamKey | None) -> Headline | None:
    if stream is None or stream not in found:
        return None
    verdict, stored = found[stream]
    return decode_headline(stored, verdict.id)
