"""What one channel is owed, taken there row by row: claim, send, write down what became of it."""

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
from modelwatch.alerting.notices import Notice
from modelwatch.alerting.pacing import Pacing
from modelwatch.errors import StoreUnavailable
from modelwatch.storage.alerts.outbox import DEAD, Claim, active_notices, claim, due, finish, postpone
from modelwatch.storage.alerts.outbox import DELIVERED as IS_DELIVERED
from modelwatch.storage.engine.leases import hold
from modelwatch.storage.engine.store import Store

LEASE = "delivery"
BATCH = 50
MICROSECONDS = 1_000_000
# How long to wait for the store to take what became of a delivery; after that it would be repeated.
SETTLE_PAUSES = (0.1, 0.3, 1.0, 3.0)

log = logging.getLogger(__name__)


class DeliveryObserver(Protocol):
    """Is told how deliveries go; `seconds` is what the send took."""

    def delivered(self, channel: str, seconds: float) -> None: ...

    def failed(self, channel: str, permanent: bool) -> None: ...

    def dead(self, channel: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What a round did: `retried` rows will be tried again, `dead` ones were given up."""

    delivered: int = 0
    retried: int = 0
    dead: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.delivered + other.delivered, self.retried + other.retried, self.dead + other.dead)


class Tenure:
    """The lease as all threads of a process see it: its fence, and until when it is ours for sure."""

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


class Courier:
    """Delivers for one channel, in order for each alert. Used by one thread at a time."""

    def __init__(
        self,
        store: Store,
        channel: Channel,
        tenure: Tenure,
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
        self._tenure = tenure
        self._stop = stop
        self._clock = clock
        self._timer = timer
        self._rng = rng
        self._observer = observer
        self._pacing = pacing
        self._quiet_until = 0
        self._refresh_at = 0.0
        self._failing = False

    def round(self) -> Counts:
        """Delivers everything that is due now, and what comes due by that. Raises StoreUnavailable and LeaseLost."""
        counts = Counts()
        while keys := self._due():
            for key in keys:
                self._refresh()
                if not self._may_go_on():
                    return counts
                counts += self._deliver(key)
        self._refresh()
        return counts

    def _due(self) -> list[str]:
        if not self._may_go_on():
            return []
        with self._store.read() as connection:
            return due(connection, self.channel.name, now=self._clock(), limit=BATCH)

    def _may_go_on(self) -> bool:
        return self._tenure.fence is not None and not self._stop.is_set() and self._clock() >= self._quiet_until

    def _deliver(self, key: str) -> Counts:
        claimed = self._claim(key)
        if claimed is None:
            return Counts()
        began = self._timer()
        outcome = self._send(claimed)
        seconds = self._timer() - began
        if outcome is None:
            return Counts()
        counts = self._keep(claimed, outcome)
        if outcome.status == "delivered":
            self._observer.delivered(self.channel.name, seconds)
            self._works()
        else:
            self._observer.failed(self.channel.name, outcome.status == "permanent")
            self._fails(outcome)
        return counts

    def _claim(self, key: str) -> Claim | None:
        now = self._clock()
        fence = self._tenure.fence
        if fence is None:
            return None
        with self._store.write() as connection:
            hold(connection, LEASE, self._tenure.holder, fence)
            return claim(connection, key, now=now, until=now + int(self._pacing.claim * MICROSECONDS))

    def _send(self, claimed: Claim) -> Outcome | None:
        """None when the claim lapsed before it was used: this process was paused, and another may be sending."""
        try:
            notice = msgspec.json.decode(claimed.notice, type=Notice)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return Outcome("permanent", "the notice can't be read")
        if self._clock() >= claimed.expires_at:
            return None
        return attempt(self.channel, notice, claimed.key)

    def _keep(self, claimed: Claim, outcome: Outcome) -> Counts:
        """Writes down what became of it, patiently."""
        for pause in SETTLE_PAUSES:
            try:
                return self._write_down(claimed, outcome)
            except StoreUnavailable:
                if self._stop.wait(pause):
                    break
        return self._write_down(claimed, outcome)

    def _write_down(self, claimed: Claim, outcome: Outcome) -> Counts:
        now = self._clock()
        with self._store.write() as connection:
            if outcome.status == "delivered":
                return Counts(delivered=finish(connection, claimed, IS_DELIVERED, now=now))
            age = (now - claimed.created_at) / MICROSECONDS
            if outcome.status == "retry" and not self._pacing.is_over(age, claimed.attempt):
                pause = self._pacing.pause(claimed.attempt, outcome.retry_after, self._rng)
                until = now + int(pause * MICROSECONDS)
                if outcome.retry_after is not None:
                    # It was the channel that was told to wait, not this alert.
                    self._quiet_until = until
                return Counts(retried=postpone(connection, claimed, not_before=until, reason=outcome.reason))
            mine = finish(connection, claimed, DEAD, now=now, reason=outcome.reason)
        if mine:
            self._observer.dead(self.channel.name)
            log.error("Given up after attempt %d: %s (%s)", claimed.attempt, claimed.key, outcome.reason)
        return Counts(dead=mine)

    def _refresh(self) -> None:
        channel = self.channel
        if not isinstance(channel, RefreshingChannel) or not self._may_go_on() or self._timer() < self._refresh_at:
            return
        with self._store.read() as connection:
            notices = [msgspec.json.decode(each, type=Notice) for each in active_notices(connection, channel.name)]
        outcome = attempt_refresh(channel, notices)
        # After a failure sooner: what is not told again in time, the receiver forgets.
        self._refresh_at = self._timer() + channel.refresh_seconds / (1 if outcome.status == "delivered" else 4)
        if outcome.status != "delivered":
            self._observer.failed(channel.name, outcome.status == "permanent")
            self._fails(outcome)

    def _fails(self, outcome: Outcome) -> None:
        if not self._failing:
            log.warning("Channel %s fails: %s", self.channel.name, outcome.reason)
        self._failing = True

    def _works(self) -> None:
        if self._failing:
            log.info("Channel %s works again", self.channel.name)
        self._failing = False


def attempt(channel: Channel, notice: Notice, key: str) -> Outcome:
    """One send. A bug in a channel is a failure of that attempt, and ends neither the thread nor other deliveries."""
    try:
        return channel.send(notice, key)
    except Exception as error:  # noqa: BLE001  whatever a channel has not foreseen
        return _bug(channel, error)


def attempt_refresh(channel: RefreshingChannel, notices: list[Notice]) -> Outcome:
    """One refresh, in the same way."""
    try:
        return channel.refresh(notices)
    except Exception as error:  # noqa: BLE001  whatever a channel has not foreseen
        return _bug(channel, error)


def _bug(channel: Channel, error: Exception) -> Outcome:
    # The error's own text may hold an address or a key: the log gets its type and the place.
    place = "".join(traceback.format_tb(error.__traceback__))
    log.error("Channel %s has a bug: %s\n%s", channel.name, type(error).__name__, place)
    return Outcome("retry", f"a bug in the channel ({type(error).__name__})")
