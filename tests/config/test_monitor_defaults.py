"""The defaults that are shown are those that count."""

from __future__ import annotations

from modelwatch.alerting import policy_of
from modelwatch.config import Settings
from modelwatch.config.monitor_defaults import default_document, effective_document
from modelwatch.config.monitors import parse_monitor
from modelwatch.monitoring import DriftRules, rules_for

SETTINGS = Settings(psi_alert_threshold=0.4, lookbacks=("1h", "7d"), alert_repeat_seconds=0, natural_variation=False)


def test_the_default_document_changes_nothing() -> None:
    for settings in (Settings(), SETTINGS):
        document = default_document(settings, ["slack"])
        del document["positive_class"]
        config = parse_monitor(document)
        defaults = DriftRules.of(settings)
        assert rules_for(defaults, config) == defaults
        given = {"channels": ("slack",), "repeat_seconds": settings.alert_repeat_seconds}
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
