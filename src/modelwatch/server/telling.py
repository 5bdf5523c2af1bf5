"""Figures of a process, kept in the store every few seconds, for the pages and the API of all processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from modelwatch.errors import StoreUnavailable
from modelwatch.storage.engine.processes import ToldProcess, tell
from modelwatch.storage.engine.store import Store
from modelwatch.views.service import Process, ProcessCounts, process_figures

TELL_SECONDS = 10.0
CLOSE_SECONDS = 3.0

log = logging.getLogger(__name__)


class Telling:
    """Thread that tells of its process; one of its own, so that a process that is busy is not silent.

    name: of the process, as in its leases and writers. counted: what it has counted by a time in microseconds.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        process: Process,
        counted: Callable[[int], ProcessCounts],
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._name = name
        self._process = process
        self._counted = counted
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modelwatch-telling", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Tells that the process has stopped, within some seconds."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def once(self, *, stopped: bool = False) -> None:
        """Tells the store. Raises StoreUnavailable."""
        now = self._clock()
        figures = process_figures(self._process, self._counted(now))
        tell(self._store, ToldProcess(self._name, self._process.started_at, now, stopped, figures))

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.is_set()
            try:
                self.once(stopped=stopped)
            except StoreUnavailable as error:
                log.debug("What this process has counted will be told later: %s", error.detail)
            except Exception:
                # The figures are for people to look at: nothing else waits for them.
                log.exception("What this process has counted could not be told")
            if not stopped:
                self._stop.wait(TELL_SECONDS)
