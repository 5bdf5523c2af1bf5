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
from modelwatch.access.making import make_key
from modelwatch.api.auth.scopes import grant_of
from modelwatch.charts.drawing.marks import State
from modelwatch.errors import Conflict, FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.storage.engine.models import known_models
from modelwatch.storage.secrets.api_keys import StoredKey, all_keys, revoke_key
from modelwatch.times import SECONDS_PER_DAY, iso_of_micros
from modelwatch.web.login import read_form
from modelwatch.web.rendering import When, when
from modelwatch.web.site import Site, action, actor_of, identity_of, page, seen_other, site_of

# Bytes that a key is made of.
RANDOM_BYTES = 38
MODELS_OFFERED = 500
# How long a key may last, and its name.
LASTS = {"": (None, "without end"), "30d": (30, "30 days"), "90d": (90, "90 days"), "365d": (365, "a year")}
WHAT = {
    "ingest": "send predictions, labels and references",
    "read": "read everything, and the pages",
    "admin": "everything, also change, silence and delete",
}


@dataclass(frozen=True, slots=True)
class KeysPage:
    """Keys, those in force first. made: a new one and its text. required: whether requests need a key. now:
    microseconds."""

    keys: Sequence[StoredKey]
    models: Sequence[str]
    required: bool
    now: int
    made: tuple[StoredKey, str] | None = None

    @property
    def ordered(self) -> list[StoredKey]:
        """Keys in force first, and of these the newest."""
        return sorted(self.keys, key=lambda key: (self.state_of(key)[1] != "in force", -key.created_at))

    @property
    def scopes(self) -> list[tuple[str, str]]:
        """Scopes with what each lets one do."""
        return [(scope, WHAT[scope]) for scope in SCOPES]

    @property
    def lasts(self) -> list[tuple[str, str]]:
        """Durations that can be chosen, with their names."""
        return [(each, text) for each, (_, text) in LASTS.items()]

    def state_of(self, key: StoredKey) -> tuple[State, str]:
        """State and word of a key."""
        if key.revoked_at is not None:
            return "no_data", "revoked"
        if key.expires_at is not None and key.expires_at <= self.now:
            return "no_data", "expired"
        return "stable", "in force"

    def when(self, at: int) -> When:
        """Moment in microseconds."""
        return when(iso_of_micros(at), self.now)


async def keys(request: Request) -> Response:
    """Page with the keys."""
    grant_of(request).require("admin")
    site = site_of(request)
    return await site.show(request, "keys.html", lambda connection: _page(connection, site))


async def create(request: Request) -> Response:
    """Makes the key in the form, and shows it. Raises InvalidInput for a form that is not valid."""
    site = site_of(request)
    form = await read_form(request, site.state.settings.request_timeout_seconds)
    if form.get("lasts", "") not in LASTS:
        known = ", ".join(each for each in LASTS if each)
        raise InvalidInput("The key is not valid.", (FieldError("/lasts", f"Expected one of {known}, or nothing"),))
    days, _ = LASTS[form.get("lasts", "")]
    model = form.get("model")
    made = await asyncio.to_thread(
        make_key,
        site.state.store,
        form.get("name", ""),
        [scope for scope in SCOPES if scope in form],
        [] if model is None else [model],
        lasts_seconds=None if days is None else days * SECONDS_PER_DAY,
        randomness=os.urandom(RANDOM_BYTES),
        actor=actor_of(request, form),
        now=site.state.clock(),
        new_id=site.state.new_id,
    )
    return await site.show(request, "keys.html", lambda connection: _page(connection, site, made))


async def revoke(request: Request) -> Response:
    """Revokes a key for good, once its name is given as a confirmation."""
    site = site_of(request)
    state, key_id = site.state, identity_of(request, "key_id")
    form = await read_form(request, state.settings.request_timeout_seconds)
    actor = actor_of(request, form)

    def work() -> None:
        with state.store.read() as connection:
            named = {key.id: key.name for key in all_keys(connection)}
        if key_id not in named:
            raise UnknownResource(f"There is no key {excerpt(key_id)!r}.")
        if form.get("confirm") != named[key_id]:
            problem = FieldError("/confirm", "Expected the name of the key, as a confirmation", form.get("confirm"))
            raise InvalidInput("Nothing is revoked.", (problem,))
        if not revoke_key(state.store, key_id, now=state.clock(), actor=actor, new_id=state.new_id):
            raise Conflict("The key is revoked already.")

    await asyncio.to_thread(work)
    return seen_other("../../keys")


ROUTES = (
    page("/keys", keys),
    action("/keys/create", create),
    action("/keys/{key_id:segment}/revoke", revoke),
)


def _page(connection: Connection, site: Site, made: tuple[StoredKey, str] | None = None) -> KeysPage:
    state = site.state
    return KeysPage(
        all_keys(connection),
        known_models(connection)[:MODELS_OFFERED],
        state.settings.keys_required,
        state.clock(),
        made,
    )
