"""The dashboard of the service itself: whether it takes predictions, evaluates them, and tells people."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import dashboard

from scripts.dashboards.parts import (
    GREEN,
    RED,
    YELLOW,
    Panel,
    annotation,
    filled,
    lines,
    link,
    number,
    other_dashboard,
    query,
    source_variable,
    url_variable,
    variable,
)

UID = "modelwatch-service"
MODELS_UID = "modelwatch-models"

OF = 'job=~"$job", instance=~"$instance"'
NOT_SCRAPED = "No process is scraped"


def service_dashboard() -> dashboard.Dashboard:
    """All of it."""
    built = (
        dashboard_builder.Dashboard("modelwatch service")
        .uid(UID)
        .description("Whether modelwatch takes predictions, evaluates them, and tells people.")
        .tags(["modelwatch", "machine-learning"])
        .time("now-6h", "now")
        .timezone("browser")
        .refresh("1m")
        .readonly()
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(link("modelwatch", "${url:raw}/", "The pages of the service"))
        .link(link("Runbooks", "${url:raw}/ui/runbooks", "What to do about an alert"))
        .link(link("API", "${url:raw}/docs", "The API of the service"))
        .link(other_dashboard("Model monitoring", MODELS_UID))
        .with_variable(source_variable())
        .with_variable(url_variable())
        .with_variable(variable("job", "Job", "label_values(modelwatch_build_info, job)", several=True))
        .with_variable(
            variable("instance", "Process", 'label_values(modelwatch_build_info{job=~"$job"}, instance)', several=True)
        )
        .annotation(
            annotation(
                "Store unreachable",
                f"ml_monitoring_service_health{{{OF}}} == 0",
                "{{instance}} does not reach the store",
                "instance",
                RED,
            )
        )
    )
    for title, panels in (
        ("Health", _health()),
        ("Ingest", _ingest()),
        ("Evaluation", _evaluation()),
        ("Notifications", _notifications()),
        ("Exposition and processes", _processes()),
    ):
        built = built.with_row(dashboard_builder.Row(title))
        for panel in panels:
            built = built.with_panel(panel)
    return built.build()


def _health() -> list[Panel]:
    by_version = filled(
        table.Panel(),
        "Versions",
        "Version of each process.",
        [query(f"max by (instance, version) (modelwatch_build_info{{{OF}}})", now=True, table=True)],
        unit="none",
        width=12,
        height=5,
        nothing=NOT_SCRAPED,
    ).with_transformation(
        dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True, "Value": True}})
    )
    reached = lines(
        "Store reachable",
        "1 while a process can read the store, 0 while it can't.",
        [query(f"min by (instance) (ml_monitoring_service_health{{{OF}}})", "{{instance}}")],
        "none",
        nothing=NOT_SCRAPED,
    )
    return [
        number(
            "Processes that reach the store",
            "Scraped processes that reach their store.",
            f"sum(ml_monitoring_service_health{{{OF}}})",
            "none",
            NOT_SCRAPED,
            (None, RED),
            (1, GREEN),
        ),
        number(
            "Longest time since a verdict",
            "Age of the newest verdict of the model evaluated longest ago. A model without traffic is not evaluated.",
            f"time() - min(max by (model_name) (ml_last_evaluation_timestamp_seconds{{{OF}}}))",
            "s",
            "Nothing evaluated yet",
        ),
        number(
            "Open alerts",
            "Unresolved alerts about models.",
            f"count(max by (model_name, environment, kind) (ml_alert_state{{{OF}}})) or vector(0)",
            "none",
            NOT_SCRAPED,
            (None, GREEN),
            (1, YELLOW),
        ),
        by_version,
        reached.min(0).max(1).span(24),
    ]


def _ingest() -> list[Panel]:
    commit = f"sum by (le) (rate(ml_commit_seconds_bucket{{{OF}}}[$__rate_interval]))"
    return [
        lines(
            "Predictions",
            "Stored predictions per second, by process.",
            [
                query(
                    f"sum by (instance) (rate(ml_predictions_total{{{OF}}}[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
            "cps",
            nothing="No predictions in this time range",
        ),
        lines(
            "Rejected requests and rows",
            "Requests and rows per second that were rejected, by reason.",
            [
                query(
                    f"sum by (reason) (rate(ml_ingest_rejected_total{{{OF}}}[$__rate_interval]))",
                    "{{reason}}",
                )
            ],
            "cps",
            nothing="Everything was taken",
        ),
        lines(
            "Commit duration",
            "Time until a batch is durable. Requests wait for it.",
            [
                query(f"histogram_quantile({share}, {commit})", name, ref=ref)
                for ref, share, name in (("A", 0.5, "median"), ("B", 0.95, "95 %"), ("C", 0.99, "99 %"))
            ],
            "s",
            nothing="Nothing was stored",
        ),
        lines(
            "Queue",
            "Predictions waiting to be stored. At MAX_BUFFER_SIZE further ones are rejected.",
            [query(f"sum by (instance) (ml_ingest_queue_depth{{{OF}}})", "{{instance}}")],
            "short",
            nothing=NOT_SCRAPED,
        ),
        lines(
            "Repeats",
            "Repeated predictions per second. They count once.",
            [
                query(
                    f"sum by (model_name) (rate(ml_duplicate_predictions_total{{{OF}}}[$__rate_interval]))",
                    "{{model_name}}",
                )
            ],
            "cps",
            nothing="Nothing was sent twice",
        ),
        lines(
            "Labels",
            "Labels per second, by outcome.",
            [query(f"sum by (status) (rate(ml_labels_total{{{OF}}}[$__rate_interval]))", "{{status}}")],
            "cps",
            nothing="No labels in this time range",
        ),
    ]


def _evaluation() -> list[Panel]:
    seconds = f"ml_drift_check_duration_seconds_sum{{{OF}}}[$__rate_interval]"
    checks = f"ml_drift_check_duration_seconds_count{{{OF}}}[$__rate_interval]"
    return [
        lines(
            "Time since the newest verdict",
            "The ten models evaluated longest ago.",
            [
                query(
                    f"topk(10, time() - max by (model_name) (ml_last_evaluation_timestamp_seconds{{{OF}}}))",
                    "{{model_name}}",
                )
            ],
            "s",
            width=8,
            nothing="Nothing evaluated yet",
        ),
        lines(
            "Check duration",
            "Mean over scheduled and requested checks.",
            [
                query(
                    f"sum(rate({seconds})) / sum(rate({checks}))",
                    "mean",
                )
            ],
            "s",
            width=8,
            nothing="Nothing was checked",
        ),
        lines(
            "Failed background jobs",
            "Runs of background jobs that failed and are retried.",
            [
                query(
                    f"sum by (instance) (increase(modelwatch_chores_failed_total{{{OF}}}[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
            "short",
            width=8,
            nothing=NOT_SCRAPED,
        ),
    ]


def _notifications() -> list[Panel]:
    sending = f"sum by (le, channel) (rate(ml_notification_seconds_bucket{{{OF}}}[$__rate_interval]))"
    return [
        lines(
            "Delivery attempts",
            "By channel and outcome. `dead`: a notification that was given up. `refresh_failed`: refreshes of the open"
            " alerts in Alertmanager that failed.",
            [
                query(
                    f"sum by (channel, outcome) (increase(ml_notifications_total{{{OF}}}[$__rate_interval]))",
                    "{{channel}} {{outcome}}",
                )
            ],
            "short",
            width=8,
            nothing="No channel is configured",
        ),
        lines(
            "Pending and dead notifications",
            "Pending notifications may be waiting for the end of quiet hours.",
            [
                query(f"max by (channel) (ml_outbox_pending{{{OF}}})", "{{channel}} waits"),
                query(f"max by (channel) (ml_outbox_dead{{{OF}}})", "{{channel}} given up", ref="B"),
            ],
            "short",
            width=8,
            nothing="No channel is configured",
        ),
        lines(
            "Delivery duration (95 %)",
            "Successful deliveries.",
            [query(f"histogram_quantile(0.95, {sending})", "{{channel}}")],
            "s",
            width=8,
            nothing="Nothing was delivered",
        ),
    ]


def _processes() -> list[Panel]:
    return [
        lines(
            "Scrape duration",
            "Time that Prometheus waits for /metrics. Its default timeout is 10 s.",
            [query(f"max by (instance) (scrape_duration_seconds{{{OF}}})", "{{instance}}")],
            "s",
            width=6,
            nothing=NOT_SCRAPED,
        ),
        lines(
            "Omitted series",
            "The ten models with the most: features beyond METRICS_MAX_FEATURES, and old versions.",
            [query(f"topk(10, max by (model_name) (ml_series_dropped_total{{{OF}}}))", "{{model_name}}")],
            "short",
            width=6,
            nothing="Nothing evaluated yet",
        ),
        lines(
            "Memory",
            "Resident memory. With WORKERS above 1 it is not exported.",
            [query(f"max by (instance) (process_resident_memory_bytes{{{OF}}})", "{{instance}}")],
            "bytes",
            width=6,
            nothing="Not exported",
        ),
        lines(
            "Processor",
            "Processor seconds per second: 1 is a whole core. With WORKERS above 1 it is not exported.",
            [
                query(
                    f"sum by (instance) (rate(process_cpu_seconds_total{{{OF}}}[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
            "none",
            width=6,
            nothing="Not exported",
        ),
    ]
