"""Two data sets compared: the same cells, scores, evidence and verdicts as those of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from modelwatch.config.monitors.defaults import ODDS_RATIO
from modelwatch.events import Scalar, Task
from modelwatch.library.label_columns import LabelColumns, label_columns
from modelwatch.library.labels import LabelledRowsNow, labels_now
from modelwatch.library.performance import performance_comparison, performance_rules
from modelwatch.library.profile import Profile as DataProfile
from modelwatch.library.quality import unsound_values
from modelwatch.library.reading import all_missing, column_counts, decoded, in_threads, progress_bar, seconds_of
from modelwatch.library.reference import ColumnNames, Reference, SubjectReference
from modelwatch.library.reports.report import ABSENT, UNREADABLE, Report, Side
from modelwatch.library.segment_counts import Divided, divided
from modelwatch.library.segments import SegmentRules, SegmentsComparison, segments_comparison
from modelwatch.library.sources import Source, UnreadableColumn, source_of
from modelwatch.monitoring.checks.drift.evaluation import results_of
from modelwatch.monitoring.checks.drift.report_building import subject_reports
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import LEAST_REFERENCE, DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.storage.references.subjects import StoredReference, Subject

# Of alpha; the rest is for missing, invalid and unusual values: half of it, where there are labels, for performance.
DRIFT_SHARE = 0.5


def compare(
    reference: Any,
    current: Any,
    *,
    alpha: float = 0.01,
    min_samples: int = 100,
    psi_warning: float = 0.1,
    psi_alert: float = 0.25,
    natural_variation: bool = True,
    tolerance: float = 0.02,
    task: Task | None = None,
    positive_class: Scalar = None,
    by: str | Sequence[str] = (),
    cluster_by: str | None = None,
    progress: bool | None = None,
    **columns: Any,
) -> Report:
    """Compares a data set with a reference, column by column. Returns the report.

    reference: a data set, or a `Reference`. Data sets are frames of pandas, polars, pyarrow or DuckDB, mappings from
    name to values, and paths of Parquet, Arrow or CSV files, or of folders of Parquet; of Parquet and Arrow files one
    column a processor is in memory. current may also be a `Profile`. alpha: chance of a false alarm in the whole
    report; half of it is for drift, divided by the columns, half for missing, invalid and unusual values, divided by
    their rates; with labels half of that is for performance, divided by the metrics.
    min_samples: values that a column must have for a verdict. psi_warning, psi_alert: PSI from which a shift matters.
    natural_variation: allow for what the reference itself does over time, where both have timestamps. tolerance: loss
    of a metric from which it matters; of errors and losses a tenth of the reference's does. task ("binary",
    "multiclass" or "regression"), positive_class: of the labels, where they are not to be inferred. by: features whose
    values divide the rows into segments, each of which is compared; then half of alpha is for these. cluster_by:
    feature whose values (customer, session, request) group rows that are alike: p-values of drift allow for it, and it
    is not compared itself. progress: show a progress bar; None: on a terminal or in a notebook, for long inputs.
    columns: `prediction`, `score`, `ground_truth`, `latency` and `timestamp` name the columns that are no features
    (default: prediction, prediction_probability, ground_truth, latency_ms, timestamp), `ignore` those that are not
    compared (prediction_id).

    Raises TypeError for what is no data set or parameter, ValueError for what can't be read or compared, naming it.

    >>> report = compare({"amount": list(range(1000))}, {"amount": [value * 2 for value in range(1000)]})
    >>> report.drifted, report.severity
    (['amount'], 'alert')
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha!r}: expected a number between 0 and 1")
    if not min_samples >= 1:
        raise ValueError(f"min_samples is {min_samples!r}: expected at least 1")
    if not 0 < psi_warning <= psi_alert:
        raise ValueError(
            f"psi_warning is {psi_warning!r} and psi_alert {psi_alert!r}: expected 0 < psi_warning <= psi_alert"
        )
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance!r}: expected a number above 0")
    if isinstance(reference, Reference):
        given = [*columns, *(["task"] if task else []), *([] if positive_class is None else ["positive_class"])]
        missing = {by} if isinstance(by, str) else {*by}
        missing -= {each.feature.feature for each in reference.segments}
        if missing:
            raise ValueError(f"the reference has no segments by {', '.join(sorted(missing))}: fit it with by=")
        if cluster_by not in (None, reference.cluster_by):
            raise ValueError(
                f"the reference does not know how alike rows of one {cluster_by!r} are: fit it with cluster_by="
            )
        if given:
            raise TypeError(f"the reference has names of columns already: {', '.join(given)} can't be given")
        fitted = reference
    else:
        before = source_of(reference)
        if not isinstance(current, DataProfile):
            current = source_of(current)
            _check_names(ColumnNames.of(columns), {*before.names, *current.names})
        fitted = Reference.fit(
            before,
            task=task,
            positive_class=positive_class,
            by=by,
            cluster_by=cluster_by,
            progress=progress,
            **columns,
        )
    if isinstance(current, DataProfile):
        side = _of_profile(fitted, current)
        if by:
            raise ValueError("a profile has no segments")
    else:
        side = _of_data(fitted, source_of(current), StatedTask(task, positive_class), by, progress)
    # Half of the chance of a false alarm is for the segments, where there are some.
    whole = alpha / 2 if side.segments else alpha
    rules = DriftRules(
        psi_warning=psi_warning,
        psi_alert=psi_alert,
        ks_alpha=0.05,
        min_samples=min_samples,
        budget=0.0,
        lookbacks=(),
        check_interval=0,
        natural_variation=natural_variation,
        odds_ratio=ODDS_RATIO,
        names_shifted=True,
        directed=True,
        dispersed=True,
        cluster_by=fitted.cluster_by,
        least_reference=LEAST_REFERENCE,
    )
    counts, labels, window = side.counts, side.labels, side.window
    rest = whole * (1 - DRIFT_SHARE)
    performance, judging = None, None
    if labels is not None:
        rest /= 2
        judging = performance_rules(
            tolerance=tolerance,
            min_samples=min_samples,
            psi_warning=psi_warning,
            psi_alert=psi_alert,
            natural_variation=natural_variation,
        )
        unusable = fitted.left_out.get(fitted.columns.ground_truth)
        performance = performance_comparison(labels, fitted.labels, window, judging, rest, unusable=unusable)
    key = None if fitted.cluster_by is None else Subject("feature", fitted.cluster_by)
    chosen = {subject: _stored(subject, fitted.subjects[subject]) for subject in counts if subject != key}
    results = results_of(
        [window],
        chosen,
        {subject: SubjectCounts((counts[subject],), (counts[subject].total,)) for subject in chosen},
        rules,
        whole * DRIFT_SHARE / max(len(chosen), 1),
        keys=() if side.group_size is None else [side.group_size],
    )
    profiles = {subject: (fitted.subjects[subject].profile, counts[subject]) for subject in chosen}
    left_out = {**fitted.left_out, **side.left_out}
    # A feature that is gone is missing from all rows, as in the service.
    gone = {
        subject: _stored(subject, each)
        for subject, each in fitted.subjects.items()
        if subject.kind == "feature" and subject != key and side.left_out.get(subject.name) == ABSENT
    }
    all_gone = {subject: all_missing(each.profile.binning, side.rows) for subject, each in gone.items()}
    if key is not None and key in counts:
        left_out[key.name] = "rows are grouped by it"
    return Report(
        subject_reports(results),
        unsound_values(
            {**chosen, **gone},
            {**counts, **all_gone},
            rest,
            cluster_by=fitted.cluster_by,
            keys=side.group_size,
        ),
        profiles,
        Side(fitted.rows),
        Side(side.rows),
        alpha,
        left_out,
        performance,
        segments=_segments(fitted, side, rules, judging, alpha - whole),
    )


def _check_names(columns: ColumnNames, known: set[str]) -> None:
    """Raises ValueError for a column that is named and that neither data set has: a typing error would go unnoticed,
    and what it is about would not be compared. known: names of both."""
    usual = ColumnNames()
    for role in ("prediction", "score", "ground_truth", "latency", "timestamp"):
        name = getattr(columns, role)
        if name != getattr(usual, role) and name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{role} is {name!r}: neither data set has such a column{hint}")


def _segments(
    fitted: Reference, side: _Current, rules: DriftRules, judging: PerformanceRules | None, alpha: float
) -> SegmentsComparison | None:
    """The segments of both data sets compared; None without any. judging: rules of performance; None without labels."""
    if not side.segments:
        return None
    names = [each.feature.feature for each in side.segments]
    known = {each.feature.feature: each for each in fitted.segments}
    binnings = {subject: each.profile.binning for subject, each in fitted.subjects.items()}
    clusters = {subject: each.clusters for subject, each in fitted.subjects.items() if each.clusters is not None}
    return segments_comparison(
        [known[name] for name in names],
        side.segments,
        binnings,
        fitted.labels,
        SegmentRules(rules, judging, alpha, clusters, side.group_size),
    )


@dataclass(frozen=True, slots=True)
class _Current:
    """The data set to compare, counted in the cells of the reference.

    window: its stretch of time, empty where that is unknown. left_out: what is not compared, and why. group_size: how
    many rows are in the group of one by the reference's key, on average, or the counts of the key; None without it.
    """

    rows: int
    window: Window
    counts: dict[Subject, Profile]
    labels: LabelledRowsNow | None
    left_out: dict[str, str]
    segments: tuple[Divided, ...] = ()
    group_size: float | Profile | None = None


def _of_data(
    fitted: Reference, source: Source, stated: StatedTask, by: str | Sequence[str], progress: bool | None
) -> _Current:
    if not source.rows:
        raise ValueError("the data set to compare has no row")
    with progress_bar(progress, "Counting", len(fitted.subjects), source.rows) as done:
        counts, left_out = _counts(fitted, source, done)
    columns = _label_columns(fitted, source, left_out)
    labels = None
    if columns is not None:
        labels = labels_now(columns, fitted.labels, stated)
        if labels is None:
            left_out[fitted.columns.ground_truth] = f"{UNREADABLE}{columns.no_task}"
    return _Current(
        source.rows,
        _window(source, fitted.columns.timestamp),
        counts,
        labels,
        left_out,
        _divided(fitted, source, counts, by, columns),
        _group_size(source, fitted.cluster_by, counts),
    )


def _group_size(source: Source, key: str | None, counts: Mapping[Subject, Profile]) -> float | None:
    """How many rows are in the group of one, on average; a row without a key is alone. None without a key."""
    if key is None or Subject("feature", key) not in counts:
        return None
    codes, values = decoded(source.column(key)).distinct()
    sizes = np.bincount(codes[codes >= 0], minlength=len(values)).astype(np.float64)
    return float((sizes**2).sum() + (codes < 0).sum()) / max(len(codes), 1)


def _divided(
    fitted: Reference,
    source: Source,
    counts: Mapping[Subject, Profile],
    by: str | Sequence[str],
    columns: LabelColumns | None,
) -> tuple[Divided, ...]:
    """The counts by segment, as those of the reference; of those that are asked for, or all that it has."""
    names = [by] if isinstance(by, str) else list(by)
    features = [each.feature for each in fitted.segments if not names or each.feature.feature in names]
    if not features:
        return ()
    absent = [each.feature for each in features if Subject("feature", each.feature) not in counts]
    if absent:
        raise ValueError(f"the data set to compare has no column {absent[0]!r} to divide it by")
    wanted = {subject: name for subject, name in fitted.columns.subjects(source.names).items() if subject in counts}
    known = None if columns is None or fitted.labels is None else (columns, fitted.labels)
    binnings = {subject: each.binning for subject, each in counts.items()}
    return tuple(divided(source, features, binnings, wanted, known))


def _of_profile(fitted: Reference, profile: DataProfile) -> _Current:
    """Raises ValueError for one that was counted in other cells."""
    known = {subject: each.profile.binning for subject, each in fitted.subjects.items()}
    counts = {
        subject: profile.counts(subject)
        for subject, binning in known.items()
        if subject in profile.binnings and profile.binnings[subject].id == binning.id
    }
    other = [subject.name or subject.kind for subject in profile.binnings if subject not in counts]
    if other:
        raise ValueError(f"the profile was counted in the cells of another reference: {', '.join(other[:5])}")
    left_out = {
        **profile.left_out,
        **{each.name or each.kind: ABSENT for each in known if each not in counts},
    }
    if fitted.labels is not None:
        left_out[fitted.columns.ground_truth] = "a profile has no labels"
    keys = None if fitted.cluster_by is None else counts.get(Subject("feature", fitted.cluster_by))
    window = Window(*(profile.span or (0, 0)))
    return _Current(profile.rows, window, counts, None, left_out, group_size=keys)


def _window(source: Source, timestamp: str) -> Window:
    """The stretch of time of a data set; an empty one without times, for which no natural variation is known."""
    seconds = seconds_of(source, timestamp)
    known = np.empty(0) if seconds is None else seconds.of_known
    return Window(int(known.min()), int(known.max()) + 1) if len(known) else Window(0, 0)


def _label_columns(fitted: Reference, source: Source, left_out: dict[str, str]) -> LabelColumns | None:
    """The labels of the data set to compare; why they are left out is added to `left_out`."""
    name = fitted.columns.ground_truth
    if not fitted.columns.has_labels(source.names):
        if fitted.labels is not None:
            left_out[name] = ABSENT
        return None
    try:
        columns = label_columns(source, fitted.columns)
    except UnreadableColumn as problem:
        left_out[name] = f"in the data set to compare, {problem}"
        return None
    if columns is None:
        left_out[name] = f"the data set to compare has no column {fitted.columns.prediction!r}"
    return columns


def _counts(
    fitted: Reference, source: Source, done: Callable[[], None]
) -> tuple[dict[Subject, Profile], dict[str, str]]:
    """The counts of each subject that both data sets have, and which columns are left out and why."""
    wanted = fitted.columns.subjects(source.names)
    both = [subject for subject in fitted.subjects if subject in wanted]

    def work(subject: Subject) -> Profile | str:
        try:
            return column_counts(source, wanted[subject], fitted.subjects[subject].profile)
        except UnreadableColumn as problem:
            return f"{UNREADABLE}{problem}"

    found = dict(zip(both, in_threads(work, both, done), strict=True))
    counts = {subject: each for subject, each in found.items() if isinstance(each, Profile)}
    left_out = {wanted[subject]: each for subject, each in found.items() if isinstance(each, str)}
    left_out |= {subject.name or subject.kind: ABSENT for subject in fitted.subjects if subject not in wanted}
    new = [name for subject, name in wanted.items() if subject not in fitted.subjects and name not in fitted.left_out]
    return counts, left_out | dict.fromkeys(new, "the reference does not have it")


def _stored(subject: Subject, reference: SubjectReference) -> StoredReference:
    return StoredReference(
        id="",
        model="",
        version=None,
        subject=subject,
        profile=reference.profile,
        variation=reference.variation,
        created_at=0,
        source="",
        state="active",
        split=reference.split,
        clusters=reference.clusters,
    )
