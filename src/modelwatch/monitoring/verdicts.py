"""From two profiles to a verdict: large enough to matter, and too large for chance.

Pure: profiles and rules in, a judgement out. The states are never merged into one another: `insufficient_data`,
`no_data` and `no_reference` are not `stable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelwatch.monitoring.rules import DriftRules, Thresholds
from modelwatch.stats import (
    Homogeneity,
    Profile,
    Split,
    is_ids,
    psi,
    smallest_detectable_psi,
    window_needed,
    window_test,
)

Severity = Literal["stable", "warning", "alert", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a subject.
PRECEDENCE: tuple[Severity, ...] = ("alert", "warning", "stable", "insufficient_data", "no_data", "no_reference")

JS_WARNING_DISTANCE = 0.05
JS_ALERT_DISTANCE = 0.15
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one window of one subject says. Fields are None where they are not defined; `reason` says why."""

    severity: Severity
    psi: float | None
    test: Homogeneity | None
    alpha: float
    min_detectable_psi: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How large a shift must be to matter.

    natural: what the reference itself does in stretches as long, chance left out, if known. by_reference: whether that
    is why `psi_warning` is what it is.
    """

    psi_warning: float
    psi_alert: float
    natural: float | None = None
    by_reference: bool = False


def tolerance(configured: DriftRules | Thresholds, natural: float | None, chance: float = 0.0) -> Tolerance:
    """The configured thresholds, or the reference's natural variation where that is larger.

    chance: the PSI that chance adds to a window of this size. A window that varies as the reference does shows its
    variation and chance together; where the reference hardly varies the configured threshold stands.
    """
    if not natural:
        return Tolerance(configured.psi_warning, configured.psi_alert, natural)
    # The margin is for rounding: a window that does exactly what the reference did is no drift.
    allowed = (natural + chance * min(1.0, natural / configured.psi_warning)) * (1.0 + ROUNDING)
    by_reference = allowed > configured.psi_warning
    return Tolerance(max(configured.psi_warning, allowed), max(configured.psi_alert, allowed), natural, by_reference)


def judge(
    reference: Profile,
    current: Profile,
    allowed: Tolerance,
    alpha: float,
    min_samples: int,
    split: Split | None = None,
) -> Judgement:
    """The verdict on one subject in one window. split: how a categorical reference was split for its tests."""
    if current.total == 0:
        return Judgement("no_data", None, None, alpha, None, "No predictions in this window.")
    if reference.n == 0:
        return Judgement("no_reference", None, None, alpha, None, "The reference holds no valid value.")
    if current.n == 0:
        reason = f"All {current.total} values in this window are missing or invalid."
        return Judgement("no_data", None, None, alpha, None, reason)
    score = psi(reference.coarse, current.coarse)
    if split is not None and is_ids(reference, split):
        return Judgement("insufficient_data", score, None, alpha, None, ids_reason(reference, split))
    test = window_test(reference, current, split)
    detectable = smallest_detectable_psi(reference, current.n, test.df, alpha, split)
    if current.n < min_samples:
        reason = f"{current.n} of at least {min_samples} values: {min_samples - current.n} more are needed."
        return Judgement("insufficient_data", score, test, alpha, detectable, reason)
    drifted = score >= allowed.psi_warning and test.p_value < alpha
    if drifted:
        severity: Severity = "alert" if score >= allowed.psi_alert else "warning"
        return Judgement(severity, score, test, alpha, detectable, None)
    out_of_reach = _out_of_reach(window_needed(reference, alpha, split), current.n)
    if out_of_reach is not None:
        return Judgement("insufficient_data", score, test, alpha, detectable, out_of_reach)
    return Judgement("stable", score, test, alpha, detectable, _why_stable(score, test, allowed, alpha))


def ids_reason(reference: Profile, split: Split) -> str:
    """Why a column of ids is not judged."""
    percent = 100.0 * split.once / reference.n
    return (
        f"Not judged: {percent:.0f} % of the reference's values occur in it once. That is a column of ids, in which new"
        " values are no news."
    )


def _out_of_reach(needed: int | None, n: int) -> str | None:
    if needed is None:
        return "The reference is too small: no number of predictions could tell a shift from chance at this budget."
    if needed > n:
        return (
            f"With {n} values not even the largest shift could be told from chance at this false-alarm budget:"
            f" {needed - n} more are needed."
        )
    return None


def _why_stable(score: float, test: Homogeneity, allowed: Tolerance, alpha: float) -> str | None:
    if score >= allowed.psi_warning:
        return f"PSI is above the threshold, but as large by chance with p = {test.p_value:.2g} (needs {alpha:.2g})."
    if test.p_value < alpha:
        why = ", which the reference itself reaches" if allowed.by_reference else ""
        size = f"smaller than the PSI threshold {allowed.psi_warning:.3g}{why}"
        return f"A real difference (p = {test.p_value:.2g}), but {size}."
    return None


def psi_severity(score: float, rules: DriftRules | Thresholds) -> Severity:
    """The magnitude alone, by the customary thresholds."""
    return "alert" if score >= rules.psi_alert else "warning" if score >= rules.psi_warning else "stable"


def js_severity(distance: float) -> Severity:
    """Jensen-Shannon by the thresholds that its users know; it never decides."""
    return "alert" if distance >= JS_ALERT_DISTANCE else "warning" if distance >= JS_WARNING_DISTANCE else "stable"
