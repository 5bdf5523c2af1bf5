"""Around the whole service: the address of each request, and headers of every answer.

An address is read from the path as it was sent: an encoded slash is part of a name and never ends one.

Servers decode a path before anything routes by it, and then `a%2Fb` and `a/b` are the same. Here the segments of the
raw path are decoded one by one; in what the routes see, a slash inside of a segment is still `%2F`, and a percent sign
`%25`. The convertors below turn a parameter into the text that was meant.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelwatch.api.problems import RawHeaders

FORWARDED_PREFIX = b"x-forwarded-prefix"

DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
# For what has no validator: files of the pages and of the docs may be kept.
NOT_KEPT = (b"cache-control", b"no-store")
# A year, as browsers want it.
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")


class _Segment(Convertor[str]):
    """One segment of a path, such as a model's name."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


class _Rest(_Segment):
    """The rest of a path, slashes included."""

    regex = ".+"


register_url_convertor("segment", _Segment())
register_url_convertor("rest", _Rest())


class Addresses:
    """An ASGI application in front of another one: it reads paths, and answers HEAD as GET.

    public_url: where people reach the service. A proxy may leave the path of this address in requests, or name a path
    in `X-Forwarded-Prefix`; both are taken off. What is answered has relative links alone, so it needs no more.
    """

    def __init__(self, app: ASGIApp, *, public_url: str) -> None:
        self._app = app
        self._prefix = urlsplit(public_url).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = self.path_of(scope["raw_path"])
            for name, value in scope["headers"]:
                if name == FORWARDED_PREFIX:
                    path = _without(path, routed_path(value.strip()).rstrip("/"))
            # The server knows the method that was sent, and leaves out the body of an answer to HEAD.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            scope = {**scope, "path": path, "method": method}
        await self._app(scope, receive, send)

    def path_of(self, raw: bytes) -> str:
        """The path that routes see of a request without `X-Forwarded-Prefix`."""
        return _without(routed_path(raw), self._prefix)

    def as_sent(self, path: str) -> list[bytes]:
        """The plain ways to send a path: as it is, and with the path of the public address before it."""
        return [raw for raw in (path.encode(), f"{self._prefix}{path}".encode()) if self.path_of(raw) == path]


class SecurityHeaders:
    """An ASGI application around another one. What an answer says itself stays as it is."""

    def __init__(self, app: ASGIApp, *, over_tls: bool) -> None:
        self.app = app
        self._headers = (*DEFAULTS, STRICT_TRANSPORT) if over_tls else DEFAULTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self.complete(list(message.get("headers", ())))
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def complete(self, given: RawHeaders) -> RawHeaders:
        """The headers of an answer with those that it does not have itself."""
        given_names = {name.lower() for name, _ in given}
        added = self._headers if b"etag" in given_names else (*self._headers, NOT_KEPT)
        return given + [header for header in added if header[0] not in given_names]


def routed_path(raw: bytes) -> str:
    """The path that routes see of a path as it was sent.

    >>> routed_path(b"/models/meta-llama%2FLlama-3/caf%C3%A9%25")
    '/models/meta-llama%2FLlama-3/café%25'
    """
    path = raw.decode("latin-1")
    if "%" not in path:
        return path
    return "/".join(unquote(part).replace("%", "%25").replace("/", "%2F") for part in path.split("/"))


def _without(path: str, prefix: str) -> str:
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path
