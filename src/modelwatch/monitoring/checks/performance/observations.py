"""Observations of a performance evaluation, one for each metric, and the sentences of their findings."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace

from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.findings import CALM_SHARE, Finding
from modelwatch.measures import metric_name, metric_value, plain, score_value
from modelwatch.monitoring.checks.drift.tolerance import ODDS, PSI
from modelwatch.monitoring.checks.observations import Observation
from modelwatch.monitoring.checks.performance.early.check import EarlyResult
from modelwatch.monitoring.checks.performance.evaluation import (
    FOUND,
    PerformanceEvaluation,
    WindowResult,
    deciding_window,
)
from modelwatch.monitoring.checks.performance.judge import Judgement, loss_of, shortfall_of
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.labels.shift import LABELS, MEAN_SHIFT


def performance_observations(evaluation: PerformanceEvaluation) -> list[Observation]:
    """One observation for each metric, by its deciding window.

    Early findings only count where no matured window finds them: it is never calm, and ends nothing.
    """
    names = {name for each in evaluation.matured for name in each.judgements}
    return [_observation(evaluation, name) for name in sorted(names)]


def _observation(evaluation: PerformanceEvaluation, name: str) -> Observation:
    kind = "label_drift" if name == LABELS else "performance"
    reference = evaluation.inputs.evidence.reference or ""
    windows = [each for each in evaluation.matured if name in each.judgements]
    deciding = deciding_window(windows, name)
    judgement = deciding.judgements[name]
    until = deciding.found.window.end
    if judgement.severity in FOUND:
        begins = max(each.found.window.start for each in windows if each.judgements[name].severity in FOUND)
        finding = _finding(evaluation, deciding, judgement, begins)
        severe = _severe(evaluation, deciding, judgement, begins)
        return Observation(kind, name, reference, "drifted", False, finding, severe, judged_until=until)
    early = evaluation.early
    if early is not None and name in early.judgements and early.judgements[name].severity in FOUND:
        found, begins = early.judgements[name], early.found.window.start
        finding, severe = _finding(evaluation, early, found, begins), _severe(evaluation, early, found, begins)
        return Observation(kind, name, reference, "drifted", False, finding, severe)
    if judgement.severity not in ("shifted", "stable"):
        return Observation(kind, name, reference, "undecided")
    held = next(
        (
            (each, reading)
            for each in windows
            for reading in each.judgements[name].readings
            if _holds(reading, evaluation.nominal)
        ),
        None,
    )
    if held is None:
        sizes = tuple(
            dataclasses.replace(size, start=each.found.window.start)
            for each in windows
            for size in each.judgements[name].sizes
        )
        counted = name == COVERAGE
        return Observation(kind, name, reference, "calm", sizes=sizes, counted=counted, judged_until=until)
    holding, reading = held
    begins = holding.found.window.start
    finding, severe = _finding(evaluation, holding, reading, begins), _severe(evaluation, holding, reading, begins)
    return Observation(kind, name, reference, "calm", True, finding, severe, judged_until=until)


def _holds(judgement: Judgement, nominal: float) -> bool:
    if judgement.loss is None or judgement.warning_threshold is None or judgement.p_value is None:
        return False
    return judgement.loss >= CALM_SHARE * judgement.warning_threshold and judgement.p_value < nominal


def _severe(
    evaluation: PerformanceEvaluation, result: WindowResult | EarlyResult, judgement: Judgement, begins: int
) -> Finding | None:
    """The finding as an alert, for as long as an alert is not clearly over."""
    if judgement.severity == "alert":
        return _finding(evaluation, result, judgement, begins)
    for reading in judgement.readings:
        limit = reading.alert_threshold
        if reading.loss is not None and limit is not None and reading.loss >= CALM_SHARE * limit:
            return replace(_finding(evaluation, result, reading, begins), severity="alert", threshold=limit)
    return None


def _finding(
    evaluation: PerformanceEvaluation, result: WindowResult | EarlyResult, judgement: Judgement, begins: int
) -> Finding:
    """Finding by this judgement of a window. begins: of the shortest window that shows it, in seconds."""
    name, evidence = judgement.name, evaluation.inputs.evidence
    reference = evaluation.inputs.reference
    window = result.found.window
    labels = name == LABELS
    return Finding(
        kind="label_drift" if labels else "performance",
        subject=name,
        severity="alert" if judgement.severity == "alert" else "warning",
        since=evidence.as_of,
        score_name=_score_name(name, judgement, evaluation),
        score=judgement.loss or 0.0,
        threshold=judgement.threshold or 0.0,
        p_value=judgement.p_value,
        alpha=judgement.alpha,
        sample_size=judgement.estimate.n if name == COVERAGE else result.window.counts.n,
        reference_size=0 if reference is None else reference.counts.n,
        window_start=window.start,
        window_end=window.end,
        lookback=window.lookback,
        detail=_detail(name, judgement, result, evaluation),
        warning_threshold=judgement.warning_threshold,
        alert_threshold=judgement.alert_threshold,
        bad_from=begins,
        early=result.share if isinstance(result, EarlyResult) else None,
    )


def _score_name(name: str, judgement: Judgement, evaluation: PerformanceEvaluation) -> str:
    if name == LABELS:
        regression = evaluation.inputs.layout.task == "regression"
        return MEAN_SHIFT if regression else ODDS if judgement.by_odds else PSI
    if name == COVERAGE:
        return "missing share of the usual labels"
    return shortfall_of(name) if judgement.by_limit else loss_of(name)


def _detail(
    name: str, judgement: Judgement, result: WindowResult | EarlyResult, evaluation: PerformanceEvaluation
) -> str:
    estimate = judgement.estimate
    if name == LABELS:
        return _what_moved(result, evaluation, judgement)
    if name == COVERAGE:
        usual, share = _percent(judgement.reference or 0.0), _percent(estimate.value or 0.0)
        return f"{share} of {estimate.n:,} predictions have a label (usual at that age: {usual})"
    title, value, before = metric_name(name), estimate.value, judgement.reference
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"; 95 % interval {_value(name, estimate.low)} to {_value(name, estimate.high)}"
    if judgement.by_limit:
        limit = _value(name, evaluation.inputs.evidence.rules.limits[name])
        return f"{title} is {_value(name, value)}{interval}; the limit is {limit}"
    change = f"{_value(name, before)} → {_value(name, value)}{interval}"
    early = f"; early: on {_percent(result.share)} of the usual labels" if isinstance(result, EarlyResult) else ""
    if value is None or before is None:
        return f"{title}: {change}{early}"
    by = plain(score_value(loss_of(name), abs(value - before)))
    return f"{title} {'rose' if value > before else 'fell'} by {by} ({change}){early}"


def _what_moved(result: WindowResult | EarlyResult, evaluation: PerformanceEvaluation, judgement: Judgement) -> str:
    reference = evaluation.inputs.reference
    now = result.window.counts.confusion
    before = None if reference is None else reference.counts.confusion
    if before is None or now is None:
        return f"Mean target: {_number(judgement.reference)} → {_number(judgement.estimate.value)}"
    old, new = before.matrix.sum(axis=1), now.matrix.sum(axis=1)
    shares = [(row / old.sum(), count / new.sum()) for row, count in zip(old.tolist(), new.tolist(), strict=True)]
    place = judgement.cell
    if place is None:
        place = max(range(len(shares)), key=lambda index: abs(shares[index][1] - shares[index][0]))
    name = (*before.layout.classes, "any other class")[place]
    return f"{_percent(shares[place][1])} of labels are {name} (reference: {_percent(shares[place][0])})"


def _number(value: float | None) -> str:
    return "undefined" if value is None else plain(number(value))


def _value(name: str, value: float | None) -> str:
    return "undefined" if value is None else plain(metric_value(name, value))


def _percent(share: float) -> str:
    return plain(percent(share))
