"""Background jobs of the service: one process at a time runs them, the holder of a lease in the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelwatch.errors import LeaseLost, StoreUnavailable
from modelwatch.storage.engine.leases import acquire, release
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND

# The name in the store: processes of earlier releases hold the lease by it.
LEASE = "chores"
TICK_SECONDS = 2.0
CLOSE_SECONDS = 3.0
# However long a run takes, the store has this many times as long for everything else, unless there is more to do.
IDLE_SHARE = 9.0
LONGEST_BACKOFF = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run the background jobs. fence: grows each time that the holder changes."""

    name: str
    holder: str
    fence: int


class BackgroundJob(Protocol):
    """One kind of background work."""

    def __call__(self, lease: Lease, now: int) -> bool:
        """Does what is due. True when there is more to do at once."""


class JobObserver(Protocol):
    """Counts failures of background jobs."""

    def job_failed(self) -> None: ...


class BackgroundJobs:
    """Thread that runs the background jobs in turn, again and again, while it holds the lease.

    more: True when the last run left something to do at once.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[BackgroundJob],
        observer: JobObserver,
        *,
        holder: str,
        clock: Callable[[], int],
        timer: Callable[[], float],
        lease_seconds: float,
        tick_seconds: float = TICK_SECONDS,
        store_clock: Callable[[], int] | None = None,
    ) -> None:
        """store_clock: what the lease goes by, since all processes share it; by default the clock."""
        self._store = store
        self._jobs = jobs
        self._observer = observer
        self._holder = holder
        self._clock = clock
        self._store_clock = store_clock or clock
        self._watch = ClockWatch(timer)
        self._timer = timer
        self._lease = round(lease_seconds * MICROS_PER_SECOND)
        self._tick = min(tick_seconds, lease_seconds / 3)
        self.more = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="modelwatch-background", daemon=True)

    def start(self) -> None:
        now = self._clock()
        self._watch.look(now, now)
        self._thread.start()

    def close(self) -> None:
        """Ends the loop after the current job and gives the lease back, within some seconds: what takes longer is
        left undone, and the lease ends by itself."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        failures = 0
        pause = self._tick
        while not self._stop.wait(pause):
            began = self._timer()
            failures = 0 if self._run_once() else failures + 1
            took = self._timer() - began
            if failures:
                pause = self._tick * min(2**failures, LONGEST_BACKOFF)
            elif self.more:
                pause = took
            else:
                pause = max(self._tick, min(IDLE_SHARE * took, self._lease / MICROS_PER_SECOND / 3))
        try:
            release(self._store, LEASE, self._holder)
        except StoreUnavailable as error:
            log.warning("The lease could not be released, it ends by itself: %s", error.detail)

    def _run_once(self) -> bool:
        """Runs all jobs once and logs failures; False when something failed."""
        try:
            self.once()
        except LeaseLost as error:
            log.warning("%s That process runs the background jobs now.", error)
        except StoreUnavailable as error:
            log.warning("Background jobs are waiting for the store: %s", error.detail)
            self._observer.job_failed()
            return False
        except Exception:
            # A bug must not end the thread: without it nothing would be evaluated, and no alert sent.
            log.exception("A background job failed and will be retried")
            self._observer.job_failed()
            return False
        return True

    def once(self) -> bool:
        """Runs all jobs once. False when another process holds the lease.

        A bug in one job must not end the others: the first error is raised after all have run. Raises LeaseLost when
        the lease ended meanwhile, StoreUnavailable when the store can't be reached.
        """
        self.more = False
        now = self._clock()
        store_now = self._store_clock()
        self._watch.look(now, store_now)
        fence = acquire(self._store, LEASE, self._holder, now=store_now, ttl=self._lease)
        if fence is None:
            return False
        lease = Lease(LEASE, self._holder, fence)
        failed: Exception | None = None
        for job in self._jobs:
            if self._clock() >= now + self._lease:
                raise LeaseLost(f"The lease {LEASE!r} ended during a run.")
            try:
                self.more |= job(lease, now)
            except (StoreUnavailable, LeaseLost):
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                failed = failed or error
        if failed is not None:
            try:
                raise failed
            finally:
                # It has this frame in its trace: neither would be freed, nor what the job held.
                del failed
        return True


APART_SECONDS = 5.0

log = logging.getLogger(__name__)


class ClockWatch:
    """Compares the clock with a monotonic timer, at each call of `look`."""

    def __init__(self, timer: Callable[[], float]) -> None:
        """timer: seconds since any moment."""
        self._timer = timer
        self._last: tuple[int, float] | None = None
        self._apart = False

    def look(self, now: int, store_now: int) -> None:
        """now, store_now: by the clock and by that of the store, in microseconds."""
        elapsed = self._timer()
        if self._last is not None:
            jump = (now - self._last[0]) / MICROS_PER_SECOND - (elapsed - self._last[1])
            if abs(jump) >= APART_SECONDS:
                way = "ahead" if jump > 0 else "back"
                log.warning("The clock of this machine jumped %s by %.0f s.", way, abs(jump))
        self._last = (now, elapsed)
        apart = (now - store_now) / MICROS_PER_SECOND
        was_apart, self._apart = self._apart, abs(apart) >= APART_SECONDS
        if self._apart and not was_apart:
            way = "ahead of" if apart > 0 else "behind"
            log.warning("The clock of this machine is %.0f s %s that of the store: set it.", abs(apart), way)
