"""Performance evaluation: from evidence to judgements of every watched metric in every matured window; pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwatch.findings import Kind
from modelwatch.monitoring.checks.performance.early.check import EarlyResult, evaluate_early, judge_early
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE, Judgement, LabelledWindow, Severity, judge_metric
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE, judge_coverage
from modelwatch.monitoring.checks.performance.labels.shift import LABELS, judge_labels
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import (
    WindowCounts,
    window_of,
)
from modelwatch.stats.outcomes.natural_variation import MetricVariation, NaturalVariation
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.times import SECONDS_PER_DAY

if TYPE_CHECKING:
    from modelwatch.monitoring.checks.performance.evidence import PerformanceInputs

PERFORMANCE_KINDS: tuple[Kind, ...] = ("performance", "label_drift")
FOUND = ("warning", "alert")


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Result for one window. judgements: by metric; empty for a window that has not matured."""

    found: WindowCounts
    window: LabelledWindow
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
    window: LabelledWindow,
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


def deciding_window(windows: Sequence[WindowResult], name: str) -> WindowResult:
    """Window that decides on a metric: the worst; of equally bad ones the longest. windows: at least one."""

    def rank(each: WindowResult) -> tuple[int, int]:
        window = each.found.window
        return PRECEDENCE.index(each.judgements[name].severity), window.start - window.end

    return min(windows, key=rank)
