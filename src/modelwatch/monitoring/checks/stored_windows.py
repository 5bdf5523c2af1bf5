"""Windows as the store has them: none ends inside of one that was rolled up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection

from modelwatch.monitoring.checks.windows import Window
from modelwatch.storage.counts.rolled_windows import rolled_windows
from modelwatch.storage.counts.rollup_levels import widen_to_stored


class StreamPart(Protocol):
    """Part of the traffic: a model in an environment, and one of its versions or all."""

    @property
    def model(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def version(self) -> str | None: ...


def stored_whole(connection: Connection, query: StreamPart, windows: Sequence[Window]) -> tuple[Window, ...]:
    """The windows, widened where an edge lies in one that was rolled up; look-backs keep their names."""
    if not windows:
        return ()
    start, end = min(each.start for each in windows), max(each.end for each in windows)
    rolled = rolled_windows(connection, query.model, query.environment, start, end, query.version)
    return tuple(Window(*widen_to_stored((each.start, each.end), rolled), each.lookback) for each in windows)
