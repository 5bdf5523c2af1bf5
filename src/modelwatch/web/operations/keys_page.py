"""Page of API keys, for admins: those that there are, a new one, which is shown once, and their revocation."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.access import SCOPES
from modelwatch.access.keys import RANDOM_BYTES, KeyLine, KeyRequest, KeyState, NewKey, list_keys, make_key
from modelwatch.access.keys import revoke as revoke_key
from modelwatch.api.auth.scopes import grant_of
from modelwatch.charts.drawing.marks import State
from modelwatch.config import Settings
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.storage.engine.models import known_models
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.web.frame.login import read_form
from modelwatch.web.frame.rendering import When, count, when
from modelwatch.web.frame.selection import moment_of_text
from modelwatch.web.frame.site import Site, action, actor_of, identity_of, page, seen_other, site_of

# Models of a key that are written out, and known ones that the form names.
MODELS_SHOWN, MODELS_NAMED = 5, 8
NOT_VALID = "The key is not valid."
# How long a key may last, with a name for it.
LASTS = {"": "no expiry", "30d": "30 days", "90d": "90 days", "365d": "1 year"}
STATES: dict[KeyState, tuple[State, str]] = {
    "in_force": ("stable", "in force"),
    "expired": ("no_data", "expired"),
    "revoked": ("no_data", "revoked"),
}
WHAT = {
    "ingest": "send predictions, labels and references",
    "read": "read everything, including the pages",
    "admin": "everything: also change, silence and delete",
}


@dataclass(frozen=True, slots=True)
class KeysPage:
    """Keys, those in force first. models: known ones. settings: of the service. now: microseconds. made: a new
    key, with its text."""

    keys: Sequence[KeyLine]
    models: Sequence[str]
    settings: Settings
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

    @property
    def named(self) -> Sequence[str]:
        """Known models that the form names, as examples."""
        return self.models[:MODELS_NAMED]

    @property
    def models_shown(self) -> int:
        """Number of a key's models that are written out."""
        return MODELS_SHOWN

    @property
    def rate_words(self) -> str:
        """Limit of requests of a key without one of its own."""
        rate = self.settings.rate_limit_per_second
        return f"{rate:g}" if rate else "no limit"

    def limits_of(self, key: KeyLine) -> list[str]:
        """Limits of a key; none for those of the settings."""
        rate, size = key.requests_per_second, key.body_bytes
        return [
            *([] if rate is None else [f"{rate:g} requests a second"]),
            *([] if size is None else [f"bodies up to {count(size)} bytes"]),
        ]

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
    wanted = KeyRequest(
        form.get("name", ""),
        [scope for scope in SCOPES if scope in form],
        [each.strip() for each in form["models"].split("\n") if each.strip()] if "models" in form else None,
        form.get("duration"),
        _end_of(form),
        _number_of(form, "requests_per_second"),
        _whole_number_of(form, "body_bytes"),
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


def _end_of(form: Mapping[str, str]) -> int | None:
    """Time of the form's field, in microseconds; None for none."""
    text = form.get("expires_at")
    return None if text is None else moment_of_text(text, "expires_at", NOT_VALID) * MICROS_PER_SECOND


def _number_of(form: Mapping[str, str], field: str) -> float | None:
    """Number of a field of the form; None for none. Raises InvalidInput for what is no number."""
    text = form.get(field)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(NOT_VALID, (FieldError(f"/{field}", "Expected a number", excerpt(text)),))
    return number


def _whole_number_of(form: Mapping[str, str], field: str) -> int | None:
    """The same of a field that takes no fractions."""
    number = _number_of(form, field)
    if number is not None and not number.is_integer():
        raise InvalidInput(NOT_VALID, (FieldError(f"/{field}", "Expected a whole number", excerpt(form[field])),))
    return None if number is None else int(number)


def _page(connection: Connection, site: Site, made: NewKey | None = None) -> KeysPage:
    state, now = site.state, site.state.clock()
    models = known_models(connection)
    return KeysPage(list_keys(connection, now), models, state.settings, now, made)
