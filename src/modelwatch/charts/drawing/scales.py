"""Scales: from values to a fraction of the plot, with round ticks for numbers, magnitudes and times in UTC."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from modelwatch.charts.drawing.numbers import FIRST_SECOND, LAST_SECOND, moment
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats

# Values beyond are drawn at the edge: their difference would not be a number any more.
LARGEST = 1e300
# What is closer to 0, or to another value, is the same.
LEAST_SPAN = 1e-290
# A span below this part of the values can't be told from rounding.
LEAST_PART = 1e-9
_ROUND = (1.0, 2.0, 2.5, 5.0)
# Of an axis with two ticks, whose end should not be far above the values.
_ROUND_ENDS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_DAY, _HOUR, _MINUTE = float(SECONDS_PER_DAY), float(SECONDS_PER_HOUR), 60.0
_MONDAY = 4 * _DAY  # 1970-01-05


def floats(values: Iterable[float]) -> Floats:
    """Values as an array of shape (n,), within what can be drawn: the infinite is the largest number, the least is 0.

    >>> floats([1, float("nan"), float("inf"), -5e-324]).tolist()
    [1.0, nan, 1e+300, 0.0]
    """
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.float64)
    return np.where(np.abs(array) <= LEAST_SPAN, 0.0, np.clip(array, -LARGEST, LARGEST))


@dataclass(frozen=True, slots=True)
class Linear:
    """Even scale from `low` to `high`, its ends being round.

    >>> scale = Linear.over([3, 97], zero=True)
    >>> scale.low, scale.high, scale.at(50), scale.ticks
    (0.0, 100.0, 0.5, (0.0, 25.0, 50.0, 75.0, 100.0))
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(
        cls,
        *values: Iterable[float],
        zero: bool = False,
        most: int = 5,
        least: float | None = None,
        top: float | None = None,
    ) -> Linear:
        """Scale over all values that are known; over 0 to 1 when none is.

        zero: 0 is on the scale. most: ticks at most, at least 2. least, top: the scale never passes these.
        """
        known = np.concatenate([floats(each) for each in values]) if values else floats([])
        known = known[np.isfinite(known)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if high - low <= max(LEAST_SPAN, LEAST_PART * max(abs(low), abs(high))):
            low, high = _widened(low, high, zero=zero)
        if least is not None and least < high:
            low = max(low, least)
        if top is not None and top > low:
            high = min(high, top)
        ticks = _round_ticks(low, high, max(most, 2))
        if least is not None:
            ticks = tuple(tick for tick in ticks if tick >= least) or ticks
        return cls(min(ticks[0], low), max(ticks[-1], high), ticks)

    def at(self, value: float) -> float:
        """Place of a value, 0 at `low` and 1 at `high`, not beyond; NaN for NaN."""
        return _inside((value - self.low) / (self.high - self.low))

    def all_at(self, values: Values) -> Floats:
        """Places of values, shape (n,)."""
        return np.clip((floats(values) - self.low) / (self.high - self.low), 0.0, 1.0)


def _inside(fraction: float) -> float:
    return fraction if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)


def _widened(low: float, high: float, *, zero: bool) -> tuple[float, float]:
    middle = (low + high) / 2
    if abs(middle) <= LEAST_SPAN:
        return 0.0, 1.0
    if zero:
        return min(0.0, middle), max(0.0, middle)
    return middle - 0.05 * abs(middle), middle + 0.05 * abs(middle)


def _round_ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Multiples of a round step that enclose the range, at most `most` of them (3 when 2 can't)."""
    rough = (high - low) / (most - 1)
    steps = _ROUND if most > 2 else _ROUND_ENDS
    exponent = math.floor(math.log10(rough))
    for power in (exponent, exponent + 1):
        for factor in steps:
            step = factor * 10.0**power
            if step < rough * (1 - 1e-9):
                continue
            first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
            if last - first + 1 <= max(most, 3):
                return tuple(_multiple(index, factor, power) for index in range(first, last + 1))
    raise AssertionError("a step of ten times the range always encloses it")


def _multiple(index: int, factor: float, power: int) -> float:
    # One rounding instead of two: 3 x 0.1 is 0.3.
    value = index * factor
    return value * 10.0**power if power >= 0 else value / 10.0**-power


@dataclass(frozen=True, slots=True)
class Log:
    """Scale of magnitudes, for positive values that span several.

    >>> scale = Log.over([10, 1000])
    >>> scale.at(100), scale.ticks
    (0.5, (10.0, 30.0, 100.0, 300.0, 1000.0))
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, *values: Iterable[float], most: int = 6) -> Log:
        """Scale over all known values above 0; over 0.1 to 1 when there is none."""
        known = np.concatenate([floats(each) for each in values]) if values else floats([])
        known = known[np.isfinite(known) & (known > 0)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 1.0)
        if high <= low * 1.5:
            low, high = low / 2, high * 2
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        every = max(1, math.ceil((last - first) / max(most - 1, 1)))
        decades = [10.0**power for power in range(first, last + 1, every)]
        thirds = [3 * each for each in decades if every == 1]
        ticks = [each for each in sorted(decades + thirds) if low / 1.001 <= each <= high * 1.001]
        if len(ticks) > most:
            ticks = [each for each in ticks if each in decades]
        if len(ticks) < 2:
            low, high = min(low, decades[0]), max(high, 10.0**last)
            ticks = sorted({decades[0], 10.0**last, *ticks})
        return cls(min(low, ticks[0]), max(high, ticks[-1]), tuple(ticks))

    def at(self, value: float) -> float:
        """Place of a value, 0 at `low` and 1 at `high`, not beyond; NaN for NaN."""
        if math.isnan(value):
            return value
        return _inside(math.log(max(value, self.low) / self.low) / math.log(self.high / self.low))

    def all_at(self, values: Values) -> Floats:
        """Places of values, shape (n,)."""
        return np.array([self.at(float(value)) for value in floats(values)], dtype=np.float64)


Scale = Linear | Log


@dataclass(frozen=True, slots=True)
class TimeTick:
    """Tick of a time axis. level: 0 for what is shown first when there is little room."""

    at: float
    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Time:
    """Even scale of times in seconds since 1970, with ticks at round times in UTC.

    >>> day = Time.over(1_795_824_000, 1_795_910_400)
    >>> [(tick.text, tick.level) for tick in day.ticks()][:5]
    [('00:00', 0), ('03:00', 3), ('06:00', 2), ('09:00', 3), ('12:00', 1)]
    >>> [(text, day.at(at)) for at, text in day.contexts()]
    [('Sat 28 Nov', 0.0), ('Sun 29 Nov', 1.0)]
    """

    low: float
    high: float

    @classmethod
    def over(cls, start: float, end: float) -> Time:
        """Scale between two times; an hour around them when they are the same, in any order."""
        low, high = sorted(
            min(max(each, FIRST_SECOND), LAST_SECOND) if math.isfinite(each) else 0.0 for each in (start, end)
        )
        if high - low < 1.0:
            low, high = low - _HOUR / 2, high + _HOUR / 2
        return cls(low, high)

    def at(self, seconds: float) -> float:
        """Place of a time, 0 at `low` and 1 at `high`, not beyond."""
        return _inside((seconds - self.low) / (self.high - self.low))

    def all_at(self, seconds: Values) -> Floats:
        """Places of times, shape (n,)."""
        return np.clip((floats(seconds) - self.low) / (self.high - self.low), 0.0, 1.0)

    def ticks(self) -> list[TimeTick]:
        """Round times on the scale, each with the lowest level that has it."""
        plan = self._plan()
        found: dict[float, TimeTick] = {}
        for level, each in enumerate(plan.levels):
            for at in each(self.low, self.high):
                found.setdefault(at, TimeTick(at, plan.text(moment(at)), level))
        return [found[at] for at in sorted(found)]

    def contexts(self) -> list[tuple[float, str]]:
        """Starts of days, months or years with their names, and the start of the scale when none begins there."""
        plan = self._plan()
        begins = list(plan.context(self.low, self.high))
        named = [(at, plan.context_text(moment(at))) for at in begins]
        return named if begins and begins[0] == self.low else [(self.low, plan.context_text(moment(self.low))), *named]

    def _plan(self) -> _Plan:
        span = self.high - self.low
        return next((plan for longest, plan in _PLANS if span <= longest), _YEARS)


_Times = Callable[[float, float], Iterator[float]]
_Text = Callable[[datetime], str]


@dataclass(frozen=True, slots=True)
class _Plan:
    levels: tuple[_Times, ...]
    text: _Text
    context: _Times
    context_text: _Text


def _every(step: float, origin: float = 0.0) -> _Times:
    def times(low: float, high: float) -> Iterator[float]:
        for index in range(math.ceil((low - origin) / step), math.floor((high - origin) / step) + 1):
            yield origin + index * step

    return times


def _weekdays(*days: int) -> _Times:
    def times(low: float, high: float) -> Iterator[float]:
        return (at for at in _every(_DAY)(low, high) if moment(at).weekday() in days)

    return times


def _months(every: int) -> _Times:
    def times(low: float, high: float) -> Iterator[float]:
        first, last = moment(low), moment(high)
        for month in range(-(-first.year * 12 // every) * every, last.year * 12 + last.month, every):
            year, index = divmod(month, 12)
            at = datetime(year, index + 1, 1, tzinfo=UTC).timestamp()
            if low <= at <= high:
                yield at

    return times


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}"


def _second(at: datetime) -> str:
    return f"{at:%H:%M:%S}"


def _date(at: datetime) -> str:
    return f"{at:%a} {at.day} {at:%b}"


def _weekday(at: datetime) -> str:
    return f"{at:%a} {at.day}"


def _month(at: datetime) -> str:
    return f"{at:%b}"


def _month_of_year(at: datetime) -> str:
    return f"{at:%b} {at.year}"


def _year(at: datetime) -> str:
    return str(at.year)


def _hours(*steps: float, text: _Text = _clock) -> _Plan:
    return _Plan(tuple(_every(step) for step in steps), text, _every(_DAY), _date)


_CENTURIES = _Plan((_months(12_000), _months(6_000), _months(1_200)), _year, _months(12_000), lambda _: "")
_YEARS = _Plan((_months(120), _months(60), _months(12)), _year, _months(12_000), lambda _: "")
_PLANS = (
    (90.0, _hours(60, 30, 15, 5, text=_second)),
    (10 * _MINUTE, _hours(5 * _MINUTE, 60)),
    (2 * _HOUR, _hours(_HOUR, _HOUR / 2, _HOUR / 4, _HOUR / 12)),
    (13 * _HOUR, _hours(6 * _HOUR, 3 * _HOUR, _HOUR, _HOUR / 2)),
    (4 * _DAY, _hours(_DAY, _DAY / 2, _DAY / 4, _DAY / 8)),
    (
        45 * _DAY,
        _Plan((_every(7 * _DAY, _MONDAY), _weekdays(0, 2, 4), _every(_DAY)), _weekday, _months(1), _month_of_year),
    ),
    (100 * _DAY, _Plan((_months(1), _every(7 * _DAY, _MONDAY)), _weekday, _months(1), _month_of_year)),
    (3 * 366 * _DAY, _Plan((_months(3), _months(1)), _month, _months(12), _year)),
    (60 * 366 * _DAY, _YEARS),
    (math.inf, _CENTURIES),
)
