"""Queries of the panels about one model, and the words and colours of their values."""

from __future__ import annotations

from scripts.dashboards.parts import BLUE, GREEN, GREY, LIGHT_BLUE, RED, YELLOW

STREAM = 'model_name="$model", model_version=~"$version", environment=~"$environment"'
# Silence belongs to no version.
FOUND = 'model_name="$model", model_version=~"$version|all", environment=~"$environment"'
VERSION = 'model_name="$model", model_version=~"$version"'
OF_METRIC = f'{STREAM}, metric="$metric", metric_window="$window"'
MODEL_PAGE = "${url:raw}/ui/models/${model:percentencode}"
FEATURE_PAGE = MODEL_PAGE + "/features/${__field.labels.feature_name:percentencode}"
ALERTS_PAGE = "${url:raw}/ui/alerts?model=${model:percentencode}"

VERDICTS = {
    "2": ("alert", RED),
    "1": ("warning", YELLOW),
    "0.5": ("shifted", LIGHT_BLUE),
    "0": ("stable", GREEN),
    "-1": ("insufficient data", GREY),
    "-2": ("no data", GREY),
    "-3": ("no reference", BLUE),
}
FINDINGS = {"2": ("alert", RED), "1": ("warning", YELLOW)}
PSI = ((None, GREEN), (0.1, YELLOW), (0.25, RED))
