"""The report on the segments of a stream: where it got worse, and what drifts there."""

from __future__ import annotations

import math
from collections.abc import Mapping

from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.performance.report_building import finite
from modelwatch.monitoring.checks.performance.rules import WATCHED, PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import wrong_scores
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.monitoring.segments.drift import divided_drift, shares_before, soundness_profiles
from modelwatch.monitoring.segments.evidence import SegmentInputs, SegmentQuery, Stretch, gather_segments
from modelwatch.monitoring.segments.metric import Comparison, compare, estimate, loss_of, metric_names
from modelwatch.monitoring.segments.report import (
    BaselineReport,
    Contribution,
    FeatureDrift,
    SegmentDrift,
    SegmentFeatureReport,
    SegmentLine,
    SegmentReport,
    SpanReport,
    ValueReport,
    WorseSegment,
)
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate, worsening_metrics
from modelwatch.stats.quality.rates import data_quality_score
from modelwatch.stats.segments.segmentation import SegmentFeature
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.subjects import PREDICTED_SCORES
from modelwatch.times import iso_of_seconds

DRIFT_SHOWN = 10
DRIFT_A_SEGMENT = 3
WORST_SHOWN = 20
NO_SEGMENTS = "No segments: name features under `segments` in the model's monitor; they need references."
NO_DATA = "No predictions have been received."


def segment_report(
    store: Store, drift: DriftRules, rules: PerformanceRules, query: SegmentQuery, stream: StreamKey
) -> SegmentReport:
    """The segments of a stream now. Raises InvalidInput for a metric that its task does not have."""
    inputs = gather_segments(store, query, stream)
    layout = inputs.layouts.of(stream.version).outcome
    metric = _metric(query, rules, layout)
    now = inputs.now
    reason = NO_SEGMENTS if not inputs.segmentation else NO_DATA if now is None else _without(inputs, metric, layout)
    usable = None if reason is not None else metric
    compared = {
        feature.feature: _comparison(inputs, feature, usable, layout) for feature in inputs.segmentation.features
    }
    looks = sum(
        p_value is not None
        for found in compared.values()
        if found is not None
        for _, _, p_value in found[0].by_segment.values()
    )
    features = [
        _feature(inputs, drift, each, usable, compared[each.feature], looks) for each in inputs.segmentation.features
    ]
    total = None
    if now is not None and usable is not None:
        total = _value(estimate(usable, _counts(layout, now.outcomes.get(""))))
    return SegmentReport(
        model_version=stream.version,
        environment=stream.environment,
        window=None if now is None else _span(now.window),
        labelled=None if now is None else _span(now.labelled),
        metric=metric,
        divides=any(found is not None and found[0].parts is not None for found in compared.values()),
        now=total,
        worst=[] if usable is None else _worst(usable, features, compared),
        features=features,
        reason=reason,
    )


def _metric(query: SegmentQuery, rules: PerformanceRules, layout: OutcomeLayout) -> str | None:
    if layout.task is None:
        return None
    known = metric_names(layout)
    if query.metric is None:
        return next((name for name in (*rules.watched(layout.task), *WATCHED[layout.task]) if name in known), None)
    if query.metric not in known:
        problem = FieldError("/metric", f"Expected one of {', '.join(sorted(known))}", excerpt(query.metric))
        raise InvalidInput("The segments can't be compared by this metric.", (problem,))
    return query.metric


def _without(inputs: SegmentInputs, metric: str | None, layout: OutcomeLayout) -> str | None:
    """Reason why the metric is unknown; None when it is known."""
    if metric is None:
        return "Too few labels to infer the task of the model; only drift and data quality are compared."
    scores = OutcomeCounts.empty(layout).scores
    if scores is None or metric not in (*worsening_metrics(scores), "ece") or inputs.now is None:
        return None
    slot, place = inputs.now.profiles.get(""), inputs.layouts.of(inputs.stream.version).slices.get(PREDICTED_SCORES)
    return None if slot is None or place is None else wrong_scores(layout, slot.counts[place])


def _comparison(
    inputs: SegmentInputs, feature: SegmentFeature, metric: str | None, layout: OutcomeLayout
) -> tuple[Comparison, BaselineReport] | None:
    if metric is None or inputs.now is None:
        return None
    before, baseline = _before(inputs, feature, layout)
    return compare(metric, before, _outcomes(inputs.now, feature, layout), layout), baseline


def _before(
    inputs: SegmentInputs, feature: SegmentFeature, layout: OutcomeLayout
) -> tuple[dict[str, OutcomeCounts], BaselineReport]:
    known = None if inputs.outcomes is None else inputs.parts.get((inputs.outcomes.id, feature.id))
    if known is not None and len(known) == len(feature.texts) * layout.size:
        rows = known.reshape(len(feature.texts), layout.size)
        counts = {text: OutcomeCounts(layout, row) for text, row in zip(feature.texts, rows, strict=True) if row.any()}
        return counts, BaselineReport("reference", None, None, sum(each.n for each in counts.values()))
    earlier = inputs.earlier
    if earlier is None:
        return {}, BaselineReport("earlier", None, None, 0)
    counts = _outcomes(earlier, feature, layout)
    span = _span(earlier.labelled)
    return counts, BaselineReport("earlier", span.start, span.end, sum(each.n for each in counts.values()))


def _outcomes(stretch: Stretch, feature: SegmentFeature, layout: OutcomeLayout) -> dict[str, OutcomeCounts]:
    return {text: _counts(layout, stretch.outcomes[text]) for text in feature.texts if text in stretch.outcomes}


def _counts(layout: OutcomeLayout, vector: Counts | None) -> OutcomeCounts:
    return OutcomeCounts.empty(layout) if vector is None else OutcomeCounts(layout, vector)


def _feature(
    inputs: SegmentInputs,
    rules: DriftRules,
    feature: SegmentFeature,
    metric: str | None,
    compared: tuple[Comparison, BaselineReport] | None,
    looks: int,
) -> SegmentFeatureReport:
    drift = divided_drift(inputs, rules, feature)
    before = shares_before(inputs, feature)
    profiles = {} if inputs.now is None else inputs.now.profiles
    comparison = None if compared is None else compared[0]
    present = [
        text
        for text in feature.texts
        if text in profiles or text in before or (comparison is not None and text in comparison.by_segment)
    ]
    lines = [_line(inputs, feature, text, before, comparison, drift, looks) for text in present]
    change = None
    if comparison is not None and comparison.now.value is not None and comparison.before.value is not None:
        change = comparison.now.value - comparison.before.value
    parts = None if comparison is None or comparison.parts is None else comparison.parts.values()
    return SegmentFeatureReport(
        feature_name=feature.feature,
        feature_type="continuous" if feature.is_numeric else "categorical",
        baseline=None if compared is None else compared[1],
        before=None if comparison is None else _value(comparison.before),
        change=finite(change),
        segments=sorted(lines, key=lambda line: _rank(line, metric, comparison)),
        drift=drift[:DRIFT_SHOWN],
        reason=None if comparison is None else comparison.reason,
        mix=None if parts is None else finite(sum(each.mix for each in parts)),
        level=None if parts is None else finite(sum(each.level for each in parts)),
    )


def _rank(line: SegmentLine, metric: str | None, comparison: Comparison | None) -> float:
    """Lower is worse; those of which nothing is known come last, in the order of the reference."""
    change = line.change if line.contribution is None else line.contribution.total
    if metric is None or comparison is None or change is None:
        return math.inf
    return -loss_of(metric, change, comparison.now.value or 0.0)


def _line(
    inputs: SegmentInputs,
    feature: SegmentFeature,
    text: str,
    before: Mapping[str, float],
    comparison: Comparison | None,
    drift: list[SegmentDrift],
    looks: int,
) -> SegmentLine:
    now = inputs.now
    profiles = {} if now is None else now.profiles
    predictions = profiles[text].predictions if text in profiles else 0
    total = profiles[""].predictions if "" in profiles else 0
    known = None if comparison is None else comparison.by_segment.get(text)
    part = None if comparison is None or comparison.parts is None else comparison.parts.get(text)
    change = None
    if known is not None and known[0].value is not None and known[1].value is not None:
        change = known[1].value - known[0].value
    p_value = None if known is None else known[2]
    shares = [FeatureDrift(each.feature_name, each.contributions.get(text, 0.0)) for each in drift]
    most = sorted((each for each in shares if each.contribution > 0.0), key=lambda each: -each.contribution)
    return SegmentLine(
        segment=text,
        value=text.removeprefix(feature.prefix),
        predictions=predictions,
        share=predictions / total if total else None,
        share_before=before.get(text, 0.0) if before else None,
        metric=None if known is None else _value(known[1]),
        before=None if known is None else _value(known[0]),
        change=finite(change),
        contribution=None if part is None else Contribution(part.total, part.mix, part.level),
        p_value=p_value,
        adjusted_p_value=None if p_value is None else min(1.0, p_value * looks),
        drift=most[:DRIFT_A_SEGMENT],
        quality_score=None if now is None else data_quality_score(soundness_profiles(inputs, now, text)).score,
    )


def _worst(
    metric: str,
    features: list[SegmentFeatureReport],
    compared: Mapping[str, tuple[Comparison, BaselineReport] | None],
) -> list[WorseSegment]:
    """The segments whose own metric got worse, and with it that of all rows, by how much that is (level); where nothing
    is divided, by their own loss. A segment that only gained share is none of them: the shift in mix is told apart."""
    found = []
    for feature in features:
        pair = compared[feature.feature_name]
        now = None if pair is None else pair[0].now.value
        if now is None:
            continue
        for line in feature.segments:
            part = line.contribution
            if line.metric is None or line.before is None or line.change is None:
                continue
            own = loss_of(metric, line.change, now)
            level = own if part is None else loss_of(metric, part.level, now)
            if min(own, level) <= 0.0:
                continue
            found.append(
                WorseSegment(
                    segment=line.segment,
                    feature_name=feature.feature_name,
                    loss=own if part is None else loss_of(metric, part.total, now),
                    mix=None if part is None else loss_of(metric, part.mix, now),
                    level=None if part is None else level,
                    n=line.metric.n,
                    value=line.metric.value,
                    before=line.before.value,
                    p_value=line.p_value,
                    adjusted_p_value=line.adjusted_p_value,
                )
            )
    return sorted(found, key=lambda each: (-each.own, each.segment))[:WORST_SHOWN]


def _value(found: Estimate) -> ValueReport:
    return ValueReport(finite(found.value), finite(found.low), finite(found.high), found.n, found.reason)


def _span(window: Window) -> SpanReport:
    return SpanReport(iso_of_seconds(window.start), iso_of_seconds(window.end))
