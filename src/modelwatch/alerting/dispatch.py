"""What people do to deliveries: try a channel, and send again what was given up. Both are in the audit trail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Literal, Protocol

import msgspec

from modelwatch.alerting.book import LONGEST_ACTOR
from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.text import clean
from modelwatch.alerting.views import DeliveryLine, delivery_line
from modelwatch.errors import Conflict, FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.alerts.deliveries import delivery_by_key
from modelwatch.storage.alerts.outbox import DEAD, retry_dead
from modelwatch.storage.engine.store import Store


class TrialSender(Protocol):
    """Sends a test notification through one of its channels."""

    def send_test(self, name: str) -> Outcome: ...


class Trial(msgspec.Struct, frozen=True):
    """What became of a test notification.

    outcome: `delivered`; `retry` when a later attempt may succeed, `permanent` when none will. detail: why it was not
    delivered. seconds: what it took.
    """

    channel: str
    outcome: Literal["delivered", "retry", "permanent"]
    detail: str
    seconds: float


class Dispatch:
    """Acts on channels and deliveries for people. Safe to use from several threads.

    channels: names of those that are configured. clock: microseconds. timer: seconds. new_id: ids of audit entries.
    """

    def __init__(
        self,
        store: Store,
        sender: TrialSender,
        channels: Collection[str],
        *,
        clock: Callable[[], int],
        timer: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._sender = sender
        self._channels = frozenset(channels)
        self._clock = clock
        self._timer = timer
        self._new_id = new_id
        self._busy = threading.Lock()

    def try_out(self, channel: str, *, actor: str) -> Trial:
        """Sends a test notification now, and waits for what becomes of it.

        Raises UnknownResource, and Conflict while another test is being sent: a receiver that hangs must not take up
        the threads that answer everything else.
        """
        who = _checked(actor)
        if channel not in self._channels:
            known = ", ".join(sorted(self._channels)) or "none is configured"
            raise UnknownResource(f"There is no channel named {excerpt(channel)!r} (channels: {known}).")
        if not self._busy.acquire(blocking=False):
            raise Conflict("A test notification is being sent; try again when it is done.")
        try:
            began = self._timer()
            outcome = self._sender.send_test(channel)
            seconds = round(self._timer() - began, 3)
        finally:
            self._busy.release()
        trial = Trial(channel, outcome.status, outcome.reason, seconds)
        with self._store.write() as connection:
            detail = {"outcome": trial.outcome, "detail": trial.detail}
            append_audit(connection, self._entry(who, "channel.test", f"channel/{channel}", detail))
        return trial

    def retry(self, key: str, *, actor: str) -> DeliveryLine:
        """Makes a delivery that was given up pending again. Raises UnknownResource, and Conflict when it can't be."""
        who = _checked(actor)
        with self._store.write() as connection:
            record = delivery_by_key(connection, key)
            if record is None:
                raise UnknownResource(f"There is no delivery with the key {excerpt(key)!r}.")
            if record.state != DEAD:
                raise Conflict(f"The delivery is {record.state}: only one that was given up (dead) can be sent again.")
            if record.channel not in self._channels:
                raise Conflict(f"There is no channel named {record.channel!r} any more: it would be given up again.")
            if not retry_dead(connection, key, now=self._clock()):
                raise Conflict("A later notice of the same alert has reached the channel: this one is out of date.")
            after = delivery_by_key(connection, key)
            assert after is not None, "it was there a moment ago"
            detail = {"attempts": record.attempts, "last_error": record.last_error}
            append_audit(connection, self._entry(who, "delivery.retry", f"delivery/{key}", detail))
        return delivery_line(after)

    def _entry(self, actor: str, action: str, target: str, detail: Mapping[str, object]) -> AuditEntry:
        return AuditEntry(self._new_id(), self._clock(), actor, action, target, msgspec.json.encode(detail).decode())


def _checked(actor: str) -> str:
    who = clean(actor)
    if not 1 <= len(who) <= LONGEST_ACTOR:
        problem = FieldError("/actor", f"Expected 1 to {LONGEST_ACTOR} characters", excerpt(actor))
        raise InvalidInput("Who did it is not valid.", (problem,))
    return who
