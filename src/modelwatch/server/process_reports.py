"""Figures of a process, kept in the store every few seconds, for the pages and the API of all processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from modelwatch.errors import StoreUnavailable
from modelwatch.storage.engine.processes import StoredProcess, save_process
from modelwatch.storage.engine.store import Store
from modelwatch.views.service import Process, ProcessCounts, process_figures

REPORT_SECONDS = 10.0
CLOSE_SECONDS = 3.0

log = logging.getLogger(__name__)


class ProcessReporter:
    """Thread that reports on its process; one of its own, so that a process that is busy is not silent.

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
        self._thread = threading.Thread(target=self._run, name="modelwatch-process-reports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Reports that the process has stopped, within some seconds."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def once(self, *, stopped: bool = False) -> None:
        """Keeps a report in the store. Raises StoreUnavailable."""
        now = self._clock()
        figures = process_figures(self._process, self._counted(now))
        save_process(self._store, StoredProcess(self._name, self._process.started_at, now, stopped, figures))

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.is_set()
            try:
                self.once(stopped=stopped)
            except StoreUnavailable as error:
                log.debug("What this process has counted will be stored later: %s", error.detail)
            except Exception:
                # The figures are for people to look at: nothing else waits for them.
                log.exception("What this process has counted could not be stored")
            if not stopped:
                self._stop.wait(REPORT_SECONDS)
