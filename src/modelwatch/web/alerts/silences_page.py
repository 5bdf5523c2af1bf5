"""Page of silences: those that there are, a new one with a preview of what it covers, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.alerting.queries import covered_alerts, list_silences, open_alerts
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.alerting.views.alerts import AlertLine
from modelwatch.alerting.views.operations import SilenceLine
from modelwatch.alerting.wording import KINDS
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.findings import SEVERITIES, Kind
from modelwatch.storage.alerts.silences import SilenceState
from modelwatch.storage.engine.models import known_models
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.rendering import When, name, when
from modelwatch.web.frame.selection import choice_of
from modelwatch.web.frame.site import Site, action, actor_of, identity_of, page, seen_other, site_of

A_PAGE = 100
MODELS_OFFERED = 500
# Labels that the form offers, in the order in which a silence is shown.
FIELDS = ("model", "environment", "kind", "severity", "version", "subject")
DURATIONS = {
    "1h": (SECONDS_PER_HOUR, "1 hour"),
    "8h": (8 * SECONDS_PER_HOUR, "8 hours"),
    "1d": (SECONDS_PER_DAY, "1 day"),
    "7d": (7 * SECONDS_PER_DAY, "7 days"),
    "30d": (30 * SECONDS_PER_DAY, "30 days"),
}
TABS: tuple[SilenceState, ...] = ("active", "pending", "expired")


@dataclass(frozen=True, slots=True)
class SilencesPage:
    """List of silences of a state, and the form. models: that can be chosen. form: what was filled in. covered: alerts
    that the silence in the form would cover, where a preview was asked for. now: microseconds."""

    tab: SilenceState
    silences: Sequence[SilenceLine]
    models: Sequence[str]
    now: int
    form: Mapping[str, str] = field(default_factory=dict)
    covered: Sequence[AlertLine] | None = None
    open_alerts: int = 0

    @property
    def tabs(self) -> list[tuple[str, str]]:
        """Each state with its address."""
        return [(each, f"?state={each}") for each in TABS]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kinds that can be chosen, with their names."""
        return [(kind, KINDS[kind]) for kind in get_args(Kind)]

    @property
    def severities(self) -> tuple[str, ...]:
        return SEVERITIES

    @property
    def durations(self) -> list[tuple[str, str]]:
        """Durations that can be chosen, with their names."""
        return [(each, text) for each, (_, text) in DURATIONS.items()]

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text."""
        return when(at, self.now)

    def covers(self, silence: SilenceLine) -> list[tuple[str, str]]:
        """Names of labels and what they must be."""
        return [(name(each.name), _condition(each)) for each in silence.matchers]


async def silences(request: Request) -> Response:
    """Page with the silences of a state."""
    site = site_of(request)
    tab = choice_of(request.query_params.get("state", "active"), TABS, "state", "There is no such list of silences.")
    return await site.show(
        request, "alerts/silences.html", lambda found: _page(found, site, tab), twin="api/v1/silences"
    )


async def preview(request: Request) -> Response:
    """Page with what the silence in the form would cover."""
    site = site_of(request)
    form = await read_form(request)
    wanted = _wanted(form, site.state.clock())

    def make(connection: Connection) -> SilencesPage:
        covered = covered_alerts(connection, wanted, now=site.state.clock())
        return _page(connection, site, "active", form, covered)

    return await site.show(request, "alerts/silences.html", make)


async def create(request: Request) -> Response:
    """Creates the silence in the form."""
    site = site_of(request)
    form = await read_form(request)
    wanted = _wanted(form, site.state.clock())
    await asyncio.to_thread(site.state.alerts.silence, wanted, actor=actor_of(request, form))
    return seen_other("../silences")


async def end(request: Request) -> Response:
    """Ends a silence now."""
    site = site_of(request)
    form = await read_form(request)
    silence_id = identity_of(request, "silence_id")
    await asyncio.to_thread(site.state.alerts.end_silence, silence_id, actor=actor_of(request, form))
    return seen_other("../../silences")


ROUTES = (
    page("/silences", silences),
    action("/silences/preview", preview),
    action("/silences/create", create),
    action("/silences/{silence_id:segment}/end", end),
)


def _page(
    connection: Connection,
    site: Site,
    tab: SilenceState,
    form: Mapping[str, str] | None = None,
    covered: Sequence[AlertLine] | None = None,
) -> SilencesPage:
    now = site.state.clock()
    return SilencesPage(
        tab,
        list_silences(connection, now=now, state=tab, limit=A_PAGE).lines,
        known_models(connection)[:MODELS_OFFERED],
        now,
        form or {},
        covered,
        len(open_alerts(connection)),
    )


def _wanted(form: Mapping[str, str], now: int) -> SilenceRequest:
    """The silence that a form asks for. Raises InvalidInput for a duration that is none."""
    seconds, _ = DURATIONS.get(form.get("duration", ""), (0, ""))
    if not seconds:
        problem = FieldError("/duration", f"Expected one of {', '.join(DURATIONS)}")
        raise InvalidInput("The silence is not valid.", (problem,))
    matchers = tuple(Matcher(each, form[each]) for each in FIELDS if each in form)
    return SilenceRequest(matchers, now + seconds * MICROS_PER_SECOND, form.get("comment", ""))


def _condition(matcher: Matcher) -> str:
    sign = "" if matcher.is_equal else "not "
    return f"{sign}like {name(matcher.value)}" if matcher.is_regex else f"{sign}{name(matcher.value)}"
