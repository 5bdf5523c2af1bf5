"""Problem details (RFC 9457): every error as `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from modelwatch.errors import (
    INTERNAL_ERROR,
    DamagedData,
    FieldError,
    InvalidInput,
    RequestError,
    ServiceError,
    TooManyRequests,
    Unauthenticated,
    excerpt,
)

MEDIA_TYPE = "application/problem+json"
# Relative, as RFC 9457 allows: the address of a page about this kind of problem.
TYPE_PREFIX = "/problems/"
MAX_ERRORS = 100
UNEXPECTED = "The request could not be served because of an error in the service; its log has the details."

# What pydantic says of a parameter, by its kind of error.
_EXPECTED = {
    "missing": "Required",
    "int_parsing": "Expected a whole number",
    "bool_parsing": "Expected true or false",
    "datetime_from_date_parsing": "Expected a time as RFC 3339 writes it",
    "datetime_parsing": "Expected a time as RFC 3339 writes it",
    "date_from_datetime_parsing": "Expected a day such as 2026-01-31",
    "date_from_datetime_inexact": "Expected a day such as 2026-01-31",
    "date_parsing": "Expected a day such as 2026-01-31",
    "literal_error": "Expected {expected}",
    "enum": "Expected {expected}",
    "string_too_short": "Expected at least {min_length} character",
    "string_too_long": "Expected at most {max_length} characters",
    "greater_than_equal": "Expected at least {ge}",
    "less_than_equal": "Expected at most {le}",
}

DAMAGED = "What is stored can't be read"

RawHeaders = list[tuple[bytes, bytes]]

_encode = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, omit_defaults=True):
    """The members of a problem."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


def problem_body(error: Exception) -> tuple[int, RawHeaders, bytes]:
    """Status, headers and body for a raw ASGI answer.

    An unexpected error is a 500 without its cause; of stored data that can't be read it says which.
    """
    headers: RawHeaders = []
    if isinstance(error, RequestError):
        problem = Problem(TYPE_PREFIX + error.slug, error.title, error.status, error.detail)
        if isinstance(error, Unauthenticated):
            headers.append((b"www-authenticate", b'Bearer realm="modelwatch"'))
        if isinstance(error, TooManyRequests):
            headers.append((b"retry-after", str(error.retry_after).encode()))
        if error.errors:
            problem.errors = list(error.errors[:MAX_ERRORS])
            if len(error.errors) > MAX_ERRORS:
                problem.detail += f" The first {MAX_ERRORS} of {len(error.errors)} are listed."
    elif isinstance(error, ServiceError):
        problem = Problem(TYPE_PREFIX + error.slug, error.title, error.status, error.detail)
        headers.append((b"retry-after", str(error.retry_after).encode()))
    else:
        # The server closes the connection after such an error, and the next request on it would be cut off.
        headers.append((b"connection", b"close"))
        title, detail = "The service made an error", UNEXPECTED
        if isinstance(error, DamagedData):
            title, detail = DAMAGED, damage_of(error)
        problem = Problem(TYPE_PREFIX + slug_of(error), title, HTTPStatus.INTERNAL_SERVER_ERROR, detail)
    return _answer(problem, headers)


def damage_of(error: DamagedData) -> str:
    """What a person is told who asks for what can't be read."""
    return f"{error} The rest of the store is served as before."


def problem_response(error: Exception) -> Response:
    """The same as a Starlette response."""
    return _response(*problem_body(error))


def framework_problem(error: Exception) -> Response:
    """The problem of an error that the framework raised: 404, 405, or its own validation of parameters."""
    if isinstance(error, RequestValidationError):
        return problem_response(_as_invalid_input(error))
    if isinstance(error, HTTPException):
        return _response(*_answer(_as_problem(error), _raw(error.headers)))
    return problem_response(error)


def slug_of(error: Exception) -> str:
    """The kind of problem that an error is answered as, such as `not-found`; INTERNAL_ERROR for unexpected ones."""
    match error:
        case RequestError() | ServiceError():
            return error.slug
        case RequestValidationError():
            return InvalidInput.slug
        case HTTPException():
            return HTTPStatus(error.status_code).phrase.lower().replace(" ", "-").replace("'", "")
        case _:
            return INTERNAL_ERROR


def _as_problem(error: HTTPException) -> Problem:
    phrase = HTTPStatus(error.status_code).phrase
    detail = error.detail if error.detail != phrase else f"{phrase}: see /docs for the routes."
    return Problem(TYPE_PREFIX + slug_of(error), phrase, error.status_code, detail)


def _as_invalid_input(error: RequestValidationError) -> InvalidInput:
    from modelwatch.api.decoding.values import pointer_to

    # The first step is where the parameter was: query, path, header or body.
    problems = tuple(
        FieldError(pointer_to(*entry["loc"][1:]), _in_words(entry), excerpt(entry.get("input")))
        for entry in error.errors()
    )
    return InvalidInput("The request has parameters that are not valid.", problems)


def _in_words(entry: Mapping[str, Any]) -> str:
    expected = _EXPECTED.get(entry["type"])
    if expected is None:
        return str(entry["msg"]).removeprefix("Value error, ")
    return expected.format(**entry.get("ctx", {}))


def _answer(problem: Problem, headers: RawHeaders) -> tuple[int, RawHeaders, bytes]:
    content = _encode(problem)
    content_headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(content)).encode())]
    return int(problem.status), content_headers + headers, content


def _response(status: int, headers: RawHeaders, content: bytes) -> Response:
    return Response(
        content, status, headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    )


def _raw(headers: Mapping[str, str] | None) -> RawHeaders:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
