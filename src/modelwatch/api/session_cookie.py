"""The cookie of the pages' sessions, taken out of requests before anything else reads them."""

from __future__ import annotations

import re

from starlette.types import Scope

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
