"""Where people give a key, for the pages of a service that asks for one."""

from __future__ import annotations

import asyncio
import os

from starlette.requests import Request
from starlette.responses import Response

from modelwatch.access import Grant, KnownKeys
from modelwatch.access.sessions import SESSION_BYTES
from modelwatch.api.auth.gate import SESSION, SESSION_COOKIE
from modelwatch.config import Settings
from modelwatch.errors import Forbidden, Unauthenticated
from modelwatch.web.forms import read_form
from modelwatch.web.rendering import HEADERS, Renderer

SECONDS_PER_HOUR = 3_600


class Login:
    """The page, and what its forms do."""

    def __init__(self, keys: KnownKeys, settings: Settings, renderer: Renderer) -> None:
        self._keys = keys
        self._settings = settings
        self._render = renderer.page

    async def show(self, _request: Request) -> Response:
        """The form."""
        return self._page(200, None)

    async def enter(self, request: Request) -> Response:
        """Begins a session with the key of the form, instead of the one that there may be."""
        form = await read_form(request, self._settings.request_timeout_seconds)
        try:
            grant = await self._grant(form.get("key", ""))
        except (Unauthenticated, Forbidden) as error:
            return self._page(error.status, error.detail)
        await self._end(request)
        seconds = self._settings.session_hours * SECONDS_PER_HOUR
        answer = Response(status_code=303, headers={**HEADERS, "Location": "alerts"})
        answer.set_cookie(
            SESSION_COOKIE,
            await asyncio.to_thread(self._keys.begin_session, grant, seconds, os.urandom(SESSION_BYTES)),
            max_age=seconds,
            path="/",
            secure=self._settings.reached_at.startswith("https:"),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        """Ends the session."""
        await self._end(request)
        answer = Response(status_code=303, headers={**HEADERS, "Location": "login"})
        answer.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    async def _end(self, request: Request) -> None:
        session = request.scope.get(SESSION)
        if session is not None:
            await asyncio.to_thread(self._keys.end_session, session)

    async def _grant(self, key: str) -> Grant:
        if not self._keys.is_fresh:
            await asyncio.to_thread(self._keys.refresh)
        grant = self._keys.grant_of(key)
        if grant is None:
            raise Unauthenticated("There is no such key, or it was revoked or has expired.")
        require_pages(grant)
        return grant

    def _page(self, status: int, problem: str | None) -> Response:
        return self._render("login.html", root="../", status=status, problem=problem)


def require_pages(grant: Grant) -> None:
    """Raises Forbidden unless the pages may be read with it."""
    grant.require("read")
    grant.require_all_models()
