"""Quality evaluation: from evidence to judgements of every rate, the schema, volume, repeats and classes; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.quality.classes import ClassJudgement, judge_classes
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.monitoring.checks.quality.judge import (
    RateJudgement,
    RepeatsJudgement,
    VolumeJudgement,
    judge_duplicates,
    judge_rates,
    judge_schema,
    judge_volume,
    subjects_of,
)
from modelwatch.monitoring.checks.quality.report import (
    Severity,
)
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.stats.quality.codes import Sentinel
from modelwatch.stats.quality.extremes import Extreme
from modelwatch.stats.quality.rates import ROUNDING, SchemaChange, rise_that_matters

QUALITY_KINDS: tuple[Kind, ...] = ("data_quality", "volume")
FIRING = ("warning", "alert")
APPEARED = ": appeared"


@dataclass(frozen=True, slots=True)
class QualityEvaluation:
    """Judgements of an evaluation. alpha: chance of a false alarm that each subject in each window may take."""

    evidence: QualityEvidence
    alpha: float
    rates: dict[str, list[RateJudgement]]
    schema: list[tuple[SchemaChange, Severity]]
    volume: list[VolumeJudgement]
    duplicates: RepeatsJudgement
    classes: list[ClassJudgement]

    def sentinels(self, feature: str) -> list[tuple[Sentinel, Severity]]:
        """The values of a feature that stand out beyond chance, those that are news first; after them the codes that
        the reference has as well."""
        rules, evidence = self.evidence.rules, self.evidence
        if not rules.sentinels or not rules.watches(feature):
            return []
        known = evidence.codes.get(feature, ())
        more = [each for each in known if each.p_value < self.alpha and _has_risen(each, rules)]
        new = [each for each in evidence.sample.sentinels.get(feature, ()) if each.p_value < self.alpha]
        news: list[tuple[Sentinel, Severity]] = [(each, "warning") for each in (*new, *more)]
        return [*news, *((each, "stable") for each in known if each not in more)]

    def extremes(self, feature: str) -> list[Extreme]:
        """Values of the last day far outside of the reference, beyond chance: the farthest of each side."""
        rules, evidence = self.evidence.rules, self.evidence
        if not rules.sentinels or not rules.watches(feature):
            return []
        return [each for each in evidence.extremes.get(feature, ()) if each.p_value < self.alpha_a_day]

    @property
    def alpha_a_day(self) -> float:
        """The chance of a false alarm that a day takes for each feature."""
        return self.evidence.rules.alpha_a_day(subjects_of(self.evidence), self.evidence.streams)


def _has_risen(code: Sentinel, rules: QualityRules) -> bool:
    matters = rise_that_matters(code.reference_share, least_rise=rules.min_rise, factor=rules.factor)
    return code.share - code.reference_share >= matters - ROUNDING


def evaluate_quality(evidence: QualityEvidence) -> QualityEvaluation:
    """Judges every rate, the schema, the volume and the repeats."""
    alpha = evidence.rules.alpha(
        subjects_of(evidence), evidence.streams, max(len(evidence.windows), 1), evidence.elapsed
    )
    return QualityEvaluation(
        evidence,
        alpha,
        judge_rates(evidence, alpha),
        judge_schema(evidence, alpha),
        judge_volume(evidence, alpha),
        judge_duplicates(evidence),
        judge_classes(evidence.classes, evidence.rules, alpha),
    )


def appeared_in(conditions: Iterable[Condition]) -> list[str]:
    """The features that these conditions know to be new."""
    return sorted(each.name.removesuffix(APPEARED) for each in conditions if each.name.endswith(APPEARED))
