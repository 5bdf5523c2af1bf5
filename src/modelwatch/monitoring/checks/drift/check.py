"""The drift check: whether the data of a stream have moved away from their reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

from modelwatch.monitoring.checks.check import Conclusion, encode_report
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import examine, report_of
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Inputs, encode_evidence, gather
from modelwatch.monitoring.checks.drift.observations import DRIFT_KINDS, advance_drift
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT


class DriftCheck:
    """Whether the data have moved."""

    name = DRIFT
    kinds = DRIFT_KINDS

    def conclude(
        self, stream: StreamKey, point: Point, conditions: Sequence[Condition], now: int, inputs: Callable[[], Inputs]
    ) -> Conclusion:
        found = inputs()
        examination = examine(found)
        report = report_of(examination)
        return Conclusion(
            generation=found.evidence.generation,
            severity=report.summary.severity,
            evidence=encode_evidence(found.evidence),
            report=encode_report(report),
            conditions=advance_drift(conditions, examination),
            reach=point.end - min((window.start for window in found.evidence.windows), default=point.end),
        )


def inputs_at(store: Store, defaults: DriftRules, stream: StreamKey, point: Point, now: int) -> Callable[[], Inputs]:
    """Reads what is judged at a point, when it is called first."""
    query = DriftQuery(stream.model, stream.environment, stream.version)
    return cache(partial(gather, store, defaults, query, now, end=point.end, elapsed=point.elapsed))
