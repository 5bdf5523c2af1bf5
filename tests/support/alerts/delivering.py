"""A Delivery with time and chance under control, and channels with a script."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from modelwatch.alerting.channels import DELIVERED, Channel, Outcome
from modelwatch.alerting.channels.webhook import WebhookChannel
from modelwatch.alerting.delivery.threads import Delivery
from modelwatch.alerting.delivery.worker import Pacing
from modelwatch.alerting.notification import Notification
from modelwatch.storage.engine.store import Store
from tests.support.events import Clock


class RecordingChannel:
    """Channel that records what it is sent. `script`: outcomes or errors, one a send, and then DELIVERED."""

    kind = "recording"

    def __init__(self, name: str, *script: Outcome | Exception) -> None:
        self.name = name
        self.script = list(script)
        self.keys: list[str] = []
        self.notifications: list[Notification] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, notification: Notification, key: str) -> Outcome:
        self.keys.append(key)
        self.notifications.append(notification)
        self.meanwhile()
        outcome = self.script.pop(0) if self.script else DELIVERED
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Refreshed(RecordingChannel):
    """Channel that is refreshed every minute; `refreshed` is what of, each time."""

    kind = "refreshed"
    refresh_seconds = 60.0

    def __init__(self, name: str, *script: Outcome | Exception) -> None:
        super().__init__(name)
        self.refresh_script = list(script)
        self.refreshed: list[list[str]] = []

    def refresh(self, notifications: Sequence[Notification]) -> Outcome:
        self.refreshed.append([f"{notification.alert_id}:{notification.sequence}" for notification in notifications])
        outcome = self.refresh_script.pop(0) if self.refresh_script else DELIVERED
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Hanging(RecordingChannel):
    """One whose receiver does not answer until it is let go."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.let_go = threading.Event()
        self.meanwhile = self.let_go.wait


class Observed:
    """Takes down what the delivery says of itself."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def delivered(self, channel: str, seconds: float) -> None:
        self.events.append(("delivered", channel))

    def failed(self, channel: str, permanent: bool) -> None:
        self.events.append(("failed", channel, permanent))

    def dead(self, channel: str) -> None:
        self.events.append(("dead", channel))

    def refresh_failed(self, channel: str) -> None:
        self.events.append(("refresh failed", channel))


class LongestPauses(random.Random):
    """Jitter that always takes the longest pause."""

    def uniform(self, a: float, b: float) -> float:
        return b


def delivery(store: Store, clock: Clock, *channels: Channel, **options: Any) -> Delivery:
    """A delivery over these channels; `options` are those of Delivery."""
    settings: dict[str, Any] = {
        "holder": "me",
        "timer": lambda: clock() / 1_000_000,
        "rng": LongestPauses(),
        "observer": Observed(),
        **options,
    }
    return Delivery(store, {channel.name: channel for channel in channels}, clock=clock, **settings)


def deliver_until_killed(store_url: str, webhook_url: str, holder: str) -> None:
    """Delivers to a webhook `hook`, in a hurry, until the process is killed."""
    sender = Delivery(
        Store(store_url),
        {"hook": WebhookChannel("hook", webhook_url, clock=now)},
        holder=holder,
        clock=now,
        timer=time.monotonic,
        rng=random.Random(holder),
        observer=Observed(),
        lease_seconds=0.5,
        pacing=Pacing(poll=0.02, claim=0.5, base=0.05, longest=0.2, fewest_attempts=10_000),
    )
    sender.start()
    threading.Event().wait()


def now() -> int:
    """The wall clock in microseconds."""
    return time.time_ns() // 1_000
