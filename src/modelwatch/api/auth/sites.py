"""Requests that a browser sends for a page of another site are refused: by the host they are for, and by their origin.

Hosts count on services that need no key because only this machine reaches them. A page of any site can have its own
name lead to 127.0.0.1 once it is open in a browser. For the browser the service is then a part of that site, which may
read and write all of it. What it can't hide is the name in its request.

Origins count for requests that would change something. A form on any page of the web can post to an address inside a
company's network; the browser says where it came from. Other programs send no such header, and pass.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modelwatch.api.problems import problem_response
from modelwatch.errors import CrossSite, Misdirected


def names_of(host: str, public_url: str) -> frozenset[str]:
    """The names of the service itself: that which it is bound to, and that by which people reach it."""
    return frozenset({host.lower(), (urlsplit(public_url).hostname or host).lower()})


def check_host(scope: Scope, names: Collection[str]) -> None:
    """Raises Misdirected when a request is for another name, which anyone could own."""
    for name, value in scope["headers"]:
        if name == b"host" and not is_own_host(value, names):
            raise Misdirected(
                f"The request is for the host {_name_in(value)[:80]!r}, but the service is known as localhost. If this"
                " is its name, set PUBLIC_URL to the address that people use."
            )


def is_own_host(value: bytes, names: Collection[str]) -> bool:
    """True when a `Host` header names the service, or what no site can have as its name."""
    host = _name_in(value)
    return host in names or _is_unowned(host)


@lru_cache(maxsize=256)
def _name_in(value: bytes) -> str:
    """The host without its port."""
    try:
        return (urlsplit(f"//{value.decode('latin-1')}").hostname or "").rstrip(".")
    except ValueError:
        return value.decode("latin-1")


@lru_cache(maxsize=256)
def _is_unowned(host: str) -> bool:
    """True when no site can have this name: an address, a name without dots, or one below localhost."""
    if "." not in host or host.endswith(".localhost"):
        return "/" not in host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
