"""The series of one subject: its PSI, counts, rates and quantiles, step by step, beside those of its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from msgspec.structs import replace

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.drift.evaluation import WindowResult, results_of
from modelwatch.monitoring.checks.drift.evidence import effective_rules
from modelwatch.monitoring.checks.drift.subject_counts import counts_of_subjects, keys_of, references_for
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.counting.quantiles import QUANTILES, quantiles_of_counts
from modelwatch.stats.drift.scores import psi
from modelwatch.storage.counts.segments import reference_segments
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import StoredReference, Subject
from modelwatch.times import iso_of_micros, iso_of_seconds
from modelwatch.views.stretches.look_backs import blocks_of_windows
from modelwatch.views.stretches.stretch import (
    REFUSED,
    Divided,
    SeriesQuery,
    alpha_of_steps,
    began,
    read_divided,
    segment_feature_of,
)

_OF_STEP = (
    "start",
    "end",
    "predictions",
    "n",
    "severity",
    "psi",
    "p_value",
    "psi_warning",
    "psi_alert",
    "missing",
    "invalid",
    "unseen",
    "below_range",
    "above_range",
)

ComparedWith = Literal["reference", "reference_segment"]
NO_REFERENCE = "No reference is set: POST one to /api/v1/reference."


class SeriesReference(msgspec.Struct, frozen=True):
    """Reference that the steps are compared with.

    cells: names of the cells, in order. edges: between the cells of numbers, one fewer than cells; none of categories.
    counts, shares: by cell. low, high: the smallest and the largest value; null of categories. quantiles: as of a step.
    """

    state: str
    created_at: str
    n: int
    missing: int
    invalid: int
    cells: list[str]
    edges: list[float]
    counts: list[int]
    shares: list[float]
    low: float | None
    high: float | None
    quantiles: list[float | None]


class SeriesStep(msgspec.Struct, frozen=True, gc=False):
    """One step, and its look-back: [start, end).

    predictions: how many there were. n: the valid values among them, and counts, shares: those by cell. missing,
    invalid: beside the cells; unseen, below_range, above_range: in them. Their rates: missing of all values, invalid of
    those that are given, the others of the valid ones; null where there are none. severity, p_value, psi_warning and
    psi_alert: of a drift check of this step alone; null of a segment, and of a label. quantiles: null where they lie
    beyond the reference's smallest or largest value.
    """

    start: str
    end: str
    predictions: int
    n: int
    severity: str | None
    counts: list[int]
    shares: list[float] = []
    psi: float | None = None
    p_value: float | None = None
    psi_warning: float | None = None
    psi_alert: float | None = None
    missing: int = 0
    invalid: int = 0
    unseen: int = 0
    below_range: int = 0
    above_range: int = 0
    missing_rate: float | None = None
    invalid_rate: float | None = None
    unseen_rate: float | None = None
    out_of_range_rate: float | None = None
    quantiles: list[float | None] = []
    reason: str | None = None


class SubjectSeries(msgspec.Struct, frozen=True):
    """One subject over time.

    step_seconds: from one step to the next; steps are longer where windows were rolled up, and the last one may be
    shorter. window_seconds: length of each step's look-back, from its end, the step itself by default. quantile_shares:
    which quantiles there are. alpha: the chance of a false alarm that a step's severity takes. compared_with: the
    reference, or the part of it in the segment. reason: why there is no reference. began: an estimate of when it began
    that the newest steps have a finding.
    """

    model_name: str
    model_version: str | None
    environment: str
    kind: str
    feature_name: str
    feature_type: str | None
    segment: str | None
    start: str | None
    end: str | None
    step_seconds: int
    window_seconds: int
    alpha: float | None
    quantile_shares: list[float]
    compared_with: ComparedWith | None
    reference: SeriesReference | None
    steps: list[SeriesStep]
    reason: str | None
    began: str | None = None


def subject_series(
    store: Store, defaults: DriftRules, query: SeriesQuery, subject: Subject, now: int, *, known: bool = True
) -> SubjectSeries:
    """The series of a feature, the prediction, its score or its latency, from committed counts.

    defaults: the rules of a model without a monitor. now: microseconds. known: False for a feature that may have no
    reference while others have. Raises UnknownModel for an unknown model, and InvalidInput for a stretch, segment or
    feature that can't be had.
    """
    return read_divided(store, query, now, lambda divided: _series(divided, defaults, subject, known=known))


def _series(divided: Divided, defaults: DriftRules, subject: Subject, *, known: bool) -> SubjectSeries:
    query = divided.query
    chosen = references_for(in_force(divided.connection, query.model, divided.generation), query.version)
    reference = chosen.get(subject)
    if reference is None and known and chosen and subject.kind == "feature":
        why = f"The model has no reference for a feature named {excerpt(subject.name)!r}"
        raise InvalidInput(REFUSED, (FieldError("/feature", why, excerpt(subject.name)),))
    series = empty_series(divided, subject.kind, subject.name)
    if reference is None:
        return replace(series, steps=_unreferenced(divided), reason=NO_REFERENCE)
    rules = effective_rules(divided.connection, defaults, query.model)
    alpha = alpha_of_steps(divided, rules, chosen)
    kind = reference.profile.binning.kind
    compared, compared_with = _compared(divided, reference)
    steps = _steps(divided, rules, alpha, reference, compared, chosen)
    return replace(
        series,
        began=_began(compared, steps),
        feature_type=kind,
        alpha=None if query.segment else alpha,
        quantile_shares=list(QUANTILES) if kind == "continuous" else [],
        compared_with=compared_with,
        reference=_reference(reference, compared),
        steps=steps,
    )


def _began(compared: Profile, steps: Sequence[SeriesStep]) -> str | None:
    counts = np.array([each.counts for each in steps], dtype=np.int64).reshape(len(steps), len(compared.coarse))
    return began(compared.coarse, counts, [each.start for each in steps], [each.severity for each in steps])


def empty_series(divided: Divided, kind: str, name: str = "") -> SubjectSeries:
    """The series of a stretch, with nothing in it."""
    query, span = divided.query, divided.span
    return SubjectSeries(
        model_name=query.model,
        model_version=query.version,
        environment=query.environment,
        kind=kind,
        feature_name=name or kind,
        feature_type=None,
        segment=query.segment or None,
        start=None if span is None else iso_of_seconds(span[0]),
        end=None if span is None else iso_of_seconds(span[1]),
        step_seconds=divided.step,
        window_seconds=divided.window,
        alpha=None,
        quantile_shares=[],
        compared_with=None,
        reference=None,
        steps=[],
        reason=None,
    )


def _compared(divided: Divided, reference: StoredReference) -> tuple[Profile, ComparedWith]:
    """Reference that the steps are compared with; for a segment, the part of the reference in it where that is
    known."""
    segment = divided.query.segment
    if not segment:
        return reference.profile, "reference"
    feature = segment_feature_of(divided.layouts.segmentation, segment)
    known = reference_segments(divided.connection, [reference.id], [feature.id]).get((reference.id, feature.id))
    if known is None:
        return reference.profile, "reference"
    binning = reference.profile.binning
    part = known.reshape(len(feature.texts), binning.size)[feature.texts.index(segment)]
    return Profile(binning, part), "reference_segment"


def _reference(reference: StoredReference, compared: Profile) -> SeriesReference:
    binning = compared.binning
    numeric = isinstance(binning, NumericBinning)
    return SeriesReference(
        state=reference.state,
        created_at=iso_of_micros(reference.created_at),
        n=compared.n,
        missing=compared.missing,
        invalid=compared.invalid,
        cells=list(binning.coarse_labels()),
        edges=binning.coarse_edges.tolist() if isinstance(binning, NumericBinning) else [],
        counts=compared.coarse.tolist(),
        shares=(compared.coarse / max(compared.n, 1)).tolist(),
        low=binning.low if isinstance(binning, NumericBinning) else None,
        high=binning.high if isinstance(binning, NumericBinning) else None,
        quantiles=quantiles_of([compared])[0] if numeric else [],
    )


def quantiles_of(profiles: Sequence[Profile]) -> list[list[float | None]]:
    """The `QUANTILES` of profiles over one binning, None where one is not known; of categories there are none."""
    binning = profiles[0].binning
    if not isinstance(binning, NumericBinning):
        return [[] for _ in profiles]
    found = quantiles_of_counts(binning, np.stack([each.counts for each in profiles]))
    return [[None if value != value else value for value in row] for row in found.tolist()]


def _steps(
    divided: Divided,
    rules: DriftRules,
    alpha: float,
    reference: StoredReference,
    compared: Profile,
    chosen: Mapping[Subject, StoredReference],
) -> list[SeriesStep]:
    query, subject = divided.query, reference.subject
    found = []
    for block in blocks_of_windows(divided):
        windows = [Window(*span) for span, _ in block]
        counts = counts_of_subjects([sums for _, sums in block], divided.layouts, {subject: reference})
        received = [sum(slot.predictions for slot in sums.values()) for _, sums in block]
        profiles = counts[subject].profiles
        if query.segment:
            scores = [psi(compared.coarse, each.coarse) if compared.n and each.n else None for each in profiles]
            results: Sequence[WindowResult | None] = [None] * len(block)
        else:
            keys = keys_of([sums for _, sums in block], divided.layouts, chosen, rules.cluster_by)
            [of_subject] = results_of(windows, {subject: reference}, counts, rules, alpha, keys=keys)
            results, scores = of_subject.windows, [each.judgement.psi for each in of_subject.windows]
        parts = zip(windows, received, profiles, results, scores, quantiles_of(profiles), strict=True)
        found += [_step(*of_step) for of_step in parts]
    return found


def _step(
    window: Window,
    predictions: int,
    current: Profile,
    found: WindowResult | None,
    score: float | None,
    quantiles: list[float | None],
) -> SeriesStep:
    judgement, allowed = (None, None) if found is None else (found.judgement, found.allowed)
    given = current.total - current.missing
    return SeriesStep(
        start=iso_of_seconds(window.start),
        end=iso_of_seconds(window.end),
        predictions=predictions,
        n=current.n,
        severity=None if judgement is None else judgement.severity,
        psi=score,
        p_value=None if judgement is None or judgement.test is None else judgement.test.p_value,
        psi_warning=None if allowed is None else allowed.psi_warning,
        psi_alert=None if allowed is None else allowed.psi_alert,
        missing=current.missing,
        invalid=current.invalid,
        unseen=current.unseen,
        below_range=current.below,
        above_range=current.above,
        missing_rate=_rate(current.missing, current.total),
        invalid_rate=_rate(current.invalid, given),
        unseen_rate=_rate(current.unseen, current.n),
        out_of_range_rate=_rate(current.below + current.above, current.n),
        counts=current.coarse.tolist(),
        shares=(current.coarse / max(current.n, 1)).tolist(),
        quantiles=quantiles,
        reason=None if judgement is None else judgement.reason,
    )


def _unreferenced(divided: Divided) -> list[SeriesStep]:
    """The steps of a subject without cells: how many predictions there were is all that is known."""
    return [
        SeriesStep(
            start=iso_of_seconds(start),
            end=iso_of_seconds(end),
            predictions=sum(slot.predictions for slot in sums.values()),
            n=0,
            severity="no_reference",
            counts=[],
        )
        for block in blocks_of_windows(divided)
        for (start, end), sums in block
    ]


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def subject_csv(series: SubjectSeries) -> str:
    """A row for each step: its numbers, quantiles, and the counts of its cells."""
    quantiles = [f"q{share:g}" for share in series.quantile_shares]
    cells = [] if series.reference is None else [f"count {cell}" for cell in series.reference.cells]
    rows: list[list[Cell]] = []
    for step in series.steps:
        row: list[Cell] = [getattr(step, name) for name in _OF_STEP]
        rows.append([*row, *step.quantiles, *step.counts])
    return csv_text([*_OF_STEP, *quantiles, *cells], rows)
