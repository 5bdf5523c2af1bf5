"""Report of a quality evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelwatch.monitoring.checks.not_judged import KNOWN_STATES, NotJudged, not_judged
from modelwatch.monitoring.checks.quality.classes import ClassJudgement, class_reports
from modelwatch.monitoring.checks.quality.evaluation import FIRING, QualityEvaluation
from modelwatch.monitoring.checks.quality.judge import (
    RepeatsJudgement,
    VolumeJudgement,
    longest,
    rise_thresholds,
    subjects_of,
    volume_thresholds,
)
from modelwatch.monitoring.checks.quality.report import (
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
from modelwatch.monitoring.checks.quality.rules import SHARE_OF_SILENCE
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, AlphaReport, share_of
from modelwatch.stats.quality.rates import share_of_unsound, soundness_of
from modelwatch.times import iso_of_seconds


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
