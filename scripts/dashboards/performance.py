"""Panels about performance, from labels."""

from __future__ import annotations

from grafana_foundation_sdk.builders import statushistory
from grafana_foundation_sdk.models import dashboard

from scripts.dashboards.parts import Panel, filled, legend_below, lines, query, words
from scripts.dashboards.queries import OF_METRIC, STREAM, VERDICTS


def performance() -> list[Panel]:
    """The metric with its interval, verdicts, coverage."""
    by = "model_version, environment"
    metric = lines(
        "$metric over $window, with its 95 % interval",
        "Over the newest matured window of this length, so it ends before now. The dashed lines"
        " are the ends of the interval: the range that chance explains.",
        [
            query(f"max by ({by}) (ml_model_performance{{{OF_METRIC}}})", "{{model_version}} {{environment}}"),
            query(
                f"max by ({by}) (ml_model_performance_lower{{{OF_METRIC}}})",
                "{{model_version}} {{environment}} lower",
                ref="B",
            ),
            query(
                f"max by ({by}) (ml_model_performance_upper{{{OF_METRIC}}})",
                "{{model_version}} {{environment}} upper",
                ref="C",
            ),
        ],
        "none",
        nothing="No labels yet",
    ).override_by_regexp(
        ".* (lower|upper)$",
        [
            dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [4, 4]}),
            dashboard.DynamicConfigValue(
                id_val="custom.hideFrom", value={"legend": True, "tooltip": False, "viz": False}
            ),
        ],
    )
    verdicts = filled(
        statushistory.Panel(),
        "Verdicts on performance over $window",
        "Worse than the labelled reference by more than the tolerance, and by more than chance explains.",
        [query(f'max by (metric) (ml_model_performance_severity{{{STREAM}, metric_window="$window"}})', "{{metric}}")],
        unit="none",
        width=12,
        nothing="No labelled reference, or no labels yet",
    )
    coverage = lines(
        "Label coverage",
        "Share of the predictions in a window that have labels. When it is low, the metric covers few predictions.",
        [
            query(
                f"max by ({by}, metric_window) (ml_model_labeled_ratio{{{STREAM}}})",
                "{{model_version}} {{metric_window}}",
            )
        ],
        "percentunit",
        nothing="No labels yet",
    )
    lag = lines(
        "Label lag",
        "Delay within which most labels arrive, once it is known. The windows of the metrics end that far back.",
        [query(f"max by ({by}) (ml_model_label_lag_seconds{{{STREAM}}})", "{{model_version}} {{environment}}")],
        "s",
        nothing="No labels yet",
    )
    return [metric, verdicts.mappings(words(VERDICTS)).legend(legend_below()), coverage.min(0).max(1), lag]
