"""Channel interface: one attempt to send a notification in a receiver's form; and the configured channels.

A channel that opens sockets by itself bounds the whole exchange by a deadline: time-outs of single reads don't stop a
peer that sends byte by byte.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, runtime_checkable

from modelwatch.alerting.notification import Notification
from modelwatch.config import Settings
from modelwatch.config.addresses import parse_mail_server
from modelwatch.config.channels import (
    AlertmanagerConfig,
    ChannelConfig,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
    channel_configs,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one attempt.

    status: `delivered`; `retry` when a later attempt may succeed; `permanent` when none will. reason: why it was not
    delivered, fit for logs and pages: never a URL, a key, or what the receiver wrote. retry_after: seconds that the
    receiver asks to be left alone, if it said so.
    """

    status: Literal["delivered", "retry", "permanent"]
    reason: str = ""
    retry_after: float | None = None


DELIVERED = Outcome("delivered")


class Channel(Protocol):
    """Way to people. `name` is what monitors call it, `kind` its type, such as `slack`."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def send(self, notification: Notification, key: str) -> Outcome:
        """Sends once. `key` is the same for every attempt at this notification, so that a receiver can know a repeat.

        Raises nothing for what the receiver or the network does.
        """
        ...


@runtime_checkable
class RefreshingChannel(Channel, Protocol):
    """Channel whose receiver forgets an alert that is not sent again every `refresh_seconds`."""

    @property
    def refresh_seconds(self) -> float: ...

    def refresh(self, notifications: Sequence[Notification]) -> Outcome:
        """Sends every open alert again, each as its newest delivered notification has it."""
        ...


def build_channels(settings: Settings, *, clock: Callable[[], int], environ: Mapping[str, str]) -> dict[str, Channel]:
    """Configured channels by name. environ: for ${NAME} in CHANNELS_FILE. clock: microseconds.

    Raises SettingsError when CHANNELS_FILE can't be used.
    """
    return {name: _built(name, config, clock) for name, config in channel_configs(settings, environ).items()}


def _built(name: str, config: ChannelConfig, clock: Callable[[], int]) -> Channel:
    # Kinds are loaded when they are configured: with their client of HTTP, a service without channels starts later.
    match config:
        case SlackConfig():
            from modelwatch.alerting.channels.slack import SlackChannel

            return SlackChannel(name, config.url, clock=clock)
        case PagerDutyConfig():
            from modelwatch.alerting.channels.pagerduty import PagerDutyChannel

            return PagerDutyChannel(name, config.integration_key, config.url, clock=clock)
        case EmailConfig():
            from modelwatch.alerting.channels.email import EmailChannel

            server = parse_mail_server(config.smtp_url)
            return EmailChannel(name, server, sender=config.sent_from, to=config.to, clock=clock)
        case WebhookConfig():
            from modelwatch.alerting.channels.webhook import WebhookChannel

            return WebhookChannel(name, config.url, config.secret, clock=clock)
        case AlertmanagerConfig():
            from modelwatch.alerting.channels.alertmanager import AlertmanagerChannel

            return AlertmanagerChannel(name, config.url, clock=clock)


class Deadline:
    """Deadline that shuts the watched socket after so many seconds, so that a waiting call gets an error.

    >>> with Deadline(10.0) as deadline:
    ...     deadline.expired
    False
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket = None

    def watch(self, watched: socket.socket) -> None:
        """Watches this socket from now on, in place of the one before."""
        with self._lock:
            self._socket = watched
            if self.expired:
                self._shut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            # The plain socket's own method: that of an SSL socket would go on unencrypted.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
