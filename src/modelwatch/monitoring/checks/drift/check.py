"""The drift check: whether the data of a stream have moved away from their reference."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.monitoring.checks.check import Conclusion, encode_report
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evaluation import examine, report_of
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, encode_evidence, gather
from modelwatch.monitoring.checks.drift.observations import DRIFT_KINDS, advance_drift
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT


class DriftCheck:
    """Whether the data have moved. defaults: the rules of a model without a monitor."""

    name = DRIFT
    kinds = DRIFT_KINDS

    def __init__(self, store: Store, defaults: DriftRules) -> None:
        self._store = store
        self._defaults = defaults

    def conclude(self, stream: StreamKey, point: Point, conditions: Sequence[Condition], now: int) -> Conclusion:
        query = DriftQuery(stream.model, stream.environment, stream.version)
        inputs = gather(self._store, self._defaults, query, now, end=point.end, elapsed=point.elapsed)
        examination = examine(inputs)
        report = report_of(examination)
        return Conclusion(
            generation=inputs.evidence.generation,
            severity=report.summary.severity,
            evidence=encode_evidence(inputs.evidence),
            report=encode_report(report),
            conditions=advance_drift(conditions, examination),
            reach=point.end - min((window.start for window in inputs.evidence.windows), default=point.end),
        )
