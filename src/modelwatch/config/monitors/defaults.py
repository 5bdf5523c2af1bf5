"""Defaults of a monitor, and the monitor in effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelwatch.config.durations import duration_text
from modelwatch.config.monitors.monitor import MonitorConfig, as_document, settled_thresholds
from modelwatch.config.monitors.values import NEVER
from modelwatch.config.settings import Settings

RESOLVE_AFTER = 2
RELATIVE_TOLERANCE = 0.1
ODDS_RATIO = 2.0
MATURITY = 0.9
PERFORMANCE_LOOKBACKS = ("1h", "24h", "7d")
QUALITY_MIN_RISE = 0.05
QUALITY_FACTOR = 3.0
QUALITY_DUPLICATES = 0.1
FLAPPING_WINDOW = 86_400
FLAPPING_REOPENINGS = 3
ESCALATION_FACTOR = 2


def default_document(settings: Settings, channels: Iterable[str]) -> dict[str, Any]:
    """Every key with the value that counts when a monitor does not give it. channels: those of the service."""
    repeat, rarely = settings.alert_repeat_seconds, settings.alert_repeat_acknowledged_seconds
    return {
        "owner": None,
        "tags": [],
        "labels": {},
        "task": None,
        "positive_class": None,
        "importance": {},
        "budget": settings.false_alarm_budget,
        "sample_rate": settings.prediction_sample_rate,
        "segments": [],
        "schedule": {
            "every": duration_text(settings.drift_check_interval),
            "on_new_data": True,
            "grace": duration_text(settings.evaluation_grace_seconds),
        },
        "drift": {
            "psi_warning": settings.psi_warning_threshold,
            "psi_alert": settings.psi_alert_threshold,
            "odds_ratio": ODDS_RATIO,
            "min_samples": settings.min_samples_for_drift,
            "lookbacks": list(settings.lookbacks),
            "tolerance": "natural" if settings.natural_variation else "fixed",
            "alert_on": "warning",
            "persistence": {"alarms": 1, "of": 1},
            "resolve_after": RESOLVE_AFTER,
            "leave_out": [],
            "cluster_by": None,
            "prediction": True,
            "score": True,
            "latency": True,
            "features": {},
        },
        "performance": {
            "enabled": True,
            "metrics": None,
            "tolerance": settings.performance_tolerance,
            "relative_tolerance": RELATIVE_TOLERANCE,
            "limits": {},
            "lookbacks": list(PERFORMANCE_LOOKBACKS),
            "min_samples": settings.min_samples_for_drift,
            "label_drift": True,
            "odds_ratio": ODDS_RATIO,
            "maturity": MATURITY,
            "label_coverage": True,
            "early": True,
            "persistence": {"alarms": 1, "of": 1},
            "resolve_after": RESOLVE_AFTER,
        },
        "quality": {
            "enabled": True,
            "min_rise": QUALITY_MIN_RISE,
            "factor": QUALITY_FACTOR,
            "min_samples": settings.min_samples_for_drift,
            "leave_out": [],
            "sentinels": True,
            "schema": True,
            "duplicates": QUALITY_DUPLICATES,
            "volume": True,
            "freshness": True,
            "persistence": {"alarms": 1, "of": 1},
            "resolve_after": RESOLVE_AFTER,
        },
        "alerts": {
            "channels": list(channels),
            "routes": [],
            "quiet_hours": [],
            "repeat_every": duration_text(repeat) if repeat else NEVER,
            "repeat_acknowledged_every": duration_text(rarely) if rarely else NEVER,
            "escalation_factor": ESCALATION_FACTOR,
            "flapping": {"window": duration_text(FLAPPING_WINDOW), "reopenings": FLAPPING_REOPENINGS},
        },
        "privacy": {"store": settings.privacy_store, "default": "keep", "features": {}},
    }


def effective_document(config: MonitorConfig | None, settings: Settings, channels: Iterable[str]) -> dict[str, Any]:
    """The monitor with every key that it leaves open filled in."""
    defaults = default_document(settings, channels)
    if config is None:
        return defaults
    effective = _merged(defaults, as_document(config))
    drift = effective["drift"]
    drift["psi_warning"], drift["psi_alert"] = settled_thresholds(
        config.drift.psi_warning, config.drift.psi_alert, settings.psi_warning_threshold, settings.psi_alert_threshold
    )
    return effective


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        if value is None:
            continue
        under = merged.get(name)
        merged[name] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged
