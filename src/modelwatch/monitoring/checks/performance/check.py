"""The performance check: run by the scheduler as labels arrive, and on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.monitoring.checks.check import Check, Extent
from modelwatch.monitoring.checks.conditions import Condition, advance
from modelwatch.monitoring.checks.drift.evidence import Inputs
from modelwatch.monitoring.checks.headline import Headline, first_names
from modelwatch.monitoring.checks.onsets import Onsets, span_before, timeline_of
from modelwatch.monitoring.checks.performance.evaluation import (
    PERFORMANCE_KINDS,
    PerformanceEvaluation,
    WindowResult,
    evaluate_performance,
)
from modelwatch.monitoring.checks.performance.evidence import (
    PerformanceInputs,
    decode_performance,
    encode_performance,
    gather_performance,
    outcome_reference_of,
)
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.labels.shift import LABELS
from modelwatch.monitoring.checks.performance.observations import performance_observations
from modelwatch.monitoring.checks.performance.report import PerformanceReport
from modelwatch.monitoring.checks.performance.report_building import (
    brief_performance_report,
    finite,
    performance_report,
)
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import counts_of
from modelwatch.monitoring.checks.schedule import Point, whole_windows
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import newest_label, outcomes_by_window
from modelwatch.storage.counts.streams import newest_window
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Counts, read_layouts
from modelwatch.storage.verdicts.verdicts import PERFORMANCE
from modelwatch.times import SECONDS_PER_DAY

# Cells of absolute errors in which the onset of a regression's finding is looked for.
ERROR_CELLS = 8

RulesOf = Callable[[Connection, str], PerformanceRules]


class PerformanceCheck(Check[PerformanceInputs, PerformanceEvaluation, PerformanceReport]):
    """Performance check: compares metrics of labelled predictions with the reference. rules_of: current rules of a
    model."""

    name = PERFORMANCE
    kinds = PERFORMANCE_KINDS
    evaluate = staticmethod(evaluate_performance)
    report = staticmethod(performance_report)
    brief = staticmethod(brief_performance_report)

    def __init__(self, store: Store, rules_of: RulesOf) -> None:
        self._store = store
        self._rules_of = rules_of

    def gather(
        self, stream: StreamKey, point: Point, previous: Sequence[Condition], drift: Callable[[], Inputs]
    ) -> PerformanceInputs | None:
        with self._store.read() as connection:
            rules = self._rules_of(connection, stream.model)
        if not rules.enabled:
            return None
        return gather_performance(self._store, rules, stream, point.end, elapsed=point.elapsed, as_known_then=True)

    @staticmethod
    def advance(previous: Sequence[Condition], evaluation: PerformanceEvaluation, end: int) -> list[Condition]:
        observations = performance_observations(evaluation)
        return advance(previous, observations, evaluation.inputs.evidence.rules, end)

    def onsets(self, stream: StreamKey, inputs: PerformanceInputs, found: Sequence[Condition], end: int) -> Onsets:
        with self._store.read() as connection:
            return performance_onsets(connection, stream, inputs, found)

    @staticmethod
    def encode(inputs: PerformanceInputs) -> bytes:
        return encode_performance(inputs.evidence)

    @staticmethod
    def restore(connection: Connection, evidence: bytes) -> PerformanceInputs:
        found = decode_performance(evidence)
        return PerformanceInputs(found, outcome_reference_of(connection, found))

    @staticmethod
    def extent(connection: Connection, inputs: PerformanceInputs) -> Extent:
        counts = [counts_of(window.outcomes) for window in inputs.evidence.windows]
        return Extent(0 if inputs.reference is None else 1, sum(len(each) for each in counts if each is not None))

    @staticmethod
    def generation(inputs: PerformanceInputs) -> int:
        return inputs.evidence.generation

    @staticmethod
    def severity(report: PerformanceReport) -> str:
        return report.severity

    @staticmethod
    def headline(evaluation: PerformanceEvaluation, report: PerformanceReport) -> Headline:
        return performance_headline(evaluation, report)


def check_performance(store: Store, rules: PerformanceRules, stream: StreamKey, now: int) -> PerformanceReport:
    """The stream's performance now (microseconds). Raises UnknownResource for an unknown model."""
    with store.read() as connection:
        newest, label = newest_window(connection, stream), newest_label(connection, stream)
    ends = [] if newest is None else [newest.window_start + BASE_WINDOW_SECONDS]
    ends += [] if label is None else [whole_windows(min(label.latest_ts, now))]
    return performance_report(evaluate_performance(gather_performance(store, rules, stream, max(ends, default=None))))


def performance_onsets(
    connection: Connection, stream: StreamKey, inputs: PerformanceInputs, found: Sequence[Condition]
) -> Onsets:
    """Onset of each of these findings, in seconds; without those where it is unknown: of missing labels, of the targets
    of a regression, and where a metric fell although predictions are as right as before.

    Every metric is taken to have begun to fall when the predictions began to be wrong more often, or further off.
    """
    evidence, reference = inputs.evidence, inputs.reference
    wanted = [each for each in found if each.name != COVERAGE]
    if reference is None or not wanted:
        return {}
    layouts = read_layouts(connection, stream.model, evidence.generation)
    windows = [counts.window for counts in evidence.windows]
    end = max(window.end for window in windows)
    span = span_before(end, min(window.start for window in windows))
    labelled = outcomes_by_window(connection, stream, layouts, span)
    if not labelled:
        return {}
    timeline = timeline_of(connection, stream, list(labelled))
    counted = [OutcomeCounts(inputs.layout, counts) for counts in labelled.values()]
    known: dict[tuple[str, str], int] = {}
    for each in wanted:
        pick = _compared(each.name, reference.counts)
        began = (
            None if pick is None else timeline.began(pick(reference.counts), np.stack([pick(one) for one in counted]))
        )
        if began is not None:
            known[each.kind, each.name] = began
    return known


def _compared(name: str, reference: OutcomeCounts) -> Callable[[OutcomeCounts], Counts] | None:
    """What is compared of outcomes to find the onset of a finding, shape (cells,); None where nothing shows it."""
    if reference.confusion is not None:
        return _labels if name == LABELS else _rightness
    if reference.regression is None or name == LABELS:
        return None
    histogram = reference.regression.histogram
    before = np.cumsum(histogram) - histogram
    # Cells of about equal counts of the reference: more of them would tell less of a shift.
    starts = np.unique(np.searchsorted(before, np.arange(ERROR_CELLS) * histogram.sum() / ERROR_CELLS))

    def errors(counts: OutcomeCounts) -> Counts:
        assert counts.regression is not None, "all counts of a layout are of one task"
        sums: Counts = np.add.reduceat(counts.regression.histogram, starts)
        return sums

    return errors


def _labels(counts: OutcomeCounts) -> Counts:
    """Number of labels of each class, shape (classes + 1,)."""
    assert counts.confusion is not None, "all counts of a layout are of one task"
    of_class: Counts = counts.confusion.matrix.sum(axis=1)
    return of_class


def _rightness(counts: OutcomeCounts) -> Counts:
    """Numbers of wrong and right predictions, shape (2,)."""
    confusion = counts.confusion
    assert confusion is not None, "all counts of a layout are of one task"
    return np.array([confusion.n - confusion.correct, confusion.correct], dtype=np.int64)


def performance_headline(evaluation: PerformanceEvaluation, report: PerformanceReport) -> Headline:
    """The main metric, which is the first that is watched, in the matured window that is nearest to a day; of those
    alone that have labels, if any has."""
    matured = [each for each in evaluation.matured if each.found.window.lookback is not None]
    measured = [each for each in matured if each.window.metrics]
    result = min(measured or matured, key=lambda each: abs(_seconds(each) - SECONDS_PER_DAY), default=None)
    if result is None:
        return Headline(reason=report.reason)
    metrics, found = result.window.metrics, result.found
    coverage = result.window.counts.n / found.predictions if found.predictions else None
    if not metrics:
        return Headline(
            seconds=_seconds(result),
            predictions=found.predictions,
            coverage=coverage,
            end=found.window.end,
            reason=result.window.immature or report.reason,
        )
    watched = [name for name in metrics if name in result.judgements]
    name = next(iter(watched or metrics))
    estimate, judgement = metrics[name], result.judgements.get(name)
    return Headline(
        value=finite(estimate.value),
        subject=name,
        low=finite(estimate.low),
        high=finite(estimate.high),
        reference=None if judgement is None else finite(judgement.reference),
        warning=None if judgement is None else judgement.warning_threshold,
        alert=None if judgement is None else judgement.alert_threshold,
        n=estimate.n,
        found=len(report.worst),
        names=first_names(report.worst),
        checked=len(watched),
        seconds=_seconds(result),
        predictions=found.predictions,
        coverage=coverage,
        end=found.window.end,
        reason=result.window.immature or estimate.reason or (judgement and judgement.reason) or report.reason,
    )


def _seconds(result: WindowResult) -> int:
    lookback = result.found.window.lookback
    return 0 if lookback is None else parse_lookback(lookback)
