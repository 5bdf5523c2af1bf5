"""The rules of one model: the settings, and what its monitor says otherwise."""

from __future__ import annotations

import dataclasses

import pytest

from modelwatch.config import Settings
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.monitoring.checks.rules import LARGEST_ALPHA, DriftRules, FeatureRules, Thresholds, rules_for

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
    # A default gives way to what is given.
    assert found.thresholds("feature", "amount") == Thresholds(0.4, 0.4, 100)
    assert found.thresholds("feature", "age") == Thresholds(0.1, 0.25, 9)
    assert found.thresholds("feature", "other") == Thresholds(0.1, 0.25, 100)
    assert found.thresholds("prediction", "amount") == Thresholds(0.1, 0.25, 100, 2.0)


def test_the_odds_of_a_feature_are_looked_at_where_a_monitor_asks() -> None:
    found = rules(drift={"odds_ratio": 3, "features": {"country": {"odds_ratio": 4}, "city": {"odds_ratio": "never"}}})
    asked = [("prediction", ""), ("feature", "country"), ("feature", "city"), ("feature", "age"), ("score", "")]
    assert [found.thresholds(kind, name).odds_ratio for kind, name in asked] == [3.0, 4.0, 0.0, 0.0, 0.0]


def test_a_threshold_that_is_given_counts_whatever_the_settings_are() -> None:
    """Not only from the PSI on that the settings call a warning."""
    sensitive = rules(drift={"psi_alert": 0.05})
    assert (sensitive.psi_warning, sensitive.psi_alert) == (0.05, 0.05)
    one = rules(drift={"features": {"amount": {"psi_alert": 0.05}}})
    assert one.thresholds("feature", "amount") == Thresholds(0.05, 0.05, 100)
    assert one.thresholds("feature", "other") == Thresholds(0.1, 0.25, 100)
    deaf = rules(drift={"psi_warning": 0.5, "features": {"amount": {"psi_warning": 0.1, "psi_alert": 0.2}}})
    assert (deaf.psi_warning, deaf.psi_alert) == (0.5, 0.5)
    assert deaf.thresholds("feature", "amount") == Thresholds(0.1, 0.2, 100)


@pytest.mark.parametrize(
    ("monitor", "changed"),
    [
        ({"budget": 2}, {"budget": 2.0}),
        ({"schedule": {"every": "90s"}}, {"check_interval": 90}),
        ({"schedule": {"on_new_data": False}}, {"on_new_data": False}),
        ({"schedule": {"grace": "5m"}}, {"grace": 300}),
        ({"drift": {"psi_warning": 0.05}}, {"psi_warning": 0.05}),
        ({"drift": {"psi_alert": 0.5}}, {"psi_alert": 0.5}),
        ({"drift": {"min_samples": 7}}, {"min_samples": 7}),
        ({"drift": {"lookbacks": ["7d", "1h"]}}, {"lookbacks": ("1h", "7d")}),
        ({"drift": {"tolerance": "fixed"}}, {"natural_variation": False}),
        ({"drift": {"tolerance": "natural"}}, {}),
        ({"drift": {"persistence": {"alarms": 2, "of": 3}}}, {"alarms_needed": 2, "alarms_among": 3}),
        ({"drift": {"odds_ratio": 3}}, {"odds_ratio": 3.0}),
        ({"drift": {"odds_ratio": "never"}}, {"odds_ratio": 0.0}),
        ({"drift": {"resolve_after": 4}}, {"resolve_after": 4}),
        ({"drift": {"leave_out": ["a", "b*"]}}, {"leave_out": ("a", "b*")}),
        ({"drift": {"prediction": False}}, {"kinds": ("score", "latency")}),
        ({"drift": {"score": False}}, {"kinds": ("prediction", "latency")}),
        ({"drift": {"latency": False, "prediction": True}}, {"kinds": ("prediction", "score")}),
        ({"drift": {"features": {"a": {"min_samples": 9}}}}, {"features": {"a": FeatureRules(min_samples=9)}}),
        ({"labels": {"a": "b"}, "positive_class": "x", "alerts": {"channels": []}}, {}),
    ],
)
def test_each_key_changes_its_rule_and_no_other(monitor: dict[str, object], changed: dict[str, object]) -> None:
    assert rules(**monitor) == dataclasses.replace(DEFAULTS, **changed)  # type: ignore[arg-type]


def test_natural_variation_may_be_asked_for_where_the_settings_do_not() -> None:
    fixed = dataclasses.replace(DEFAULTS, natural_variation=False)
    assert rules_for(fixed, parse_monitor({"drift": {"tolerance": "natural"}})) == DEFAULTS
    assert rules_for(fixed, parse_monitor({})) == fixed


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("tmp_*", "tmp_", "xtmp_"),
        ("*", "anything", None),
        ("v?", "v1", "v10"),
        ("v[0-4]", "v4", "v5"),
        ("v[!0-4]", "v5", "v4"),
        ("a[[]0]", "a[0]", "a0"),
        ("Amount", "Amount", "amount"),
        ("a.b", "a.b", "axb"),
    ],
)
def test_patterns_are_those_of_the_shell(pattern: str, fits: str, does_not: str | None) -> None:
    found = rules(drift={"leave_out": [pattern]})
    assert not found.watches("feature", fits)
    assert does_not is None or found.watches("feature", does_not)


def test_features_are_left_out_by_name_or_pattern() -> None:
    found = rules(drift={"leave_out": ["id", "tmp_*"], "score": False})
    assert [found.watches("feature", name) for name in ("id", "ID", "tmp_1", "amount")] == [False, True, False, True]
    assert [found.watches(kind, "") for kind in ("prediction", "score", "latency")] == [True, False, True]


def test_alpha_is_what_has_accrued() -> None:
    interval = DEFAULTS.alpha(50)
    assert interval == pytest.approx(0.5 / (50 * 8 * 720))
    assert DEFAULTS.alpha(50, elapsed=3_600) == interval
    assert DEFAULTS.alpha(50, elapsed=300) == pytest.approx(interval / 12)
    assert DEFAULTS.alpha(50, elapsed=10**9) == interval
    assert DEFAULTS.alpha(50, streams=2) == pytest.approx(interval / 2)
    assert DEFAULTS.alpha(50, elapsed=0) > 0
    assert rules(budget=1000).alpha(1) == LARGEST_ALPHA


@pytest.mark.parametrize(("elapsed", "spent"), [(None, 3_600), (0, 1), (300, 300), (3_600, 3_600), (90_000, 3_600)])
def test_the_seconds_that_are_shown_are_those_whose_budget_is_spent(elapsed: int | None, spent: int) -> None:
    """What accrued over more than an interval is forfeited: after 25 hours a look spends the budget of one."""
    hourly = dataclasses.replace(DEFAULTS, check_interval=3_600)
    assert hourly.accrued(elapsed) == spent
    assert hourly.alpha(50, elapsed=elapsed) == hourly.alpha(50, elapsed=spent)
