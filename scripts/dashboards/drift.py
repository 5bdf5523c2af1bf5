"""Panels about drift."""

from __future__ import annotations

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import heatmap, statushistory
from grafana_foundation_sdk.builders.heatmap import HeatmapColorOptions, YAxisConfig
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode

from scripts.dashboards.parts import Panel, filled, legend_below, lines, link, query, steps, words
from scripts.dashboards.queries import FEATURE_PAGE, PSI, STREAM, VERDICTS


def drift() -> list[Panel]:
    """Scores, features × time, verdicts and their evidence."""
    feature = f'{STREAM}, feature_name=~"$feature"'
    score = f'max by (feature_name) (ml_feature_drift_score{{{feature}, drift_method="psi"}})'
    trends = lines(
        "Drift of features (PSI)",
        "Distance from the reference. Below 0.1 it is small, from 0.25 on it is large. A finding also needs evidence:"
        " see the verdicts.",
        [query(score, "{{feature_name}}")],
        "none",
        nothing="No reference, or not enough data",
    )
    trends = trends.thresholds(steps(*PSI)).thresholds_style(
        common_builder.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
    )
    others = lines(
        "Drift of prediction, score and latency (PSI)",
        "The model's output, its score and its latency, each compared with its reference.",
        [
            query(
                f'max by (environment) (ml_{subject}_drift_score{{{STREAM}, drift_method="psi"}})',
                f"{subject} {{{{environment}}}}",
                ref=ref,
            )
            for ref, subject in zip("ABC", ("prediction", "score", "latency"), strict=True)
        ],
        "none",
        nothing="No reference, or not enough data",
    )
    cells = filled(
        heatmap.Panel(),
        "Features × time (PSI)",
        "The darker, the further from the reference. A gap is a feature without a score, with too few values for one.",
        [query(score, "{{feature_name}}")],
        unit="none",
        width=24,
        height=10,
        nothing="No reference, or not enough data",
    )
    cells = (
        cells.calculate(False)
        .color(
            HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(32)
            .min(0)
            .max(0.5)
            .reverse(False)
            .fill("dark-orange")
            .exponent(0.5)
        )
        .y_axis(YAxisConfig().axis_placement(common.AxisPlacement.LEFT).unit("none"))
        .show_legend()
        .cell_gap(1)
    )
    verdicts = filled(
        statushistory.Panel(),
        "Verdicts on features",
        "Alert and warning: large enough, and too large for chance. Grey: not judged.",
        [query(f'max by (feature_name) (ml_drift_severity{{kind="feature", {feature}}})', "{{feature_name}}")],
        unit="none",
        width=24,
        height=10,
        nothing="Not evaluated yet",
    )
    evidence = lines(
        "Evidence (p-value)",
        "The chance of a difference this large without drift. A verdict needs it below α, which follows from the budget"
        " of false alarms.",
        [
            query(
                f'min by (feature_name) (ml_drift_p_value{{kind="feature", {feature}}})',
                "{{feature_name}}",
            )
        ],
        "none",
        nothing="No reference, or not enough data",
    )
    samples = lines(
        "Sample sizes of the verdicts",
        "Valid values in the look-back. With few, only large shifts can be detected.",
        [query(f'max by (feature_name) (ml_drift_samples{{kind="feature", {feature}}})', "{{feature_name}}")],
        "short",
        nothing="Not evaluated yet",
    )
    trends = trends.data_links([link("Page of this feature", FEATURE_PAGE, "")])
    return [trends, others, cells, verdicts.mappings(words(VERDICTS)).legend(legend_below()), evidence, samples]
