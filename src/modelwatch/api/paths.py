"""The address of a request, read from the path as it was sent: an encoded slash is part of a name and never ends one.

Servers decode a path before anything routes by it, and then `a%2Fb` and `a/b` are the same. Here the segments of the
raw path are decoded one by one; in what the routes see, a slash inside of a segment is still `%2F`, and a percent sign
`%25`. The convertors below turn a parameter into the text that was meant.
"""

from __future__ import annotations

from urllib.parse import quote, unquote, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

FORWARDED_PREFIX = b"x-forwarded-prefix"


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
            path = _without(routed_path(scope["raw_path"]), self._prefix)
            for name, value in scope["headers"]:
                if name == FORWARDED_PREFIX:
                    path = _without(path, routed_path(value.strip()).rstrip("/"))
            # The server knows the method that was sent, and leaves out the body of an answer to HEAD.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            scope = {**scope, "path": path, "method": method}
        await self._app(scope, receive, send)


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
