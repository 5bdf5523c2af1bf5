"""What a check concludes of a stream at one point in time, whatever it looks at; and the drift check as one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from modelwatch.findings import Kind
from modelwatch.monitoring.checks import examine, report_of
from modelwatch.monitoring.conditions import Condition
from modelwatch.monitoring.drift_observations import DRIFT_KINDS, advance_drift
from modelwatch.monitoring.evidence import DriftQuery, encode_evidence, gather
from modelwatch.monitoring.rules import DriftRules
from modelwatch.monitoring.schedule import Point
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT

# Kept with each verdict. It grows with each release whose rules may make another verdict of the same evidence.
RULES_VERSION = 2

encode_report = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What becomes a verdict. evidence: everything that the report was computed from; report: as JSON. conditions: what
    is carried to the next evaluation. reach: how many seconds back was looked; 0 where that is as the rules say."""

    generation: int
    severity: str
    evidence: bytes
    report: bytes
    conditions: list[Condition]
    reach: int = 0


class Check(Protocol):
    """Something that is looked at again and again. name: that of its verdicts; kinds: of what it finds."""

    @property
    def name(self) -> str: ...

    @property
    def kinds(self) -> tuple[Kind, ...]: ...

    def conclude(self, stream: StreamKey, point: Point, conditions: Sequence[Condition], now: int) -> Conclusion | None:
        """What the stream shows at this point, after an evaluation with these conditions; None for nothing to say."""


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
