"""Which windows of a stream were rolled up."""

from __future__ import annotations

from functools import cache

from sqlalchemy import CompoundSelect, Connection, bindparam, select, union

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import memory_of, remembered
from modelwatch.times import SECONDS_PER_DAY

# Seconds beyond any window.
FAR = 1 << 40


def rolled_windows(
    connection: Connection, model: str, environment: str, start: int, end: int, version: str | None = None
) -> list[Span]:
    """The rolled-up windows, [start, end) in seconds, that overlap a span; of a version, or of any."""
    if memory_of(connection) is None:
        return _read(connection, model, environment, (start, end), version)
    windows = all_rolled(connection, model, environment, version)
    return [each for each in windows if each[0] < end and start < each[1]]


def all_rolled(connection: Connection, model: str, environment: str, version: str | None) -> list[Span]:
    """All of them, read once in a snapshot."""
    key = (all_rolled, model, environment, version)
    return remembered(connection, key, lambda: _read(connection, model, environment, (-FAR, FAR), version))


def _read(connection: Connection, model: str, environment: str, span: Span, version: str | None) -> list[Span]:
    where = {
        "of_model": model,
        "after": span[0] - SECONDS_PER_DAY,
        "end": span[1],
        "start": span[0],
        "of_environment": environment,
    }
    if version is not None:
        where["of_version"] = version
    return sorted((row[0], row[1]) for row in connection.execute(_rolled(version is not None), where))


@cache
def _rolled(of_one_version: bool) -> CompoundSelect[int, int]:
    """Statement for the rolled-up windows that overlap a span: of one version, or of all."""
    found = []
    for table in (tables.profile, tables.outcome):
        conditions = [
            table.c.model == bindparam("of_model"),
            table.c.window_start > bindparam("after"),
            table.c.window_start < bindparam("end"),
            table.c.window_len > BASE_WINDOW_SECONDS,
            table.c.window_start + table.c.window_len > bindparam("start"),
            table.c.environment == bindparam("of_environment"),
        ]
        if of_one_version:
            conditions.append(table.c.version == bindparam("of_version"))
        found.append(select(table.c.window_start, table.c.window_start + table.c.window_len).where(*conditions))
    return union(*found)
