"""Performance of a model in a given stretch: its matured part, compared with the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from modelwatch.events import Scalar
from modelwatch.monitoring.checks.performance.judge import SEVERE, threshold_of
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.report import EstimateReport
from modelwatch.monitoring.checks.performance.report_building import estimate_report, finite
from modelwatch.monitoring.checks.performance.rules import LOSSES, PerformanceRules
from modelwatch.stats.counting.datatypes import number_of
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate
from modelwatch.stats.performance.intervals import difference
from modelwatch.stats.performance.mergeable import Floats
from modelwatch.stats.performance.residuals import error_edges, prediction_edges
from modelwatch.storage.counts.labels.values import labelled_values
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.outcome_references import labelled_rows_of
from modelwatch.times import iso_of_seconds
from modelwatch.views.performance.outcomes import (
    MetricChange,
    OutcomesView,
    RegressionErrors,
    errors_by_cell,
    metric_change,
    outcomes_view,
    truths_by_cell,
)
from modelwatch.views.stretches.labelled_stretch import LabelledStretch, StretchQuery, read_stretch

# Of more labelled rows, those of some of the base windows are read.
MOST_ROWS = 10_000

NO_DATA = "No predictions have been received."
NOTHING_MATURED = "Labels for predictions of this time have not arrived yet."
NO_LABELS = "None of these predictions has a label."
# Metrics of which more is better and that are not at least 0.
BELOW_ZERO = frozenset({"mcc", "r2"})


class MetricLevels(msgspec.Struct, frozen=True):
    """The values of a watched metric from which on it is a warning or an alert, if chance does not explain it.

    reference: its value there; null, like warning and alert, where the reference has no labels. limit: the worst value
    that the monitor allows, regardless of the reference. lower_is_better: of losses and errors; then warning and alert
    lie above the reference. Those of mean_error are of its size, on either side of 0. A level below 0 of a metric that
    never is, which no loss can reach, is null.
    """

    reference: float | None
    warning: float | None
    alert: float | None
    limit: float | None
    lower_is_better: bool


class DelayPoint(msgspec.Struct, frozen=True):
    """share: of all eventual labels, the share that has arrived so many seconds after the prediction."""

    seconds: float
    share: float


class LabelDelay(msgspec.Struct, frozen=True):
    """Delay of labels, as far as it is known by now. lag_seconds: lag of the matured part.

    coverage: the share of predictions that get a label in the end. curve: ascending; it begins where the first came.
    unknown: why it is not known yet how late most labels are, so that all of these are of quick ones; else null.
    """

    labels: int
    median_seconds: float | None
    p90_seconds: float | None
    p99_seconds: float | None
    lag_seconds: int
    coverage: float | None
    curve: list[DelayPoint]
    unknown: str | None = None


class StretchPart(msgspec.Struct, frozen=True):
    """Predictions of [start, end), and the number of them that have a label by now."""

    start: str
    end: str
    predictions: int
    labelled: int
    coverage: float | None


class PerformanceStretch(msgspec.Struct, frozen=True):
    """A time range of one version in one environment, in whole windows.

    segment: null for all predictions. matured: the part whose labels should have come; null where there is none;
    to_come: the part after that. outcomes: results of the labels of the matured part, all received by now. immature:
    why even that part is not to be judged; else null. reference: results of its labelled rows, or those of the segment;
    null without. changes: by metric, of the matured part less the reference. levels: by watched metric. estimate:
    expected performance by the scores of the whole stretch, without labels. reason: why there are no outcomes. errors:
    of a regression, their distribution.
    """

    model_version: str
    environment: str
    segment: str | None
    task: str | None
    classes: list[str]
    positive_class: str | None
    score_of: str | None
    asked: StretchPart | None
    matured: StretchPart | None
    outcomes: OutcomesView | None
    immature: str | None
    reference_id: str | None
    reference_state: str | None
    reference: OutcomesView | None
    changes: dict[str, MetricChange]
    levels: dict[str, MetricLevels]
    estimate: EstimateReport | None
    label_delay: LabelDelay | None
    reason: str | None
    to_come: StretchPart | None = None
    errors: RegressionErrors | None = None


def performance_stretch(store: Store, rules: PerformanceRules, query: StretchQuery) -> PerformanceStretch:
    """Performance of a stream in a stretch. rules: those of its model.

    Raises UnknownModel for an unknown model, InvalidInput for a segment that it has not, or for an end that is not
    after the start.
    """
    found = read_stretch(store, query)
    return _without_data(query) if found is None else _stretch(found, rules, regression_errors(store, found))


def _stretch(found: LabelledStretch, rules: PerformanceRules, errors: RegressionErrors | None) -> PerformanceStretch:
    layout, query, measured = found.layout, found.query, found.measured
    outcomes = None
    if measured is not None and measured.counts.n:
        outcomes = outcomes_view(measured.counts, measured.metrics, wrong_scores=found.wrong_scores)
    changes = {}
    if outcomes is not None and measured is not None:
        changes = {
            name: metric_change(difference(found.metrics[name], estimate))
            for name, estimate in measured.metrics.items()
            if name in found.metrics
        }
    whole = StretchPart(
        iso_of_seconds(found.window.start),
        iso_of_seconds(found.window.end),
        found.found.predictions,
        *_labelled(found.found.predictions, found.labelled),
    )
    matured = matured_part(found)
    return PerformanceStretch(
        model_version=query.stream.version,
        environment=query.stream.environment,
        segment=query.segment or None,
        task=layout.task,
        classes=list(layout.classes),
        positive_class=layout.positive,
        score_of=layout.score_of if layout.task == "binary" else None,
        asked=whole,
        matured=matured,
        outcomes=outcomes,
        immature=None if measured is None else measured.immature,
        reference_id=None if found.reference is None else found.reference.id,
        reference_state=None if found.reference is None else found.reference.state,
        reference=None if found.known is None else outcomes_view(found.known, found.metrics),
        changes=changes,
        levels=metric_levels(layout, found.metrics, found.known, rules),
        estimate=estimate_report(None if found.reference is None else found.reference.counts, found.found),
        label_delay=label_delay(found.arrivals),
        reason=None if outcomes is not None else NOTHING_MATURED if found.matured is None else NO_LABELS,
        to_come=_to_come(whole, matured),
        errors=errors,
    )


def metric_levels(
    layout: OutcomeLayout,
    metrics: Mapping[str, Estimate],
    reference: OutcomeCounts | None,
    rules: PerformanceRules,
) -> dict[str, MetricLevels]:
    """The levels of every watched metric. metrics: of the reference; reference: None without labels."""
    if layout.task is None:
        return {}
    found = {}
    for name in rules.watched(layout.task):
        value = metrics[name].value if name in metrics else None
        warning = alert = None
        if value is not None and reference is not None:
            loss = threshold_of(name, value, reference, rules)
            base, way = (abs(value), 1.0) if name == "mean_error" else (value, 1.0 if name in LOSSES else -1.0)
            warning, alert = (
                None if way < 0.0 and level < 0.0 and name not in BELOW_ZERO else level
                for level in (base + way * loss, base + way * SEVERE * loss)
            )
        found[name] = MetricLevels(finite(value), warning, alert, rules.limits.get(name), name in LOSSES)
    return found


def label_delay(arrivals: LabelArrivals) -> LabelDelay:
    """The delay of labels as it is shown."""
    return LabelDelay(
        labels=arrivals.labels,
        median_seconds=arrivals.median,
        p90_seconds=arrivals.p90,
        p99_seconds=arrivals.p99,
        lag_seconds=arrivals.lag,
        coverage=arrivals.coverage,
        curve=[DelayPoint(seconds, round(share, 6)) for seconds, share in arrivals.shares],
        unknown=arrivals.unknown,
    )


def matured_part(found: LabelledStretch) -> StretchPart | None:
    """The part of a stretch whose labels should have come; None where there is none."""
    if found.matured is None or found.measured is None:
        return None
    window = found.matured.window
    return StretchPart(
        iso_of_seconds(window.start),
        iso_of_seconds(window.end),
        found.matured.predictions,
        *_labelled(found.matured.predictions, found.measured.counts.n),
    )


def _to_come(whole: StretchPart, matured: StretchPart | None) -> StretchPart | None:
    if matured is None:
        return whole
    if matured.end >= whole.end:
        return None
    predictions = whole.predictions - matured.predictions
    return StretchPart(matured.end, whole.end, predictions, *_labelled(predictions, whole.labelled - matured.labelled))


def _labelled(predictions: int, labelled: int) -> tuple[int, float | None]:
    return labelled, labelled / predictions if predictions else None


def _without_data(query: StretchQuery) -> PerformanceStretch:
    return PerformanceStretch(
        model_version=query.stream.version,
        environment=query.stream.environment,
        segment=query.segment or None,
        task=None,
        classes=[],
        positive_class=None,
        score_of=None,
        asked=None,
        matured=None,
        outcomes=None,
        immature=None,
        reference_id=None,
        reference_state=None,
        reference=None,
        changes={},
        levels={},
        estimate=None,
        label_delay=None,
        reason=NO_DATA,
    )


def regression_errors(store: Store, found: LabelledStretch) -> RegressionErrors | None:
    """The errors of a stretch; None for classifiers, and where no rows are stored."""
    if found.layout.task != "regression" or found.matured is None or found.measured is None:
        return None
    labelled, window, query = found.measured.counts.n, found.matured.window, found.query
    with store.read() as connection:
        layouts = read_layouts(connection, query.stream.model, found.generation)
        one_of = max(1, -(-labelled // MOST_ROWS))
        span = (window.start, window.end)
        pairs = labelled_values(connection, query.stream, layouts, span, one_of=one_of, segment=query.segment)
        known = None
        if found.reference is not None and not query.segment:
            known = labelled_rows_of(connection, found.reference.id)
    predicted, truth = _numbers(pairs)
    if not len(predicted):
        return None
    of_reference = _numbers([] if known is None else zip(known.predictions, known.truths, strict=False))
    usual = of_reference if len(of_reference[0]) else (predicted, truth)
    edges, cells = error_edges(usual[0] - usual[1]), prediction_edges(usual[0])
    return RegressionErrors(
        rows=len(predicted),
        labelled=labelled,
        edges=edges.tolist(),
        counts=errors_by_cell(predicted, truth, edges),
        reference_counts=errors_by_cell(*of_reference, edges) if known is not None else [],
        by_prediction=truths_by_cell(predicted, truth, cells),
        reference_by_prediction=truths_by_cell(*of_reference, cells),
    )


def _numbers(pairs: Iterable[tuple[Scalar, Scalar]]) -> tuple[Floats, Floats]:
    """The pairs of two finite numbers."""
    both = np.array([(number_of(said), number_of(was)) for said, was in pairs], dtype=np.float64).reshape(-1, 2)
    both = both[np.isfinite(both).all(axis=1)]
    return both[:, 0], both[:, 1]
