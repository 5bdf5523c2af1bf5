"""Sizes of a shift: the scores that decide, from which size they matter, and how severe each is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import msgspec

from modelwatch.stats.drift.odds import CategoryOdds
from modelwatch.stats.drift.variation.natural_variation import DEVIATE

Severity = Literal["stable", "shifted", "warning", "alert", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a subject.
PRECEDENCE: tuple[Severity, ...] = (
    "alert",
    "warning",
    "shifted",
    "stable",
    "insufficient_data",
    "no_data",
    "no_reference",
)

# Large enough to matter, and too large for chance.
DRIFTED: tuple[Severity, ...] = ("alert", "warning")

JS_WARNING_DISTANCE = 0.05
JS_ALERT_DISTANCE = 0.15
ROUNDING = 1e-9
# The names of the scores that decide.
PSI, ODDS = "PSI", "odds ratio"


class Configured(Protocol):
    """Configured size from which a shift matters. odds_ratio: 0 where odds are not judged."""

    @property
    def psi_warning(self) -> float: ...
    @property
    def psi_alert(self) -> float: ...
    @property
    def odds_ratio(self) -> float: ...


class Measure(msgspec.Struct, frozen=True, gc=False):
    """A score that decides: its size, from which size on it is a warning and an alert, and the chance of it.

    cell: the category that it is of; None when it is of all.
    """

    name: str
    size: float
    warning: float
    alert: float
    p_value: float
    cell: int | None = None

    def severity(self, alpha: float) -> Severity:
        """Large enough to matter, and too large for chance; else stable."""
        if self.size < self.warning or self.p_value >= alpha:
            return "stable"
        return "alert" if self.size >= self.alert else "warning"


def deciding_measure(measures: Sequence[Measure], alpha: float) -> Measure | None:
    """The measure that says the worst, of equally bad ones the first; None without any."""
    return min(measures, key=lambda each: PRECEDENCE.index(each.severity(alpha)), default=None)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Size from which a shift matters.

    natural: what the reference itself does in stretches as long, chance left out, if known. psi_natural: the PSI that
    a window shows which varies as the reference does, 0 if unknown; by_reference: whether that is why `psi_warning` is
    what it is, and psi_configured: what it would be; by_doubt: whether it is what the reference may do by itself
    without showing it. odds_ratio: how many times the odds of a category must have moved to matter, as configured; 0:
    the odds are not judged. natural_odds: how many times they move in the reference itself.
    """

    psi_warning: float
    psi_alert: float
    natural: float | None = None
    by_reference: bool = False
    odds_ratio: float = 0.0
    natural_odds: float | None = None
    psi_natural: float = 0.0
    psi_configured: float = math.inf
    by_doubt: bool = False

    def doubted(self, plausible: float) -> Tolerance:
        """The same where the PSI of a window that is as it should be may be as large as `plausible`: it is shown, and
        matters from there on."""
        if plausible <= self.psi_warning:
            return self
        return replace(
            self,
            psi_warning=plausible,
            psi_alert=max(self.psi_alert, plausible),
            by_reference=False,
            psi_configured=min(self.psi_configured, self.psi_warning),
            by_doubt=True,
        )

    def of_odds(self, odds: CategoryOdds) -> tuple[float, float]:
        """From which ratio of its odds on the shift of a category is a warning, and an alert: twice as far, as
        logarithms of odds are."""
        warning = math.log(self.odds_ratio)
        alert = 2.0 * warning
        if self.natural_odds is not None and self.natural_odds > 1.0:
            natural = math.log(self.natural_odds)
            allowed = (natural + DEVIATE * odds.error * min(1.0, natural / warning)) * (1.0 + ROUNDING)
            warning, alert = max(warning, allowed), max(alert, allowed)
        return math.exp(warning), math.exp(alert)


def tolerance(
    configured: Configured,
    natural: float | None,
    chance: float = 0.0,
    natural_odds: float | None = None,
) -> Tolerance:
    """The configured thresholds, or the reference's natural variation where that is larger.

    chance: the PSI that chance adds to a window of this size. A window that varies as the reference does shows its
    variation and chance together; where the reference hardly varies the configured threshold stands.
    """
    if not natural:
        return Tolerance(
            configured.psi_warning,
            configured.psi_alert,
            natural,
            odds_ratio=configured.odds_ratio,
            natural_odds=natural_odds,
        )
    # The margin is for rounding: a window that does exactly what the reference did is no drift.
    allowed = (natural + chance * min(1.0, natural / configured.psi_warning)) * (1.0 + ROUNDING)
    by_reference = allowed > configured.psi_warning
    warning, alert = max(configured.psi_warning, allowed), max(configured.psi_alert, allowed)
    return Tolerance(
        warning,
        alert,
        natural,
        by_reference,
        configured.odds_ratio,
        natural_odds,
        allowed,
        configured.psi_warning,
    )


def psi_severity(score: float, rules: Configured) -> Severity:
    """The magnitude alone, by the customary thresholds."""
    return "alert" if score >= rules.psi_alert else "warning" if score >= rules.psi_warning else "stable"


def js_severity(distance: float) -> Severity:
    """Jensen-Shannon by the thresholds that its users know; it never decides."""
    return "alert" if distance >= JS_ALERT_DISTANCE else "warning" if distance >= JS_WARNING_DISTANCE else "stable"
