"""The grant of a request: the gate puts it into the scope, routes look at it."""

from __future__ import annotations

from starlette.requests import Request

from modelwatch.access import Grant

GRANT = "modelwatch.grant"


def grant_of(request: Request) -> Grant:
    """What the sender of a request may do."""
    grant: Grant = request.scope[GRANT]
    return grant
