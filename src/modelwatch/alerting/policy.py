"""Notification policy of a model: routes to channels, quiet hours, reminders, flapping, as its monitor has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from modelwatch.alerting.alert import Alert
from modelwatch.config.monitors.monitor import MonitorConfig
from modelwatch.findings import FindingSeverity
from modelwatch.times import EPOCH, MICROSECOND, SECONDS_PER_DAY

ESCALATION_FACTOR = 2.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Where every hour is quiet, a notification waits no longer than this.
LONGEST_WAIT = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Route:
    """Condition on alerts, and the channels of those that meet it. An empty condition fits all; no channels: none.

    labels: all of them must be among the monitor's own, with these values. continue_: the routes after it count too.
    """

    channels: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    continue_: bool = False

    def fits(self, alert: Alert, labels: Mapping[str, str]) -> bool:
        """True when the alert, of a monitor with these labels, meets the condition."""
        wanted = (
            (self.severities, alert.severity),
            (self.kinds, alert.kind),
            (self.environments, alert.environment),
        )
        return all(not those or this in those for those, this in wanted) and all(
            labels.get(name) == value for name, value in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours from `start` to `end` by the clocks of a time zone, on the days on which they start.

    end <= start: it ends on the next day; equal: 24 hours by the clock. zone: an IANA name. severities: of what waits.
    Raises ValueError when the zone or a day is not known.
    """

    start: time
    end: time
    zone: str
    days: tuple[str, ...] = DAYS
    severities: tuple[FindingSeverity, ...] = ("warning",)

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"Expected the IANA name of a time zone, such as Europe/Berlin, got {self.zone!r}"
            ) from error
        if unknown := set(self.days) - set(DAYS):
            raise ValueError(f"Expected days among {', '.join(DAYS)}, got {', '.join(sorted(unknown))}")

    def spans_around(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The quiet spans that start on the days around the moment, [start, end) in UTC.

        Where the clocks are put forward over a start or an end, it is as much later as they jump; where they are put
        back over one, the span is the longer of the two that the clocks show.
        """
        zone = ZoneInfo(self.zone)
        today = moment.astimezone(zone).date()
        for offset in (-2, -1, 0, 1):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                yield min(_instants(day, self.start, zone, forward=True)), max(_instants(last, self.end, zone))


@dataclass(frozen=True, slots=True)
class FlapRule:
    """Limits of flapping: which alert counts as coming back, and how often is too often.

    window_seconds: an alert that fires again sooner than this after it was resolved is the same incident; 0: never.
    reopenings: with so many within the window it is flapping; 0: never.
    """

    window_seconds: int = SECONDS_PER_DAY
    reopenings: int = 3


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Policy by which a model's alerts are notified.

    labels: the monitor's own. channels: where alerts go that fit no route. repeat_seconds: pause before a reminder of
    an unacknowledged alert, repeat_acknowledged_seconds: of an acknowledged one; 0: never. escalation_factor: how much
    larger a member must get to be notified again; 0: never.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    repeat_seconds: int = SECONDS_PER_DAY
    repeat_acknowledged_seconds: int = 7 * SECONDS_PER_DAY
    escalation_factor: float = ESCALATION_FACTOR
    flap: FlapRule = field(default_factory=FlapRule)


def policy_of(
    monitor: MonitorConfig | None,
    *,
    channels: tuple[str, ...],
    repeat_seconds: int,
    repeat_acknowledged_seconds: int,
) -> AlertPolicy:
    """Policy of a model with this monitor.

    channels: where alerts go when the monitor names none. repeat_seconds, repeat_acknowledged_seconds: the pauses
    before reminders when it does not say; 0: never.
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


def channels_for(policy: AlertPolicy, alert: Alert) -> tuple[str, ...]:
    """The channels of the first route that fits, and of those after it that it continues to; each once."""
    chosen: list[str] = []
    fitted = False
    for route in policy.routes:
        if route.fits(alert, policy.labels):
            fitted = True
            chosen += route.channels
            if not route.continue_:
                break
    return tuple(dict.fromkeys(chosen if fitted else policy.channels))


def quiet_until(hours: Iterable[QuietHours], severity: FindingSeverity, now: int) -> int | None:
    """End of the quiet hours, in microseconds like `now`; None when it isn't quiet for this severity.

    Spans that touch or overlap are one.
    """
    covering = [each for each in hours if severity in each.severities]
    began = moment = EPOCH + now * MICROSECOND
    while moment - began < LONGEST_WAIT:
        ends = [end for each in covering for start, end in each.spans_around(moment) if start <= moment < end]
        if not ends:
            break
        moment = max(ends)
    return None if moment == began else (min(moment, began + LONGEST_WAIT) - EPOCH) // MICROSECOND


def within(window_seconds: int, since: int, now: int) -> bool:
    """True when less than the window has passed; with a window of 0, never. Event times in seconds."""
    return window_seconds > 0 and now - since < window_seconds


def recent_reopenings(reopened: Sequence[int], now: int, rule: FlapRule) -> tuple[int, ...]:
    """Those of these event times (seconds) that are within the window before `now`."""
    return tuple(at for at in reopened if within(rule.window_seconds, at, now))


def is_flapping(reopened: Sequence[int], rule: FlapRule) -> bool:
    """True when so many reopenings within the window are too many.

    >>> is_flapping((10, 20, 30), FlapRule(reopenings=3)), is_flapping((10, 20), FlapRule(reopenings=3))
    (True, False)
    """
    return rule.reopenings > 0 and len(reopened) >= rule.reopenings


def _instants(day: date, clock: time, zone: ZoneInfo, *, forward: bool = False) -> list[datetime]:
    """The moments at which the clocks show this: two where they are put back.

    Where they are put forward over it, there is none; then the second reading lies before the jump and is left out.
    """
    readings = [datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return [readings[0]] if forward and readings[1] < readings[0] else readings
