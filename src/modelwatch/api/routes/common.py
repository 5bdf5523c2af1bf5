"""Shared by all routes: the service's parts, parameters, and answers in JSON and CSV."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, cast

import msgspec
from fastapi import Path, Query, Request, Response
from pydantic import AfterValidator

from modelwatch.access import Grant
from modelwatch.api.openapi import CSV
from modelwatch.api.state import ServiceState
from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import EARLIEST_TIME, LATEST_TIME
from modelwatch.storage.verdicts.standing import Standing
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_seconds

MOST_A_PAGE = 500
LONGEST_LOOKBACK = 36_500 * SECONDS_PER_DAY
# Actor of a request over the API that names none.
API = "api"

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


def _storable(text: str | None) -> str | None:
    if text is not None and "\0" in text:
        raise ValueError("Expected text without NUL characters")
    return text


Text = Annotated[str | None, Query(min_length=1, max_length=512), AfterValidator(_storable)]
Model = Annotated[str, Query(min_length=1, max_length=512), AfterValidator(_storable)]
Name = Annotated[str, Path(max_length=1_024), AfterValidator(_storable)]
Actor = Annotated[str | None, Query(description="The person who acts, for the audit trail.")]
Moment = Annotated[datetime | None, Query(description="RFC 3339; UTC without a zone.")]
Step = Annotated[str | None, Query(description="Step of the history, such as 6h.")]
Limit = Annotated[int, Query(ge=1, le=MOST_A_PAGE, description="Maximum number of entries in the page.")]
Cursor = Annotated[
    str | None,
    Query(min_length=1, max_length=4_096, description="next_cursor of the previous page; without it, the first page."),
]


def microseconds_of(
    start: datetime | None, end: datetime | None, pointers: tuple[str, str] = ("/start", "/end")
) -> tuple[int | None, int | None]:
    """Start and end since 1970, in UTC when they name no zone; None for none. Of a stretch beyond the times that a
    prediction can have, the nearest that it can: of a base window at least, so that its end stays after its start.
    Raises InvalidInput when there is no such time."""
    first, last = _microseconds(start, pointers[0]), _microseconds(end, pointers[1])
    is_stretch = first is None or last is None or first < last
    least = BASE_WINDOW_SECONDS * MICROS_PER_SECOND if is_stretch else 0
    return (
        None if first is None else min(max(first, EARLIEST_TIME), LATEST_TIME - least),
        None if last is None else min(max(last, EARLIEST_TIME + least), LATEST_TIME),
    )


def seconds_of(
    start: datetime | None, end: datetime | None, pointers: tuple[str, str] = ("/start", "/end")
) -> tuple[int | None, int | None]:
    """The same in whole seconds. Raises InvalidInput as `microseconds_of` does."""
    first, last = microseconds_of(start, end, pointers)
    return None if first is None else first // MICROS_PER_SECOND, None if last is None else last // MICROS_PER_SECOND


def _microseconds(moment: datetime | None, pointer: str) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return round(aware.astimezone(UTC).timestamp() * MICROS_PER_SECOND)
    except (OverflowError, ValueError):
        problem = FieldError(pointer, "Expected a time that can be put in UTC", moment.isoformat())
        raise InvalidInput("The request has a time that is not valid.", (problem,)) from None


def require_lookback(text: str) -> None:
    """Raises ValueError that says what is expected when this is no look-back, or one that is longer than any data."""
    if parse_lookback(text) > LONGEST_LOOKBACK:
        raise ValueError(f"Expected at most {LONGEST_LOOKBACK // SECONDS_PER_DAY}d")


def step_of(step: str | None, pointer: str = "/step") -> int | None:
    """The seconds of a stretch; None for none. Raises InvalidInput when it is no length."""
    if step is None:
        return None
    try:
        return parse_lookback(step)
    except ValueError as error:
        problem = FieldError(pointer, str(error), excerpt(step))
        raise InvalidInput("The step of the history is not valid.", (problem,)) from None


# What the store can compare with: 64 bits, and text without NUL characters.
_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[^\0]*\Z")]


def cursor_of(position: tuple[int, str]) -> str:
    """The text of a position.

    >>> position_of(cursor_of((5, "a")))
    (5, 'a')
    """
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def position_of(cursor: str) -> tuple[int, str]:
    """The position of a cursor. Raises InvalidInput when it is none of ours."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=tuple[_Number, _Name])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        problem = FieldError("/cursor", "Expected the next_cursor of the previous page", excerpt(cursor))
        raise InvalidInput("The cursor is not valid.", (problem,)) from None
