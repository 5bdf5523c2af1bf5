"""What every route needs: the service's parts, and an answer in JSON."""

from __future__ import annotations

from typing import cast

import msgspec
from fastapi import Request, Response

from modelwatch.api.state import ServiceState

_encoder = msgspec.json.Encoder()


def state_of(request: Request) -> ServiceState:
    """The parts of the service that this request came to."""
    return cast(ServiceState, request.app.state.service)


def json_answer(answer: object, status: int = 200) -> Response:
    """A msgspec Struct (or plain data) as a JSON response."""
    return Response(_encoder.encode(answer), status, media_type="application/json")
