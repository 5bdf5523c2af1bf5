"""The quality check: what the scheduler runs beside the drift check, and what anybody may ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from modelwatch.monitoring.checks.check import Conclusion, encode_report
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.quality.evidence import encode_quality, gather_quality, quality_evidence
from modelwatch.monitoring.checks.quality.examining import (
    QUALITY_KINDS,
    examine_quality,
    quality_observations,
    quality_report,
)
from modelwatch.monitoring.checks.quality.reports import QualityReport
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import QUALITY

RulesOf = Callable[[Connection, str], QualityRules]


class QualityCheck:
    """Whether the data are sound. rules_of: the rules of a model now."""

    name = QUALITY
    kinds = QUALITY_KINDS

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
        evidence = quality_evidence(self._store, inputs(), rules, known_by=point.end)
        examination = examine_quality(evidence)
        report = quality_report(examination)
        return Conclusion(
            generation=evidence.generation,
            severity=report.severity,
            evidence=encode_quality(evidence),
            report=encode_report(report),
            conditions=advance(conditions, quality_observations(examination), rules, point.end),
        )


def check_quality(
    store: Store, defaults: DriftRules, rules: QualityRules, stream: StreamKey, now: int
) -> QualityReport:
    """The stream's data quality now. Raises UnknownResource for a model that was never heard of."""
    return quality_report(examine_quality(gather_quality(store, defaults, rules, stream, now)))
