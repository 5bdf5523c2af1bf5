"""The rules of one model: the settings, and what its monitor says otherwise."""

from __future__ import annotations

import pytest

from modelwatch.config import Settings
from modelwatch.config.monitors import parse_monitor
from modelwatch.monitoring import DriftRules, rules_for
from modelwatch.monitoring.rules import LARGEST_ALPHA, Thresholds

DEFAULTS = DriftRules.of(Settings())


def rules(**monitor: object) -> DriftRules:
    return rules_for(DEFAULTS, parse_monitor(monitor))


def test_what_a_monitor_leaves_open_is_as_in_the_settings() -> None:
    assert rules() == DEFAULTS
    assert rules_for(DEFAULTS, None) is DEFAULTS


def test_what_it_says_counts() -> None:
    found = rules(
        budget=0.5,
        schedule={"every": "15m", "on_new_data": False, "grace": "0s"},
        drift={
            "psi_warning": 0.2,
            "min_samples": 7,
            "lookbacks": ["6h", "1h"],
            "tolerance": "fixed",
            "persistence": {"alarms": 2, "of": 3},
            "resolve_after": 5,
            "latency": False,
        },
    )
    assert (found.budget, found.check_interval, found.on_new_data, found.grace) == (0.5, 900, False, 0)
    assert (found.psi_warning, found.psi_alert, found.min_samples, found.lookbacks) == (0.2, 0.25, 7, ("1h", "6h"))
    assert (found.natural_variation, found.alarms_needed, found.alarms_among, found.resolve_after) == (False, 2, 3, 5)
    assert found.kinds == ("prediction", "score")


def test_features_may_have_thresholds_of_their_own() -> None:
    found = rules(drift={"features": {"amount": {"psi_warning": 0.4}, "age": {"min_samples": 9}}})
    assert found.thresholds("feature", "amount") == Thresholds(0.4, 0.4, 100)
    assert found.thresholds("feature", "age") == Thresholds(0.1, 0.25, 9)
    assert found.thresholds("feature", "other") == Thresholds(0.1, 0.25, 100)
    assert found.thresholds("prediction", "amount") == Thresholds(0.1, 0.25, 100)


def test_features_are_left_out_by_name_or_pattern() -> None:
    found = rules(drift={"leave_out": ["id", "tmp_*"], "score": False})
    assert [found.watches("feature", name) for name in ("id", "ID", "tmp_1", "amount")] == [False, True, False, True]
    assert [found.watches(kind, "") for kind in ("prediction", "score", "latency")] == [True, False, True]


def test_alpha_is_what_has_accrued() -> None:
    interval = DEFAULTS.alpha(50)
    assert interval == pytest.approx(1.0 / (50 * 3 * 720))
    assert DEFAULTS.alpha(50, elapsed=3_600) == interval
    assert DEFAULTS.alpha(50, elapsed=300) == pytest.approx(interval / 12)
    assert DEFAULTS.alpha(50, elapsed=10**9) == interval
    assert DEFAULTS.alpha(50, streams=2) == pytest.approx(interval / 2)
    assert DEFAULTS.alpha(50, elapsed=0) > 0
    assert rules(budget=1000).alpha(1) == LARGEST_ALPHA
