"""Alerting: from the findings of an evaluation to alerts, and from their changes to delivered notifications."""

from modelwatch.alerting.channels import build_channels
from modelwatch.alerting.delivery.threads import Delivery
from modelwatch.alerting.policy import AlertPolicy, policy_of
from modelwatch.alerting.service import AlertService

__all__ = ["AlertPolicy", "AlertService", "Delivery", "build_channels", "policy_of"]
