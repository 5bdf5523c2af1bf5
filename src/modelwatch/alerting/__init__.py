"""Alerts: their life, who is told, and how it reaches them."""

from modelwatch.alerting.book import AlertBook
from modelwatch.alerting.channels import build_channels
from modelwatch.alerting.delivery import Delivery
from modelwatch.alerting.policies import policy_of
from modelwatch.alerting.routing import AlertPolicy

__all__ = ["AlertBook", "AlertPolicy", "Delivery", "build_channels", "policy_of"]
