"""Two data sets compared: the same cells, scores, evidence and verdicts as those of the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwatch.config.monitor_defaults import ODDS_RATIO
from modelwatch.events import Scalar, Task
from modelwatch.library.labels import NO_TASK, label_columns
from modelwatch.library.performance import LabelledRowsNow, labels_now, performance_comparison, performance_rules
from modelwatch.library.profile import Profile as DataProfile
from modelwatch.library.quality import unsound_values
from modelwatch.library.reference import Reference, SubjectReference, column_counts, in_threads, seconds_of
from modelwatch.library.report import Report, Side
from modelwatch.library.sources import Source, UnreadableColumn, source_of
from modelwatch.monitoring.checks.drift.evaluation import results_of, subject_reports
from modelwatch.monitoring.checks.drift.subject_counts import SubjectCounts
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.storage.references.stored_reference import StoredReference
from modelwatch.storage.references.subjects import Subject

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
    "multiclass" or "regression"), positive_class: of the labels, where they are not to be inferred.
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
    if min_samples < 1:
        raise ValueError(f"min_samples is {min_samples!r}: expected at least 1")
    if not 0 < psi_warning <= psi_alert:
        raise ValueError(
            f"psi_warning is {psi_warning!r} and psi_alert {psi_alert!r}: expected 0 < psi_warning <= psi_alert"
        )
    if tolerance <= 0:
        raise ValueError(f"tolerance is {tolerance!r}: expected a number above 0")
    if isinstance(reference, Reference):
        given = [*columns, *(["task"] if task else []), *([] if positive_class is None else ["positive_class"])]
        if given:
            raise TypeError(f"the reference has names of columns already: {', '.join(given)} can't be given")
        fitted = reference
    else:
        fitted = Reference.fit(reference, task=task, positive_class=positive_class, **columns)
    if isinstance(current, DataProfile):
        side = _of_profile(fitted, current)
    else:
        side = _of_data(fitted, source_of(current), StatedTask(task, positive_class))
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
    )
    counts, labels, window = side.counts, side.labels, side.window
    rest = alpha * (1 - DRIFT_SHARE)
    performance = None
    if labels is not None:
        rest /= 2
        judging = performance_rules(
            tolerance=tolerance,
            min_samples=min_samples,
            psi_warning=psi_warning,
            psi_alert=psi_alert,
            natural_variation=natural_variation,
        )
        performance = performance_comparison(labels, fitted.labels, window, judging, rest)
    chosen = {subject: _stored(subject, fitted.subjects[subject]) for subject in counts}
    results = results_of(
        [window],
        chosen,
        {subject: SubjectCounts((profile,), (profile.total,)) for subject, profile in counts.items()},
        rules,
        alpha * DRIFT_SHARE / max(len(counts), 1),
    )
    profiles = {subject: (fitted.subjects[subject].profile, counts[subject]) for subject in counts}
    return Report(
        subject_reports(results),
        unsound_values(profiles, rest),
        profiles,
        Side(fitted.rows),
        Side(side.rows),
        alpha,
        {**fitted.left_out, **side.left_out},
        performance,
    )


@dataclass(frozen=True, slots=True)
class _Current:
    """The data set to compare, counted in the cells of the reference.

    window: its stretch of time, empty where that is unknown. left_out: what is not compared, and why.
    """

    rows: int
    window: Window
    counts: dict[Subject, Profile]
    labels: LabelledRowsNow | None
    left_out: dict[str, str]


def _of_data(fitted: Reference, source: Source, stated: StatedTask) -> _Current:
    if not source.rows:
        raise ValueError("the data set to compare has no row")
    counts, left_out = _counts(fitted, source)
    labels = _labels(fitted, source, stated, left_out)
    return _Current(source.rows, _window(source, fitted.columns.timestamp), counts, labels, left_out)


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
        **{each.name or each.kind: "the profile does not have it" for each in known if each not in counts},
    }
    if fitted.labels is not None:
        left_out[fitted.columns.ground_truth] = "a profile has no labels"
    return _Current(profile.rows, Window(*(profile.span or (0, 0))), counts, None, left_out)


def _window(source: Source, timestamp: str) -> Window:
    """The stretch of time of a data set; an empty one without times, for which no natural variation is known."""
    seconds = seconds_of(source, timestamp)
    known = np.empty(0) if seconds is None else seconds.of_known
    return Window(int(known.min()), int(known.max()) + 1) if len(known) else Window(0, 0)


def _labels(fitted: Reference, source: Source, stated: StatedTask, left_out: dict[str, str]) -> LabelledRowsNow | None:
    """The labels of the data set to compare; why they are left out is added to `left_out`."""
    name = fitted.columns.ground_truth
    if not fitted.columns.has_labels(source.names):
        if fitted.labels is not None:
            left_out[name] = "the data set to compare does not have it"
        return None
    try:
        columns = label_columns(source, fitted.columns)
    except UnreadableColumn as problem:
        left_out[name] = f"in the data set to compare, {problem}"
        return None
    found = None if columns is None else labels_now(columns, fitted.labels, stated)
    if columns is None:
        left_out[name] = f"the data set to compare has no column {fitted.columns.prediction!r}"
    elif found is None:
        left_out[name] = f"in the data set to compare, {NO_TASK}"
    return found


def _counts(fitted: Reference, source: Source) -> tuple[dict[Subject, Profile], dict[str, str]]:
    """The counts of each subject that both data sets have, and which columns are left out and why."""
    wanted = fitted.columns.subjects(source.names)
    both = [subject for subject in fitted.subjects if subject in wanted]

    def work(subject: Subject) -> Profile | str:
        try:
            return column_counts(source, wanted[subject], fitted.subjects[subject].profile)
        except UnreadableColumn as problem:
            return f"in the data set to compare, {problem}"

    found = dict(zip(both, in_threads(work, both), strict=True))
    counts = {subject: each for subject, each in found.items() if isinstance(each, Profile)}
    left_out = {wanted[subject]: each for subject, each in found.items() if isinstance(each, str)}
    left_out |= {
        subject.name or subject.kind: "the data set to compare does not have it"
        for subject in fitted.subjects
        if subject not in wanted
    }
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
    )
