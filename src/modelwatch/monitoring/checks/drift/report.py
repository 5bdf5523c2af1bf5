"""Drift report, as it goes over the wire and as it is kept with a verdict."""

from __future__ import annotations

import msgspec

from modelwatch.monitoring.checks.drift.tolerance import (
    Severity,
)
from modelwatch.monitoring.checks.not_judged import NotJudged
from modelwatch.monitoring.checks.rules import AlphaReport


class WindowReport(msgspec.Struct, frozen=True, gc=False):
    """A window of event time, half-open."""

    start: str
    end: str


class PsiReport(msgspec.Struct, frozen=True, gc=False):
    """`by_chance` is the score that a window of this size has on average when nothing has changed; the `size` by which
    a real difference is judged is the score less that."""

    score: float
    severity: str
    by_chance: float | None = None
    size: float | None = None


class KsReport(msgspec.Struct, frozen=True, gc=False):
    """`statistic` from the fine cells; the exact one lies between it and `upper_bound`."""

    statistic: float
    upper_bound: float
    p_value: float
    is_significant: bool


class JensenShannonReport(msgspec.Struct, frozen=True, gc=False):
    divergence: float
    distance: float
    severity: str


class EvidenceReport(msgspec.Struct, frozen=True, gc=False):
    """Statistical evidence for the verdict: drift needs p_value < alpha as well as a large score.

    `omnibus_p_value` is of all cells together, in groups: the larger one of Pearson's chi-square (`statistic`) and of
    the `likelihood_ratio`, with `degrees_of_freedom`. `cell_p_value` is of the most unusual cell, exact. `p_value` is
    of all parts together. Of categories `new_names_p_value`, that there are so many unseen names, is a part; of ordered
    features the directed tests are: `location_p_value`, whose statistic `location_z` is above 0 where values are
    larger, and `scale_p_value`, with `scale_z` above 0 where they are further out. `strongest` is the part that
    decides, `cell` the most unusual category. `effective_n` is the number of independent predictions that those of the
    window count as, where they are not independent: then all p-values allow for it.
    """

    test: str
    statistic: float
    likelihood_ratio: float
    degrees_of_freedom: int
    p_value: float
    alpha: float
    min_detectable_psi: float | None
    adjusted_p_value: float | None = None
    omnibus_p_value: float | None = None
    cell_p_value: float | None = None
    new_names_p_value: float | None = None
    location_z: float | None = None
    location_p_value: float | None = None
    scale_z: float | None = None
    scale_p_value: float | None = None
    strongest: str | None = None
    cell: str | None = None
    effective_n: float | None = None


class ToleranceReport(msgspec.Struct, frozen=True, gc=False):
    """The PSI from which a shift matters here; `natural_variation` is that of the reference over time."""

    psi_warning: float
    psi_alert: float
    natural_variation: float | None


class OddsReport(msgspec.Struct, frozen=True, gc=False):
    """The category whose odds have moved furthest: how many times (`ratio`), the p-value that decides about it, the
    ratios from which it is a `warning` and an `alert`, and whether it decided the severity, rather than the PSI."""

    category: str
    ratio: float
    p_value: float
    warning: float
    alert: float
    decides: bool


class CellReport(msgspec.Struct, frozen=True, gc=False):
    """The shares of one cell, and its contribution to the PSI."""

    cell: str
    reference: float
    current: float
    contribution: float


class CellCounts(msgspec.Struct, frozen=True, gc=False):
    """The counts that the scores were computed from, and the counts of values without a cell."""

    cells: list[str]
    reference: list[int]
    current: list[int]
    missing: int
    invalid: int
    below_range: int
    above_range: int
    unseen: int


class LookbackReport(msgspec.Struct, frozen=True, gc=False):
    """Result of one of several look-backs, with its own PSI thresholds: natural variation depends on the length."""

    lookback: str
    severity: str
    sample_size: int
    psi: float | None
    p_value: float | None
    psi_warning: float | None = None
    psi_alert: float | None = None
    odds_ratio: float | None = None


class OnsetReport(msgspec.Struct, frozen=True, gc=False):
    """The estimated onset of the shift: it began about `began`, and probably between `earliest` and `latest`, which is
    approximate. known: false where older data may have shown it already. `sample_size` values have come since; `size`
    is their PSI less what chance adds."""

    began: str
    earliest: str
    latest: str
    known: bool
    sample_size: int
    size: float | None


class SubjectReport(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one subject of a model, with its evidence."""

    feature_name: str
    kind: str
    feature_type: str | None
    severity: Severity
    sample_size: int
    reference_size: int
    window: WindowReport | None
    lookback: str | None
    reference_state: str | None
    binning_id: str | None
    psi: PsiReport | None
    ks_test: KsReport | None
    jensen_shannon: JensenShannonReport | None
    wasserstein: float | None
    hellinger: float | None
    total_variation: float | None
    evidence: EvidenceReport | None
    tolerance: ToleranceReport | None
    top_cells: list[CellReport]
    counts: CellCounts | None
    lookbacks: list[LookbackReport]
    compat: dict[str, float | None] | None
    reason: str | None
    reference_advice: str | None = None
    odds: OddsReport | None = None
    onset: OnsetReport | None = None


class Summary(msgspec.Struct, frozen=True):
    """All subjects at a glance. severity: the worst that is known; not_judged: the subjects without a verdict.

    provisional: whether the reference of any subject is; provisional_subjects: which. notes: what is unknown about the
    independence of the predictions.
    """

    model_name: str
    model_version: str | None
    environment: str
    severity: Severity
    checked: int
    drifted: list[str]
    drifted_share: float
    watermark: str | None
    predictions: int
    provisional: bool
    alpha: float
    alpha_from: AlphaReport
    false_alarm_budget: float
    lookbacks: list[str]
    versions_left_out: list[str]
    reason: str | None
    not_judged: list[NotJudged] = []
    provisional_subjects: list[str] = []
    notes: list[str] = []


class DriftReport(msgspec.Struct, frozen=True):
    """The answer to a drift check: features first, then the prediction, its score and its latency."""

    drift_results: list[SubjectReport]
    summary: Summary
