"""The defaults that are shown are those that count."""

from __future__ import annotations

import pytest

from modelwatch.alerting.policy import policy_of
from modelwatch.config import Settings
from modelwatch.config.monitors.defaults import default_document, effective_document
from modelwatch.config.monitors.monitor import monitor_schema, parse_monitor
from modelwatch.monitoring.checks.rules import DriftRules, rules_for

SETTINGS = Settings(
    psi_alert_threshold=0.4,
    lookbacks=("1h", "7d"),
    alert_repeat_seconds=0,
    alert_repeat_acknowledged_seconds=0,
    natural_variation=False,
    evaluation_grace_seconds=0,
    drift_check_interval=5_401,
    false_alarm_budget=0.5,
    min_samples_for_drift=7,
)


def test_the_default_document_changes_nothing() -> None:
    for settings in (Settings(), SETTINGS):
        document = default_document(settings, ["slack"])
        config = parse_monitor(document)
        defaults = DriftRules.of(settings)
        assert rules_for(defaults, config) == defaults
        given = {
            "channels": ("slack",),
            "repeat_seconds": settings.alert_repeat_seconds,
            "repeat_acknowledged_seconds": settings.alert_repeat_acknowledged_seconds,
        }
        assert policy_of(config, **given) == policy_of(None, **given)  # type: ignore[arg-type]


def test_what_is_set_stands_among_the_defaults() -> None:
    config = parse_monitor(
        {"drift": {"psi_alert": 0.5, "features": {"a": {"min_samples": 5}}}, "labels": {"team": "x"}}
    )
    found = effective_document(config, SETTINGS, ["slack"])
    assert found["drift"]["psi_alert"] == 0.5
    assert found["drift"]["psi_warning"] == 0.1
    assert found["drift"]["features"] == {"a": {"min_samples": 5}}
    assert (found["labels"], found["alerts"]["channels"]) == ({"team": "x"}, ["slack"])
    assert (found["alerts"]["repeat_every"], found["drift"]["tolerance"]) == ("never", "fixed")
    assert effective_document(None, SETTINGS, []) == default_document(SETTINGS, [])


def test_every_key_has_a_default() -> None:
    """And so `GET` and `modelwatch monitors get` show every key."""
    schema = monitor_schema()
    parts = {"": schema, **{name: schema["$defs"][name] for name in ("ScheduleConfig", "DriftConfig", "AlertsConfig")}}
    document = default_document(Settings(), [])
    shown = {"": document, **{f"{name.title()}Config": document[name] for name in ("schedule", "drift", "alerts")}}
    for name, part in parts.items():
        assert part["properties"].keys() - {"model"} == shown[name].keys()


def test_what_is_null_is_as_if_it_were_not_given() -> None:
    config = parse_monitor({"budget": None, "drift": {"psi_alert": None, "persistence": None}, "labels": None})
    assert effective_document(config, SETTINGS, []) == default_document(SETTINGS, [])
    assert rules_for(DriftRules.of(SETTINGS), config) == DriftRules.of(SETTINGS)


@pytest.mark.parametrize(
    ("given", "counts"),
    [({"psi_warning": 0.5}, (0.5, 0.5)), ({"psi_alert": 0.05}, (0.05, 0.05)), ({"psi_alert": 0.2}, (0.1, 0.2))],
)
def test_a_default_gives_way_to_what_is_given(given: dict[str, float], counts: tuple[float, float]) -> None:
    config = parse_monitor({"drift": given})
    shown = effective_document(config, Settings(), [])["drift"]
    rules = rules_for(DriftRules.of(Settings()), config)
    assert (shown["psi_warning"], shown["psi_alert"]) == (rules.psi_warning, rules.psi_alert) == counts
    own = parse_monitor({"drift": {"features": {"amount": given}}})
    found = rules_for(DriftRules.of(Settings()), own).thresholds("feature", "amount")
    assert (found.psi_warning, found.psi_alert) == counts


def test_what_is_in_effect_can_be_applied_again() -> None:
    config = parse_monitor({"drift": {"psi_warning": 0.3}, "alerts": {"flapping": {"window": "never"}}})
    shown = effective_document(config, SETTINGS, ["slack"])
    again = parse_monitor(shown)
    defaults = DriftRules.of(SETTINGS)
    assert rules_for(defaults, again) == rules_for(defaults, config)
    policies = [
        policy_of(each, channels=("slack",), repeat_seconds=0, repeat_acknowledged_seconds=0)
        for each in (again, config)
    ]
    assert policies[0] == policies[1]
    assert shown["alerts"]["flapping"] == {"window": "never", "reopenings": 3}
