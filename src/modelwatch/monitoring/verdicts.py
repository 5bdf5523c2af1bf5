"""From two profiles to a verdict: large enough to matter, and too large for chance.

Pure: profiles and rules in, a judgement out. The states are never merged into one another: `insufficient_data`,
`no_data` and `no_reference` are not `stable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelwatch.config import Settings
from modelwatch.stats import (
    ChiSquare,
    DriftScores,
    Profile,
    alpha_per_look,
    chi_square_homogeneity,
    drift_scores,
    minimum_detectable_psi,
    samples_needed,
)

Severity = Literal["stable", "warning", "alert", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a subject.
PRECEDENCE: tuple[Severity, ...] = ("alert", "warning", "stable", "insufficient_data", "no_data", "no_reference")

JS_WARNING_DISTANCE = 0.05
JS_ALERT_DISTANCE = 0.15
SECONDS_PER_30_DAYS = 30 * 86_400

# A generous budget over few looks would otherwise call coin tosses evidence.
LARGEST_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class DriftRules:
    """What counts as drift for one model."""

    psi_warning: float
    psi_alert: float
    ks_alpha: float
    min_samples: int
    budget: float
    lookbacks: tuple[str, ...]
    check_interval: int
    natural_variation: bool = True

    @classmethod
    def of(cls, settings: Settings) -> DriftRules:
        return cls(
            psi_warning=settings.psi_warning_threshold,
            psi_alert=settings.psi_alert_threshold,
            ks_alpha=settings.ks_test_alpha,
            min_samples=settings.min_samples_for_drift,
            budget=settings.false_alarm_budget,
            lookbacks=settings.lookbacks,
            check_interval=settings.drift_check_interval,
            natural_variation=settings.natural_variation,
        )

    @property
    def evaluations_per_30_days(self) -> float:
        return SECONDS_PER_30_DAYS / self.check_interval

    def alpha(self, subjects: int, streams: int = 1) -> float:
        """The chance of a false alarm that one look at one subject may take.

        streams: how many versions and environments of the model are evaluated beside each other.
        """
        looked_at = max(subjects, 1) * max(streams, 1)
        alpha = alpha_per_look(self.budget, looked_at, len(self.lookbacks), self.evaluations_per_30_days)
        return min(alpha, LARGEST_ALPHA)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one window of one subject says. Fields are None where they are not defined; `reason` says why."""

    severity: Severity
    scores: DriftScores | None
    chi_square: ChiSquare | None
    alpha: float
    min_detectable_psi: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How large a shift must be to matter. `natural`: what the reference itself does in stretches as long, if known."""

    psi_warning: float
    psi_alert: float
    natural: float | None = None


def tolerance(rules: DriftRules, natural: float | None) -> Tolerance:
    """The configured thresholds, or the reference's natural variation where that is larger."""
    return Tolerance(max(rules.psi_warning, natural or 0.0), max(rules.psi_alert, natural or 0.0), natural)


def judge(reference: Profile, current: Profile, allowed: Tolerance, alpha: float, min_samples: int) -> Judgement:
    """The verdict on one subject in one window."""
    if current.total == 0:
        return Judgement("no_data", None, None, alpha, None, "No predictions in this window.")
    if reference.n == 0:
        return Judgement("no_reference", None, None, alpha, None, "The reference holds no valid value.")
    if current.n == 0:
        reason = f"All {current.total} values in this window are missing or invalid."
        return Judgement("no_data", None, None, alpha, None, reason)
    scores = drift_scores(reference, current)
    assert scores.psi is not None, "both sides have observations"
    test = chi_square_homogeneity(reference.coarse, current.coarse)
    detectable = minimum_detectable_psi(reference.n, current.n, test.df, alpha) if test.df else None
    if current.n < min_samples:
        reason = f"{current.n} of at least {min_samples} values: {min_samples - current.n} more are needed."
        return Judgement("insufficient_data", scores, test, alpha, detectable, reason)
    drifted = scores.psi >= allowed.psi_warning and test.p_value < alpha
    if drifted:
        severity: Severity = "alert" if scores.psi >= allowed.psi_alert else "warning"
        return Judgement(severity, scores, test, alpha, detectable, None)
    out_of_reach = _out_of_reach(samples_needed(reference.coarse, alpha), current.n)
    if out_of_reach is not None:
        return Judgement("insufficient_data", scores, test, alpha, detectable, out_of_reach)
    return Judgement("stable", scores, test, alpha, detectable, _why_stable(scores.psi, test, allowed, alpha))


def _out_of_reach(needed: int | None, n: int) -> str | None:
    if needed is None:
        return "The reference is too small: no number of predictions could tell a shift from chance at this budget."
    if needed > n:
        return (
            f"With {n} values not even the largest shift could be told from chance at this false-alarm budget:"
            f" {needed - n} more are needed."
        )
    return None


def _why_stable(psi: float, test: ChiSquare, allowed: Tolerance, alpha: float) -> str | None:
    if psi >= allowed.psi_warning:
        return f"PSI is above the threshold, but as large by chance with p = {test.p_value:.2g} (needs {alpha:.2g})."
    if test.p_value < alpha:
        why = ", which the reference itself reaches" if allowed.natural == allowed.psi_warning else ""
        size = f"smaller than the PSI threshold {allowed.psi_warning:.3g}{why}"
        return f"A real difference (p = {test.p_value:.2g}), but {size}."
    return None


def psi_severity(psi: float, rules: DriftRules) -> Severity:
    """The magnitude alone, by the customary thresholds."""
    return "alert" if psi >= rules.psi_alert else "warning" if psi >= rules.psi_warning else "stable"


def js_severity(distance: float) -> Severity:
    """Jensen-Shannon by the thresholds that its users know; it never decides."""
    return "alert" if distance >= JS_ALERT_DISTANCE else "warning" if distance >= JS_WARNING_DISTANCE else "stable"
