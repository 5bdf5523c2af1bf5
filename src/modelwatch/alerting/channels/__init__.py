"""Channels: the ways to people, one file each. A channel knows its receiver's form and nothing of alerts or retries."""

from modelwatch.alerting.channels.channel import DELIVERED, Channel, Outcome, RefreshingChannel, build_channels

__all__ = ["DELIVERED", "Channel", "Outcome", "RefreshingChannel", "build_channels"]
