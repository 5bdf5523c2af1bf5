"""Which windows of a stream were rolled up."""

from __future__ import annotations

from functools import cache

from sqlalchemy import CompoundSelect, Connection, bindparam, select, union

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.engine import tables
from modelwatch.times import SECONDS_PER_DAY


def rolled_windows(
    connection: Connection, model: str, environment: str, start: int, end: int, version: str | None = None
) -> list[Span]:
    """The rolled-up windows, [start, end) in seconds, that overlap a span; of a version, or of any."""
    where = {
        "of_model": model,
        "after": start - SECONDS_PER_DAY,
        "end": end,
        "start": start,
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
