"""The background work of the service: chores that one process at a time does, the holder of a lease in the store."""

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

LEASE = "chores"
TICK_SECONDS = 2.0
CLOSE_SECONDS = 3.0
# However long a round takes, the store has this many times as long for everything else, unless there is more to do.
IDLE_SHARE = 9.0
LONGEST_BACKOFF = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do the chores. fence: grows each time that the holder changes."""

    name: str
    holder: str
    fence: int


class Chore(Protocol):
    """One kind of background work."""

    def __call__(self, lease: Lease, now: int) -> bool:
        """Does what is due. True when there is more to do at once."""


class ChoreObserver(Protocol):
    """Is told when a chore has failed."""

    def chores_failed(self) -> None: ...


class Chores:
    """A thread that does the chores, one after the other and again and again, while it holds the lease.

    more: whether the last round left something to do at once.
    """

    def __init__(
        self,
        store: Store,
        chores: Sequence[Chore],
        observer: ChoreObserver,
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
        self._chores = chores
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
        self._thread = threading.Thread(target=self._run, name="modelwatch-chores", daemon=True)

    def start(self) -> None:
        now = self._clock()
        self._watch.look(now, now)
        self._thread.start()

    def close(self) -> None:
        """Ends the loop after the chore at hand and gives the lease back, within some seconds: what takes longer is
        left undone, and the lease ends by itself."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        failures = 0
        pause = self._tick
        while not self._stop.wait(pause):
            began = self._timer()
            failures = 0 if self._round() else failures + 1
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
            log.warning("The lease could not be given back, it ends by itself: %s", error.detail)

    def _round(self) -> bool:
        """A round of all chores; False when something failed."""
        try:
            self.once()
        except LeaseLost as error:
            log.warning("%s It does the background work now.", error)
        except StoreUnavailable as error:
            log.warning("The chores wait for the store: %s", error.detail)
            self._observer.chores_failed()
            return False
        except Exception:
            # A bug must not end the thread: without it nothing would be evaluated, and nobody told.
            log.exception("A chore failed and will be tried again")
            self._observer.chores_failed()
            return False
        return True

    def once(self) -> bool:
        """One round of all chores. False when another process holds the lease.

        A bug in one chore must not end the others: the first error rises after all have had their turn.
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
        for chore in self._chores:
            if self._clock() >= now + self._lease:
                raise LeaseLost(f"The lease {LEASE!r} ended in the middle of a round.")
            try:
                self.more |= chore(lease, now)
            except (StoreUnavailable, LeaseLost):
                raise
            except Exception as error:  # noqa: BLE001 - it rises below
                failed = failed or error
        if failed is not None:
            raise failed
        return True


APART_SECONDS = 5.0

log = logging.getLogger(__name__)


class ClockWatch:
    """Compares, at each look, the clock with a timer that nobody sets."""

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
