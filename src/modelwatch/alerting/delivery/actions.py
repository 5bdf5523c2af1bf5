"""Actions of people on deliveries: test a channel, retry what was given up. Both are in the audit trail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import msgspec

from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.service import LONGEST_ACTOR
from modelwatch.alerting.views.operations import DeliveryLine, TestResult, delivery_line
from modelwatch.errors import Conflict, FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.alerts.outbox import DEAD, delivery_by_key, retry_dead
from modelwatch.storage.engine.store import Store
from modelwatch.text import clean


class TestSender(Protocol):
    """Sender of a test notification through one of its channels."""

    def send_test(self, name: str) -> Outcome: ...


class DeliveryActions:
    """Test of a channel and retry of a delivery, for people. Safe to use from several threads.

    channels: names of those that are configured. clock: microseconds. timer: seconds. new_id: ids of audit entries.
    """

    def __init__(
        self,
        store: Store,
        sender: TestSender,
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

    def send_test(self, channel: str, *, actor: str) -> TestResult:
        """Sends a test notification now, and waits for its outcome.

        Raises UnknownResource, InvalidInput for the actor, and Conflict while another test is being sent: a receiver
        that hangs must not take up the threads that answer everything else.
        """
        who = _checked(actor)
        if channel not in self._channels:
            known = ", ".join(sorted(self._channels)) or "none is configured"
            raise UnknownResource(f"There is no channel named {excerpt(channel)!r} (channels: {known}).")
        if not self._busy.acquire(blocking=False):
            raise Conflict("Another test notification is being sent. Try again when it is done.")
        try:
            began = self._timer()
            outcome = self._sender.send_test(channel)
            seconds = round(self._timer() - began, 3)
        finally:
            self._busy.release()
        result = TestResult(channel, outcome.status, outcome.reason, seconds)
        with self._store.write() as connection:
            detail = {"outcome": result.outcome, "detail": result.detail}
            append_audit(connection, self._entry(who, "channel.test", f"channel/{channel}", detail))
        return result

    def retry(self, key: str, *, actor: str) -> DeliveryLine:
        """Makes a dead delivery pending again. Raises UnknownResource, InvalidInput, and Conflict when it can't be."""
        who = _checked(actor)
        with self._store.write() as connection:
            record = delivery_by_key(connection, key)
            if record is None:
                raise UnknownResource(f"There is no delivery with the key {excerpt(key)!r}.")
            if record.state != DEAD:
                raise Conflict(f"The delivery is {record.state}. Only a dead one can be retried.")
            if record.channel not in self._channels:
                raise Conflict(f"The channel {record.channel!r} is no longer configured.")
            if not retry_dead(connection, key, now=self._clock()):
                raise Conflict(
                    "A later notification of the same alert has been delivered to the channel; this one is out of date."
                )
            after = delivery_by_key(connection, key)
            assert after is not None, "it was read in this transaction"
            detail = {"attempts": record.attempts, "last_error": record.last_error}
            append_audit(connection, self._entry(who, "delivery.retry", f"delivery/{key}", detail))
        return delivery_line(after)

    def _entry(self, actor: str, action: str, target: str, detail: Mapping[str, object]) -> AuditEntry:
        return AuditEntry(self._new_id(), self._clock(), actor, action, target, msgspec.json.encode(detail).decode())


def _checked(actor: str) -> str:
    who = clean(actor)
    if not 1 <= len(who) <= LONGEST_ACTOR:
        problem = FieldError("/actor", f"Expected 1 to {LONGEST_ACTOR} characters", excerpt(actor))
        raise InvalidInput("The actor is not valid.", (problem,))
    return who
