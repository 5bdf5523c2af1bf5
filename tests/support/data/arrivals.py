"""Streams of predictions over years, as far as volume and silence see them: when how many arrive.

Drawn hour by hour, then judged by the service's own code at the points at which it would evaluate them. Nothing is
stored, so that years take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.quality.evaluation import evaluate_quality
from modelwatch.monitoring.checks.quality.evidence import (
    WEEKS_LOOKED_AT,
    QualityEvidence,
    Sample,
    Volumes,
    WindowQuality,
    weeks_before,
)
from modelwatch.monitoring.checks.quality.judge import HOURS_OF_WEEK, SPANS
from modelwatch.monitoring.checks.quality.observations import quality_observations
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.schedule import due_points
from modelwatch.monitoring.scheduler.jobs.freshness import HISTORY_SECONDS, usual_of_arrivals
from modelwatch.stats.quality.volume import LEAST_CHANGE, MIN_WEEKS

HOUR, DAY, WEEK = 3_600, 86_400, 7 * 86_400
START = 2_000 * WEEK
LOOKBACKS = (("1h", HOUR), ("6h", 6 * HOUR), ("24h", DAY))
RULES = QualityRules(budget=1.0, check_interval=HOUR)
ENOUGH = 100

Times = NDArray[np.int64]
# From a generator, the predictions a day and the days: the expected number of each hour.
Rates = Callable[[np.random.Generator, float, int], NDArray[np.float64]]


def constant(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Independent arrivals at any time."""
    return np.full(days * 24, per_day / 24.0)


def rhythm(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Quiet nights, and weekends of a third."""
    hours = np.arange(days * 24)
    shape = np.maximum(0.0, np.sin((hours % 24 - 6) / 24 * 2 * np.pi)) + 0.05
    shape = shape * np.where(hours // 24 % 7 >= 5, 1 / 3, 1.0)
    return per_day / 24.0 * shape / float(shape[: 7 * 24].mean())


def bursty(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Negative binomial hours of variance four times their mean and more, on the rhythm."""
    mean = rhythm(rng, per_day, days)
    return rng.gamma(np.maximum(mean, 1e-9) / 3.0, 3.0)


def moody(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Days whose level varies by 70 %, on the rhythm."""
    return rhythm(rng, per_day, days) * np.repeat(rng.gamma(2.0, 0.5, size=days), 24)


def sessions(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Two times a day, at any hour, something is at work for some hours."""
    on = np.zeros(days * 24)
    for start in np.flatnonzero(rng.random(len(on)) < 2 / 24).tolist():
        on[start : start + int(rng.geometric(1 / 3))] += 1.0
    return per_day / 24.0 * on / float(on.mean())


def wandering(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """A level that wanders by about 50 %, with a memory of five days."""
    keep = np.exp(-1 / 120)
    noise, level = rng.normal(size=days * 24) * 0.5 * np.sqrt(1 - keep**2), np.zeros(days * 24)
    level[0] = 0.5 * rng.normal()
    for hour in range(1, len(level)):
        level[hour] = keep * level[hour - 1] + noise[hour]
    return rhythm(rng, per_day, days) * np.exp(level - 0.125)


def gaps(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """Some days on, some days off, each as long as chance has it: a campaign, or an instrument that is moved."""
    on = np.zeros(days * 24, dtype=bool)
    at, state = 0, True
    while at < len(on):
        length = int(rng.exponential(72.0 if state else 36.0)) + 1
        on[at : at + length] = state
        at, state = at + length, not state
    return np.where(on, per_day / 24.0 * 1.5, 0.0)


def weekdays(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """The rhythm of five days, and nothing at weekends."""
    rates = rhythm(rng, per_day, days) * np.where(np.arange(days * 24) // 24 % 7 >= 5, 0.0, 1.0)
    return rates * (per_day / 24.0 / float(rates[:HOURS_OF_WEEK].mean()))


def days_off(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """One day of seven, whichever, without anything."""
    on = np.repeat(rng.random(days) > 1.0 / 7.0, 24)
    return np.where(on, rhythm(rng, per_day, days) * 7.0 / 6.0, 0.0)


def batches(rng: np.random.Generator, per_day: float, days: int) -> NDArray[np.float64]:
    """All of a day within one hour of the night, which is not always the same."""
    found = np.zeros(days * 24)
    found[np.arange(days) * 24 + rng.integers(2, 5, size=days)] = per_day
    return found


KINDS: dict[str, Rates] = {
    each.__name__: each
    for each in (constant, rhythm, bursty, moody, sessions, wandering, weekdays, days_off, gaps, batches)
}


def drawn(rng: np.random.Generator, rates: NDArray[np.float64]) -> Times:
    """The times of arrivals, in seconds, ascending."""
    counts = rng.poisson(rates)
    hours = np.repeat(np.arange(len(rates)), counts)
    return np.sort(START + hours * HOUR + rng.integers(0, HOUR, size=len(hours)))


@dataclass(frozen=True, slots=True)
class Lived:
    """Incidents of a stream: when those of each span began, in seconds, and the number of evaluations."""

    incidents: dict[str, list[int]]
    points: int


def volume_incidents(times: Times, rules: QualityRules = RULES) -> Lived:
    """The volume incidents of a stream, by the code of the service.

    A look at which no span is far from usual is left out while nothing is open: it would find nothing.
    """
    windows, numbers = np.unique(times // BASE_WINDOW_SECONDS, return_counts=True)
    ends = ((windows + 1) * BASE_WINDOW_SECONDS).tolist()
    by_hour = np.bincount((times - START) // HOUR).tolist()
    first = ends[0] - BASE_WINDOW_SECONDS
    conditions: list[Condition] = []
    incidents: dict[str, list[int]] = {name: [] for name, _ in SPANS}
    unusual = _unusual(np.array(by_hour), first)
    points = 0
    for point in due_points(None, zip(ends, numbers.tolist(), strict=True), interval=HOUR, enough=ENOUGH):
        points += 1
        if not conditions and not unusual[min((point.end - START) // HOUR, len(unusual) - 1)]:
            continue
        before = {each.name for each in conditions if each.finding is not None}
        evaluation = evaluate_quality(_evidence(by_hour, first, point.end, point.elapsed, rules))
        seen = [each for each in quality_observations(evaluation) if each.kind == "volume"]
        conditions = advance(conditions, seen, rules, point.end)
        for each in conditions:
            if each.finding is not None and each.name not in before:
                incidents[each.name.removeprefix("volume of ")].append(point.end)
        conditions = [each for each in conditions if each.finding is not None]
    return Lived(incidents, points)


def _unusual(by_hour: NDArray[np.int64], first: int) -> NDArray[np.bool_]:
    """For each end of an hour since START, whether any span that ends there may be an incident: off by enough to
    matter, and by 2.5 standard deviations of independent arrivals. None of these streams is more regular than that."""
    sums, ends = np.concatenate(([0], np.cumsum(by_hour))), np.arange(len(by_hour) + 1)
    weeks = np.clip((START + ends * HOUR - first) // WEEK - 1, 0, WEEKS_LOOKED_AT)
    back = np.arange(WEEKS_LOOKED_AT + 1)
    found = np.zeros(len(ends), dtype=np.bool_)
    for _, hours in SPANS:
        known, last = weeks, ends
        if hours == HOURS_OF_WEEK:
            known, last = weeks - (ends % 24 > 0), ends // 24 * 24
        rows = last[:, None] - HOURS_OF_WEEK * back
        spans = sums[np.maximum(rows, 0)] - sums[np.maximum(rows - hours, 0)]
        usual = (spans[:, 1:] * (back[1:] <= known[:, None])).sum(axis=1) / np.maximum(known, 1)
        off = np.abs(spans[:, 0] - usual)
        matters = np.maximum(LEAST_CHANGE * usual, 2.5 * np.sqrt(usual))
        found |= (known >= MIN_WEEKS) & (off > 0.0) & (off >= matters)
    return found


def _evidence(by_hour: list[int], first: int, end: int, elapsed: int, rules: QualityRules) -> QualityEvidence:
    last = end // HOUR * HOUR
    weeks = weeks_before(last, first)
    return QualityEvidence(
        stream=("m", "1", "production"),
        rules=rules,
        generation=0,
        watermark=end,
        streams=1,
        elapsed=elapsed,
        reference={},
        reference_ids={},
        complete=True,
        windows=tuple(WindowQuality(name, end - length, end, 0, 0, {}) for name, length in LOOKBACKS),
        volumes=_volumes(by_hour, (last - START) // HOUR, weeks) if weeks >= 1 else None,
        sample=Sample(0, {}, {}),
    )


def _volumes(by_hour: list[int], last: int, weeks: int) -> Volumes:
    """Volumes that the store would give for the weeks before this hour since START."""
    hours = [*by_hour, *[0] * (last - len(by_hour))]
    rows = [tuple(hours[last - (week + 1) * 168 : last - week * 168]) for week in range(weeks, -1, -1)]
    return Volumes(tuple(rows[:-1]), rows[-1])


def silences(times: Times, rules: QualityRules = RULES) -> list[float]:
    """For each silence that would be told, its length over the limit; the limit is learned anew each day."""
    arrivals = np.unique(times // BASE_WINDOW_SECONDS, return_index=True)[1]
    # A base window arrives with its newest prediction.
    newest = times[np.append(arrivals[1:], len(times)) - 1]
    told = []
    for day in range(int((newest[-1] - START) // DAY)):
        low, high = (int(np.searchsorted(newest, START + day * DAY + more)) for more in (0, DAY))
        if high <= low or high >= len(newest):
            continue
        begin = int(np.searchsorted(newest, newest[high - 1] - HISTORY_SECONDS))
        usual = usual_of_arrivals(newest[begin:high].astype(np.float64), float(newest[high - 1]), rules)
        following = np.searchsorted(newest, newest[high - 1] // DAY * DAY + 2 * DAY)
        lengths = np.diff(newest[high - 1 : max(int(following), high + 1)]) / (usual.limit or np.inf)
        told += lengths[lengths >= 1.0].tolist()
    return told
