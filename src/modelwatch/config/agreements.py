"""What several settings must satisfy together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwatch.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Agreement:
    """Something that several settings must satisfy together."""

    fields: tuple[str, ...]
    text: str
    holds: Callable[[Settings], bool]


class Contradiction(ValueError):
    """Settings that are fine one by one, but not together."""

    def __init__(self, broken: tuple[Agreement, ...]) -> None:
        super().__init__("; ".join(agreement.text for agreement in broken))
        self.broken = broken


AGREEMENTS = (
    Agreement(
        ("tls_certfile", "tls_keyfile"),
        "TLS_CERTFILE and TLS_KEYFILE must be set together",
        lambda settings: bool(settings.tls_certfile) == bool(settings.tls_keyfile),
    ),
    Agreement(
        ("psi_warning_threshold", "psi_alert_threshold"),
        "PSI_WARNING_THRESHOLD must be below PSI_ALERT_THRESHOLD",
        lambda settings: settings.psi_warning_threshold < settings.psi_alert_threshold,
    ),
    Agreement(
        ("prediction_retention_days", "metrics_retention_days"),
        "PREDICTION_RETENTION_DAYS must not be more than METRICS_RETENTION_DAYS",
        lambda settings: settings.prediction_retention_days <= settings.metrics_retention_days,
    ),
    Agreement(
        ("alert_email", "smtp_url"),
        "ALERT_EMAIL needs a mail server in SMTP_URL",
        lambda settings: not settings.alert_email or bool(settings.smtp_url),
    ),
    Agreement(
        ("alert_webhook_secret", "alert_webhook_url"),
        "ALERT_WEBHOOK_SECRET needs ALERT_WEBHOOK_URL",
        lambda settings: not settings.alert_webhook_secret or bool(settings.alert_webhook_url),
    ),
)
