"""The dashboard of the models: performance, drift, traffic, data quality, alerts."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.models import dashboard

from scripts.dashboards.alerts import alerts
from scripts.dashboards.drift import drift
from scripts.dashboards.parts import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Panel,
    annotation,
    link,
    number,
    other_dashboard,
    source_variable,
    url_variable,
    variable,
)
from scripts.dashboards.performance import performance
from scripts.dashboards.queries import ALERTS_PAGE, FOUND, MODEL_PAGE, OF_METRIC, PSI, STREAM
from scripts.dashboards.traffic import quality, traffic

UID = "modelwatch-models"
SERVICE_UID = "modelwatch-service"


def models_dashboard() -> dashboard.Dashboard:
    """All of it."""
    built = (
        dashboard_builder.Dashboard("Model monitoring")
        .uid(UID)
        .description("What modelwatch says of a model: performance, drift, traffic, data quality, alerts.")
        .tags(["modelwatch", "machine-learning"])
        .time("now-24h", "now")
        .timezone("browser")
        .refresh("1m")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(link("Page of this model", MODEL_PAGE, "What is wrong, since when, how bad, why, and what to do"))
        .link(
            link(
                "Alerts of this model",
                ALERTS_PAGE,
                "All open findings, with their numbers",
            )
        )
        .link(link("Runbooks", "${url:raw}/ui/runbooks", "What to do about an alert"))
        .link(link("API", "${url:raw}/docs", "The API of the service"))
        .link(other_dashboard("modelwatch service", SERVICE_UID))
        .with_variable(source_variable())
        .with_variable(url_variable())
    )
    for each in _variables():
        built = built.with_variable(each)
    for marks in _annotations():
        built = built.annotation(marks)
    for title, panels in (
        ("At a glance", _at_a_glance()),
        ("Model performance", performance()),
        ("Drift", drift()),
        ("Prediction volume and latency", traffic()),
        ("Data quality", quality()),
        ("Alert history", alerts()),
        ("Service health", _health()),
    ):
        built = built.with_row(dashboard_builder.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    return built.build()


def _variables() -> list[dashboard_builder.QueryVariable]:
    evaluated, of_model = "ml_last_evaluation_timestamp_seconds", f"ml_model_performance{{{STREAM}}}"
    return [
        variable("environment", "Environment", f"label_values({evaluated}, environment)", several=True),
        variable("model", "Model", f'label_values({evaluated}{{environment=~"$environment"}}, model_name)'),
        variable(
            "version",
            "Version",
            f'label_values({evaluated}{{environment=~"$environment", model_name="$model"}}, model_version)',
            several=True,
        ),
        variable(
            "feature",
            "Feature",
            f'label_values(ml_drift_severity{{kind="feature", {STREAM}}}, feature_name)',
            several=True,
        ),
        variable("metric", "Metric", f"label_values({of_model}, metric)"),
        variable("window", "Window of the metric", f"label_values({of_model}, metric_window)"),
    ]


def _annotations() -> list[dashboard_builder.AnnotationQuery]:
    return [
        annotation(
            "Alerts",
            'max by (environment, kind, severity) (ml_alert_state{model_name="$model", environment=~"$environment"})',
            "{{kind}} in {{environment}}",
            "severity",
            RED,
        ),
        annotation(
            "New versions",
            f"count by (model_version) (ml_predictions_total{{{STREAM}}})"
            f" unless count by (model_version) (ml_predictions_total{{{STREAM}}} offset 1h)",
            "{{model_version}} has its first predictions",
            "model_version",
            BLUE,
        ),
    ]


def _at_a_glance() -> list[Panel]:
    return [
        number(
            "Findings",
            "Findings of open alerts, of every kind.",
            f"count(max by (model_version, environment, kind, feature_name, rule) (ml_finding_severity{{{FOUND}}}))"
            f' or on () 0 * max(ml_last_evaluation_timestamp_seconds{{model_name="$model"}})',
            "none",
            "Not evaluated yet",
            (None, GREEN),
            (1, YELLOW),
        ).data_links([link("Alerts of this model", ALERTS_PAGE, "")]),
        number(
            "Largest drift",
            "The largest PSI of a feature. Size alone is no finding: chance may explain it.",
            f'max(ml_feature_drift_score{{{STREAM}, drift_method="psi"}})',
            "none",
            "No reference, or not enough data",
            *PSI,
        ).decimals(2),
        number(
            "$metric",
            "The chosen metric over the newest matured window of the chosen length.",
            f"max(ml_model_performance{{{OF_METRIC}}})",
            "none",
            "No labels yet",
        ).decimals(3),
        number(
            "Labelled",
            "Share of the predictions in that window that have labels.",
            f'max(ml_model_labeled_ratio{{{STREAM}, metric_window="$window"}})',
            "percentunit",
            "No labels yet",
            (None, RED),
            (0.5, YELLOW),
            (0.9, GREEN),
        ),
        number(
            "Predictions in total",
            "Predictions stored in the time range, each counted once.",
            f"sum(increase(ml_predictions_total{{{STREAM}}}[$__range]))",
            "short",
            "No predictions in this time range",
        ),
        number(
            "Newest verdict",
            "Time since the model was evaluated.",
            f"time() - max(ml_last_evaluation_timestamp_seconds{{{STREAM}}})",
            "s",
            "Not evaluated yet",
            (None, GREEN),
            (2 * 3600 + 900, YELLOW),
            (86_400, RED),
        ),
    ]


def _health() -> list[Panel]:
    return [
        number(
            "Processes that reach the store",
            "Scraped processes of modelwatch that reach their store.",
            "sum(ml_monitoring_service_health)",
            "none",
            "No process is scraped",
            (None, RED),
            (1, GREEN),
        ),
        number(
            "Rejected input",
            "Requests and rows per second that were rejected, of all models.",
            "sum(rate(ml_ingest_rejected_total[$__rate_interval]))",
            "cps",
            "Nothing was rejected",
        ),
        number(
            "Omitted series",
            "Series of this model beyond METRICS_MAX_FEATURES and the newest versions.",
            'max(ml_series_dropped_total{model_name="$model"})',
            "none",
            "Not evaluated yet",
        ),
        number(
            "Age of the reference",
            "The oldest reference in force.",
            'max(ml_reference_data_age_days{model_name="$model"}) * 86400',
            "s",
            "No reference",
        ),
        number(
            "Silences",
            "Active silences, of all models.",
            "max(ml_silences_active)",
            "none",
            "No process is scraped",
        ),
        number(
            "Notifications given up",
            "Notifications of this time range that could not be delivered to a channel and are not retried.",
            'sum(increase(ml_notifications_total{outcome="dead"}[$__range]))',
            "none",
            "No channel is configured",
            (None, GREEN),
            (1, RED),
        ),
    ]
