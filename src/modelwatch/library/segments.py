"""Segments of two data sets: drift and performance in each value of a column, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch import measures
from modelwatch.charts.drawing.numbers import number
from modelwatch.library.labels import LabelledReference
from modelwatch.library.performance import MetricComparison, metric_comparison, performance_in_words
from modelwatch.library.segment_counts import Divided, Vectors
from modelwatch.measures import psi_text
from modelwatch.monitoring.checks.drift.evaluation import results_of
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, ODDS, PRECEDENCE, Severity
from modelwatch.monitoring.checks.performance.judge import LabelledWindow, judge_metric
from modelwatch.monitoring.checks.performance.rules import MOST_ALPHA, PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.monitoring.segments.metric import Comparison, compare, loss_of
from modelwatch.monitoring.segments.report import Contribution
from modelwatch.stats.counting.binning import Binning, CategoricalBinning, NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.variation.clusters import Clusters
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.references.subjects import StoredReference, Subject

# So many columns of a segment are in the report.
DRIFT_SHOWN = 3
SHOWN = 20
# Rows of the reference from which on a name has a cell of its own.
OFTEN = 50


class SegmentColumn(msgspec.Struct, frozen=True):
    """A column within a segment. psi: against the same segment of the reference. p_value: that chance gives as much;
    adjusted_p_value: times the number of comparisons of segments; it must be below the alpha of the segments.
    odds_category, odds_ratio: as of a column of all rows."""

    name: str
    severity: Severity
    psi: float
    p_value: float | None
    adjusted_p_value: float | None
    odds_category: str | None = None
    odds_ratio: float | None = None


class SegmentComparison(msgspec.Struct, frozen=True):
    """A segment: the rows with one value, or one stretch of numbers, of a column.

    severity: the worst of its columns and its metric. share_before, share: of all rows. drift: the columns that moved
    most in it. metric: of its labelled rows; its p_value is one-sided; null without labels. adjusted_p_value: times the
    number of segments whose metric is compared. contribution: to the change of the metric over all rows; null where
    that can't be divided.
    """

    segment: str
    by: str
    value: str
    severity: Severity
    reference_rows: int
    rows: int
    share_before: float
    share: float
    drift: list[SegmentColumn]
    metric: MetricComparison | None = None
    adjusted_p_value: float | None = None
    contribution: Contribution | None = None


class SegmentsComparison(msgspec.Struct, frozen=True):
    """Segments, the worst first.

    by: the columns that divide the rows. alpha: chance of a false alarm about any segment. comparisons: of columns in
    segments, which share it. metric: the one that is compared; null without labels.
    """

    by: list[str]
    alpha: float
    comparisons: int
    metric: str | None
    severity: Severity
    segments: list[SegmentComparison]


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """Rules of a comparison. alpha: chance of a false alarm about any segment; performance: None without labels.
    clusters: of each subject, how alike rows of one key are; group_size: how many rows are in the group of one now, on
    average, or counts of the key; None where that is unknown."""

    drift: DriftRules
    performance: PerformanceRules | None
    alpha: float
    clusters: Mapping[Subject, Clusters] = field(default_factory=dict)
    group_size: float | Profile | None = None


def segments_comparison(
    reference: Sequence[Divided],
    current: Sequence[Divided],
    binnings: Mapping[Subject, Binning],
    labels: LabelledReference | None,
    rules: SegmentRules,
) -> SegmentsComparison:
    """Compares each segment with the same one of the reference; both sides are divided by the same features."""
    pairs = list(zip(reference, current, strict=True))
    compared: list[Comparison | None] = [None] * len(pairs)
    metric = None
    if labels is not None and rules.performance is not None and labels.layout.task is not None:
        metric = rules.performance.watched(labels.layout.task)[0]
        compared = [_compared(metric, before, now, labels) for before, now in pairs]
    if not any(compared):
        metric = None
    present = [_present(before, now) for before, now in pairs]
    looks = _Looks(
        sum(len(places) * len(_subjects(*pair)) for places, pair in zip(present, pairs, strict=True)),
        sum(p_value is not None for each in compared if each for _, _, p_value in each.by_segment.values()),
        rules.alpha if metric is None else rules.alpha / 2,
    )
    found: list[tuple[SegmentComparison, float]] = []
    for (before, now), comparison, places in zip(pairs, compared, present, strict=True):
        of_all = 0.0 if comparison is None else comparison.now.value or 0.0
        for place in places:
            drift = _drift(before, now, place, binnings, rules, looks)
            line = _line(before, now, place, drift)
            if comparison is not None and metric is not None and labels is not None and rules.performance is not None:
                line = _with_metric(line, before, now, place, comparison, metric, labels, rules.performance, looks)
            found.append((line, of_all))
    ranked = [line for line, _ in sorted(found, key=lambda pair: _rank(*pair))]
    return SegmentsComparison(
        [each.feature.feature for each in reference],
        rules.alpha,
        looks.columns,
        metric,
        min((each.severity for each in ranked), key=PRECEDENCE.index, default="no_data"),
        ranked,
    )


@dataclass(frozen=True, slots=True)
class _Looks:
    """Numbers of comparisons: of columns in segments, and of a metric in segments; alpha: what each kind shares."""

    columns: int
    metrics: int
    alpha: float


def _present(before: Divided, now: Divided) -> list[int]:
    """Places of the segments that have rows."""
    return [place for place in range(len(before.feature.texts)) if before.rows[place] or now.rows[place]]


def _subjects(before: Divided, now: Divided) -> list[Subject]:
    own = Subject("feature", before.feature.feature)
    return [subject for subject in before.counts if subject in now.counts and subject != own]


def _compared(metric: str, before: Divided, now: Divided, labels: LabelledReference) -> Comparison | None:
    if before.outcomes is None or now.outcomes is None:
        return None
    first, last = (
        {
            text: OutcomeCounts(labels.layout, row)
            for text, row in zip(before.feature.texts, rows, strict=True)
            if row.any()
        }
        for rows in (before.outcomes, now.outcomes)
    )
    return compare(metric, first, last, labels.layout)


def _drift(
    before: Divided,
    now: Divided,
    place: int,
    binnings: Mapping[Subject, Binning],
    rules: SegmentRules,
    looks: _Looks,
) -> list[SegmentColumn]:
    """The columns of a segment, those that moved most first."""
    chosen, counts = {}, {}
    for subject in _subjects(before, now):
        if (subject.kind, subject.name) == ("feature", rules.drift.cluster_by):
            continue
        sides = (before.counts[subject], now.counts[subject])
        known, current = _comparable(binnings[subject], sides, place)
        if known.n and current.n:
            stored = StoredReference("", "", None, subject, known, None, 0, "", "active")
            clusters = _in_cells(rules.clusters.get(subject), binnings[subject], known.binning)
            chosen[subject] = replace(stored, clusters=clusters)
            counts[subject] = SubjectCounts((current,), (current.total,))
    columns = []
    keys = () if rules.group_size is None else [rules.group_size]
    alpha = looks.alpha / looks.columns
    for result in results_of([Window(0, 0)], chosen, counts, rules.drift, alpha, keys=keys):
        judgement = result.windows[0].judgement
        deciding = judgement.deciding
        enough = min(result.reference.profile.n, result.windows[0].current.n) >= rules.drift.min_samples
        severity: Severity = judgement.severity if enough else "insufficient_data"
        score, p_value = judgement.psi, None if deciding is None else deciding.p_value
        odds = deciding if severity in DRIFTED and deciding is not None and deciding.cell is not None else None
        labels = result.reference.profile.binning.coarse_labels()
        if score is not None:
            columns.append(
                SegmentColumn(
                    result.subject.name or result.subject.kind,
                    severity,
                    score,
                    p_value,
                    None if p_value is None else min(1.0, p_value * looks.columns),
                    odds_category=None if odds is None or odds.cell is None else labels[odds.cell],
                    odds_ratio=None if odds is None else odds.size,
                )
            )
    return sorted(columns, key=lambda each: (PRECEDENCE.index(each.severity), -each.psi, each.name))


def _comparable(binning: Binning, sides: tuple[Vectors, Vectors], place: int) -> tuple[Profile, Profile]:
    """The counts of a segment in the reference and now, in cells that both are counted in alike.

    Of names, those that the whole reference has often enough: which of the rare ones have a cell of their own, and
    which are new, follows from the chance that drew the reference, and would differ in a segment of the same data.
    """
    first, last = sides[0][place], sides[1][place]
    if isinstance(binning, NumericBinning):
        return Profile(binning, first), Profile(binning, last)
    names = len(binning.categories)
    kept = np.flatnonzero(np.sum(sides[0], axis=0)[:names] >= OFTEN)
    cells = CategoricalBinning(tuple(binning.categories[cell] for cell in kept), frozenset())

    def joined(counts: NDArray[np.int64]) -> Profile:
        others = counts[: binning.n_fine].sum() - counts[kept].sum()
        return Profile(cells, np.array([*counts[kept], others, 0, *counts[binning.n_fine :]], dtype=np.int64))

    return joined(first), joined(last)


def _in_cells(clusters: Clusters | None, binning: Binning, cells: Binning) -> Clusters | None:
    """How alike rows of one key are in a segment: as in all of the reference, those of names that are put together as
    much as those that are the most so. clusters: over the cells of the binning."""
    if clusters is None or not clusters.cells or not isinstance(binning, CategoricalBinning):
        return clusters
    of_names = dict(zip(binning.categories, clusters.cells, strict=False))
    kept = [of_names.pop(name) for name in cells.coarse_labels()[:-2]]
    others, new = clusters.cells[-2:]
    return msgspec.structs.replace(clusters, cells=(*kept, max((others, *of_names.values())), new))


def _line(before: Divided, now: Divided, place: int, drift: list[SegmentColumn]) -> SegmentComparison:
    """A segment by its columns alone."""
    feature = before.feature
    text = feature.texts[place]
    return SegmentComparison(
        segment=text,
        by=feature.feature,
        value=text.removeprefix(feature.prefix),
        severity=min((each.severity for each in drift), key=PRECEDENCE.index, default="no_data"),
        reference_rows=before.rows[place],
        rows=now.rows[place],
        share_before=before.rows[place] / sum(before.rows),
        share=now.rows[place] / sum(now.rows),
        drift=drift[:DRIFT_SHOWN],
    )


def _with_metric(
    line: SegmentComparison,
    before: Divided,
    now: Divided,
    place: int,
    comparison: Comparison,
    metric: str,
    labels: LabelledReference,
    rules: PerformanceRules,
    looks: _Looks,
) -> SegmentComparison:
    """The segment with the metric of its labelled rows, judged where the reference has enough of them."""
    if line.segment not in comparison.by_segment or before.outcomes is None or now.outcomes is None:
        return line
    old, new, p_value = comparison.by_segment[line.segment]
    known, current = (OutcomeCounts(labels.layout, each[place]) for each in (before.outcomes, now.outcomes))
    judged = None
    if known.n >= rules.min_samples:
        alpha = min(looks.alpha / max(looks.metrics, 1), MOST_ALPHA)
        window = LabelledWindow(current, {metric: new}, None)
        judged = judge_metric(metric, known, window, rules, alpha, few_decide=False)
    severity = line.severity
    if judged is not None and judged.severity in (*DRIFTED, "stable"):
        severity = min(severity, judged.severity, key=PRECEDENCE.index)
    part = None if comparison.parts is None else comparison.parts.get(line.segment)
    return msgspec.structs.replace(
        line,
        severity=severity,
        metric=metric_comparison(metric, new, old, judged),
        adjusted_p_value=None if p_value is None else min(1.0, p_value * looks.metrics),
        contribution=None if part is None else Contribution(part.total, part.mix, part.level),
    )


def _rank(found: SegmentComparison, of_all: float) -> tuple[int, float, float, str]:
    """Lower is worse: by severity, then by the loss of its own values, then by how far its columns moved. of_all: the
    metric of all rows now."""
    loss = 0.0
    if found.metric is not None:
        change = found.metric.change if found.contribution is None else found.contribution.level
        loss = 0.0 if change is None else loss_of(found.metric.name, change, of_all)
    moved = max((each.psi for each in found.drift), default=0.0)
    return PRECEDENCE.index(found.severity), -loss, -moved, found.segment


def moved_in(found: SegmentComparison) -> str:
    """Clauses on what has shifted in a segment; empty where nothing has."""
    clauses = []
    if found.metric is not None and found.metric.severity in DRIFTED:
        clauses.append(performance_in_words(found.metric))
    clauses += [_column_in_words(each) for each in found.drift if each.severity in DRIFTED]
    return measures.plain(", ".join(clauses))


def _column_in_words(found: SegmentColumn) -> str:
    if found.odds_ratio is None:
        return f"{found.name} PSI {psi_text(found.psi)}"
    return f"{found.name} {ODDS} {number(found.odds_ratio)} of {found.odds_category}"


def segment_in_words(found: SegmentComparison) -> str:
    """Clause on what has shifted in a segment."""
    return f"{found.segment}: {moved_in(found) or 'no shift'}"
