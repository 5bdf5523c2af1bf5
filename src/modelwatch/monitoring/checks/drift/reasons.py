"""Reasons of a judgement, in sentences: why nothing is judged, what a window can't show, why a shift is small."""

from __future__ import annotations

from collections.abc import Sequence

from modelwatch.charts.drawing.numbers import number
from modelwatch.measures import p_needed, p_text, plain
from modelwatch.monitoring.checks.drift.tolerance import Measure, Tolerance
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.significance.combined import effective_reach
from modelwatch.stats.drift.significance.names import Split, is_ids
from modelwatch.stats.drift.variation.overdispersion import Dispersion


def counts_as(n: int, effective: float) -> str:
    """Sentence on values that are not independent.

    >>> counts_as(2_400, 36.9)
    'The 2,400 values count as about 37 independent ones.'
    >>> counts_as(168, 0.6)
    'The 168 values count as about one independent one.'
    """
    count = f"{max(effective, 1.0):,.0f}"
    return f"The {n:,} values count as about {'one independent one' if count == '1' else f'{count} independent ones'}."


def refusal(reference: Profile, split: Split | None, least: int) -> str | None:
    """Why no window is judged beside a reference, whatever it holds; None where windows are. least: number of values
    that a reference must hold."""
    if 0 < reference.n < least:
        return f"Not judged: the reference holds {reference.n} of at least {least} values that the tests need."
    if split is not None and is_ids(reference, split):
        return ids_reason(reference, split)
    return None


def ids_reason(reference: Profile, split: Split) -> str:
    """Why a column of ids is not judged."""
    percent = 100.0 * split.share_once(reference)
    alone = "have names that one value of the key alone has" if split.clusters else "occur only once"
    return (
        f"Not judged: {percent:.0f} % of the reference's values {alone}. This is a column of ids, in which"
        " new values are expected."
    )


def out_of_reach(n: int, needed: int | None) -> str | None:
    """Why a window of n values could show no shift; None where it could. needed: independent values that it takes."""
    if needed is None:
        return (
            "The reference is too small: no number of predictions could distinguish a shift from chance at this budget."
        )
    if needed > n:
        return (
            f"With {n} values, even the largest shift could not be distinguished from chance at this false-alarm"
            " budget:"
            f" {needed - n} more are needed."
        )
    return None


def dispersed_out_of_reach(reference: Profile, alpha: float, split: Split | None, dispersion: Dispersion) -> str | None:
    """The same of values that vary more than by chance."""
    effective, needed = effective_reach(reference, alpha, split, dispersion)
    if needed is not None and needed <= effective:
        return None
    why = "too little is known of what the reference varies by itself"
    if needed is not None:
        why = f"it takes {needed / effective:,.1f} times as many"
    return f"Even the largest shift could not be distinguished from chance at this false-alarm budget: {why}."


def why_stable(measures: Sequence[Measure], allowed: Tolerance, alpha: float, score: float) -> str | None:
    """Why a shift that is large, or real, is none that matters; None where there is nothing to explain. measures: the
    PSI first. score: the PSI as it is, with what chance adds."""
    psi = measures[0]
    if psi.p_value < alpha:
        why = ", which the reference itself reaches" if allowed.by_reference else ""
        if allowed.by_doubt:
            why = ", which so few values of the reference may hide of what the data do by themselves"
        less = f"{plain(number(psi.size))} less what chance adds, " if score >= psi.warning else ""
        size = f"{less}smaller than the PSI threshold {plain(number(psi.warning))}{why}"
        return f"A real difference ({plain(p_text(psi.p_value))}), but {size}."
    if score >= psi.warning or (allowed.by_doubt and score >= allowed.psi_configured):
        return f"PSI is above the threshold, but explained by chance: {p_needed(psi.p_value, alpha)}."
    if allowed.by_reference and score >= allowed.psi_configured:
        reached = f"the reference itself reaches {plain(number(psi.warning))} in stretches as long"
        return f"PSI is above the configured threshold {plain(number(allowed.psi_configured))}, but {reached}."
    return None
