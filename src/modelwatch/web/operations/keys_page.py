"""Page of API keys, for admins: those that there are, a new one, which is shown once, and their revocation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.access import SCOPES
from modelwatch.access.keys import RANDOM_BYTES, KeyLine, KeyRequest, KeyState, NewKey, list_keys, make_key
from modelwatch.access.keys import revoke as revoke_key
from modelwatch.api.auth.scopes import grant_of
from modelwatch.charts.drawing.marks import State
from modelwatch.storage.engine.models import known_models
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.rendering import When, when
from modelwatch.web.frame.site import Site, action, actor_of, identity_of, page, seen_other, site_of

MODELS_OFFERED = 500
# How long a key may last, with a name for it.
LASTS = {"": "without end", "30d": "30 days", "90d": "90 days", "365d": "a year"}
STATES: dict[KeyState, tuple[State, str]] = {
    "in_force": ("stable", "in force"),
    "expired": ("no_data", "expired"),
    "revoked": ("no_data", "revoked"),
}
WHAT = {
    "ingest": "send predictions, labels and references",
    "read": "read everything, and the pages",
    "admin": "everything, also change, silence and delete",
}


@dataclass(frozen=True, slots=True)
class KeysPage:
    """Keys, those in force first. made: a new one, with its text. required: whether requests need a key. now:
    microseconds."""

    keys: Sequence[KeyLine]
    models: Sequence[str]
    required: bool
    now: int
    made: NewKey | None = None

    @property
    def ordered(self) -> list[KeyLine]:
        """Keys in force first, and of these the newest."""
        newest_first = sorted(self.keys, key=lambda key: key.created_at, reverse=True)
        return sorted(newest_first, key=lambda key: key.state != "in_force")

    @property
    def scopes(self) -> list[tuple[str, str]]:
        """Scopes with what each lets one do."""
        return [(scope, WHAT[scope]) for scope in SCOPES]

    @property
    def lasts(self) -> list[tuple[str, str]]:
        """Durations that can be chosen, with their names."""
        return list(LASTS.items())

    def state_of(self, key: KeyLine) -> tuple[State, str]:
        """State and word of a key."""
        return STATES[key.state]

    def when(self, at: str) -> When:
        """Moment of an RFC 3339 text."""
        return when(at, self.now)


async def keys(request: Request) -> Response:
    """Page with the keys."""
    grant_of(request).require("admin")
    site = site_of(request)
    return await site.show(
        request, "operations/keys.html", lambda connection: _page(connection, site), twin="api/v1/keys"
    )


async def create(request: Request) -> Response:
    """Makes the key in the form, and shows it. Raises InvalidInput for a form that is not valid."""
    site = site_of(request)
    form = await read_form(request)
    model = form.get("model")
    wanted = KeyRequest(
        form.get("name", ""),
        [scope for scope in SCOPES if scope in form],
        [model] if model else None,
        form.get("duration") or None,
    )
    made = await asyncio.to_thread(
        make_key,
        site.state.store,
        wanted,
        randomness=os.urandom(RANDOM_BYTES),
        actor=actor_of(request, form),
        now=site.state.clock(),
        new_id=site.state.new_id,
    )
    return await site.show(request, "operations/keys.html", lambda connection: _page(connection, site, made))


async def revoke(request: Request) -> Response:
    """Revokes a key for good, once its name is given as a confirmation."""
    site = site_of(request)
    state, key_id = site.state, identity_of(request, "key_id")
    form = await read_form(request)
    await asyncio.to_thread(
        revoke_key,
        state.store,
        key_id,
        confirm=form.get("confirm", ""),
        actor=actor_of(request, form),
        now=state.clock(),
        new_id=state.new_id,
    )
    return seen_other("../../keys")


ROUTES = (
    page("/keys", keys),
    action("/keys/create", create),
    action("/keys/{key_id:segment}/revoke", revoke),
)


def _page(connection: Connection, site: Site, made: NewKey | None = None) -> KeysPage:
    state, now = site.state, site.state.clock()
    models = known_models(connection)[:MODELS_OFFERED]
    return KeysPage(list_keys(connection, now), models, state.settings.keys_required, now, made)
