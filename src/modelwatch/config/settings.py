"""The settings of a service: names, types, bounds, defaults and what each is for."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from modelwatch.config.addresses import (
    HttpUrl,
    HttpUrls,
    Key,
    Recipients,
    Sender,
    SmtpUrl,
    parse_database_url,
    redact_url,
)
from modelwatch.config.agreements import AGREEMENTS, Contradiction
from modelwatch.config.durations import Lookbacks
from modelwatch.config.encryption_keys import EncryptionKeys

PAGERDUTY_URL = "https://events.pagerduty.com"


def _setting(default: Any, description: str, example: str, **bounds: Any) -> Any:
    return Field(default, description=description, examples=[example], **bounds)


class Settings(BaseModel):
    """All settings of the service. Frozen; made by `load_settings`, or directly in tests.

    Raises pydantic's ValidationError (`load_settings` turns it into a SettingsError).

    >>> Settings(psi_alert_threshold=0.3).psi_warning_threshold
    0.1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    # Service
    debug: bool = _setting(False, "Verbose logging.", "true")
    host: str = _setting(
        "127.0.0.1",
        "Address to listen on; other than loopback, API keys are required unless API_KEYS_REQUIRED is false.",
        "0.0.0.0",  # noqa: S104
        min_length=1,
    )
    port: int = _setting(8000, "TCP port to listen on; 0 takes any free one.", "8080", ge=0, le=65_535)
    workers: int = _setting(1, "Processes that serve requests.", "4", ge=1, le=64)
    log_format: Literal["text", "json"] = _setting("text", "Log format: text, or one JSON object per line.", "json")
    request_timeout_seconds: float = _setting(
        10.0, "Maximum time in seconds that a request waits for its commit; then 503.", "30", gt=0, le=600
    )
    shutdown_drain_seconds: float = _setting(
        1.0,
        "Seconds after SIGTERM in which requests are still accepted, while readiness fails; 0: none.",
        "3",
        ge=0,
        le=60,
    )
    public_url: str = _setting(
        "",
        "Public address of the service, for links in notifications. Default: http://HOST:PORT.",
        "https://modelwatch.example.org",
    )
    grafana_url: str = _setting(
        "",
        "Address of a Grafana with the dashboards of this service: pages link to the matching one.",
        "https://grafana.example.org",
    )
    lease_seconds: float = _setting(
        15.0,
        "Seconds after which another process takes over the background jobs of one that died.",
        "5",
        ge=0.5,
        le=600,
    )

    # Access
    api_keys_required: bool | None = _setting(
        None, "Require API keys. Default: when HOST is an address that other machines can reach.", "true"
    )
    metrics_public: bool = _setting(False, "Serve /metrics without an API key.", "true")
    rate_limit_per_second: float = _setting(
        0.0, "Requests per second that each key may send to a process; 0: unlimited.", "100", ge=0, le=1e6
    )
    max_connections: int = _setting(
        1000, "Maximum number of clients connected to a process; others get 503.", "200", ge=1, le=1_000_000
    )
    session_hours: int = _setting(12, "Hours until a session on the pages ends.", "2", ge=1, le=720)
    tls_certfile: str = _setting(
        "", "File with the certificate chain (PEM) to serve HTTPS with.", "/etc/modelwatch/tls.crt"
    )
    tls_keyfile: str = _setting("", "File with the private key of TLS_CERTFILE (PEM).", "/etc/modelwatch/tls.key")

    # Store
    data_dir: Path = _setting(Path("modelwatch-data"), "Folder for the data of the service.", "/var/lib/modelwatch")
    database_url: str = Field(
        default_factory=lambda values: f"sqlite:///{values['data_dir']}/modelwatch.db",
        description="The store: a SQLite file, or PostgreSQL 15 or newer.",
        examples=["postgresql://user:password@db:5432/modelwatch"],
        repr=False,
    )
    database_pool_size: int = _setting(
        8, "Maximum number of PostgreSQL connections per worker; one of them is the writer's.", "20", ge=2, le=500
    )
    database_connect_timeout_seconds: int = _setting(
        5, "Maximum time in seconds for connecting to PostgreSQL.", "15", ge=2, le=300
    )
    database_statement_timeout_seconds: float = _setting(
        60.0, "Maximum time in seconds of one PostgreSQL statement; 0: no limit.", "300", ge=0, le=86_400
    )
    database_lock_timeout_seconds: float = _setting(
        10.0,
        "Maximum time in seconds that a statement waits for a PostgreSQL lock; 0: no limit.",
        "30",
        ge=0,
        le=86_400,
    )
    database_idle_timeout_seconds: float = _setting(
        10.0,
        "Seconds after which PostgreSQL ends an idle transaction and frees its locks; 0: never.",
        "30",
        ge=0,
        le=86_400,
    )

    # Retention
    prediction_retention_days: int = _setting(
        30,
        "Days that predictions and their labels are kept, counted from the last arrival of their day.",
        "90",
        ge=1,
        le=3_650,
    )
    metrics_retention_days: int = _setting(
        365, "Days that profiles, verdicts, past incidents and the audit trail are kept.", "730", ge=1, le=36_500
    )
    prediction_sample_rate: float = _setting(
        1.0, "Share of the predictions whose features are stored; all are counted.", "0.1", ge=0, le=1
    )

    # Privacy
    encryption_key: EncryptionKeys = _setting(
        (),
        "Keys that features are encrypted and hashed with, separated by commas; the first one writes.",
        "Aynf0Op8Uc1mVVlhcSL0XpddxsDf5eP8N_bpk8K-UWQ=",
        repr=False,
    )
    privacy_store: Literal["predictions", "profiles"] = _setting(
        "predictions",
        "Default for models whose monitor does not set it: store predictions with their features, or without.",
        "profiles",
    )

    # Drift
    psi_warning_threshold: float = _setting(0.1, "PSI at or above which a shift is a warning.", "0.08", gt=0, le=100)
    psi_alert_threshold: float = _setting(0.25, "PSI at or above which a shift is an alert.", "0.2", gt=0, le=100)
    natural_variation: bool = _setting(
        True,
        "Tolerate the natural variation of a reference with time stamps over spans as long as the window.",
        "false",
    )
    ks_test_alpha: float = _setting(
        0.05, "p-value below which `ks_test.is_significant` is true in a drift result.", "0.01", gt=0, lt=1
    )
    drift_check_interval: int = _setting(3600, "Seconds between two evaluations.", "900", ge=1, le=604_800)
    min_samples_for_drift: int = _setting(
        100,
        "Observations that a window needs for a verdict; a difference that is no chance is `shifted` from three "
        "tenths of them on, and at least 30.",
        "500",
        ge=1,
        le=1_000_000_000,
    )
    false_alarm_budget: float = _setting(
        1.0, "False alarms per model in 30 days that chance may cause.", "0.1", gt=0, le=1000
    )
    performance_tolerance: float = _setting(
        0.02, "Tolerated loss of accuracy, F1 and similar metrics against the labelled reference.", "0.05", gt=0, lt=1
    )
    lookbacks: Lookbacks = _setting(
        ("5m", "15m", "30m", "1h", "2h", "4h", "8h", "24h"),
        "Spans, back from the newest data, that are compared with the reference.",
        "1h,24h,7d",
    )
    evaluation_grace_seconds: int = _setting(
        60,
        "Seconds of event time that a window stays open for late predictions before it is evaluated.",
        "600",
        ge=0,
        le=86_400,
    )
    provisional_reference_size: int = _setting(
        1000, "First predictions of a model that serve as its reference until one is set.", "5000", ge=30, le=1_000_000
    )

    reference_data_window_days: int = _setting(
        90, "Days that a label waits for its prediction before it counts as orphaned.", "30", ge=1, le=3_650
    )

    # Ingest
    max_buffer_size: int = _setting(
        20_000,
        "Predictions that may wait to be stored; requests beyond that get 503.",
        "5000",
        ge=1,
        le=10**7,
    )
    max_buffer_bytes: int = _setting(
        268_435_456,
        "Bytes of request bodies whose predictions may wait to be stored; beyond it: 503.",
        "67108864",
        ge=1024,
        le=2**40,
    )
    commit_linger_ms: float = _setting(
        0.0,
        "Milliseconds that a commit waits for more predictions to join it, beyond those that are coming in.",
        "5",
        ge=0,
        le=1000,
    )
    writer_rotation_seconds: int = _setting(
        3600, "Seconds after which a worker takes a fresh writer slot, so that the old one can be folded.", "600", ge=1
    )

    # Limits of a request
    max_body_bytes: int = _setting(33_554_432, "Largest body, after decompression.", "8388608", ge=1024, le=2**31)
    max_batch_rows: int = _setting(10_000, "Rows in one batch.", "50000", ge=1, le=10**7)
    max_features: int = _setting(2000, "Features of one prediction.", "500", ge=1, le=100_000)
    max_name_length: int = _setting(512, "Characters in a name or an id.", "128", ge=1, le=10_000)
    max_value_length: int = _setting(4096, "Characters in a text value.", "256", ge=1, le=10**6)
    max_clock_skew_seconds: int = _setting(
        300, "Seconds that a time stamp may be ahead of the server's clock.", "60", ge=0, le=86_400
    )

    # Alerts
    slack_webhook_url: HttpUrl = _setting(
        "", "Slack incoming webhook for alerts.", "https://hooks.slack.com/services/T0/B0/x", repr=False
    )
    pagerduty_integration_key: Key = _setting(
        "",
        "Integration key of PagerDuty Events API v2 for alerts.",
        "0123456789abcdef0123456789abcdef",
        repr=False,
    )
    pagerduty_url: HttpUrl = _setting(
        PAGERDUTY_URL, "Address of PagerDuty's Events API.", "https://events.eu.pagerduty.com", repr=False
    )
    alert_email: Recipients = _setting(
        (), "Mail addresses for alerts, separated by commas; needs SMTP_URL.", "ml@example.org"
    )
    alert_email_from: Sender = _setting(
        "",
        "Sender of those mails. Default: modelwatch at the first recipient's domain.",
        "Alerts <alerts@example.org>",
    )
    smtp_url: SmtpUrl = _setting(
        "",
        "Mail server; smtps:// encrypts from the start, smtp:// when the server offers STARTTLS,"
        " or always with ?starttls=required.",
        "smtp://user:password@mail.example.org:587?starttls=required",
        repr=False,
    )
    alert_webhook_url: HttpUrl = _setting("", "Webhook that receives alerts.", "https://example.org/alerts", repr=False)
    alert_webhook_secret: Key = _setting(
        "", "Secret that signs requests to ALERT_WEBHOOK_URL.", "a-long-random-text", repr=False
    )
    alertmanager_url: HttpUrls = _setting(
        (),
        "Addresses of all Alertmanager replicas, separated by commas.",
        "http://am-0:9093,http://am-1:9093",
        repr=False,
    )
    alert_repeat_seconds: int = _setting(
        86_400,
        "Seconds between reminders of an unacknowledged alert; 0: never.",
        "14400",
        ge=0,
        le=31_536_000,
    )
    alert_repeat_acknowledged_seconds: int = _setting(
        604_800,
        "Seconds between reminders of an acknowledged alert that is still open; 0: never.",
        "1209600",
        ge=0,
        le=31_536_000,
    )
    monitors_path: str = _setting(
        "", "Monitor configurations: a file, or a folder of them, applied when the service starts.", "monitors/"
    )
    channels_file: str = _setting("", "YAML file with more channels, by name.", "channels.yaml")

    # Exposition
    metrics_max_features: int = _setting(
        100, "Features of a model that get their own series in /metrics, worst first.", "20", ge=0, le=100_000
    )
    metrics_max_feature_series: int = _setting(
        50_000,
        "Series that the features of all models may have in /metrics; with many models, fewer features of each.",
        "200000",
        ge=0,
        le=10_000_000,
    )

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Findings of `load_settings` that do not stop the service but should be logged."""
        return self._warnings

    @property
    def is_local(self) -> bool:
        """True when only this machine can reach the service: `host` is a loopback address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    @property
    def keys_required(self) -> bool:
        """True when requests need a key."""
        return not self.is_local if self.api_keys_required is None else self.api_keys_required

    @property
    def scheme(self) -> str:
        """`https` when the service has a certificate."""
        return "https" if self.tls_certfile else "http"

    @property
    def reached_at(self) -> str:
        """The address by which people reach the service, without a slash at the end."""
        return (self.public_url or f"{self.scheme}://{self.host}:{self.port}").rstrip("/")

    @property
    def safe_database_url(self) -> str:
        """`database_url` without its secrets: fit for a log."""
        return redact_url(self.database_url)

    @field_validator("data_dir", mode="after")
    @classmethod
    def _check_data_dir(cls, folder: Path) -> Path:
        if "?" in str(folder):
            raise ValueError("Expected a path without '?', which would end the path in the store's URL")
        return folder.expanduser()

    @field_validator("database_url", mode="after")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        return parse_database_url(url)

    @model_validator(mode="after")
    def _check_agreement(self) -> Settings:
        broken = tuple(rule for rule in AGREEMENTS if not rule.holds(self))
        if broken:
            raise Contradiction(broken)
        return self
