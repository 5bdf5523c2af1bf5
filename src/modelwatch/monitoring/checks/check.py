"""What a check concludes of a stream at one point in time, whatever it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.storage.engine.models import StreamKey

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

    def conclude(
        self, stream: StreamKey, point: Point, conditions: Sequence[Condition], now: int, inputs: Callable[[], Inputs]
    ) -> Conclusion | None:
        """What the stream shows at this point, after an evaluation with these conditions; None for nothing to say.

        inputs: reads what drift is judged by at this point, once for all checks that ask for it.
        """
