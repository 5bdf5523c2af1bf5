"""Quiet hours: when people are not to be disturbed by what can wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from modelwatch.findings import FindingSeverity

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Where every hour is quiet, a notice waits no longer than this.
LONGEST_WAIT = timedelta(days=8)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to `end` by the clocks of a time zone, on the days on which it starts.

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
        """The stretches that start on the days around the moment, [start, end) in UTC.

        Where the clocks are put forward over a start or an end, it is as much later as they jump; where they are put
        back over one, the stretch is the longer of the two that the clocks show.
        """
        zone = ZoneInfo(self.zone)
        today = moment.astimezone(zone).date()
        for offset in (-2, -1, 0, 1):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                yield min(_instants(day, self.start, zone, forward=True)), max(_instants(last, self.end, zone))


def quiet_until(hours: Iterable[QuietHours], severity: FindingSeverity, now: int) -> int | None:
    """When what is quiet now ends, in microseconds like `now`; None when it isn't quiet for this severity.

    Stretches that touch or overlap are one.
    """
    covering = [each for each in hours if severity in each.severities]
    began = moment = _EPOCH + now * _MICROSECOND
    while moment - began < LONGEST_WAIT:
        ends = [end for each in covering for start, end in each.spans_around(moment) if start <= moment < end]
        if not ends:
            break
        moment = max(ends)
    return None if moment == began else (min(moment, began + LONGEST_WAIT) - _EPOCH) // _MICROSECOND


def _instants(day: date, clock: time, zone: ZoneInfo, *, forward: bool = False) -> list[datetime]:
    """The moments at which the clocks show this: two where they are put back.

    Where they are put forward over it, there is none; then the second reading lies before the jump and is left out.
    """
    readings = [datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return [readings[0]] if forward and readings[1] < readings[0] else readings
