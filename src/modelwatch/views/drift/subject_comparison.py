"""One subject now: its drift check, what each cell adds to the PSI, and what has moved; or two windows of it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from modelwatch.monitoring.checks.drift.evaluation import evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, gather
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.drift.report_building import report_of
from modelwatch.monitoring.checks.drift.since import with_onsets_of_shifts
from modelwatch.monitoring.checks.drift.subject_counts import counts_of_subjects
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.counting.quantiles import QUANTILES
from modelwatch.stats.drift.patterns import ShiftPattern, shift_pattern
from modelwatch.stats.drift.scores import psi_contributions
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import iso_of_seconds
from modelwatch.views.drift.subject_series import quantiles_of

MOST_MOVED = 3


class ComparedSide(msgspec.Struct, frozen=True):
    """Side of a comparison: a window, or the reference (start and end are null). counts, shares: by cell."""

    start: str | None
    end: str | None
    n: int
    missing: int
    invalid: int
    unseen: int
    below_range: int
    above_range: int
    counts: list[int]
    shares: list[float]
    quantiles: list[float | None]


class MovedCell(msgspec.Struct, frozen=True):
    """A cell whose share has moved."""

    cell: str
    before: float
    after: float


class MovedTail(msgspec.Struct, frozen=True):
    """Of numbers, the edge between two cells at which the distributions are furthest apart, and the shares above it."""

    edge: float
    before: float
    after: float


class SubjectComparison(msgspec.Struct, frozen=True):
    """One subject compared with its reference, or a window of it with another.

    report: of the drift check, against the reference. before, after: what is compared; null where there are no data.
    contributions: each cell's contribution to `psi`. moved: the cells that moved most, the furthest first. pattern:
    what would explain the shift.
    """

    report: SubjectReport
    alpha: float
    cells: list[str]
    edges: list[float]
    quantile_shares: list[float]
    before: ComparedSide | None
    after: ComparedSide | None
    psi: float | None
    contributions: list[float]
    moved: list[MovedCell]
    tail: MovedTail | None
    pattern: ShiftPattern | None


def subject_comparison(
    store: Store,
    defaults: DriftRules,
    query: DriftQuery,
    subject: Subject,
    now: int,
    *,
    end: int | None = None,
    baseline: Window | None = None,
) -> SubjectComparison:
    """The drift check of one subject in full.

    end: seconds; look-backs end there instead of at the newest data. baseline: the window to compare with, in place of
    the reference. Raises UnknownModel for an unknown model.
    """
    inputs = gather(store, defaults, query, now, end=end, complete=with_onsets_of_shifts)
    evaluation = evaluate_drift(inputs, subject)
    [report] = report_of(evaluation).drift_results
    reference = inputs.chosen.get(subject)
    deciding = evaluation.subjects[0].deciding_window if evaluation.subjects else None
    found = SubjectComparison(
        report=report,
        alpha=evaluation.alpha,
        cells=[],
        edges=[],
        quantile_shares=[],
        before=None,
        after=None,
        psi=None,
        contributions=[],
        moved=[],
        tail=None,
        pattern=None,
    )
    if reference is None:
        return found
    compared, of_baseline = reference.profile, None
    if baseline is not None:
        of_baseline, compared = _window(store, defaults, query, subject, now, baseline)
    after = None if deciding is None else _side(deciding.current, deciding.window)
    binning = reference.profile.binning
    numeric = isinstance(binning, NumericBinning)
    found = msgspec.structs.replace(
        found,
        cells=list(binning.coarse_labels()),
        edges=binning.coarse_edges.tolist() if isinstance(binning, NumericBinning) else [],
        quantile_shares=list(QUANTILES) if numeric else [],
        before=_side(compared, of_baseline),
        after=after,
    )
    if deciding is None or not compared.n or not deciding.current.n:
        return found
    parts = psi_contributions(compared.coarse, deciding.current.coarse)
    return msgspec.structs.replace(
        found,
        psi=float(parts.sum()),
        contributions=parts.tolist(),
        moved=_moved(compared, deciding.current),
        tail=_tail(compared, deciding.current),
        pattern=shift_pattern(compared, deciding.current),
    )


def _window(
    store: Store, defaults: DriftRules, query: DriftQuery, subject: Subject, now: int, window: Window
) -> tuple[Window, Profile]:
    """The window as it is in the store, and what is counted there in the cells of the reference."""
    inputs = gather(store, defaults, replace(query, window=window, lookback=None), now)
    counts = counts_of_subjects(inputs.evidence.sums, inputs.layouts, {subject: inputs.chosen[subject]})
    return inputs.evidence.windows[0], counts[subject].profiles[0]


def _side(profile: Profile, window: Window | None) -> ComparedSide:
    return ComparedSide(
        start=None if window is None else iso_of_seconds(window.start),
        end=None if window is None else iso_of_seconds(window.end),
        n=profile.n,
        missing=profile.missing,
        invalid=profile.invalid,
        unseen=profile.unseen,
        below_range=profile.below,
        above_range=profile.above,
        counts=profile.coarse.tolist(),
        shares=(profile.coarse / max(profile.n, 1)).tolist(),
        quantiles=quantiles_of([profile])[0],
    )


def _moved(before: Profile, after: Profile) -> list[MovedCell]:
    shares = before.coarse / before.n, after.coarse / after.n
    order = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")[:MOST_MOVED]
    labels = before.binning.coarse_labels()
    return [MovedCell(labels[cell], float(shares[0][cell]), float(shares[1][cell])) for cell in order.tolist()]


def _tail(before: Profile, after: Profile) -> MovedTail | None:
    binning = before.binning
    if not isinstance(binning, NumericBinning) or not len(binning.coarse_edges):
        return None
    above = [1.0 - np.cumsum(each.coarse)[:-1] / each.n for each in (before, after)]
    furthest = int(np.argmax(np.abs(above[1] - above[0])))
    return MovedTail(float(binning.coarse_edges[furthest]), float(above[0][furthest]), float(above[1][furthest]))
