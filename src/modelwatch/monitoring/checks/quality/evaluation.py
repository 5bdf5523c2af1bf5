"""Quality evaluation: a pure function from evidence to judgements, the report and the observations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from modelwatch.findings import FindingSeverity, Kind
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES, NotJudged, not_judged
from modelwatch.monitoring.checks.observations import CALM_SHARE, Observation
from modelwatch.monitoring.checks.quality.classes import ClassJudgement, class_reports, judge_classes
from modelwatch.monitoring.checks.quality.evidence import QualityEvidence
from modelwatch.monitoring.checks.quality.findings import finding_of
from modelwatch.monitoring.checks.quality.judge import (
    RateJudgement,
    RepeatsJudgement,
    VolumeJudgement,
    judge_duplicates,
    judge_rates,
    judge_schema,
    judge_volume,
    longest,
    rise_thresholds,
    subjects_of,
    volume_thresholds,
)
from modelwatch.monitoring.checks.quality.reports import (
    PRECEDENCE,
    DuplicatesReport,
    ExtremeReport,
    FeatureQuality,
    QualityReport,
    RateReport,
    SchemaReport,
    SentinelReport,
    Severity,
    VolumeReport,
)
from modelwatch.monitoring.checks.quality.rules import SHARE_OF_SILENCE, QualityRules
from modelwatch.monitoring.checks.quality.sizes import repeats_sizes, rise_sizes, schema_sizes, sentinel_sizes
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, AlphaReport, share_of
from modelwatch.stats.quality.codes import Sentinel
from modelwatch.stats.quality.extremes import Extreme
from modelwatch.stats.quality.rates import ROUNDING, SchemaChange, rise_that_matters, share_of_unsound, soundness_of
from modelwatch.times import iso_of_seconds

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


def quality_report(evaluation: QualityEvaluation) -> QualityReport:
    """Report of an evaluation, as it is shown and kept."""
    evidence = evaluation.evidence
    window = longest(evidence.windows)
    soundness = soundness_of([] if window is None else window.features.values())
    features = [_feature(evaluation, name) for name in sorted(evaluation.rates)]
    repeats = evaluation.duplicates
    schema = [
        SchemaReport(
            change.feature,
            change.change,
            how,
            change.reference_count,
            change.current_count,
            evidence.sample.rows if change.change == "appeared" or window is None else window.predictions,
            change.p_value,
        )
        for change, how in evaluation.schema
    ]
    volume = [_volume(each) for each in evaluation.volume]
    model, version, environment = evidence.stream
    return QualityReport(
        model_name=model,
        model_version=version,
        environment=environment,
        severity=_worst([each.severity for each in features], [*schema, *volume, repeats, *evaluation.classes]),
        watermark=iso_of_seconds(evidence.watermark),
        predictions=0 if window is None else window.predictions,
        score=soundness.score,
        dimensions={str(name): value for name, value in soundness.dimensions.items()},
        unsound=sorted(
            {each.feature_name for each in features if each.severity in FIRING}
            | {each.feature_name for each in schema if each.severity in FIRING}
        ),
        features=features,
        schema=schema,
        volume=volume,
        duplicates=_duplicates(repeats, evidence.rules.duplicates),
        alpha=evaluation.alpha,
        alpha_from=AlphaReport(
            false_alarm_budget=evidence.rules.budget,
            share=share_of("quality") * (1.0 - SHARE_OF_SILENCE),
            subjects=subjects_of(evidence),
            streams=max(evidence.streams, 1),
            lookbacks=max(len(evidence.windows), 1),
            seconds=evidence.rules.accrued(evidence.elapsed),
            capped=evaluation.alpha >= LARGEST_ALPHA,
        ),
        reason=None if evidence.reference else "No reference is set, so no share can be compared.",
        not_judged=_not_judged(evaluation, features, schema, volume),
        classes=class_reports(evaluation.classes),
    )


def _worst(
    features: Sequence[Severity], others: Iterable[SchemaReport | VolumeReport | RepeatsJudgement | ClassJudgement]
) -> Severity:
    """The worst of what is known. Only features can make it stable: other results say nothing about them."""
    found = [each.severity for each in others if each.severity in FIRING]
    return min((*(features or ["no_reference"]), *found), key=PRECEDENCE.index)


def _not_judged(
    evaluation: QualityEvaluation,
    features: Sequence[FeatureQuality],
    schema: Sequence[SchemaReport],
    volume: Sequence[VolumeReport],
) -> list[NotJudged]:
    found: list[tuple[str, str, str | None]] = []
    for feature in features:
        if feature.severity in KNOWN_STATES:
            found += [(f"{feature.feature_name}: {rule.rule}", rule.severity, rule.reason) for rule in feature.rules]
        else:
            why = next((rule.reason for rule in feature.rules if rule.severity == feature.severity), None)
            found.append((feature.feature_name, feature.severity, why))
        unknown = evaluation.evidence.outside_unknown.get(feature.feature_name)
        if unknown is not None:
            found.append((f"{feature.feature_name}: extreme", "no_data", unknown))
    found += [(f"{each.feature_name}: {each.change}", each.severity, None) for each in schema]
    found += [(f"volume of {each.span}", each.severity, each.reason) for each in volume]
    return not_judged(found)


def quality_observations(evaluation: QualityEvaluation) -> list[Observation]:
    """One observation for each rate, change of the schema and volume."""
    evidence = evaluation.evidence
    ids, known = evidence.reference_ids, (evidence, evaluation.alpha)
    until = {f"volume of {each.span}": each.end for each in evaluation.volume}
    found = [
        _observed_rate(evaluation, judged, ids[name])
        for name, judgements in sorted(evaluation.rates.items())
        for judged in judgements
    ]
    for name in sorted(evaluation.rates):
        news = [each for each, severity in evaluation.sentinels(name) if severity in FIRING]
        if news:
            finding = finding_of(*known, f"{name}: sentinel", "warning", news[0])
            found.append(Observation("data_quality", f"{name}: sentinel", ids[name], "drifted", False, finding))
        else:
            sizes = sentinel_sizes(evidence, name)
            found.append(Observation("data_quality", f"{name}: sentinel", ids[name], "calm", sizes=sizes))
        found.append(_observed_extreme(evaluation, name))
    for change, severity in evaluation.schema:
        subject = f"{change.feature}: {change.change}"
        if severity in FIRING:
            finding = finding_of(*known, subject, "alert" if severity == "alert" else "warning", change)
            found.append(Observation("data_quality", subject, ids.get(change.feature, ""), "drifted", False, finding))
        elif severity != "stable":
            found.append(Observation("data_quality", subject, ids.get(change.feature, ""), "undecided"))
    found += _unchanged(evaluation, {each.name for each in found})
    found += [_observed_volume(evaluation, each) for each in evaluation.volume]
    repeats = evaluation.duplicates
    if repeats.severity == "warning":
        finding = finding_of(*known, "duplicates", "warning", repeats)
        found.append(Observation("data_quality", "duplicates", "", "drifted", False, finding))
    else:
        state: Literal["calm", "undecided"] = "calm" if repeats.severity == "stable" else "undecided"
        found.append(Observation("data_quality", "duplicates", "", state, sizes=repeats_sizes(evidence)))
    for judged in evaluation.classes:
        if judged.severity in FIRING:
            severity_now: FindingSeverity = "alert" if judged.severity == "alert" else "warning"
            finding = finding_of(*known, judged.subject, severity_now, judged)
            found.append(Observation("data_quality", judged.subject, "", "drifted", False, finding))
        else:
            calm: Literal["calm", "undecided"] = "calm" if judged.severity == "stable" else "undecided"
            found.append(Observation("data_quality", judged.subject, "", calm, counted=True))
        until[judged.subject] = judged.use.end
    return [replace(each, judged_until=until.get(each.name, evidence.watermark)) for each in found]


def _observed_extreme(evaluation: QualityEvaluation, name: str) -> Observation:
    """A day that has had one is a finding until it has passed: it is reported once, and counted, not inferred."""
    evidence, subject = evaluation.evidence, f"{name}: extreme"
    reference = evidence.reference_ids[name]
    far = evaluation.extremes(name)
    if far:
        finding = finding_of(evidence, evaluation.alpha_a_day, subject, "warning", far[0])
        return Observation("data_quality", subject, reference, "drifted", False, finding)
    state: Literal["calm", "undecided"] = "undecided" if name in evidence.outside_unknown else "calm"
    return Observation("data_quality", subject, reference, state, counted=True)


def appeared_in(conditions: Iterable[Condition]) -> list[str]:
    """The features that these conditions know to be new."""
    return sorted(each.name.removesuffix(APPEARED) for each in conditions if each.name.endswith(APPEARED))


def _unchanged(evaluation: QualityEvaluation, named: set[str]) -> list[Observation]:
    """Changes of the schema that are not seen (any more) are calm; of what is not watched there is nothing to say."""
    rules = evaluation.evidence.rules
    known = {*evaluation.evidence.reference, *evaluation.evidence.sample.given}
    ids = evaluation.evidence.reference_ids
    state: Literal["calm", "undecided"] = "calm" if evaluation.evidence.sample.rows else "undecided"
    return [
        Observation(
            "data_quality",
            f"{name}: {change}",
            ids.get(name, ""),
            state,
            sizes=schema_sizes(evaluation.evidence, name, change),
        )
        for name in sorted(known)
        if rules.schema and rules.watches(name)
        for change in ("appeared", "disappeared")
        if f"{name}: {change}" not in named
    ]


def _feature(evaluation: QualityEvaluation, name: str) -> FeatureQuality:
    judgements = evaluation.rates[name]
    window = longest(evaluation.evidence.windows)
    sentinels = evaluation.sentinels(name)
    severities: list[Severity] = [each.severity for each in judgements]
    severities += [severity for _, severity in sentinels if severity in FIRING]
    far = evaluation.extremes(name)
    if far:
        severities.append("warning")
    return FeatureQuality(
        name,
        min(severities, key=PRECEDENCE.index, default="no_data"),
        None if window is None else share_of_unsound(window.features[name]),
        [
            RateReport(
                each.check.rule,
                each.check.dimension,
                each.severity,
                each.window.lookback,
                each.check.current_count,
                each.check.current_n,
                each.check.current_rate,
                each.check.reference_rate,
                each.check.change,
                each.check.p_value if each.check.current_n else None,
                each.reason,
                *rise_thresholds(each.check.reference_rate or 0.0, evaluation.evidence.rules),
            )
            for each in judgements
        ],
        [
            SentinelReport(
                each.value, each.side, each.count, each.share, each.p_value, each.reference_share, severity, each.n
            )
            for each, severity in sentinels
        ],
        [ExtremeReport(each.value, each.side, each.times, each.count, each.n, each.p_value) for each in far],
    )


def _duplicates(judged: RepeatsJudgement, threshold: float) -> DuplicatesReport:
    share, changed = (count / judged.sent if judged.sent else None for count in (judged.repeats, judged.changed))
    return DuplicatesReport(judged.severity, judged.repeats, judged.sent, share, threshold, judged.changed, changed)


def _volume(judged: VolumeJudgement) -> VolumeReport:
    check = judged.check
    return VolumeReport(
        judged.span,
        judged.severity,
        iso_of_seconds(judged.start),
        iso_of_seconds(judged.end),
        check.current,
        check.weeks,
        check.expected,
        check.low,
        check.high,
        check.p_value,
        check.reason,
        *(volume_thresholds(check) or (None, None)),
    )


def _observed_rate(evaluation: QualityEvaluation, judged: RateJudgement, reference: str) -> Observation:
    check, known = judged.check, (evaluation.evidence, evaluation.alpha)
    warning, alert = rise_thresholds(check.reference_rate or 0.0, evaluation.evidence.rules)
    subject = f"{judged.feature}: {check.rule}"
    if judged.severity in FIRING:
        finding = finding_of(*known, subject, "alert" if judged.severity == "alert" else "warning", judged)
        severe = finding_of(*known, subject, "alert", judged)
        still = severe if (check.change or 0.0) >= CALM_SHARE * alert else None
        return Observation("data_quality", subject, reference, "drifted", False, finding, still)
    if judged.severity != "stable":
        return Observation("data_quality", subject, reference, "undecided")
    holds = (check.change or 0.0) >= CALM_SHARE * warning and check.p_value < evaluation.alpha
    held = finding_of(*known, subject, "warning", judged) if holds else None
    sizes = rise_sizes(evaluation.evidence, judged.feature, check.rule)
    return Observation("data_quality", subject, reference, "calm", holds, held, sizes=sizes)


def _observed_volume(evaluation: QualityEvaluation, judged: VolumeJudgement) -> Observation:
    subject, known = f"volume of {judged.span}", (evaluation.evidence, judged.alpha)
    if judged.severity in FIRING:
        finding = finding_of(*known, subject, "alert" if judged.severity == "alert" else "warning", judged)
        return Observation("volume", subject, "", "drifted", False, finding)
    # How much came is counted, not inferred: as much as usual is the end.
    return Observation("volume", subject, "", "calm" if judged.severity == "stable" else "undecided", counted=True)
