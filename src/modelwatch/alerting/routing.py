"""Who is told: which channels a change goes to, by what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelwatch.alerting.alerts import Alert
from modelwatch.alerting.escalation import FACTOR
from modelwatch.alerting.flapping import FlapRule
from modelwatch.alerting.quiet_hours import QuietHours

DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Route:
    """Where alerts go that are like this. What is empty fits everything; no channels: nobody is told.

    labels: all of them must be among the monitor's own, with these values. continue_: the routes after it count too.
    """

    channels: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    continue_: bool = False

    def fits(self, alert: Alert, labels: Mapping[str, str]) -> bool:
        """Whether the alert, of a monitor with these labels, goes this way."""
        wanted = (
            (self.severities, alert.severity),
            (self.kinds, alert.kind),
            (self.environments, alert.environment),
        )
        return all(not those or this in those for those, this in wanted) and all(
            labels.get(name) == value for name, value in self.labels.items()
        )


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """How a model's alerts are told.

    labels: the monitor's own. channels: where alerts go that fit no route. repeat_seconds: after so long people are
    reminded of what nobody has acknowledged, repeat_acknowledged_seconds: of what somebody has; 0: never.
    escalation_factor: how much larger a member must get to be told of again; 0: however large, it is not.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()
    repeat_seconds: int = DAY_SECONDS
    repeat_acknowledged_seconds: int = 7 * DAY_SECONDS
    escalation_factor: float = FACTOR
    flap: FlapRule = field(default_factory=FlapRule)


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
