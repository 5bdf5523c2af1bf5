"""The chores of the lease holder: provisional references, carrying over, folding, and evaluation on the interval.

Each chore is safe when two processes do it at once; the lease only saves the double work.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec

from modelwatch.errors import StoreUnavailable
from modelwatch.monitoring.checks import DriftQuery, check_drift
from modelwatch.monitoring.references import take_provisional_reference
from modelwatch.monitoring.reports import DriftReport
from modelwatch.monitoring.verdicts import DriftRules
from modelwatch.monitoring.windows import watermark
from modelwatch.storage import (
    Store,
    StoredVerdict,
    Stream,
    acquire,
    carry_over,
    fold,
    generations,
    latest_verdicts,
    models_without_full_reference,
    release,
    save_verdict,
    seal_writers,
    streams,
)

LEASE = "chores"
LEASE_SECONDS = 15
TICK_SECONDS = 2.0
RETRY_SECONDS = 30
# However long a round takes, the store has this many times as long for everything else.
IDLE_SHARE = 9.0
MICROSECONDS = 1_000_000

log = logging.getLogger(__name__)


class ChoreObserver(Protocol):
    """Is told how long each evaluation took and whether the loop works."""

    def evaluated(self, model: str, seconds: float) -> None: ...

    def chores_failed(self) -> None: ...


class Chores:
    """A thread that does the chores while it holds the lease."""

    def __init__(
        self,
        store: Store,
        rules: DriftRules,
        observer: ChoreObserver,
        *,
        holder: str,
        clock: Callable[[], int],
        timer: Callable[[], float],
        new_id: Callable[[], str],
        provisional_size: int,
        rotation_seconds: int,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        self._store = store
        self._rules = rules
        self._observer = observer
        self._holder = holder
        self._clock = clock
        self._timer = timer
        self._new_id = new_id
        self._provisional_size = provisional_size
        self._rotation_seconds = rotation_seconds
        self._tick = tick_seconds
        self._carried: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modelwatch-chores", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the loop after the chore at hand and gives the lease back."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        pause = self._tick
        while not self._stop.wait(pause):
            began = self._timer()
            try:
                self.once()
                failures = 0
            except StoreUnavailable as error:
                failures += 1
                log.warning("The chores wait for the store: %s", error.detail)
                self._observer.chores_failed()
            except Exception:
                # A bug in one chore must not end the others: it is logged, counted, and tried again later.
                failures += 1
                log.exception("A chore failed; the next try is in %.0f s", self._tick * min(2**failures, 16))
                self._observer.chores_failed()
            pause = max(self._tick * min(2**failures, 16), IDLE_SHARE * (self._timer() - began))
        try:
            release(self._store, LEASE, self._holder)
        except StoreUnavailable as error:
            log.warning("The lease could not be given back, it ends by itself: %s", error.detail)

    def once(self) -> bool:
        """One round of all chores. False when another process holds the lease."""
        now = self._clock()
        fence = acquire(self._store, LEASE, self._holder, now=now, ttl=LEASE_SECONDS * MICROSECONDS)
        if fence is None:
            return False
        with self._store.read() as connection:
            waiting = models_without_full_reference(connection)
            present = streams(connection)
        received: Counter[str] = Counter()
        for stream in present:
            received[stream.model] += stream.predictions
        for model in waiting:
            if received[model] >= self._provisional_size:
                take_provisional_reference(self._store, model, self._provisional_size, now=now, new_id=self._new_id)
        with self._store.read() as connection:
            current = generations(connection)
        self._carry_over(current, now)
        self._evaluate_due(present, current, now)
        for writer in seal_writers(self._store, now - 2 * self._rotation_seconds * MICROSECONDS):
            fold(self._store, writer)
        return True

    def _carry_over(self, current: dict[str, int], now: int) -> None:
        for model, generation in current.items():
            if self._carried.get(model) != generation:
                carry_over(self._store, model, 0, now // MICROSECONDS + 86_400)
                self._carried[model] = generation

    def _evaluate_due(self, present: list[Stream], current: dict[str, int], now: int) -> None:
        with self._store.read() as connection:
            known = {(each.model, each.version, each.environment): each for each in latest_verdicts(connection)}
        for stream in present:
            last = known.get((stream.model, stream.version, stream.environment))
            generation = current[stream.model]
            if last is None or last.generation != generation or self._is_due(stream, last, now):
                self._evaluate(stream, generation, now)

    def _is_due(self, stream: Stream, last: StoredVerdict, now: int) -> bool:
        """An evaluation is one look out of the false-alarm budget, so there is one for each interval.

        The interval is one of event time, so that a replay is looked at as often as live traffic; a stream without new
        windows is not looked at again. A verdict for lack of data took no look, and is tried again soon.
        """
        newest = watermark(stream.last_window_end, now)
        since = now - last.evaluated_at
        if _undecided(last):
            return since >= RETRY_SECONDS * MICROSECONDS
        if newest - last.window_end >= self._rules.check_interval:
            return True
        return newest > last.window_end and since >= self._rules.check_interval * MICROSECONDS

    def _evaluate(self, stream: Stream, generation: int, now: int) -> None:
        began = self._timer()
        query = DriftQuery(stream.model, stream.environment, stream.version)
        report = check_drift(self._store, self._rules, query, now)
        self._observer.evaluated(stream.model, self._timer() - began)
        keep_verdict(self._store, stream, generation, report, now)


class _Headline(msgspec.Struct):
    severity: str


class _Report(msgspec.Struct):
    summary: _Headline


def _undecided(verdict: StoredVerdict) -> bool:
    severity = msgspec.json.decode(verdict.result, type=_Report).summary.severity
    return severity in ("insufficient_data", "no_data", "no_reference")


def keep_verdict(store: Store, stream: Stream, generation: int, report: DriftReport, now: int) -> None:
    """Stores a report as the stream's verdict at its watermark."""
    save_verdict(
        store,
        StoredVerdict(
            stream.model,
            stream.version,
            stream.environment,
            watermark(stream.last_window_end, now),
            generation,
            now,
            msgspec.json.encode(report),
        ),
    )
