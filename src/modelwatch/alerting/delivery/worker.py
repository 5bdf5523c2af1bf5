"""Worker of one channel: claims its rows of the outbox, sends them and stores the outcome, with back-off."""

from __future__ import annotations

import logging
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from modelwatch.alerting.channels import Channel, Outcome, RefreshingChannel
from modelwatch.alerting.notification import Notification
from modelwatch.errors import DamagedData, StoreUnavailable
from modelwatch.storage.alerts.outbox import DEAD, Claim, active_notifications, claim, due, finish, postpone
from modelwatch.storage.alerts.outbox import DELIVERED as IS_DELIVERED
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.leases import hold
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR

LEASE = "delivery"
BATCH = 50
# Pauses in seconds while the store does not take an outcome; after them the send would be repeated.
SETTLE_PAUSES = (0.1, 0.3, 1.0, 3.0)

_decode = msgspec.json.Decoder(Notification).decode

log = logging.getLogger(__name__)


class DeliveryObserver(Protocol):
    """Receiver of delivery events, such as counters. seconds: duration of the send."""

    def delivered(self, channel: str, seconds: float) -> None: ...

    def failed(self, channel: str, permanent: bool) -> None: ...

    def dead(self, channel: str) -> None: ...

    def refresh_failed(self, channel: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows of a round: `retried` ones will be tried again, `dead` ones were given up."""

    delivered: int = 0
    retried: int = 0
    dead: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.delivered + other.delivered, self.retried + other.retried, self.dead + other.dead)


class LeaseState:
    """Lease as all threads of a process see it: its fence, and until when (microseconds) it is surely ours."""

    def __init__(self, holder: str, clock: Callable[[], int]) -> None:
        self.holder = holder
        self._clock = clock
        self._state: tuple[int | None, int] = (None, 0)

    def set(self, fence: int | None, until: int) -> None:
        self._state = (fence, until)

    @property
    def fence(self) -> int | None:
        """The lease's fence number; None when it is not, or no longer, ours."""
        fence, until = self._state
        return fence if self._clock() < until else None


@dataclass(frozen=True, slots=True)
class Pacing:
    """Intervals of delivery, in seconds.

    poll: between two reads of the outbox. claim: how long a row that one process is sending is left alone by the
    others; longer than any channel takes. base, longest: the back-off doubles from the one to the other.
    longest_retry_after: what a receiver may ask for. give_up: the age at which a notification that still fails is dead,
    but never before fewest_attempts: it may have been deferred for long.
    """

    poll: float = 0.5
    claim: float = 60.0
    base: float = 2.0
    longest: float = 900.0
    longest_retry_after: float = float(SECONDS_PER_HOUR)
    give_up: float = 3.0 * SECONDS_PER_DAY
    fewest_attempts: int = 20

    def pause(self, attempt: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds until the next attempt, after this one (from 1) has failed: exponential, with full jitter.

        A receiver that asks for more is given it. Source: Brooker, Exponential Backoff And Jitter (AWS, 2015).

        >>> Pacing().pause(1, 30.0, random.Random(1))
        30.0
        >>> 0 <= Pacing().pause(500, None, random.Random(1)) <= 900
        True
        """
        ceiling = min(self.longest, self.base * 2 ** min(attempt - 1, 30))
        requested = 0.0 if retry_after is None else min(retry_after, self.longest_retry_after)
        return max(requested, rng.uniform(0.0, ceiling))

    def is_over(self, age: float, attempts: int) -> bool:
        """True when a notification of this age (seconds) that has failed so often is given up."""
        return age >= self.give_up and attempts >= self.fewest_attempts


class ChannelWorker:
    """Delivers for one channel, in order for each alert. Used by one thread at a time."""

    def __init__(
        self,
        store: Store,
        channel: Channel,
        lease: LeaseState,
        stop: threading.Event,
        *,
        clock: Callable[[], int],
        timer: Callable[[], float],
        rng: random.Random,
        observer: DeliveryObserver,
        pacing: Pacing,
    ) -> None:
        self.channel = channel
        self._store = store
        self._lease = lease
        self._stop = stop
        self._clock = clock
        self._timer = timer
        self._rng = rng
        self._observer = observer
        self._pacing = pacing
        self._paused_until = 0
        self._refresh_at = 0.0
        self._failing = False

    def run_once(self) -> Counts:
        """Delivers all that is due now, and what comes due by that. Raises StoreUnavailable and LeaseLost."""
        counts = Counts()
        while keys := self._due():
            for key in keys:
                self._refresh()
                if not self._can_send():
                    return counts
                counts += self._deliver(key)
        self._refresh()
        return counts

    def _due(self) -> list[str]:
        if not self._can_send():
            return []
        with self._store.read() as connection:
            return due(connection, self.channel.name, now=self._clock(), limit=BATCH)

    def _can_send(self) -> bool:
        return self._lease.fence is not None and not self._stop.is_set() and self._clock() >= self._paused_until

    def _deliver(self, key: str) -> Counts:
        claimed = self._claim(key)
        if claimed is None:
            return Counts()
        began = self._timer()
        outcome = self._send(claimed)
        seconds = self._timer() - began
        if outcome is None:
            return Counts()
        counts = self._store_outcome(claimed, outcome)
        if outcome.status == "delivered":
            self._observer.delivered(self.channel.name, seconds)
            self._log_recovery()
        else:
            self._observer.failed(self.channel.name, outcome.status == "permanent")
            self._log_failure(outcome)
        return counts

    def _claim(self, key: str) -> Claim | None:
        now = self._clock()
        fence = self._lease.fence
        if fence is None:
            return None
        with self._store.write() as connection:
            hold(connection, LEASE, self._lease.holder, fence)
            return claim(connection, key, now=now, until=now + int(self._pacing.claim * MICROS_PER_SECOND))

    def _send(self, claimed: Claim) -> Outcome | None:
        """Sends the row. None when the claim had lapsed: this process was paused, and another may be sending."""
        try:
            notification = _notification((claimed.key, claimed.notice))
        except DamagedData:
            return Outcome("permanent", "the notification can't be read")
        if self._clock() >= claimed.expires_at:
            return None
        return attempt(self.channel, notification, claimed.key)

    def _store_outcome(self, claimed: Claim, outcome: Outcome) -> Counts:
        """Stores the outcome, with patience: what is not stored would be sent again."""
        for pause in SETTLE_PAUSES:
            try:
                return self._write_outcome(claimed, outcome)
            except StoreUnavailable:
                if self._stop.wait(pause):
                    break
        return self._write_outcome(claimed, outcome)

    def _write_outcome(self, claimed: Claim, outcome: Outcome) -> Counts:
        now = self._clock()
        with self._store.write() as connection:
            if outcome.status == "delivered":
                return Counts(delivered=finish(connection, claimed, IS_DELIVERED, now=now))
            age = (now - claimed.created_at) / MICROS_PER_SECOND
            if outcome.status == "retry" and not self._pacing.is_over(age, claimed.attempt):
                pause = self._pacing.pause(claimed.attempt, outcome.retry_after, self._rng)
                until = now + int(pause * MICROS_PER_SECOND)
                if outcome.retry_after is not None:
                    # The receiver asked for a pause of the channel, not of this alert.
                    self._paused_until = until
                return Counts(retried=postpone(connection, claimed, not_before=until, reason=outcome.reason))
            is_ours = finish(connection, claimed, DEAD, now=now, reason=outcome.reason)
        if is_ours:
            self._observer.dead(self.channel.name)
            log.error("Given up after attempt %d: %s (%s)", claimed.attempt, claimed.key, outcome.reason)
        return Counts(dead=is_ours)

    def _refresh(self) -> None:
        channel = self.channel
        if not isinstance(channel, RefreshingChannel) or not self._can_send() or self._timer() < self._refresh_at:
            return
        with self._store.read() as connection:
            active = active_notifications(connection, channel.name)
        notifications = list(readable(active, _notification, "Its alert is not refreshed."))
        outcome = attempt_refresh(channel, notifications)
        # Sooner after a failure: the receiver forgets an alert that is not refreshed in time.
        self._refresh_at = self._timer() + channel.refresh_seconds / (1 if outcome.status == "delivered" else 4)
        if outcome.status == "delivered":
            self._log_recovery()
        else:
            self._observer.refresh_failed(channel.name)
            self._log_failure(outcome)

    def _log_failure(self, outcome: Outcome) -> None:
        if not self._failing:
            log.warning("Channel %s fails: %s", self.channel.name, outcome.reason)
        self._failing = True

    def _log_recovery(self) -> None:
        if self._failing:
            log.info("Channel %s works again", self.channel.name)
        self._failing = False


def _notification(stored: tuple[str, bytes]) -> Notification:
    """Notification of its key and its JSON. Raises DamagedData when it can't be read."""
    key, notice = stored
    return decoded(f"The notification {key}", _decode, notice)


def attempt(channel: Channel, notification: Notification, key: str) -> Outcome:
    """Sends once. A bug in a channel fails that attempt, and ends neither the thread nor other deliveries."""
    try:
        return channel.send(notification, key)
    except Exception as error:  # noqa: BLE001  anything that a channel has not foreseen
        return _bug(channel, error)


def attempt_refresh(channel: RefreshingChannel, notifications: list[Notification]) -> Outcome:
    """Refreshes once, in the same way."""
    try:
        return channel.refresh(notifications)
    except Exception as error:  # noqa: BLE001  anything that a channel has not foreseen
        return _bug(channel, error)


def _bug(channel: Channel, error: Exception) -> Outcome:
    # The error's own text may hold an address or a key: the log gets its type and the place.
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error("Channel %s has a bug: %s\n%s", channel.name, type(error).__name__, place)
    return Outcome("retry", f"a bug in the channel ({type(error).__name__})")
