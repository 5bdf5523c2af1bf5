"""Drift rules that tests judge by: thresholds as by default, one false alarm a month, an evaluation each hour."""

from __future__ import annotations

from dataclasses import replace

from modelwatch.monitoring.checks.rules import DriftRules

RULES = DriftRules(
    psi_warning=0.1,
    psi_alert=0.25,
    ks_alpha=0.05,
    min_samples=100,
    budget=1.0,
    lookbacks=("1h", "6h", "24h"),
    check_interval=3_600,
)
# Every hour has its evaluation, however little is new.
HOURLY_RULES = replace(RULES, on_new_data=False)
