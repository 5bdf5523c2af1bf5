"""Counters of deliveries: what this process has sent since it started."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

SEND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES = ("delivered", "retry", "permanent", "dead", "refresh_failed")


class NotificationCounters:
    """Counters that observe deliveries.

    channels: those that are configured; they have numbers from the start, so that rates are right.
    """

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        self._attempts = Counter(
            "ml_notifications_total",
            "Delivery attempts: delivered, retry (failed, may work later), permanent (failed for good);"
            " and, beside its attempts, each notification that was given up: dead; and each refresh of open alerts that"
            " failed: refresh_failed.",
            ("channel", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "ml_notification_seconds",
            "Duration of successful deliveries, in seconds.",
            ("channel",),
            registry=registry,
            buckets=SEND_BUCKETS,
        )
        for channel in channels:
            self._seconds.labels(channel)
            for outcome in OUTCOMES:
                self._attempts.labels(channel, outcome)

    def delivered(self, channel: str, seconds: float) -> None:
        """Counts a notification that a channel has taken. seconds: duration of the send."""
        self._attempts.labels(channel, "delivered").inc()
        self._seconds.labels(channel).observe(seconds)

    def failed(self, channel: str, permanent: bool) -> None:
        """Counts an attempt that failed."""
        self._attempts.labels(channel, "permanent" if permanent else "retry").inc()

    def dead(self, channel: str) -> None:
        """Counts a notification that was given up."""
        self._attempts.labels(channel, "dead").inc()

    def refresh_failed(self, channel: str) -> None:
        """Counts a refresh of the open alerts that failed: no attempt at a notification."""
        self._attempts.labels(channel, "refresh_failed").inc()
