"""Forms of the pages, and signing in with a key where the service asks for one."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from modelwatch.access import Grant, KnownKeys
from modelwatch.access.tokens import SESSION_BYTES
from modelwatch.api.auth.gate import SESSION, SESSION_COOKIE
from modelwatch.api.ingest.intake import body_timeout
from modelwatch.config import Settings
from modelwatch.errors import BodyTooLarge, Forbidden, MalformedBody, Unauthenticated, UnsupportedContent
from modelwatch.times import SECONDS_PER_HOUR
from modelwatch.web.frame.rendering import HEADERS
from modelwatch.web.frame.site import require_pages, site_of

FORM_TYPE = "application/x-www-form-urlencoded"
LARGEST_FORM = 64 * 1024
MOST_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a form, without those that are empty.

    Raises BodyTooLarge, BodyTimeout, UnsupportedContent, and MalformedBody
    for what no browser sends.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise UnsupportedContent(f"A form is sent as {FORM_TYPE}.")
    content, seconds = bytearray(), site_of(request).state.settings.request_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                content += part
                if len(content) > LARGEST_FORM:
                    raise BodyTooLarge(f"The form has more than {LARGEST_FORM} bytes.")
    except TimeoutError:
        raise body_timeout(seconds) from None
    except ClientDisconnect:
        raise MalformedBody("The form did not arrive completely.") from None
    try:
        fields = parse_qs(content.decode("ascii"), max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise MalformedBody("The form can't be read.") from None
    return {name: values[0].strip() for name, values in fields.items() if values[0].strip()}


class Login:
    """Page to sign in, and what its forms do."""

    def __init__(self, keys: KnownKeys, settings: Settings) -> None:
        self._keys = keys
        self._settings = settings

    async def show(self, request: Request) -> Response:
        """Form to sign in."""
        return _page(request, 200, None)

    async def enter(self, request: Request) -> Response:
        """Starts a session with the key of the form, in place of the one that there may be."""
        form = await read_form(request)
        try:
            grant = await self._grant(form.get("key", ""))
        except (Unauthenticated, Forbidden) as error:
            return _page(request, error.status, error.detail)
        await self._end(request)
        seconds = self._settings.session_hours * SECONDS_PER_HOUR
        answer = Response(status_code=303, headers={**HEADERS, "Location": "models"})
        answer.set_cookie(
            SESSION_COOKIE,
            await asyncio.to_thread(self._keys.begin_session, grant, seconds, os.urandom(SESSION_BYTES)),
            max_age=seconds,
            path=self._path(request),
            secure=self._settings.reached_at.startswith("https:"),
            httponly=True,
            samesite="strict",
        )
        return answer

    async def leave(self, request: Request) -> Response:
        """Ends the session."""
        await self._end(request)
        answer = Response(status_code=303, headers={**HEADERS, "Location": "login"})
        # Also one of another path, which an earlier release, or signing in by another address, has set.
        for path in {self._path(request), "/"}:
            answer.delete_cookie(SESSION_COOKIE, path=path, httponly=True, samesite="strict")
        return answer

    def _path(self, request: Request) -> str:
        """Path that the browser sends the cookie to: that of PUBLIC_URL where the request came by its host, so that
        other services of the host get no session, and others of modelwatch there have theirs."""
        public = urlsplit(self._settings.public_url)
        by_it = request.headers.get("host", "").lower() == public.netloc.lower()
        return (public.path.rstrip("/") if by_it else "") or "/"

    async def _end(self, request: Request) -> None:
        session = request.scope.get(SESSION)
        if session is not None:
            await asyncio.to_thread(self._keys.end_session, session)

    async def _grant(self, key: str) -> Grant:
        if not self._keys.is_fresh:
            await asyncio.to_thread(self._keys.refresh)
        grant = self._keys.grant_of(key)
        if grant is None:
            raise Unauthenticated(self._keys.refusal_of(key))
        require_pages(grant)
        return grant


def _page(request: Request, status: int, problem: str | None) -> Response:
    return site_of(request).say(request, "login.html", status=status, problem=problem)
