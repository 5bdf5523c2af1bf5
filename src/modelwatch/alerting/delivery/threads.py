"""Delivery threads: one for each channel, so that none waits for another, and one that keeps the lease.

One process delivers at a time, the holder of the lease. A notification is sent at least once: after a crash between
sending and storing the outcome it is sent again, under the same key.
"""

from __future__ import annotations

import logging
import random
import threading
import traceback
from collections.abc import Callable, Mapping

from modelwatch.alerting.channels import Channel, Outcome
from modelwatch.alerting.delivery.worker import (
    LEASE,
    ChannelWorker,
    Counts,
    DeliveryObserver,
    LeaseState,
    Pacing,
    attempt,
)
from modelwatch.alerting.notification import sample_notification
from modelwatch.errors import LeaseLost, StoreUnavailable, UnknownResource
from modelwatch.storage.alerts.outbox import bury_unknown, has_unknown
from modelwatch.storage.engine.leases import acquire, release
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND

LEASE_SECONDS = 15.0
CLOSE_SECONDS = 3.0
LONGEST_PAUSE = 30.0

log = logging.getLogger(__name__)


class Delivery:
    """Threads that deliver, and the lease under which they work."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        *,
        holder: str,
        clock: Callable[[], int],
        timer: Callable[[], float],
        rng: random.Random,
        observer: DeliveryObserver,
        lease_seconds: float = LEASE_SECONDS,
        pacing: Pacing | None = None,
        store_clock: Callable[[], int] | None = None,
    ) -> None:
        """clock, store_clock: microseconds; store_clock for the lease, which all processes share; by default the clock.

        timer: seconds. rng: for the jitter of the back-off.
        """
        self._store = store
        self._channels = dict(channels)
        self._clock = clock
        self._store_clock = store_clock or clock
        self._timer = timer
        self._observer = observer
        self._lease_seconds = lease_seconds
        self._pacing = pacing or Pacing()
        self._lease = LeaseState(holder, clock)
        self._stop = threading.Event()
        self._workers = [
            ChannelWorker(
                store,
                channel,
                self._lease,
                self._stop,
                clock=clock,
                timer=timer,
                rng=rng,
                observer=observer,
                pacing=self._pacing,
            )
            for channel in self._channels.values()
        ]
        self._threads: list[threading.Thread] = []

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The channels by name."""
        return self._channels

    def start(self) -> None:
        self._begin("lease", self._keep_lease, self._lease_seconds / 3)
        for worker in self._workers:
            self._begin(worker.channel.name, worker.run_once, self._pacing.poll)

    def close(self) -> None:
        """Ends the threads and gives the lease back, in some seconds: a send that hangs is left to its claim."""
        self._stop.set()
        deadline = self._timer() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._timer()))
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        if hanging:
            log.warning("Still sending at shutdown: %s; it will be retried unless it succeeds", ", ".join(hanging))
        if self._lease.fence is not None:
            try:
                release(self._store, LEASE, self._lease.holder)
            except StoreUnavailable as error:
                log.warning("The lease could not be released, it ends by itself: %s", error.detail)

    def once(self) -> Counts:
        """Delivers all that is due now, channel by channel, in this thread. Nothing while another process delivers."""
        counts = self._keep_lease()
        return sum((worker.run_once() for worker in self._workers), counts)

    def send_test(self, name: str) -> Outcome:
        """Sends a test notification, once, in this thread. Raises UnknownResource for an unknown channel."""
        channel = self._channels.get(name)
        if channel is None:
            known = ", ".join(sorted(self._channels)) or "none is configured"
            raise UnknownResource(f"There is no channel named {name!r} (channels: {known}).")
        notification = sample_notification(self._clock())
        return attempt(channel, notification, f"{notification.alert_id}:{notification.sequence}:{name}")

    def _keep_lease(self) -> Counts:
        now = self._clock()
        ttl = int(self._lease_seconds * MICROS_PER_SECOND)
        fence = acquire(self._store, LEASE, self._lease.holder, now=self._store_clock(), ttl=ttl)
        self._lease.set(fence, now + ttl)
        return Counts() if fence is None else self._bury_unknown()

    def _bury_unknown(self) -> Counts:
        with self._store.read() as connection:
            if not has_unknown(connection, self._channels):
                return Counts()
        with self._store.write() as connection:
            buried = bury_unknown(connection, self._channels, now=self._clock())
        for name in buried:
            self._observer.dead(name)
        for name in sorted(set(buried)):
            log.error("Given up: %d notifications, because no channel is named %s", buried.count(name), name)
        return Counts(dead=len(buried))

    def _begin(self, name: str, work: Callable[[], object], pause: float) -> None:
        thread = threading.Thread(
            target=self._run, args=(name, work, pause), name=f"modelwatch-delivery-{name}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _run(self, name: str, work: Callable[[], object], pause: float) -> None:
        """Works and pauses until the end; after a failure the pauses grow."""
        failures = 0
        while not self._stop.is_set():
            try:
                work()
                failures = 0
            except LeaseLost:
                self._lease.set(None, 0)
            except StoreUnavailable as error:
                failures += 1
                if failures == 1:
                    log.warning("Delivery (%s) is waiting for the store: %s", name, error.detail)
            except Exception as error:  # noqa: BLE001  a bug must not end deliveries: it is logged and tried again
                failures += 1
                if failures == 1:
                    place = "".join(traceback.format_tb(error.__traceback__))
                    log.error("Delivery (%s) failed: %s\n%s", name, type(error).__name__, place)
            self._stop.wait(min(pause * 2**failures, max(pause, LONGEST_PAUSE)))
