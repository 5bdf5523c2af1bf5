"""Requests that a browser sends for a page of another site are refused when they would change something.

A form on any page of the web can post to an address inside a company's network; the browser says where it came from.
Other programs send no such header, and pass.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwatch.api.problems import problem_response
from modelwatch.errors import CrossSite

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# `none`: the user did it, such as by a bookmark.
OWN_SITE = frozenset({"same-origin", "none"})


class SameOrigin:
    """An ASGI application in front of another one. public_url: where people reach the service, not what Host says."""

    def __init__(self, app: ASGIApp, *, public_url: str, refused: Callable[[CrossSite, str, str], None]) -> None:
        self._app = app
        self._public = _netloc(public_url)
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and self._is_foreign(Headers(scope=scope)):
            error = CrossSite(
                "A browser sent this for a page of another site; it was refused, and nothing has changed."
            )
            self._refused(error, scope["method"], scope["path"])
            await problem_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in OWN_SITE
        # Browsers leave Sec-Fetch-Site out where there is no TLS.
        origin = headers.get("origin")
        if origin is None:
            return False
        return _netloc(origin) not in {headers.get("host", "").lower(), self._public}


def _netloc(origin: str) -> str | None:
    """Host and port of an origin; None for `null` and what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
