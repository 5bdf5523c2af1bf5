"""Panels about traffic and the quality of its data."""

from __future__ import annotations

from scripts.dashboards.parts import Panel, lines, query
from scripts.dashboards.queries import STREAM, VERSION


def traffic() -> list[Panel]:
    """Panels on traffic: number of predictions, and their latency."""
    volume = lines(
        "Predictions",
        "Stored predictions per second, over all replicas.",
        [
            query(
                f"sum by (model_version, environment) (rate(ml_predictions_total{{{STREAM}}}[$__rate_interval]))",
                "{{model_version}} {{environment}}",
            )
        ],
        "cps",
        nothing="No predictions in this time range",
    )
    rates = f"sum by (le) (rate(ml_prediction_latency_seconds_bucket{{{VERSION}}}[$__rate_interval]))"
    latency = lines(
        "Latency of the model",
        "As reported by the model service, in all environments. Longer than 10 s is shown as 10 s.",
        [
            query(f"histogram_quantile({share}, {rates})", name, ref=ref)
            for ref, share, name in (("A", 0.5, "median"), ("B", 0.95, "95 %"), ("C", 0.99, "99 %"))
        ],
        "s",
        nothing="No latency is reported",
    )
    return [volume, latency]


def quality() -> list[Panel]:
    """Panels on data quality: missing values and values that break a rule."""
    score = lines(
        "Data quality score",
        "1 minus the mean share of values with an issue: overall, and by kind of issue.",
        [
            query(
                f"min by (quality_dimension) (ml_data_quality_score{{{STREAM}}})",
                "{{quality_dimension}}",
            )
        ],
        "percentunit",
        nothing="Not evaluated yet",
    )
    unsound = lines(
        "Features with quality issues",
        "Number of features with data quality issues.",
        [
            query(
                f"max by (model_version, environment) (ml_data_quality_unsound_features{{{STREAM}}})",
                "{{model_version}} {{environment}}",
            )
        ],
        "none",
        nothing="Not evaluated yet",
    )
    feature = 'model_name="$model", feature_name=~"$feature"'
    missing = lines(
        "Missing values",
        "Missing values per second by feature, in all versions and environments.",
        [
            query(
                f"sum by (feature_name) (rate(ml_missing_features_total{{{feature}}}[$__rate_interval]))",
                "{{feature_name}}",
            )
        ],
        "cps",
        nothing="Nothing was missing",
    )
    invalid = lines(
        "Values that break a rule",
        "Wrong types, values outside of the reference's range, and categories that are not in it.",
        [
            query(
                "sum by (feature_name, validation_rule)"
                f" (rate(ml_invalid_features_total{{{feature}}}[$__rate_interval]))",
                "{{feature_name}}: {{validation_rule}}",
            )
        ],
        "cps",
        nothing="No value broke a rule",
    )
    return [score.max(1), unsound.min(0), missing, invalid]
