"""Silence: nothing has arrived for longer than is usual. Judged by the wall clock, not at evaluations.

A model and its environment are silent together: a version that another one has replaced is not missed. A replayed
history is not live, so its end is no silence.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import DamagedData
from modelwatch.findings import Assessment, Finding, Kind
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.scheduler.evaluator import AssessmentSink
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.stats.quality.volume import freshness
from modelwatch.storage.counts.streams import newest_windows
from modelwatch.storage.counts.volumes import window_arrivals
from modelwatch.storage.engine.damage import log_damage
from modelwatch.storage.engine.leases import hold
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

HISTORY_SECONDS = 56 * 86_400
LEAST_HISTORY_SECONDS = 86_400
# Who has not seen two weekends can't tell what days off are: until then a silence must last a week.
SETTLED_SECONDS = 14 * 86_400
UNSETTLED_SILENCE_SECONDS = 7 * 86_400
# Windows are counted whole, so a shorter silence can't be told from none.
SHORTEST_SECONDS = 3 * BASE_WINDOW_SECONDS
# Predictions that arrive later than this are no live traffic.
LIVE_SECONDS = 3_600
REFRESH_SECONDS = 3_600
CHECK_EVERY_SECONDS = 15
FRESHNESS_KINDS: tuple[Kind, ...] = ("freshness",)
# Silence belongs to no version.
ANY_VERSION = "all"

NOT_JUDGED = "The silence of the model is not judged."


class FreshnessReport(msgspec.Struct, frozen=True):
    """Freshness of an environment: whether anything has arrived lately; null where that is unknown, and `reason` says
    why.

    silent_seconds: since the last arrival; usual_gap_seconds, limit_seconds: the longest usual gap, and the silence
    from which on it is reported.
    """

    environment: str
    silent: bool | None
    last_arrival: str | None
    silent_seconds: float | None
    usual_gap_seconds: float | None
    limit_seconds: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Usual:
    """Usual traffic of an environment: the usual gap and the longest that is no silence, in seconds; or why these are
    unknown."""

    gap: float | None
    limit: float | None
    reason: str | None


def freshness_of(
    connection: Connection, model: str, environment: str, rules: QualityRules, now: int
) -> FreshnessReport:
    """Freshness of an environment of a model. now: microseconds."""
    usual = usual_of(connection, model, environment, rules, now)
    arrivals = window_arrivals(connection, model, environment, now // MICROS_PER_SECOND - HISTORY_SECONDS)
    last = arrivals[-1][0] if arrivals else None
    silent_for = None if last is None else max(0, now - last) / MICROS_PER_SECOND
    known = usual.limit is not None and silent_for is not None
    return FreshnessReport(
        environment,
        silent_for >= usual.limit if known and silent_for is not None and usual.limit is not None else None,
        None if last is None else _iso(last),
        silent_for,
        usual.gap,
        usual.limit,
        usual.reason,
    )


def usual_of(connection: Connection, model: str, environment: str, rules: QualityRules, now: int) -> Usual:
    """Usual traffic, learned from the arrivals of the last eight weeks."""
    if not rules.enabled or rules.freshness is False:
        return Usual(None, None, "the monitor disables it")
    arrivals = window_arrivals(connection, model, environment, now // MICROS_PER_SECOND - HISTORY_SECONDS)
    if not arrivals:
        return Usual(None, None, "no prediction of the last eight weeks has arrived")
    arrived, latest = arrivals[-1]
    if arrived - latest > LIVE_SECONDS * MICROS_PER_SECOND:
        return Usual(None, None, "the newest predictions are of an earlier time: a replay, not live traffic")
    if rules.freshness is not True:
        return Usual(None, float(rules.freshness), None)
    times = np.array([each for each, _ in arrivals], dtype=np.float64) / MICROS_PER_SECOND
    return usual_of_arrivals(times, now / MICROS_PER_SECOND, rules)


def usual_of_arrivals(times: NDArray[np.float64], now: float, rules: QualityRules) -> Usual:
    """Usual traffic by the arrival times of windows, ascending, in seconds: shape (windows,), at least one."""
    if times[-1] - times[0] < LEAST_HISTORY_SECONDS:
        return Usual(None, None, "less than a day of arrivals is known")
    gaps = np.diff(times)
    known = float(times[-1] - times[0]) / (30 * 86_400)
    found = freshness(now, float(times[-1]), gaps, chance=rules.silences * known / len(gaps))
    if found.usual_gap is None or found.limit is None:
        return Usual(None, None, found.reason)
    settled = times[-1] - times[0] >= SETTLED_SECONDS
    return Usual(found.usual_gap, max(found.limit, SHORTEST_SECONDS if settled else UNSETTLED_SILENCE_SECONDS), None)


class Freshness:
    """Watches every model and environment for silence: one incident, however long it lasts.

    rules_of: the rules of a model now. round_seconds: after so long the rest is left to the next look.
    """

    def __init__(
        self,
        store: Store,
        rules_of: Callable[[Connection, str], QualityRules],
        sink: AssessmentSink,
        *,
        new_id: Callable[[], str],
        timer: Callable[[], float] = lambda: 0.0,
        round_seconds: float = 1.0,
    ) -> None:
        self._store = store
        self._rules_of = rules_of
        self._sink = sink
        self._new_id = new_id
        self._usual: dict[tuple[str, str], tuple[int, QualityRules, Usual]] = {}
        self._silent: dict[tuple[str, str], bool] = {}
        self._timer = timer
        self._round_seconds = round_seconds
        self._last = ("", "")
        self._checked_at = 0

    def __call__(self, lease: Lease, now: int) -> bool:
        """One look, if it is time for one. There is never more to do at once."""
        if 0 <= now - self._checked_at < CHECK_EVERY_SECONDS * MICROS_PER_SECOND:
            return False
        self._checked_at = now
        until = self._timer() + self._round_seconds
        changed = []
        with self._store.read() as connection:
            arrived: dict[tuple[str, str], int] = {}
            for stream, newest in newest_windows(connection, until=now // MICROS_PER_SECOND).items():
                place = (stream.model, stream.environment)
                arrived[place] = max(newest.arrived_at, arrived.get(place, 0))
            # A round that is cut short is gone on with at the next look.
            order = sorted(arrived)
            start = bisect_right(order, self._last)
            for place in [*order[start:], *order[:start]]:
                try:
                    assessment = self._assessed(connection, place, arrived[place], now)
                except DamagedData as error:
                    log_damage(error, NOT_JUDGED)
                    assessment = None
                if assessment is not None:
                    changed.append(assessment)
                self._last = place
                if self._timer() > until:
                    break
        if changed:
            with self._store.write() as connection:
                hold(connection, lease.name, lease.holder, lease.fence)
                applied = [each for each in changed if self._applied(connection, each)]
            for assessment in applied:
                self._silent[assessment.model, assessment.environment] = bool(assessment.findings)
        return False

    def _applied(self, connection: Connection, assessment: Assessment) -> bool:
        """False when the sink can't read what it has of the model. It reads before it writes: the assessment is of one
        kind."""
        try:
            self._sink.apply(connection, assessment)
        except DamagedData as error:
            log_damage(error, NOT_JUDGED)
            return False
        return True

    def _assessed(self, connection: Connection, place: tuple[str, str], arrived: int, now: int) -> Assessment | None:
        """Assessment to apply; None when nothing has changed since this process applied the last. arrived: the newest
        arrival."""
        model, environment = place
        usual = self._usual_of(connection, place, now)
        if usual.limit is None:
            silent, last = False, 0
        else:
            last = arrived
            silent = now - last >= usual.limit * MICROS_PER_SECOND
        if self._silent.get(place) == silent or (place not in self._silent and usual.limit is None):
            return None
        end = last // MICROS_PER_SECOND
        findings = (self._finding(usual, last, now),) if silent else ()
        return Assessment(
            model=model,
            version=ANY_VERSION,
            environment=environment,
            verdict_id=self._new_id(),
            window_end=end,
            evaluated_at=now,
            kinds=FRESHNESS_KINDS,
            findings=findings,
            check="freshness",
        )

    def _usual_of(self, connection: Connection, place: tuple[str, str], now: int) -> Usual:
        """The usual gap changes slowly and takes long to tell."""
        rules = self._rules_of(connection, place[0])
        known = self._usual.get(place)
        if known is None or known[1] != rules or not 0 <= now - known[0] < REFRESH_SECONDS * MICROS_PER_SECOND:
            usual = usual_of(connection, *place, rules, now)
            # Arrivals stop with the silence: what was usual before it stays so.
            if known is not None and known[1] == rules and self._silent.get(place):
                usual = known[2]
            known = self._usual[place] = (now, rules, usual)
        return known[2]

    @staticmethod
    def _finding(usual: Usual, last: int, now: int) -> Finding:
        assert usual.limit is not None, "silence has a limit"
        gap = f"; usually one arrives within {_span(usual.gap)}" if usual.gap else ""
        return Finding(
            kind="freshness",
            subject="predictions",
            severity="alert",
            since=last // MICROS_PER_SECOND,
            score_name="silence in seconds",
            score=(now - last) / MICROS_PER_SECOND,
            threshold=usual.limit,
            p_value=None,
            alpha=None,
            sample_size=0,
            reference_size=0,
            window_start=last // MICROS_PER_SECOND,
            window_end=now // MICROS_PER_SECOND,
            lookback=None,
            detail=f"No predictions since {_iso(last)}{gap}",
        )


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _iso(microseconds: int) -> str:
    return iso_of_seconds(microseconds // MICROS_PER_SECOND)
