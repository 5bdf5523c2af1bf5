"""Panels about alerts."""

from __future__ import annotations

from grafana_foundation_sdk.builders import statetimeline, table
from grafana_foundation_sdk.models import common, dashboard

from scripts.dashboards.parts import Panel, filled, legend_below, lines, link, query, words
from scripts.dashboards.queries import ALERTS_PAGE, FINDINGS, FOUND


def alerts() -> list[Panel]:
    """Panels on alerts: open ones, new ones, current findings."""
    history = filled(
        statetimeline.Panel(),
        "Alerts",
        "Open alerts by severity. A gap means that none were open.",
        [query(f"max by (kind) (ml_finding_severity{{{FOUND}}})", "{{kind}}")],
        unit="none",
        width=16,
        nothing="No alert in this time range",
    )
    begun = lines(
        "New findings",
        "Findings that started or got worse, by severity.",
        [
            query(
                "sum by (severity) (max by (feature_name, severity)"
                ' (increase(ml_drift_alerts_total{model_name="$model"}[$__rate_interval])))',
                "{{severity}}",
            )
        ],
        "short",
        width=8,
        nothing="Nothing was found",
    ).draw_style(common.GraphDrawStyle.BARS)
    by = "kind, feature_name, rule, model_version, environment"
    now = filled(
        table.Panel(),
        "Current findings",
        "Findings of open alerts. The score: PSI or odds ratio of a drift, the loss of a metric, the rise of a rate.",
        [
            query(f"max by ({by}) (ml_finding_severity{{{FOUND}}})", ref="A", now=True, table=True),
            query(f"max by ({by}) (ml_finding_score{{{FOUND}}})", ref="B", now=True, table=True),
        ],
        unit="none",
        width=24,
        nothing="Nothing is wrong",
    )
    now = (
        now.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {},
                    "renameByName": {"Value #A": "severity", "Value #B": "score", "feature_name": "what"},
                },
            )
        )
        .override_by_name("severity", [dashboard.DynamicConfigValue(id_val="mappings", value=words(FINDINGS))])
        .data_links([link("Alerts of this model", ALERTS_PAGE, "")])
    )
    return [history.mappings(words(FINDINGS)).legend(legend_below()), begun, now]
