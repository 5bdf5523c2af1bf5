"""The performance check: what the scheduler runs as labels come, and what anybody may ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.monitoring.checks.check import Conclusion, encode_report
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.performance.evidence import encode_performance, gather_performance
from modelwatch.monitoring.checks.performance.examining import (
    PERFORMANCE_KINDS,
    examine_performance,
    performance_observations,
    performance_report,
)
from modelwatch.monitoring.checks.performance.reports import PerformanceReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.schedule import Point, whole_windows
from modelwatch.storage.counts.outcomes import newest_label
from modelwatch.storage.counts.profiles import newest_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import PERFORMANCE

RulesOf = Callable[[Connection, str], PerformanceRules]


class PerformanceCheck:
    """Whether the model is still right. rules_of: the rules of a model now."""

    name = PERFORMANCE
    kinds = PERFORMANCE_KINDS

    def __init__(self, store: Store, rules_of: RulesOf) -> None:
        self._store = store
        self._rules_of = rules_of

    def conclude(
        self, stream: StreamKey, point: Point, conditions: Sequence[Condition], now: int, inputs: Callable[[], Inputs]
    ) -> Conclusion | None:
        with self._store.read() as connection:
            rules = self._rules_of(connection, stream.model)
        if not rules.enabled:
            return None
        found = gather_performance(self._store, rules, stream, point.end, elapsed=point.elapsed, as_known_then=True)
        examination = examine_performance(found)
        report = performance_report(examination)
        return Conclusion(
            generation=found.evidence.generation,
            severity=report.severity,
            evidence=encode_performance(found.evidence),
            report=encode_report(report),
            conditions=advance(conditions, performance_observations(examination), rules, point.end),
        )


def check_performance(store: Store, rules: PerformanceRules, stream: StreamKey, now: int) -> PerformanceReport:
    """The stream's performance now (microseconds). Raises UnknownResource for a model that was never heard of."""
    with store.read() as connection:
        newest, label = newest_window(connection, stream), newest_label(connection, stream)
    ends = [] if newest is None else [newest.window_start + BASE_WINDOW_SECONDS]
    ends += [] if label is None else [whole_windows(min(label.latest_ts, now))]
    return performance_report(examine_performance(gather_performance(store, rules, stream, max(ends, default=None))))
