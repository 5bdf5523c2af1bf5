"""Performance evaluation: a pure function from evidence to judgements of every watched metric in every matured window,
and to the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET
from msgspec.structs import replace

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.not_judged import NotJudged, not_judged
from modelwatch.monitoring.checks.performance.coverage import COVERAGE, judge_coverage
from modelwatch.monitoring.checks.performance.early.check import EarlyResult, evaluate_early, judge_early
from modelwatch.monitoring.checks.performance.interpretation import (
    UNNAMED,
    beyond_classes,
    meaning_warnings,
    positive_class_reason,
    strange_labels,
    task_reason,
    without_common_class,
)
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE, Judgement, Severity, Window, judge_metric
from modelwatch.monitoring.checks.performance.label_shift import LABELS, judge_labels
from modelwatch.monitoring.checks.performance.report import (
    early_report,
    unnamed_of,
    window_of,
    window_report,
    wrong_scores,
)
from modelwatch.monitoring.checks.performance.reports import ArrivalsReport, PerformanceReport, WindowReport
from modelwatch.monitoring.checks.performance.rules import MOST_ALPHA, PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.monitoring.checks.rules import AlphaReport, share_of
from modelwatch.stats.outcomes.natural_variation import MetricVariation, NaturalVariation
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.times import SECONDS_PER_DAY, iso_of_seconds

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.performance.evidence import PerformanceInputs

PERFORMANCE_KINDS: tuple[Kind, ...] = ("performance", "label_drift")
FOUND = ("warning", "alert")


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Result for one window. judgements: by metric; empty for a window that has not matured."""

    found: WindowCounts
    window: Window
    judgements: dict[str, Judgement]

    @property
    def severity(self) -> Severity | None:
        """Worst severity of the metrics; None for a window that is not judged."""
        if not self.found.matured:
            return None
        # That labels come says nothing of what they say.
        severities = [
            each.severity for each in self.judgements.values() if each.name != COVERAGE or each.severity in FOUND
        ]
        return min(severities, key=PRECEDENCE.index, default="no_data")


@dataclass(frozen=True, slots=True)
class PerformanceEvaluation:
    """Results for all windows of an evaluation.

    alpha: chance of a false alarm that each metric in each window may take; nominal: that after a whole interval.
    subjects, lookbacks: numbers of metrics and look-backs that share the budget. early: result for the window whose
    labels are still coming; None where there is none.
    """

    inputs: PerformanceInputs
    alpha: float
    nominal: float
    subjects: int
    windows: tuple[WindowResult, ...]
    early: EarlyResult | None = None
    lookbacks: int = 1

    @property
    def matured(self) -> list[WindowResult]:
        """The windows that are judged."""
        return [each for each in self.windows if each.found.matured]


def evaluate_performance(inputs: PerformanceInputs) -> PerformanceEvaluation:
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
    early = _evaluate_early(inputs, watched)
    lookbacks = deciding + (early is not None and early.reason is None)
    alpha = rules.alpha(subjects, evidence.streams, lookbacks, evidence.elapsed)
    lengths = [found.window.end - found.window.start for found in evidence.windows if found.matured]
    # Hours differ in their labels as no two days do.
    shortest = min(SECONDS_PER_DAY, max(lengths, default=0))
    results = []
    for found, window in zip(evidence.windows, windows, strict=True):
        judgements: dict[str, Judgement] = {}
        if found.matured:
            length = found.window.end - found.window.start
            too_new = evidence.arrivals.too_new
            judgements = judge_window(
                window, length, reference, _natural_of(inputs), rules, alpha, few_decide=not enough, too_new=too_new
            )
            if rules.label_coverage and found.window.end - found.window.start >= shortest:
                judgements[COVERAGE] = judge_coverage(evidence, found, window.counts.n, alpha)
        results.append(WindowResult(found, window, judgements))
    if early is not None and reference is not None:
        judged = {
            name: judge_early(name, early, reference, rules, alpha, _natural(name, inputs, early.found))
            for name in watched
        }
        early = dataclasses.replace(early, judgements=judged)
    nominal = rules.alpha(subjects, evidence.streams, lookbacks)
    return PerformanceEvaluation(inputs, alpha, nominal, subjects, tuple(results), early, lookbacks)


def judge_window(
    window: Window,
    length: int,
    reference: OutcomeCounts | None,
    natural: NaturalVariation | None,
    rules: PerformanceRules,
    alpha: float,
    *,
    few_decide: bool,
    too_new: str | None = None,
) -> dict[str, Judgement]:
    """Judgements on every watched metric of a window, and on its labels, by name.

    length: of the window, in seconds. reference: the labelled counts it is compared with. natural: their variation over
    time, if that counts. few_decide, too_new: as for `judge_labels`.
    """
    task = window.counts.layout.task
    judgements = {
        name: judge_metric(
            name,
            reference,
            window,
            rules,
            alpha,
            None if natural is None else natural.of(name, length),
            few_decide=few_decide,
        )
        for name in (() if task is None else rules.watched(task))
    }
    if rules.label_drift:
        judgements[LABELS] = judge_labels(
            reference, window, rules, alpha, few_decide=few_decide, too_new=too_new, natural=natural, length=length
        )
    return judgements


def _evaluate_early(inputs: PerformanceInputs, watched: tuple[str, ...]) -> EarlyResult | None:
    evidence = inputs.evidence
    if evidence.early is None or inputs.reference is None or not inputs.reference.counts.n:
        return None
    reference = inputs.reference.counts
    window = window_of(evidence.early.found, inputs.layout, evidence.arrivals, reference)
    return evaluate_early(evidence.early, window, reference, evidence.rules, watched, evidence.arrivals)


def _natural(name: str, inputs: PerformanceInputs, found: WindowCounts) -> MetricVariation | None:
    """Variation of the metric between stretches of the reference that are as long as the window."""
    natural = _natural_of(inputs)
    return None if natural is None else natural.of(name, found.window.end - found.window.start)


def _natural_of(inputs: PerformanceInputs) -> NaturalVariation | None:
    """Variation of the reference over time; None where the rules ignore it."""
    if inputs.reference is None or not inputs.evidence.rules.natural_variation:
        return None
    return inputs.reference.natural


def performance_report(evaluation: PerformanceEvaluation) -> PerformanceReport:
    """Report of an evaluation, as it is shown and kept."""
    return replace(brief_performance_report(evaluation), windows=_window_reports(evaluation))


def _window_reports(evaluation: PerformanceEvaluation) -> list[WindowReport]:
    reference, arrivals = evaluation.inputs.reference, evaluation.inputs.evidence.arrivals
    counts = None if reference is None else reference.counts
    return [
        window_report(each.found, each.window, arrivals, each.judgements, each.severity, counts)
        for each in evaluation.windows
    ]


def brief_performance_report(evaluation: PerformanceEvaluation) -> PerformanceReport:
    """Report without its windows, whose intervals and estimates take longer than everything else."""
    inputs, evidence, layout = evaluation.inputs, evaluation.inputs.evidence, evaluation.inputs.layout
    reference, arrivals = inputs.reference, evidence.arrivals
    counts = None if reference is None else reference.counts
    matured, early = evaluation.matured, evaluation.early
    judged = [*(each.judgements for each in matured), *(() if early is None else (early.judgements,))]
    worst = {name for each in judged for name, judgement in each.items() if judgement.severity in FOUND}
    mature: Severity = min((each.severity or "no_data" for each in matured), key=PRECEDENCE.index, default="no_data")
    severity = mature
    if early is not None and early.severity is not None:
        severity = min(mature, early.severity, key=PRECEDENCE.index)
    model, version, environment = evidence.stream
    stated = StatedTask(evidence.rules.task, evidence.rules.positive_class)
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
        alpha=evaluation.alpha,
        alpha_from=AlphaReport(
            false_alarm_budget=evidence.rules.budget,
            share=share_of("performance"),
            subjects=evaluation.subjects,
            streams=max(evidence.streams, 1),
            lookbacks=max(evaluation.lookbacks, 1),
            seconds=evidence.rules.accrued(evidence.elapsed),
            capped=evaluation.alpha >= MOST_ALPHA,
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
        windows=[],
        reason=_why(evaluation),
        not_judged=_not_judged(evaluation),
        task_reason=task_reason(layout, stated),
        positive_class_reason=positive_class_reason(layout, stated),
        warnings=[*meaning_warnings(layout, stated), *_warnings(evaluation)],
        early=UNSET if early is None else early_report(early, arrivals, counts, decides=severity != mature),
    )


def _not_judged(evaluation: PerformanceEvaluation) -> list[NotJudged]:
    """Watched metrics and labels that their deciding window does not judge."""
    matured = evaluation.matured
    names = sorted({name for each in matured for name in each.judgements} - {COVERAGE})
    judgements = [deciding_window(matured, name).judgements[name] for name in names]
    return not_judged((each.name, each.severity, each.reason) for each in judgements)


def deciding_window(windows: Sequence[WindowResult], name: str) -> WindowResult:
    """Window that decides on a metric: the worst; of equally bad ones the longest. windows: at least one."""

    def rank(each: WindowResult) -> tuple[int, int]:
        window = each.found.window
        return PRECEDENCE.index(each.judgements[name].severity), window.start - window.end

    return min(windows, key=rank)


def _warnings(evaluation: PerformanceEvaluation) -> list[str]:
    """Warnings about labels and scores of the longest windows that mean nothing."""
    inputs = evaluation.inputs
    reference = None if inputs.reference is None else inputs.reference.counts
    found = []
    longest = sorted(evaluation.windows, key=lambda each: each.found.window.start - each.found.window.end)[:2]
    labelled = max(longest, key=lambda each: each.window.counts.n, default=None)
    if labelled is not None:
        beyond = beyond_classes(labelled.window.counts)
        if beyond is not None:
            found.append(beyond)
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


def _why(evaluation: PerformanceEvaluation) -> str | None:
    evidence, layout = evaluation.inputs.evidence, evaluation.inputs.layout
    if not evidence.arrivals.labels and not any(window.outcomes for window in evidence.windows):
        return "No labels have been received for this model's predictions: POST them to /api/v1/ground-truth."
    if layout.task is None:
        return "Too few labels to infer the task of the model; 20 are needed, of two classes, or of numbers."
    if evaluation.inputs.reference is not None and not evaluation.inputs.reference.counts.n:
        return (
            "The reference has no labels, so nothing is compared: set one with the columns prediction and ground_truth,"
            " or limits in the model's monitor."
        )
    return None
