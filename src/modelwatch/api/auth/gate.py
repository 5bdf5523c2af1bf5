"""Gate in front of all routes: authentication and rate limits. Authorization is up to the route."""

from __future__ import annotations

import asyncio
import math
import re
import time
from concurrent.futures import ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

from modelwatch.access import EVERYTHING, Grant, KnownKeys, Throttle
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.auth.sites import check_host, is_own_host, names_of
from modelwatch.api.problems import RawHeaders, problem_body
from modelwatch.api.state import ServiceState
from modelwatch.errors import RequestError, ServiceError, StoreUnavailable, TooManyRequests, Unauthenticated

PAGES = "/ui"
LOGIN, LOGOUT = "/ui/login", "/ui/logout"
# What says nothing about models: whether the process lives, and the documentation of the API.
OPEN = frozenset(
    {"/", "/livez", "/readyz", "/health", "/docs", "/docs/start.js", "/docs/style.css", "/openapi.json", LOGIN, LOGOUT}
)
OPEN_FOLDERS = ("/docs/assets/", "/ui/assets/")
METRICS = "/metrics"
# A request waits for the keys so long: while those that are known still count, and while none do. Both leave a scrape,
# which Prometheus gives 10 s, the time to say that the store does not answer.
KEYS_SECONDS, NO_KEYS_SECONDS = 1.0, 3.0
BEARER = b"bearer "


class Gate:
    """An ASGI application in front of another one: it finds the grant of each request and puts it into the scope."""

    def __init__(self, app: ASGIApp, state: ServiceState, keys: KnownKeys) -> None:
        self.app = app
        self._state = state
        self._keys = keys
        self._throttle = Throttle()
        self._required = state.settings.keys_required
        self._rate = state.settings.rate_limit_per_second
        self._local = state.settings.is_local
        # Not the default ones, which requests that wait for the store may all have.
        self._thread = ThreadPoolExecutor(1, "modelwatch-keys")
        # The last read of the keys, which all who come while it runs share.
        self._refresh: asyncio.Future[None] | None = None
        self._names = names_of(state.settings.host, state.settings.reached_at)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What the fast lane had let in is let in.
        if scope["type"] != "http" or GRANT in scope:
            await self.app(scope, receive, send)
            return
        take_session(scope)
        try:
            grant = await self._grant_of(scope)
            if grant is not None:
                self._let_wait(grant)
        except (RequestError, ServiceError) as error:
            self._state.count_refusal(error, scope["method"], scope["path"])
            if isinstance(error, Unauthenticated) and _is_page(scope) and scope["method"] in ("GET", "HEAD"):
                await _redirect(scope, send)
                return
            status, headers, content = problem_body(error)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
            return
        scope[GRANT] = grant
        await self.app(scope, receive, send)

    def grant_at_once(self, headers: RawHeaders) -> Grant | None:
        """The grant of a request for what is not open to all, by headers without cookies; None where it takes a look at
        the store, and where the request would be refused."""
        grant: Grant | None = EVERYTHING
        if self._required:
            token = _key_in(headers) if self._keys.is_fresh else None
            grant = None if token is None else self._keys.grant_of(token)
        elif self._local:
            for name, value in headers:
                if name == b"host" and not is_own_host(value, self._names):
                    return None
        return None if grant is None or self._wait(grant) else grant

    async def _grant_of(self, scope: Scope) -> Grant | None:
        """The grant of a request; None where everybody may ask.

        Raises Unauthenticated, StoreUnavailable, and Misdirected.
        """
        path = scope["path"]
        if path in OPEN or path.startswith(OPEN_FOLDERS) or (path == METRICS and self._state.settings.metrics_public):
            return None
        if not self._required:
            if self._local:
                check_host(scope, self._names)
            return EVERYTHING
        if not self._keys.is_fresh:
            await self._refresh_keys()
        token, cookie = _key_in(scope["headers"]), scope.get(SESSION)
        if token is not None:
            grant = self._keys.grant_of(token)
            if grant is None:
                raise Unauthenticated(self._keys.refusal_of(token))
            return grant
        # A browser sends a cookie with every request by itself: it is for the pages alone.
        grant = None
        if cookie is not None and _is_page(scope):
            grant = await asyncio.to_thread(self._keys.grant_of_session, cookie)
        if grant is None:
            raise Unauthenticated("Send an API key as `Authorization: Bearer mw_...`.")
        return grant

    async def _refresh_keys(self) -> None:
        """Reads the keys. A store that hangs holds up nobody for long. Raises StoreUnavailable where no keys count."""
        loop, refresh = asyncio.get_running_loop(), self._refresh
        if refresh is None or refresh.done() or refresh.get_loop() is not loop:
            refresh = self._refresh = loop.run_in_executor(self._thread, self._keys.refresh)
            # It may fail when nobody waits for it any more.
            refresh.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        elif self._keys.do_count:
            return
        seconds = KEYS_SECONDS if self._keys.do_count else NO_KEYS_SECONDS
        # Unlike `wait_for`, this neither cancels the read, which others wait for, nor leaves anything behind in it.
        await asyncio.wait({refresh}, timeout=seconds)
        if refresh.done():
            refresh.result()
        elif not self._keys.do_count:
            raise StoreUnavailable(f"The store did not answer for the API keys within {seconds:g} s.")

    def _let_wait(self, grant: Grant) -> None:
        wait = self._wait(grant)
        if wait:
            raise TooManyRequests(
                f"More than {self._rate_of(grant):g} requests a second are not served.", math.ceil(wait)
            )

    def _wait(self, grant: Grant) -> float:
        """Seconds until a request of this grant may come; 0: now, and it counts."""
        rate = self._rate_of(grant)
        return self._throttle.wait(grant.key_id, rate, time.monotonic()) if rate > 0 else 0.0

    def _rate_of(self, grant: Grant) -> float:
        return self._rate if grant.requests_per_second is None else grant.requests_per_second


def _key_in(headers: RawHeaders) -> str | None:
    """The key that a request carries; None without one."""
    token: str | None = None
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == BEARER:
            token = value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            token = value.strip().decode("latin-1")
    return token


def _is_page(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == PAGES or path.startswith(f"{PAGES}/")


async def _redirect(scope: Scope, send: Send) -> None:
    """To the page where people give a key; relative, so that it works behind a proxy that adds a path."""
    way = "../" * (scope["path"].count("/") - 1) + LOGIN.removeprefix("/")
    headers = [(b"location", way.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


SESSION_COOKIE = "modelwatch_session"
SESSION = "modelwatch.session"
_VALUE = re.compile(rb"(?:^|;)\s*" + SESSION_COOKIE.encode() + rb"=([0-9a-f]{64})\s*(?:;|$)")


def take_session(scope: Scope) -> None:
    """Puts the value of the session's cookie into the scope, and leaves the request without cookies.

    There is no other cookie here, and the framework would read them all for every route, with a parser of Python that
    works for seconds on one long value before 3.11.10 and 3.12.6.
    """
    headers = scope["headers"]
    if not any(name == b"cookie" for name, _ in headers):
        return
    for name, value in headers:
        found = _VALUE.search(value) if name == b"cookie" else None
        if found is not None:
            scope[SESSION] = found[1].decode()
    scope["headers"] = [header for header in headers if header[0] != b"cookie"]
