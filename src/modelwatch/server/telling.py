"""A process tells the store every few seconds what it has counted, for the pages and the API of all processes."""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.storage.engine.processes import ToldProcess, tell
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.service import Process, ProcessCounts, process_figures

TELL_SECONDS = 10


class Telling:
    """Tells of one process, at most once in TELL_SECONDS.

    name: of the process, as in its leases and writers. counted: what it has counted by a time in microseconds.
    """

    def __init__(self, store: Store, name: str, process: Process, counted: Callable[[int], ProcessCounts]) -> None:
        self._store = store
        self._name = name
        self._process = process
        self._counted = counted
        self._told_at: int | None = None

    def __call__(self, now: int, stopped: bool = False) -> None:
        """Tells, when it is time for that or the process stops. now: microseconds. Raises StoreUnavailable."""
        if not stopped and self._told_at is not None and 0 <= now - self._told_at < TELL_SECONDS * MICROS_PER_SECOND:
            return
        figures = process_figures(self._process, self._counted(now))
        tell(self._store, ToldProcess(self._name, self._process.started_at, now, stopped, figures))
        self._told_at = now
