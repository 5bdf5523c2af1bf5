"""Drift of a column between two data sets: its scores, its counts in both, and what moved, in words."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.measures import plain
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED, ODDS, PRECEDENCE, Severity
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.patterns import ShiftPattern, shift_pattern


class SubjectComparison(msgspec.Struct, frozen=True):
    """A column of both data sets.

    kind: feature, prediction, score or latency. severity: stable, shifted (a real shift, but small), warning,
    alert, or why there is no verdict. psi and the other scores: null without a verdict. p_value: chance of as much
    without any change; it must be below alpha for drift. pattern: what single change would explain the shift,
    factor: of `one_factor`, cell: the category that moved. cells: names of the cells, with their counts in both;
    edges: of numbers, those between the cells. missing, invalid, unseen, below_range, above_range: numbers of
    values, of the reference and now. effective_n: for how many independent values those of now count, where they are
    not independent. odds_category, odds_ratio: of names, the one whose odds decided rather than the PSI, and by what
    factor they have grown or fallen; else null.
    """

    name: str
    kind: str
    type: str
    severity: Severity
    reason: str | None
    reference_size: int
    sample_size: int
    psi: float | None
    ks: float | None
    jensen_shannon: float | None
    wasserstein: float | None
    hellinger: float | None
    total_variation: float | None
    p_value: float | None
    adjusted_p_value: float | None
    alpha: float | None
    min_detectable_psi: float | None
    natural_variation: float | None
    pattern: str | None
    factor: float | None
    cell: str | None
    cells: list[str]
    reference_counts: list[int]
    current_counts: list[int]
    missing: tuple[int, int]
    invalid: tuple[int, int]
    unseen: tuple[int, int]
    below_range: tuple[int, int]
    above_range: tuple[int, int]
    edges: list[float] = []
    effective_n: float | None = None
    odds_category: str | None = None
    odds_ratio: float | None = None

    @classmethod
    def of(cls, result: SubjectReport, *, sizes: tuple[int, int], **counted: Any) -> SubjectComparison:
        """A column with the scores of its result. sizes: valid values of the reference and now. counted: the fields
        that a result does not have."""
        evidence = result.evidence
        odds = None if result.odds is None or not result.odds.decides else result.odds
        return cls(
            name=result.feature_name,
            kind=result.kind,
            severity=result.severity,
            reason=result.reason,
            reference_size=sizes[0],
            sample_size=sizes[1],
            psi=None if result.psi is None else result.psi.score,
            ks=None if result.ks_test is None else result.ks_test.statistic,
            jensen_shannon=None if result.jensen_shannon is None else result.jensen_shannon.distance,
            wasserstein=result.wasserstein,
            hellinger=result.hellinger,
            total_variation=result.total_variation,
            p_value=None if evidence is None else evidence.p_value,
            adjusted_p_value=None if evidence is None else evidence.adjusted_p_value,
            alpha=None if evidence is None else evidence.alpha,
            min_detectable_psi=None if evidence is None else evidence.min_detectable_psi,
            natural_variation=None if result.tolerance is None else result.tolerance.natural_variation,
            effective_n=None if evidence is None else evidence.effective_n,
            odds_category=None if odds is None else odds.category,
            odds_ratio=None if odds is None else odds.ratio,
            **counted,
        )


def by_severity(compared: SubjectComparison) -> tuple[int, float, str]:
    """The rank of a column: worst first, then by its PSI."""
    return PRECEDENCE.index(compared.severity), -(compared.psi or 0.0), compared.name


def compared(result: SubjectReport, reference: Profile, current: Profile) -> SubjectComparison:
    """A column with the scores of its result, and its counts in both."""
    pattern: ShiftPattern | None = None
    if result.severity in DRIFTED:
        pattern = shift_pattern(reference, current)
    return SubjectComparison.of(
        result,
        type=reference.binning.kind,
        sizes=(reference.n, current.n),
        pattern=None if pattern is None else pattern.kind,
        factor=None if pattern is None else pattern.factor,
        cell=None if pattern is None else pattern.cell,
        cells=list(reference.binning.coarse_labels()),
        reference_counts=reference.coarse.tolist(),
        current_counts=current.coarse.tolist(),
        missing=(reference.missing, current.missing),
        invalid=(reference.invalid, current.invalid),
        unseen=(reference.unseen, current.unseen),
        below_range=(reference.below, current.below),
        above_range=(reference.above, current.above),
        edges=reference.binning.coarse_edges.tolist() if isinstance(reference.binning, NumericBinning) else [],
    )


def moved_most(compared: SubjectComparison) -> tuple[str, float, float] | None:
    """The cell whose odds decided, else the one whose share has moved most, with its shares in the reference and now;
    None without values."""
    if not compared.reference_size or not compared.sample_size:
        return None
    before = [count / compared.reference_size for count in compared.reference_counts]
    now = [count / compared.sample_size for count in compared.current_counts]
    if compared.odds_category is not None:
        place = compared.cells.index(compared.odds_category)
    else:
        place = max(range(len(now)), key=lambda each: abs(now[each] - before[each]))
    return compared.cells[place], before[place], now[place]


def in_words(compared: SubjectComparison) -> str:
    """Clause on what has moved. Where odds decided, it is on these."""
    by_odds = compared.odds_category is not None
    if compared.pattern == "one_factor" and compared.factor is not None:
        return f"every value is about {plain(number(compared.factor))} times what it was"
    if compared.pattern == "missing" and not by_odds:
        before, now = (count / max(size, 1) for count, size in _missing_of(compared))
        return f"{plain(percent(now))} are missing (reference: {plain(percent(before))})"
    moved = moved_most(compared)
    if moved is None:
        return "no values"
    cell, before, now = moved
    score = "" if compared.odds_ratio is None else f", {ODDS} {number(compared.odds_ratio)}"
    return f"{cell}: {plain(f'{percent(before)} → {percent(now)}{score}')}"


def _missing_of(compared: SubjectComparison) -> tuple[tuple[int, int], tuple[int, int]]:
    before, now = compared.missing
    return (before, before + compared.reference_size), (now, now + compared.sample_size)
