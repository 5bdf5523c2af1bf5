"""Headers that every answer carries, whatever made it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
                given = list(message.get("headers", ()))
                given_names = {name.lower() for name, _ in given}
                added = self._headers if b"etag" in given_names else (*self._headers, NOT_KEPT)
                message["headers"] = given + [header for header in added if header[0] not in given_names]
            await send(message)

        await self.app(scope, receive, send_with_headers)
