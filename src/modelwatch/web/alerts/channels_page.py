"""Page of channels: where notifications go, how that went, what waits, and a test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.alerting.queries import list_channels, list_deliveries
from modelwatch.alerting.views.operations import ChannelLine, DeliveryLine, TestResult
from modelwatch.charts.drawing.marks import State
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.rendering import When, when
from modelwatch.web.frame.site import Site, action, actor_of, identity_of, page, seen_other, site_of

DEAD_SHOWN = 50
# Settings of the kinds of channels, and what each is.
SETTINGS = (
    ("SLACK_WEBHOOK_URL", "an incoming webhook of Slack"),
    ("PAGERDUTY_INTEGRATION_KEY", "an Events API v2 integration of PagerDuty"),
    ("ALERT_EMAIL", "e-mail addresses, with SMTP_URL"),
    ("ALERT_WEBHOOK_URL", "a webhook of your own, signed with ALERT_WEBHOOK_SECRET"),
    ("ALERTMANAGER_URL", "the Alertmanager of Prometheus"),
    ("CHANNELS_FILE", "several channels of a kind, by name"),
)


@dataclass(frozen=True, slots=True)
class ChannelsPage:
    """List of channels, and deliveries that were given up. tested: result of a test, where one was sent just now."""

    channels: Sequence[ChannelLine]
    dead: Sequence[DeliveryLine]
    now: int
    tested: TestResult | None = None

    @property
    def settings(self) -> Sequence[tuple[str, str]]:
        """Settings that set a channel up, and what each is."""
        return SETTINGS

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text."""
        return when(at, self.now)

    def state_of(self, channel: ChannelLine) -> tuple[State, str]:
        """State of a channel, and its word: by what it has failed to take and is still tried, or its last delivery."""
        last = channel.last_delivery
        if channel.retrying:
            return "warning", "trying again"
        if last is None:
            return "unknown", "not used yet"
        return ("stable", "works") if last.state == "delivered" else ("alert", "fails")


async def channels(request: Request) -> Response:
    """Page with the channels."""
    site = site_of(request)
    return await site.show(request, "alerts/channels.html", lambda found: _page(found, site), twin="api/v1/channels")


async def test(request: Request) -> Response:
    """Sends a test notification, and shows its outcome."""
    site = site_of(request)
    form = await read_form(request)
    channel = identity_of(request, "channel")
    result = await asyncio.to_thread(site.state.deliveries.send_test, channel, actor=actor_of(request, form))
    return await site.show(request, "alerts/channels.html", lambda found: _page(found, site, result))


async def retry(request: Request) -> Response:
    """Makes a delivery that was given up pending again."""
    site = site_of(request)
    form = await read_form(request)
    key = identity_of(request, "key")
    await asyncio.to_thread(site.state.deliveries.retry, key, actor=actor_of(request, form))
    return seen_other("../../../channels")


ROUTES = (
    page("/channels", channels),
    action("/channels/{channel:segment}/test", test),
    action("/channels/deliveries/{key:segment}/retry", retry),
)


def _page(connection: Connection, site: Site, tested: TestResult | None = None) -> ChannelsPage:
    return ChannelsPage(
        list_channels(connection, site.state.channels),
        list_deliveries(connection, state="dead", limit=DEAD_SHOWN).lines,
        site.state.clock(),
        tested,
    )
