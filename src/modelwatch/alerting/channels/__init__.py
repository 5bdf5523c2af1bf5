"""The ways to people, one file each. A channel knows its receiver's form and nothing of alerts' life or of retries."""

from modelwatch.alerting.channels.building import build_channels
from modelwatch.alerting.channels.protocol import DELIVERED, Channel, Outcome, RefreshingChannel

__all__ = ["DELIVERED", "Channel", "Outcome", "RefreshingChannel", "build_channels"]
