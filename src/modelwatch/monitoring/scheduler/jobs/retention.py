"""Retention: old windows are rolled up, and what has been kept long enough is removed.

A little at a time, in short transactions, so that predictions are taken meanwhile. Each step is safe when two processes
do it at once; the lease only saves the double work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.performance.evidence import arrivals_as_of, delays_since
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.outcomes import newest_label
from modelwatch.storage.counts.rollup_levels import DAYS_AFTER_SECONDS, HOURS_AFTER_SECONDS, Grain
from modelwatch.storage.counts.streams import all_streams, generations
from modelwatch.storage.engine.damage import passing_over
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.received_profiles import forget_profiles
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.retention import (
    expire_days,
    remove_audit,
    remove_incidents,
    remove_last_notices,
    remove_predictions,
    remove_silences,
    remove_verdicts,
    remove_windows,
)
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, newest_trace
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

# How often each model and stream is looked at.
LOOK_SECONDS = 900
WINDOWS_PER_RUN = 1_500
ROWS_PER_TRANSACTION = 200
# Of predictions, more as long as it goes fast: they must go as fast as they may come.
MOST_ROWS_PER_TRANSACTION = 5_000
QUICK_SECONDS, SLOW_SECONDS = 0.025, 0.1


@dataclass(frozen=True, slots=True)
class Keep:
    """Retention times, in days."""

    predictions: int
    metrics: int


class Retention:
    """defaults, performance_of: the rules of a model, whose look-backs say which windows are still needed as they are.
    round_seconds: after so long the rest is left to the next run, which continues after the last finished step: however
    many models there are, and however much one of them has to do, each has its turn.
    """

    def __init__(
        self,
        store: Store,
        keep: Keep,
        defaults: DriftRules,
        performance_of: Callable[[Connection, str], PerformanceRules],
        *,
        timer: Callable[[], float],
        round_seconds: float,
    ) -> None:
        self._store = store
        self._keep = keep
        self._defaults = defaults
        self._performance_of = performance_of
        self._timer = timer
        self._round_seconds = round_seconds
        self._next: dict[str | StreamKey, int] = {}
        self._last: str | StreamKey | None = None
        self._rows = ROWS_PER_TRANSACTION

    def __call__(self, lease: Lease, now: int) -> bool:
        """One round. True when there is more to do at once."""
        until = self._timer() + self._round_seconds
        with self._store.read() as connection:
            models, streams = list(generations(connection)), all_streams(connection)
        steps: list[tuple[str | StreamKey, Callable[[], bool]]] = [
            *((stream, partial(self._roll_up, stream)) for stream in streams),
            *((model, partial(self._expire, model, now, until)) for model in models),
            ("", partial(self._forget, now)),
        ]
        names = [name for name, _ in steps]
        first = names.index(self._last) + 1 if self._last in names else 0
        more = False
        for name, step in (*steps[first:], *steps[:first]):
            if self._next.get(name, 0) > now:
                continue
            if self._timer() > until:
                return True
            self._last = name
            goes_on = False
            with passing_over("What is old of the model stays for now."):
                goes_on = step()
            if goes_on:
                more = True
            else:
                self._next[name] = now + LOOK_SECONDS * MICROS_PER_SECOND
        return more

    def _roll_up(self, stream: StreamKey) -> bool:
        with self._store.read() as connection:
            grain = self.grain(connection, stream)
        return grain is not None and roll_up(self._store, stream, grain, most=WINDOWS_PER_RUN) >= WINDOWS_PER_RUN

    def grain(self, connection: Connection, stream: StreamKey) -> Grain | None:
        """Up to where the stream's windows may be rolled up: no later evaluation needs a part of one.

        None when it has not been evaluated yet, or while outcomes are still counted in an older layout. The time is
        that of the stream's own evaluations, so that a replayed history is rolled up behind them.
        """
        drift = newest_trace(connection, stream)
        if drift is None:
            return None
        monitor = monitor_of(connection, stream.model)
        rules = rules_for(self._defaults, None if monitor is None else monitor.config)
        mark = drift.window_end
        reach = max(parse_lookback(lookback) for lookback in rules.lookbacks)
        performance = self._performance_of(connection, stream.model)
        if performance.enabled and newest_label(connection, stream) is not None:
            judged = newest_trace(connection, stream, PERFORMANCE)
            if judged is None:
                return None
            mark = min(mark, judged.window_end)
            layouts = read_layouts(connection, stream.model, generation_of(connection, stream.model) or 0)
            if stale_outcome_days(connection, stream.model, layouts.outcome_generation, delays_since(mark), mark):
                # How late labels come is known once they are all counted in the layout in force.
                return None
            lag = arrivals_as_of(connection, stream, layouts, mark, performance.maturity).lag
            reach = max(reach, lag + max(parse_lookback(lookback) for lookback in performance.lookbacks))
        return Grain.of(mark - max(HOURS_AFTER_SECONDS, reach), mark - max(DAYS_AFTER_SECONDS, reach))

    def _expire(self, model: str, now: int, until: float) -> bool:
        today = now // MICROS_PER_SECOND // SECONDS_PER_DAY
        kept = self._keep.predictions
        expired = expire_days(
            self._store, model, day=today - kept, arrived_before=now - kept * SECONDS_PER_DAY * MICROS_PER_SECOND
        )
        for day in expired.days:
            after = ""
            while (last := self._remove(model, day, after)) is not None:
                after = last
                if self._timer() > until:
                    return True
        if forget_profiles(self._store, model, expired.before, ROWS_PER_TRANSACTION) >= ROWS_PER_TRANSACTION:
            return True
        before = now // MICROS_PER_SECOND - self._keep.metrics * SECONDS_PER_DAY
        return remove_windows(self._store, model, before, ROWS_PER_TRANSACTION) >= ROWS_PER_TRANSACTION

    def _remove(self, model: str, day: int, after: str) -> str | None:
        """Removes some predictions, as many as go in a fraction of a second: commits of the model wait meanwhile."""
        began = self._timer()
        last = remove_predictions(self._store, model, day, self._rows, after)
        took = self._timer() - began
        if took < QUICK_SECONDS:
            self._rows = min(self._rows * 2, MOST_ROWS_PER_TRANSACTION)
        elif took > SLOW_SECONDS:
            self._rows = max(self._rows // 2, ROWS_PER_TRANSACTION)
        return last

    def _forget(self, now: int) -> bool:
        before = now - self._keep.metrics * SECONDS_PER_DAY * MICROS_PER_SECOND
        removals = (remove_verdicts, remove_incidents, remove_last_notices, remove_silences, remove_audit)
        removed = [remove(self._store, before, ROWS_PER_TRANSACTION) for remove in removals]
        return ROWS_PER_TRANSACTION in removed
