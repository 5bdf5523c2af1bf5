"""Shared by all routes: the service's parts, and answers in JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import msgspec
from fastapi import Request, Response

from modelwatch.access import Grant
from modelwatch.api.openapi import CSV
from modelwatch.api.state import ServiceState
from modelwatch.storage.verdicts.standing import Standing
from modelwatch.times import iso_of_seconds

_encoder = msgspec.json.Encoder()


def state_of(request: Request) -> ServiceState:
    """The parts of the service that this request came to."""
    return cast(ServiceState, request.app.state.service)


def require_writing(grant: Grant, models: Iterable[str]) -> None:
    """Raises Forbidden when one of these models is none that the grant is for: then nothing of a batch is stored."""
    if grant.models is not None:
        for model in dict.fromkeys(models):
            grant.require_writing(model)


def how_far(standing: Standing) -> tuple[str | None, str | None]:
    """`data_until` and `evaluated_until` of an answer: when the newest prediction was, and the end of the newest window
    that was evaluated; None where there is none."""
    data, evaluated = standing.data_until, standing.evaluated_until
    return iso_of_seconds(data), iso_of_seconds(evaluated)


def csv_answer(text: str) -> Response:
    """A table as a download."""
    return Response(text, media_type=CSV, headers={"Content-Disposition": 'attachment; filename="series.csv"'})


def json_answer(answer: object, status: int = 200) -> Response:
    """A msgspec Struct (or plain data) as a JSON response."""
    return Response(_encoder.encode(answer), status, media_type="application/json")
