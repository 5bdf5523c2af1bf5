"""All subjects of a model over time at once, in short: the PSI and the severity of each, step by step."""

from __future__ import annotations

import msgspec
import numpy as np

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.checks.drift.evidence import effective_rules
from modelwatch.monitoring.checks.drift.screening import screened
from modelwatch.monitoring.checks.drift.subject_counts import keys_of, references_for, vectors_of_subjects
from modelwatch.monitoring.checks.drift.tolerance import Severity
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.references import in_force
from modelwatch.times import iso_of_seconds
from modelwatch.views.stretches.look_backs import blocks_of_windows
from modelwatch.views.stretches.stretch import REFUSED, Divided, SeriesQuery, alpha_of_steps, began, read_divided

# Steps times subjects: each is judged.
MOST_JUDGED = 60_000


class DriftStep(msgspec.Struct, frozen=True, gc=False):
    """One step, and its look-back: [start, end)."""

    start: str
    end: str
    predictions: int


class DriftLine(msgspec.Struct, frozen=True, gc=False):
    """One subject: its PSI, its severity and its number of values in each step. psi_warning, psi_alert: as configured;
    natural variation of the reference may ask for more. began: an estimate of when the finding of the newest steps did.
    reference_cells, current_cells: values in each cell, of the reference and of the newest step that has any; the
    latter is empty without any."""

    feature_name: str
    kind: str
    psi_warning: float
    psi_alert: float
    psi: list[float | None]
    severity: list[Severity]
    n: list[int]
    began: str | None
    reference_cells: list[int]
    current_cells: list[int]


class DriftSeries(msgspec.Struct, frozen=True):
    """The drift of all watched subjects over time: features first, then the prediction, its score and its latency.

    step_seconds: from one step to the next. window_seconds: length of each step's look-back, from its end. alpha: the
    chance of a false alarm that each severity takes.
    """

    model_name: str
    model_version: str | None
    environment: str
    start: str | None
    end: str | None
    step_seconds: int
    window_seconds: int
    alpha: float
    steps: list[DriftStep]
    subjects: list[DriftLine]


def drift_series(store: Store, defaults: DriftRules, query: SeriesQuery, now: int) -> DriftSeries:
    """The PSI and the severity of every watched subject with a reference, step by step, from committed counts.

    Each severity is that of a drift check of what the step results back over. defaults: the rules of a model without a
    monitor. now: microseconds. Raises UnknownModel for an unknown model, and InvalidInput for a stretch that can't be
    had.
    """
    return read_divided(store, query, now, lambda divided: _series(divided, defaults))


def _series(divided: Divided, defaults: DriftRules) -> DriftSeries:
    query = divided.query
    rules = effective_rules(divided.connection, defaults, query.model)
    chosen = references_for(in_force(divided.connection, query.model, divided.generation), query.version)
    alpha = alpha_of_steps(divided, rules, chosen)
    watched = sorted(
        (subject for subject in chosen if rules.watches(subject.kind, subject.name)),
        key=lambda subject: (subject.kind != "feature", subject),
    )
    references = {subject: chosen[subject] for subject in watched}
    _check_size(divided, len(watched))
    steps: list[DriftStep] = []
    scores: dict[object, list[float | None]] = {subject: [] for subject in watched}
    counted: dict[object, list[Counts]] = {subject: [] for subject in watched}
    severities: dict[object, list[Severity]] = {subject: [] for subject in watched}
    for block in blocks_of_windows(divided):
        windows = [Window(*span) for span, _ in block]
        vectors, received = vectors_of_subjects([sums for _, sums in block], divided.layouts, references)
        keys = keys_of([sums for _, sums in block], divided.layouts, chosen, rules.cluster_by)
        of_subjects = screened(references, windows, vectors, received, rules, alpha, keys)
        for (subject, reference), counts, found in zip(references.items(), vectors, of_subjects, strict=True):
            scores[subject] += found.psi
            severities[subject] += found.severity
            binning = reference.profile.binning
            counted[subject].append(np.add.reduceat(counts[:, : binning.n_fine], binning.coarse_starts, axis=1))
        steps += [
            DriftStep(iso_of_seconds(start), iso_of_seconds(end), sum(slot.predictions for slot in sums.values()))
            for (start, end), sums in block
        ]
    lines, starts = [], [each.start for each in steps]
    for subject in watched:
        before = references[subject].profile.coarse
        cells = np.concatenate(counted[subject]) if steps else np.zeros((0, len(before)), dtype=np.int64)
        received = cells.sum(axis=1)
        known = np.flatnonzero(received)
        thresholds = rules.thresholds(subject.kind, subject.name)
        lines.append(
            DriftLine(
                subject.name or subject.kind,
                subject.kind,
                thresholds.psi_warning,
                thresholds.psi_alert,
                scores[subject],
                severities[subject],
                received.tolist(),
                began(before, cells, starts, severities[subject]) if steps else None,
                before.tolist(),
                cells[known[-1]].tolist() if known.size else [],
            )
        )
    span = divided.span
    return DriftSeries(
        model_name=query.model,
        model_version=query.version,
        environment=query.environment,
        start=None if span is None else iso_of_seconds(span[0]),
        end=None if span is None else iso_of_seconds(span[1]),
        step_seconds=divided.step,
        window_seconds=divided.window,
        alpha=alpha,
        steps=steps,
        subjects=lines,
    )


def _check_size(divided: Divided, subjects: int) -> None:
    steps = len(divided.boundaries) - 1 - divided.shown
    if steps * subjects > MOST_JUDGED:
        most = MOST_JUDGED // subjects
        problem = f"{steps:,} steps of {subjects:,} subjects; at most {most:,} steps can be computed at once"
        raise InvalidInput(REFUSED, (FieldError("/step", problem, f"{divided.step} s"),))


def drift_csv(series: DriftSeries) -> str:
    """A row for each step: its predictions, and the PSI and the severity of each subject."""
    columns = ["start", "end", "predictions"]
    for line in series.subjects:
        name = line.feature_name if line.kind == "feature" else f"({line.kind})"
        columns += [f"psi {name}", f"severity {name}"]
    rows: list[list[Cell]] = []
    for place, step in enumerate(series.steps):
        row: list[Cell] = [step.start, step.end, step.predictions]
        for line in series.subjects:
            row += [line.psi[place], line.severity[place]]
        rows.append(row)
    return csv_text(columns, rows)
