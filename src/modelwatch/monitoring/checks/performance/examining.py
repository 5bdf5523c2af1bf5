"""From evidence to an examination: every watched metric in every matured window, and what to remember of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from modelwatch.findings import Finding, Kind
from modelwatch.monitoring.checks.drift.judge import ODDS, PSI
from modelwatch.monitoring.checks.observations import CALM_SHARE, Observation
from modelwatch.monitoring.checks.performance.coverage import COVERAGE, judge_coverage
from modelwatch.monitoring.checks.performance.early import EarlyLook, judge_early, look_early
from modelwatch.monitoring.checks.performance.evidence import PerformanceInputs
from modelwatch.monitoring.checks.performance.judging import (
    LABELS,
    MEAN_SHIFT,
    PRECEDENCE,
    Judgement,
    Severity,
    Window,
    judge_labels,
    judge_metric,
    loss_of,
    shortfall_of,
)
from modelwatch.monitoring.checks.performance.meaning import (
    UNNAMED,
    meaning_warnings,
    positive_class_reason,
    strange_labels,
    task_reason,
    without_common_class,
)
from modelwatch.monitoring.checks.performance.reporting import (
    early_report,
    unnamed_of,
    window_of,
    window_report,
    wrong_scores,
)
from modelwatch.monitoring.checks.performance.reports import ArrivalsReport, PerformanceReport
from modelwatch.monitoring.checks.performance.rules import MOST_ALPHA
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.monitoring.checks.rules import AlphaReport, share_of
from modelwatch.monitoring.checks.unjudged import NotJudged, not_judged
from modelwatch.stats.outcomes.natural_variation import MetricVariation, NaturalVariation
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.times import SECONDS_PER_DAY, iso_of_seconds

PERFORMANCE_KINDS: tuple[Kind, ...] = ("performance", "label_drift")
FOUND = ("warning", "alert")
# Titles of metrics that are not their name with spaces.
TITLES = {
    "f1": "F1",
    "f1_macro": "Macro F1",
    "roc_auc": "ROC AUC",
    "mae": "MAE",
    "rmse": "RMSE",
    "mape": "MAPE",
}


@dataclass(frozen=True, slots=True)
class Examined:
    """One window of an evaluation. judgements: by metric, of a matured window."""

    found: WindowCounts
    window: Window
    judgements: dict[str, Judgement]

    @property
    def severity(self) -> Severity | None:
        """The worst of the metrics; None for a window that is not judged."""
        if not self.found.matured:
            return None
        # That labels come says nothing of what they say.
        severities = [
            each.severity for each in self.judgements.values() if each.name != COVERAGE or each.severity in FOUND
        ]
        return min(severities, key=PRECEDENCE.index, default="no_data")


@dataclass(frozen=True, slots=True)
class PerformanceExamination:
    """All windows of an evaluation. alpha: the chance of a false alarm that each look took; nominal: that of a look
    after a whole interval. subjects, looks: how many metrics and look-backs share the budget. early: the look at labels
    that are still coming; None where there is none."""

    inputs: PerformanceInputs
    alpha: float
    nominal: float
    subjects: int
    windows: tuple[Examined, ...]
    early: EarlyLook | None = None
    looks: int = 1

    @property
    def matured(self) -> list[Examined]:
        """The windows that are judged."""
        return [each for each in self.windows if each.found.matured]


def examine_performance(inputs: PerformanceInputs) -> PerformanceExamination:
    """Judges every watched metric in every matured window."""
    evidence, layout = inputs.evidence, inputs.layout
    rules = evidence.rules
    watched = () if layout.task is None else rules.watched(layout.task)
    subjects = len(watched) + rules.label_drift + rules.label_coverage
    reference = None if inputs.reference is None else inputs.reference.counts
    windows = [window_of(found, layout, evidence.arrivals, reference) for found in evidence.windows]
    labelled = [
        window.counts.n
        for found, window in zip(evidence.windows, windows, strict=True)
        if found.matured and window.immature is None and window.counts.n
    ]
    enough = sum(n >= rules.min_samples for n in labelled)
    # Where a look-back holds enough labels, those of shorter ones with few vary as single days do.
    deciding = enough or len(labelled)
    early = _look_early(inputs, watched)
    looks = deciding + (early is not None and early.reason is None)
    alpha = rules.alpha(subjects, evidence.streams, looks, evidence.elapsed)
    lengths = [found.window.end - found.window.start for found in evidence.windows if found.matured]
    # Hours differ in their labels as no two days do.
    shortest = min(SECONDS_PER_DAY, max(lengths, default=0))
    examined = []
    for found, window in zip(evidence.windows, windows, strict=True):
        judgements: dict[str, Judgement] = {}
        if found.matured:
            judgements = {
                name: judge_metric(
                    name, reference, window, rules, alpha, _natural(name, inputs, found), few_decide=not enough
                )
                for name in watched
            }
            if rules.label_drift:
                judgements[LABELS] = judge_labels(
                    reference,
                    window,
                    rules,
                    alpha,
                    few_decide=not enough,
                    too_new=evidence.arrivals.too_new,
                    natural=_natural_of(inputs),
                    length=found.window.end - found.window.start,
                )
            if rules.label_coverage and found.window.end - found.window.start >= shortest:
                judgements[COVERAGE] = judge_coverage(evidence, found, window.counts.n, alpha)
        examined.append(Examined(found, window, judgements))
    if early is not None and reference is not None:
        judged = {
            name: judge_early(name, early, reference, rules, alpha, _natural(name, inputs, early.found))
            for name in watched
        }
        early = dataclasses.replace(early, judgements=judged)
    nominal = rules.alpha(subjects, evidence.streams, looks)
    return PerformanceExamination(inputs, alpha, nominal, subjects, tuple(examined), early, looks)


def _look_early(inputs: PerformanceInputs, watched: tuple[str, ...]) -> EarlyLook | None:
    evidence = inputs.evidence
    if evidence.early is None or inputs.reference is None or not inputs.reference.counts.n:
        return None
    reference = inputs.reference.counts
    window = window_of(evidence.early.found, inputs.layout, evidence.arrivals, reference)
    return look_early(evidence.early, window, reference, evidence.rules, watched, evidence.arrivals)


def _natural(name: str, inputs: PerformanceInputs, found: WindowCounts) -> MetricVariation | None:
    """How the metric varies between stretches of the reference that are as long as the window."""
    natural = _natural_of(inputs)
    return None if natural is None else natural.of(name, found.window.end - found.window.start)


def _natural_of(inputs: PerformanceInputs) -> NaturalVariation | None:
    """How the reference varies over time, where that counts."""
    if inputs.reference is None or not inputs.evidence.rules.natural_variation:
        return None
    return inputs.reference.natural


def performance_report(examination: PerformanceExamination) -> PerformanceReport:
    """The examination as it is shown and kept."""
    inputs, evidence, layout = examination.inputs, examination.inputs.evidence, examination.inputs.layout
    reference, arrivals = inputs.reference, evidence.arrivals
    counts = None if reference is None else reference.counts
    matured, early = examination.matured, examination.early
    judged = [*(each.judgements for each in matured), *(() if early is None else (early.judgements,))]
    worst = {name for each in judged for name, judgement in each.items() if judgement.severity in FOUND}
    mature: Severity = min((each.severity or "no_data" for each in matured), key=PRECEDENCE.index, default="no_data")
    severity = mature
    if early is not None and early.severity is not None:
        severity = min(mature, early.severity, key=PRECEDENCE.index)
    model, version, environment = evidence.stream
    said = StatedTask(evidence.rules.task, evidence.rules.positive_class)
    return PerformanceReport(
        model_name=model,
        model_version=version,
        environment=environment,
        task=layout.task,
        classes=list(layout.classes),
        positive_class=layout.positive,
        score_of=layout.score_of if layout.task == "binary" else None,
        as_of=iso_of_seconds(evidence.as_of),
        severity=severity,
        worst=sorted(worst),
        reference_id=evidence.reference,
        reference_labels=0 if counts is None else counts.n,
        reference_state=None if reference is None else reference.state,
        alpha=examination.alpha,
        alpha_from=AlphaReport(
            false_alarm_budget=evidence.rules.budget,
            share=share_of("performance"),
            subjects=examination.subjects,
            streams=max(evidence.streams, 1),
            lookbacks=max(examination.looks, 1),
            seconds=evidence.rules.accrued(evidence.elapsed),
            capped=examination.alpha >= MOST_ALPHA,
        ),
        arrivals=ArrivalsReport(
            labels=arrivals.labels,
            median_seconds=arrivals.median,
            p90_seconds=arrivals.p90,
            p99_seconds=arrivals.p99,
            lag_seconds=arrivals.lag,
            coverage=arrivals.coverage,
            waiting=evidence.waiting,
            orphaned=evidence.orphaned,
            expired=evidence.expired,
        ),
        windows=[
            window_report(each.found, each.window, arrivals, each.judgements, each.severity, counts)
            for each in examination.windows
        ],
        reason=_why(examination),
        not_judged=_not_judged(examination),
        task_reason=task_reason(layout, said),
        positive_class_reason=positive_class_reason(layout, said),
        warnings=[*meaning_warnings(layout, said), *_strange(examination)],
        early=UNSET if early is None else early_report(early, arrivals, counts, decides=severity != mature),
    )


def _not_judged(examination: PerformanceExamination) -> list[NotJudged]:
    """The watched metrics and labels whose deciding window says nothing about them."""
    matured = examination.matured
    names = sorted({name for each in matured for name in each.judgements} - {COVERAGE})
    judgements = [_spokesman(matured, name).judgements[name] for name in names]
    return not_judged((each.name, each.severity, each.reason) for each in judgements)


def performance_observations(examination: PerformanceExamination) -> list[Observation]:
    """What was seen of each metric, by the window that speaks for it: the worst, of equally bad ones the longest.

    What is found early is only told of where no matured window finds it: it is never calm, and ends nothing.
    """
    names = {name for each in examination.matured for name in each.judgements}
    return [_observation(examination, name) for name in sorted(names)]


def _observation(examination: PerformanceExamination, name: str) -> Observation:
    kind = "label_drift" if name == LABELS else "performance"
    reference = examination.inputs.evidence.reference or ""
    looks = [each for each in examination.matured if name in each.judgements]
    speaker = _spokesman(looks, name)
    judgement = speaker.judgements[name]
    until = speaker.found.window.end
    if judgement.severity in FOUND:
        begins = max(each.found.window.start for each in looks if each.judgements[name].severity in FOUND)
        finding = _finding(examination, speaker, judgement, begins)
        severe = _severe(examination, speaker, judgement, begins)
        return Observation(kind, name, reference, "drifted", False, finding, severe, judged_until=until)
    early = examination.early
    if early is not None and name in early.judgements and early.judgements[name].severity in FOUND:
        found, begins = early.judgements[name], early.found.window.start
        finding, severe = _finding(examination, early, found, begins), _severe(examination, early, found, begins)
        return Observation(kind, name, reference, "drifted", False, finding, severe)
    if judgement.severity != "stable":
        return Observation(kind, name, reference, "undecided")
    held = next(
        (
            (each, reading)
            for each in looks
            for reading in each.judgements[name].readings
            if _holds(reading, examination.nominal)
        ),
        None,
    )
    if held is None:
        sizes = tuple(
            dataclasses.replace(size, start=each.found.window.start)
            for each in looks
            for size in each.judgements[name].sizes
        )
        counted = name == COVERAGE
        return Observation(kind, name, reference, "calm", sizes=sizes, counted=counted, judged_until=until)
    holding, reading = held
    begins = holding.found.window.start
    finding, severe = _finding(examination, holding, reading, begins), _severe(examination, holding, reading, begins)
    return Observation(kind, name, reference, "calm", True, finding, severe, judged_until=until)


def _spokesman(looks: Sequence[Examined], name: str) -> Examined:
    def rank(each: Examined) -> tuple[int, int]:
        window = each.found.window
        return PRECEDENCE.index(each.judgements[name].severity), window.start - window.end

    return min(looks, key=rank)


def _holds(judgement: Judgement, nominal: float) -> bool:
    if judgement.loss is None or judgement.warning_threshold is None or judgement.p_value is None:
        return False
    return judgement.loss >= CALM_SHARE * judgement.warning_threshold and judgement.p_value < nominal


def _severe(
    examination: PerformanceExamination, look: Examined | EarlyLook, judgement: Judgement, begins: int
) -> Finding | None:
    """The finding as an alert, for as long as an alert is not clearly over."""
    if judgement.severity == "alert":
        return _finding(examination, look, judgement, begins)
    for reading in judgement.readings:
        limit = reading.alert_threshold
        if reading.loss is not None and limit is not None and reading.loss >= CALM_SHARE * limit:
            return replace(_finding(examination, look, reading, begins), severity="alert", threshold=limit)
    return None


def _finding(
    examination: PerformanceExamination, look: Examined | EarlyLook, judgement: Judgement, begins: int
) -> Finding:
    """The finding by this judgement of a look. begins: of the shortest window that shows it, in seconds."""
    name, evidence = judgement.name, examination.inputs.evidence
    reference = examination.inputs.reference
    window = look.found.window
    labels = name == LABELS
    return Finding(
        kind="label_drift" if labels else "performance",
        subject=name,
        severity="alert" if judgement.severity == "alert" else "warning",
        since=evidence.as_of,
        score_name=_score_name(name, judgement, examination),
        score=judgement.loss or 0.0,
        threshold=judgement.threshold or 0.0,
        p_value=judgement.p_value,
        alpha=judgement.alpha,
        sample_size=judgement.estimate.n if name == COVERAGE else look.window.counts.n,
        reference_size=0 if reference is None else reference.counts.n,
        window_start=window.start,
        window_end=window.end,
        lookback=window.lookback,
        detail=_detail(name, judgement, look, examination),
        warning_threshold=judgement.warning_threshold,
        alert_threshold=judgement.alert_threshold,
        bad_from=begins,
        early=look.share if isinstance(look, EarlyLook) else None,
    )


def _score_name(name: str, judgement: Judgement, examination: PerformanceExamination) -> str:
    if name == LABELS:
        regression = examination.inputs.layout.task == "regression"
        return MEAN_SHIFT if regression else ODDS if judgement.by_odds else PSI
    if name == COVERAGE:
        return "missing share of the usual labels"
    return shortfall_of(name) if judgement.by_limit else loss_of(name)


def _detail(name: str, judgement: Judgement, look: Examined | EarlyLook, examination: PerformanceExamination) -> str:
    estimate = judgement.estimate
    if name == LABELS:
        return _what_moved(look, examination, judgement)
    if name == COVERAGE:
        usual, share = _percent(judgement.reference or 0.0), _percent(estimate.value or 0.0)
        return f"{share} of {estimate.n:,} predictions have a label (usual at that age: {usual})"
    title, value, before = TITLES.get(name) or name.replace("_", " ").capitalize(), estimate.value, judgement.reference
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = f"; 95 % interval {_number(estimate.low)} to {_number(estimate.high)}"
    if judgement.by_limit:
        limit = _number(examination.inputs.evidence.rules.limits[name])
        return f"{title} is {_number(value)}{interval}; the limit is {limit}"
    change = f"{_number(before)} → {_number(value)}{interval}"
    early = f"; early: on {100 * look.share:.0f} % of the usual labels" if isinstance(look, EarlyLook) else ""
    if value is None or before is None:
        return f"{title}: {change}{early}"
    return f"{title} {'rose' if value > before else 'fell'} by {abs(value - before):.3g} ({change}){early}"


def _what_moved(look: Examined | EarlyLook, examination: PerformanceExamination, judgement: Judgement) -> str:
    reference = examination.inputs.reference
    now = look.window.counts.confusion
    before = None if reference is None else reference.counts.confusion
    if before is None or now is None:
        return f"Mean target: {_number(judgement.reference)} → {_number(judgement.estimate.value)}"
    old, new = before.matrix.sum(axis=1), now.matrix.sum(axis=1)
    shares = [(row / old.sum(), own / new.sum()) for row, own in zip(old.tolist(), new.tolist(), strict=True)]
    place = judgement.cell
    if place is None:
        place = max(range(len(shares)), key=lambda index: abs(shares[index][1] - shares[index][0]))
    name = (*before.layout.classes, "any other class")[place]
    return f"{_percent(shares[place][1])} of labels are {name} (reference: {_percent(shares[place][0])})"


def _strange(examination: PerformanceExamination) -> list[str]:
    """What the longest windows have of labels and scores that mean nothing."""
    inputs = examination.inputs
    reference = None if inputs.reference is None else inputs.reference.counts
    found = []
    longest = sorted(examination.windows, key=lambda each: each.found.window.start - each.found.window.end)[:2]
    labelled = max(longest, key=lambda each: each.window.counts.n, default=None)
    if labelled is not None:
        strange = strange_labels(labelled.window.counts, reference)
        if strange.n:
            names = f" ({', '.join(map(repr, strange.names[:5]))})" if strange.names else ""
            found.append(
                f"{strange.n:,} of {strange.of:,} labels in the {labelled.found.window.lookback} are of classes{names}"
                " that were never predicted and are not in the reference."
            )
        apart = without_common_class(labelled.window.counts, reference)
        if apart is not None:
            found.append(f"Nothing can be compared: {apart}.")
    scored = max(longest, key=lambda each: each.found.predictions, default=None)
    if scored is not None:
        unnamed = unnamed_of(inputs.layout, scored.found)
        if unnamed:
            found.append(
                f"{unnamed:,} of {scored.found.predictions:,} predictions in the {scored.found.window.lookback} have"
                f" no score: {UNNAMED}."
            )
        wrong = wrong_scores(inputs.layout, counts_of(scored.found.calls))
        if wrong is not None:
            found.append(f"The metrics of scores can't be computed: {wrong}.")
    return found


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _why(examination: PerformanceExamination) -> str | None:
    evidence, layout = examination.inputs.evidence, examination.inputs.layout
    if not evidence.arrivals.labels and not any(window.outcomes for window in evidence.windows):
        return "No labels have come for this model's predictions: POST them to /api/v1/ground-truth."
    if layout.task is None:
        return "Too few labels to tell what the model predicts; 20 are needed, of two classes, or of numbers."
    if examination.inputs.reference is not None and not examination.inputs.reference.counts.n:
        return (
            "The reference has no labels, so nothing is compared: set one with the columns prediction and ground_truth,"
            " or limits in the model's monitor."
        )
    return None
