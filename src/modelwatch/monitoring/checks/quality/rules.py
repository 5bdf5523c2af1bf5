"""The rules that a model's data quality is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from modelwatch.config.monitors.defaults import QUALITY_DUPLICATES, QUALITY_FACTOR, QUALITY_MIN_RISE
from modelwatch.config.monitors.monitor import MonitorConfig
from modelwatch.monitoring.checks.rules import AccruingBudget, DriftRules, alpha_of_look, overridden, share_of

# Of quality's part of the budget. The looks at rates and volumes share the rest.
SHARE_OF_SILENCE = 0.08


@dataclass(frozen=True, slots=True)
class QualityRules(AccruingBudget):
    """Rules of the quality check for one model. Times in seconds.

    min_rise, factor: a share of values with an issue matters when it has risen by so much, or to so many times the
    reference's. min_samples: from so many values on a rate may be called stable. duplicates: the share of changed
    repeats that matters; 0: none does. freshness: whether silence is reported, or the longest gap that is not silence.
    alarms_needed and the others: as for drift.
    """

    budget: float
    check_interval: int
    min_rise: float = QUALITY_MIN_RISE
    factor: float = QUALITY_FACTOR
    min_samples: int = 100
    leave_out: tuple[str, ...] = ()
    sentinels: bool = True
    schema: bool = True
    duplicates: float = QUALITY_DUPLICATES
    volume: bool = True
    freshness: bool | int = True
    enabled: bool = True
    alarms_needed: int = 1
    alarms_among: int = 1
    resolve_after: int = 2

    @classmethod
    def of(cls, drift: DriftRules) -> QualityRules:
        """The rules of a model without a monitor; what they share with drift is as there."""
        return cls(budget=drift.budget, check_interval=drift.check_interval, min_samples=drift.min_samples)

    def with_monitor(self, monitor: MonitorConfig | None) -> QualityRules:
        """The rules of a model with this monitor: what it leaves open is as here."""
        if monitor is None:
            return self
        configured = monitor.quality
        given: dict[str, Any] = {
            "budget": monitor.budget,
            "check_interval": monitor.schedule.every,
            "min_rise": configured.min_rise,
            "factor": configured.factor,
            "min_samples": configured.min_samples,
            "leave_out": configured.leave_out,
            "sentinels": configured.sentinels,
            "schema": configured.schema_,
            "duplicates": configured.duplicates,
            "volume": configured.volume,
            "freshness": configured.freshness,
            "enabled": configured.enabled,
            "resolve_after": configured.resolve_after,
        }
        return overridden(self, given, configured.persistence)

    @property
    def silences(self) -> float:
        """Number of gaps in 30 days that chance may make and that are reported as silence: a part of quality's
        budget."""
        return self.budget * share_of("quality") * SHARE_OF_SILENCE

    def watches(self, feature: str) -> bool:
        """True when the feature is watched."""
        return not any(fnmatchcase(feature, pattern) for pattern in self.leave_out)

    def alpha_a_day(self, subjects: int, streams: int) -> float:
        """The same of what is looked for in a whole day at once, however often within it."""
        budget = self.budget * (1.0 - SHARE_OF_SILENCE)
        return alpha_of_look("quality", budget, subjects=subjects, streams=streams, lookbacks=1, seconds=86_400)

    def alpha(self, subjects: int, streams: int, lookbacks: int, elapsed: int | None = None) -> float:
        """The chance of a false alarm that one look at one rate may take. elapsed: seconds since the look before; the
        interval if None."""
        seconds = self.accrued(elapsed)
        budget = self.budget * (1.0 - SHARE_OF_SILENCE)
        return alpha_of_look(
            "quality", budget, subjects=subjects, streams=streams, lookbacks=lookbacks, seconds=seconds
        )
