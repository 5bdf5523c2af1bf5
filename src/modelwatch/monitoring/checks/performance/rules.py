"""The rules that a model's performance is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelwatch.config.monitors.monitor import MonitorConfig, settled_thresholds
from modelwatch.monitoring.checks.performance.labels.maturity import MATURITY
from modelwatch.monitoring.checks.rules import AccruingBudget, DriftRules, alpha_of_look, overridden
from modelwatch.stats.outcomes.tasks import Task

LOOKBACKS = ("1h", "24h", "7d")
WATCHED: dict[Task, tuple[str, ...]] = {
    "binary": ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"),
    "multiclass": ("accuracy", "f1_macro", "log_loss"),
    "regression": ("mae", "rmse", "mean_error"),
}
# Right and wrong predictions come in clusters, and days differ more than independent draws do: where looks are so rare
# that the budget would allow it, a loss still needs about three standard deviations.
MOST_ALPHA = 1.35e-3
# Of these, less is better.
LOSSES = frozenset({"log_loss", "brier", "mae", "rmse", "mape", "mean_error"})


@dataclass(frozen=True, slots=True)
class PerformanceRules(AccruingBudget):
    """Rules of the performance check for one model. Times in seconds.

    task, positive_class: what the monitor says about the labels. metrics: what is watched; None: what is usual for the
    task. tolerance: the loss that matters, of shares and areas; relative_tolerance: of losses and errors, as a share of
    the reference's. limits: by metric, the worst value that is ever right. min_samples: labels from which on a metric
    is called stable. odds_ratio: how many times the odds of a class must have grown or fallen for label drift; its
    square is an alert. maturity: the share of the labels that is waited for. label_coverage: whether labels that stop
    arriving are reported. early: whether a loss may be found when half of the labels are in. alarms_needed and the
    others: as for drift. names_shifted: whether labels whose shift is real and small are `shifted`; in verdicts of
    earlier releases they are stable.
    """

    budget: float
    check_interval: int
    tolerance: float = 0.02
    relative_tolerance: float = 0.1
    metrics: tuple[str, ...] | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    lookbacks: tuple[str, ...] = LOOKBACKS
    min_samples: int = 100
    label_drift: bool = True
    psi_warning: float = 0.1
    psi_alert: float = 0.25
    odds_ratio: float = 2.0
    natural_variation: bool = True
    maturity: float = MATURITY
    label_coverage: bool = True
    early: bool = True
    task: Task | None = None
    positive_class: str | None = None
    enabled: bool = True
    alarms_needed: int = 1
    alarms_among: int = 1
    resolve_after: int = 2
    # What evidence of earlier releases was judged by.
    names_shifted: bool = False

    @classmethod
    def of(cls, drift: DriftRules, tolerance: float) -> PerformanceRules:
        """The rules of a model without a monitor; what they share with drift is as there."""
        return cls(
            budget=drift.budget,
            check_interval=drift.check_interval,
            tolerance=tolerance,
            min_samples=drift.min_samples,
            psi_warning=drift.psi_warning,
            psi_alert=drift.psi_alert,
            natural_variation=drift.natural_variation,
            names_shifted=drift.names_shifted,
        )

    def with_monitor(self, monitor: MonitorConfig | None) -> PerformanceRules:
        """The rules of a model with this monitor: what it leaves open is as here."""
        if monitor is None:
            return self
        configured, drift = monitor.performance, monitor.drift
        warning, alert = settled_thresholds(drift.psi_warning, drift.psi_alert, self.psi_warning, self.psi_alert)
        given: dict[str, Any] = {
            "budget": monitor.budget,
            "check_interval": monitor.schedule.every,
            "tolerance": configured.tolerance,
            "relative_tolerance": configured.relative_tolerance,
            "metrics": configured.metrics,
            "limits": configured.limits,
            "lookbacks": configured.lookbacks,
            "min_samples": configured.min_samples,
            "label_drift": configured.label_drift,
            "psi_warning": warning,
            "psi_alert": alert,
            "odds_ratio": configured.odds_ratio,
            "maturity": configured.maturity,
            "label_coverage": configured.label_coverage,
            "early": configured.early,
            "natural_variation": None if drift.tolerance is None else drift.tolerance == "natural",
            "task": monitor.task,
            "positive_class": monitor.positive_class,
            "enabled": configured.enabled,
            "resolve_after": configured.resolve_after,
        }
        return overridden(self, given, configured.persistence)

    def watched(self, task: Task) -> tuple[str, ...]:
        """The metrics that are watched in a task, those with a limit among them."""
        chosen = WATCHED[task] if self.metrics is None else self.metrics
        return tuple(dict.fromkeys((*chosen, *sorted(self.limits))))

    def alpha(self, subjects: int, streams: int, lookbacks: int, elapsed: int | None = None) -> float:
        """The chance of a false alarm that one look at one metric may take.

        lookbacks: those with enough labels to decide anything; the others can raise no alarm. elapsed: seconds since
        the look before; the interval if None. Never more than MOST_ALPHA, however few looks share the budget.
        """
        seconds = self.accrued(elapsed)
        share = alpha_of_look(
            "performance", self.budget, subjects=subjects, streams=streams, lookbacks=lookbacks, seconds=seconds
        )
        return min(share, MOST_ALPHA)
