"""The rules of a model: those of the service, and what its monitor says."""

from __future__ import annotations

import pytest

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules, rules_for

DRIFT = DriftRules(0.15, 0.3, 0.05, 50, 2.0, ("1h",), 1_800)
RULES = PerformanceRules.of(DRIFT, 0.05)


def test_without_a_monitor_the_settings_count() -> None:
    assert (RULES.tolerance, RULES.min_samples, RULES.budget, RULES.check_interval) == (0.05, 50, 2.0, 1_800)
    assert (RULES.psi_warning, RULES.psi_alert, RULES.lookbacks) == (0.15, 0.3, ("1h", "24h", "7d"))
    assert RULES.with_monitor(None) == RULES
    assert RULES.with_monitor(parse_monitor({})) == RULES


def test_what_a_monitor_says_counts_and_the_rest_stays() -> None:
    monitor = parse_monitor(
        {
            "budget": 4,
            "schedule": {"every": "2h"},
            "performance": {
                "enabled": False,
                "metrics": ["accuracy"],
                "tolerance": 0.01,
                "limits": {"f1": 0.7},
                "lookbacks": ["6h"],
                "min_samples": 7,
                "label_drift": False,
                "odds_ratio": 3,
                "maturity": 0.99,
                "label_coverage": False,
                "early": False,
                "persistence": {"alarms": 2, "of": 3},
                "resolve_after": 5,
            },
        }
    )
    found = RULES.with_monitor(monitor)
    assert (found.budget, found.check_interval, found.enabled, found.tolerance) == (4, 7_200, False, 0.01)
    assert (found.lookbacks, found.min_samples, found.label_drift, found.odds_ratio) == (("6h",), 7, False, 3)
    assert (found.maturity, found.label_coverage, found.early) == (0.99, False, False)
    assert (found.alarms_needed, found.alarms_among, found.resolve_after) == (2, 3, 5)
    assert (found.relative_tolerance, found.psi_warning) == (RULES.relative_tolerance, RULES.psi_warning)
    assert found.watched("binary") == ("accuracy", "f1")


@pytest.mark.parametrize(
    ("drift", "thresholds"),
    [
        ({"psi_warning": 0.2, "psi_alert": 0.5}, (0.2, 0.5)),
        ({"psi_warning": 0.5}, (0.5, 0.5)),
        ({"psi_alert": 0.1}, (0.1, 0.1)),
    ],
)
def test_labels_drift_by_the_thresholds_of_the_monitor(
    drift: dict[str, float], thresholds: tuple[float, float]
) -> None:
    found = RULES.with_monitor(parse_monitor({"drift": drift}))
    assert (found.psi_warning, found.psi_alert) == thresholds
    as_of_drift = rules_for(DRIFT, parse_monitor({"drift": drift}))
    assert (as_of_drift.psi_warning, as_of_drift.psi_alert) == thresholds


def test_what_is_watched_goes_by_the_task() -> None:
    assert RULES.watched("binary") == ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
    assert RULES.watched("multiclass") == ("accuracy", "f1_macro", "log_loss")
    assert RULES.watched("regression") == ("mae", "rmse", "mean_error")


def test_performance_spends_a_quarter_of_the_budget_over_all_that_it_looks_at() -> None:
    looks_in_30_days = 5 * 2 * 3 * 30 * 48
    assert RULES.alpha(5, 2, 3) == pytest.approx(0.25 * 2.0 / looks_in_30_days)
    # An early look may spend what has accrued; a late one no more than that of an interval.
    assert RULES.alpha(5, 2, 3, 600) == pytest.approx(RULES.alpha(5, 2, 3) / 3)
    assert RULES.alpha(5, 2, 3, 10**6) == RULES.alpha(5, 2, 3)
    assert RULES.alpha(0, 0, 0) == pytest.approx(0.25 * 2.0 / (30 * 48))
