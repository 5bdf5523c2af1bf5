"""How the alerts of a model are told: what its monitor says, and the service's settings where it says nothing."""

from __future__ import annotations

from modelwatch.alerting.flapping import FlapRule
from modelwatch.alerting.quiet_hours import DAYS, QuietHours
from modelwatch.alerting.routing import AlertPolicy, Route
from modelwatch.config.monitors import MonitorConfig


def policy_of(
    monitor: MonitorConfig | None,
    *,
    channels: tuple[str, ...],
    repeat_seconds: int,
    repeat_acknowledged_seconds: int,
) -> AlertPolicy:
    """The policy of a model with this monitor.

    channels: where alerts go when the monitor names none. repeat_seconds, repeat_acknowledged_seconds: after how long
    people are reminded when it does not say; 0: never.
    """
    defaults = AlertPolicy(
        channels=channels, repeat_seconds=repeat_seconds, repeat_acknowledged_seconds=repeat_acknowledged_seconds
    )
    if monitor is None:
        return defaults
    alerts = monitor.alerts
    flap = FlapRule()
    if alerts.flapping is not None:
        flap = FlapRule(
            flap.window_seconds if alerts.flapping.window is None else alerts.flapping.window,
            flap.reopenings if alerts.flapping.reopenings is None else alerts.flapping.reopenings,
        )
    return AlertPolicy(
        labels=dict(monitor.labels or {}),
        channels=channels if alerts.channels is None else tuple(alerts.channels),
        routes=tuple(
            Route(
                channels=tuple(route.channels),
                severities=tuple(route.when.severity or ()),
                kinds=tuple(route.when.kind or ()),
                environments=tuple(route.when.environment or ()),
                labels=dict(route.when.labels or {}),
                continue_=bool(route.continue_),
            )
            for route in alerts.routes or ()
        ),
        quiet_hours=tuple(
            QuietHours(
                start=hours.from_,
                end=hours.to,
                zone=hours.timezone,
                days=tuple(hours.days or DAYS),
                severities=tuple(hours.severity or ("warning",)),
            )
            for hours in alerts.quiet_hours or ()
        ),
        repeat_seconds=repeat_seconds if alerts.repeat_every is None else alerts.repeat_every,
        repeat_acknowledged_seconds=(
            repeat_acknowledged_seconds
            if alerts.repeat_acknowledged_every is None
            else alerts.repeat_acknowledged_every
        ),
        escalation_factor=(
            defaults.escalation_factor if alerts.escalation_factor is None else alerts.escalation_factor
        ),
        flap=flap,
    )
