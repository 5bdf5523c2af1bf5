"""Report of one subject: its scores, evidence and cells in the window that decides, and a line for each look-back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.monitoring.checks.drift.judge import Judgement, chances_of_psi
from modelwatch.monitoring.checks.drift.report import (
    CellCounts,
    CellReport,
    EvidenceReport,
    JensenShannonReport,
    KsReport,
    LookbackReport,
    OddsReport,
    PsiReport,
    SubjectReport,
    ToleranceReport,
    WindowReport,
)
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, ODDS, Measure, Tolerance, js_severity, psi_severity
from modelwatch.monitoring.checks.rules import Thresholds
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.counting.binning import CategoricalBinning
from modelwatch.stats.counting.categorical import CODEC_VERSION as CATEGORICAL_VERSION
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import DriftScores, drift_scores_of_many, psi_contributions_of_many
from modelwatch.stats.drift.significance.combined import cell_name
from modelwatch.stats.drift.significance.homogeneity import Homogeneity
from modelwatch.storage.references.subjects import StoredReference
from modelwatch.times import iso_of_seconds

NO_REFERENCE = "No reference is set: POST one to /api/v1/reference."
TOP_CELLS = 5
# In the place of a look-back, the window from the onset of a shift on.
SINCE = "onset"
TEST = "two samples: chi-square of grouped cells, and exact tails of single cells"
DIRECTED = "two samples: location, scale, chi-square of grouped cells, and exact tails of single cells"


@dataclass(frozen=True, slots=True)
class WindowScores:
    """All scores of a window beside its reference, what each coarse cell adds to the PSI, shape (cells,), and what
    chance adds to it on average."""

    scores: DriftScores
    contributions: NDArray[np.float64]
    by_chance: float


def window_scores(pairs: Sequence[tuple[StoredReference, Profile]]) -> list[WindowScores]:
    """The scores of many windows, none without valid values on either side, in their order."""
    profiles = [(reference.profile, current) for reference, current in pairs]
    by_chance = chances_of_psi([(reference.profile, reference.split, current.n) for reference, current in pairs])
    found = zip(drift_scores_of_many(profiles), psi_contributions_of_many(profiles), by_chance, strict=True)
    return list(starmap(WindowScores, found))


def subject_report(
    reference: StoredReference,
    window: Window,
    current: Profile,
    judgement: Judgement,
    allowed: Tolerance,
    configured: Thresholds,
    ks_alpha: float,
    found: WindowScores | None,
    compat: dict[str, float | None] | None,
    *,
    directed: bool,
) -> SubjectReport:
    """One subject in one window. found: its scores; None where it was not compared. directed: as of its case."""
    scores = None if found is None else found.scores
    test = judgement.test
    subject = reference.subject
    return SubjectReport(
        feature_name=subject.name or subject.kind,
        kind=subject.kind,
        feature_type=reference.profile.binning.kind,
        severity=judgement.severity,
        sample_size=current.n,
        reference_size=reference.profile.n,
        window=WindowReport(iso_of_seconds(window.start), iso_of_seconds(window.end)),
        lookback=window.lookback,
        reference_state=reference.state,
        binning_id=current.binning.id,
        psi=None
        if found is None or found.scores.psi is None
        else _psi(found.scores.psi, found.by_chance, configured, directed=directed),
        ks_test=None
        if scores is None or scores.ks is None
        else KsReport(scores.ks.statistic, scores.ks.upper, scores.ks.p_value, scores.ks.p_value < ks_alpha),
        jensen_shannon=None
        if scores is None or scores.jensen_shannon is None
        else JensenShannonReport(
            scores.jensen_shannon.divergence,
            scores.jensen_shannon.distance,
            js_severity(scores.jensen_shannon.distance),
        ),
        wasserstein=None if scores is None else scores.wasserstein,
        hellinger=None if scores is None else scores.hellinger,
        total_variation=None if scores is None else scores.total_variation,
        evidence=None if test is None else _evidence(reference, judgement, test, directed=directed),
        tolerance=ToleranceReport(allowed.psi_warning, allowed.psi_alert, allowed.natural),
        top_cells=[] if found is None else _top_cells(reference.profile, current, found.contributions.tolist()),
        counts=_counts(reference.profile, current),
        lookbacks=[],
        compat=compat,
        reason=judgement.reason,
        reference_advice=_advice(reference),
        odds=_odds(reference, judgement),
    )


def _psi(score: float, by_chance: float, configured: Thresholds, *, directed: bool) -> PsiReport:
    size = max(0.0, score - by_chance) if directed else None
    return PsiReport(score, psi_severity(score, configured), by_chance, size)


def _evidence(reference: StoredReference, judgement: Judgement, test: Homogeneity, *, directed: bool) -> EvidenceReport:
    found = EvidenceReport(
        DIRECTED if test.location is not None else TEST,
        test.statistic,
        test.likelihood_ratio,
        test.df,
        test.p_value,
        judgement.alpha,
        judgement.min_detectable_psi,
        omnibus_p_value=test.omnibus_p_value,
        cell_p_value=test.cell_p_value,
        new_names_p_value=test.new_names_p_value,
    )
    if not directed:
        return found
    location, scale = test.location, test.scale
    return msgspec.structs.replace(
        found,
        location_z=None if location is None else location.z,
        location_p_value=None if location is None else location.p_value,
        scale_z=None if scale is None else scale.z,
        scale_p_value=None if scale is None else scale.p_value,
        strongest=test.strongest,
        cell=cell_name(reference.profile, test),
        effective_n=test.effective_n,
    )


def _odds(reference: StoredReference, judgement: Judgement) -> OddsReport | None:
    measure = _measured_odds(judgement)
    if measure is None or measure.cell is None:
        return None
    return OddsReport(
        reference.profile.binning.coarse_labels()[measure.cell],
        measure.size,
        measure.p_value,
        measure.warning,
        measure.alert,
        judgement.severity in DRIFTED and judgement.deciding is measure,
    )


def _measured_odds(judgement: Judgement) -> Measure | None:
    return next((each for each in judgement.measures if each.name == ODDS), None)


def _advice(reference: StoredReference) -> str | None:
    binning = reference.profile.binning
    if isinstance(binning, CategoricalBinning) and binning.version < CATEGORICAL_VERSION:
        return (
            "This reference was stored by an earlier release, in cells that report rare and new categories as drift"
            " too often. Upload it again for better verdicts."
        )
    return None


def unreferenced_report(name: str, kind: str) -> SubjectReport:
    """A subject that nothing can be said about, because no reference is set for it."""
    return SubjectReport(
        feature_name=name,
        kind=kind,
        feature_type=None,
        severity="no_reference",
        sample_size=0,
        reference_size=0,
        window=None,
        lookback=None,
        reference_state=None,
        binning_id=None,
        psi=None,
        ks_test=None,
        jensen_shannon=None,
        wasserstein=None,
        hellinger=None,
        total_variation=None,
        evidence=None,
        tolerance=None,
        top_cells=[],
        counts=None,
        lookbacks=[],
        compat=None,
        reason=NO_REFERENCE,
    )


def lookback_report(window: Window, current: Profile, judgement: Judgement, allowed: Tolerance) -> LookbackReport:
    """Result of one of several windows, in one line."""
    odds = _measured_odds(judgement)
    return LookbackReport(
        window.lookback or SINCE,
        judgement.severity,
        current.n,
        judgement.psi,
        None if judgement.test is None else judgement.test.p_value,
        allowed.psi_warning,
        allowed.psi_alert,
        None if odds is None else odds.size,
    )


def _top_cells(reference: Profile, current: Profile, contributions: Sequence[float]) -> list[CellReport]:
    labels = reference.binning.coarse_labels()
    order = sorted(range(len(labels)), key=lambda cell: (-contributions[cell], cell))
    return [
        CellReport(
            labels[cell],
            float(reference.coarse[cell] / reference.n),
            float(current.coarse[cell] / current.n),
            contributions[cell],
        )
        for cell in order[:TOP_CELLS]
        if contributions[cell] > 0
    ]


def _counts(reference: Profile, current: Profile) -> CellCounts:
    return CellCounts(
        cells=list(reference.binning.coarse_labels()),
        reference=reference.coarse.tolist(),
        current=current.coarse.tolist(),
        missing=current.missing,
        invalid=current.invalid,
        below_range=current.below,
        above_range=current.above,
        unseen=current.unseen,
    )
