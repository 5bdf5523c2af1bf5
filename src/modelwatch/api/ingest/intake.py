"""Intake of data: bodies are read within their bounds, and what the store did not take is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.decoding.compression import decompress
from modelwatch.config import Settings
from modelwatch.errors import BodyTimeout, BodyTooLarge, Conflict, Expired, FieldError, MalformedBody
from modelwatch.events import Prediction, Rejection
from modelwatch.ingest import Refused
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import is_being_deleted

# Larger bodies are decoded in a thread: the event loop goes on.
INLINE_BYTES = 64 * 1024

Batch = TypeVar("Batch")
# Body, content type and defaults of a request to the events in it.
Decode = Callable[[bytes, str, Mapping[str, str]], Batch]


async def read_body(request: Request, limit: int, timeout: float) -> bytes:
    """The decompressed body. limit: bytes; that of the key counts where it is smaller.

    Raises BodyTooLarge beyond the limit, BodyTimeout when it does not come in time, MalformedBody when the client goes
    away or the compression is broken.
    """
    grant: Grant | None = request.scope.get(GRANT)
    if grant is not None and grant.body_bytes is not None:
        limit = min(limit, grant.body_bytes)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(f"The body has {declared} bytes; MAX_BODY_BYTES, or the limit of the key, is {limit}.")
    try:
        async with asyncio.timeout(timeout):
            raw = await _collect(request, limit)
    except TimeoutError:
        raise body_timeout(timeout) from None
    except ClientDisconnect:
        raise MalformedBody("The client went away before the body was complete.") from None
    encoding = request.headers.get("content-encoding")
    if encoding is None:
        return raw
    return await asyncio.to_thread(decompress, raw, encoding, limit)


async def read_batch(
    request: Request, settings: Settings, decode: Decode[Batch], names: Sequence[str]
) -> tuple[Batch, int, float]:
    """A decoded batch, how many bytes its body had, and when it had arrived, by `time.perf_counter`.

    names: query parameters, defaults for rows that leave them out. Raises what `read_body` and `decode` raise.
    """
    body = await read_body(request, settings.max_body_bytes, settings.request_timeout_seconds)
    arrived = time.perf_counter()
    content_type = request.headers.get("content-type", "application/json")
    defaults = {name: request.query_params[name] for name in names if name in request.query_params}
    if len(body) <= INLINE_BYTES:
        return decode(body, content_type, defaults), len(body), arrived
    return await asyncio.to_thread(decode, body, content_type, defaults), len(body), arrived


def body_timeout(seconds: float) -> BodyTimeout:
    """The error for a body that did not arrive in time."""
    return BodyTimeout(f"The body did not arrive within {seconds:g} seconds.")


async def _collect(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(
                f"The body has more than {limit} bytes, which is MAX_BODY_BYTES, or the limit of the key."
            )
        parts.append(part)
    return b"".join(parts)


_EXPIRED = "The model's predictions of that day have expired (PREDICTION_RETENTION_DAYS): a repeat could count twice"
_DELETED = (
    "It belongs to a model, a version or an environment that is being deleted: send it again when the deletion has"
    " ended"
)


def refusal(store: Store, event: Prediction) -> Expired | Conflict:
    """The error for a prediction that was not taken. Reads the store."""
    if _is_deleted(store, event):
        return Conflict(f"{_DELETED}.")
    given = datetime.fromtimestamp(event.timestamp / 1_000_000, UTC).isoformat()
    return Expired("The prediction is too old to be accepted.", (FieldError("/timestamp", _EXPIRED, given),))


def rejections(
    taken: Sequence[bool | str | Refused | None], known: Sequence[Rejection], deleted: Collection[int] = ()
) -> list[Rejection]:
    """The rows of a batch that were not taken: for their age, or since they are deleted (None), or for their values.

    taken: outcomes of the good rows; known: the others. deleted: places among the good rows, see `deleted_among`.
    """
    others = {each.index for each in known}
    indexes = (index for index in range(len(taken) + len(others)) if index not in others)
    found = []
    for place, (index, each) in enumerate(zip(indexes, taken, strict=False)):
        if isinstance(each, Refused):
            found.append(Rejection(index, "", each.message))
        elif each is None:
            found.append(
                Rejection(index, "", _DELETED) if place in deleted else Rejection(index, "/timestamp", _EXPIRED)
            )
    return found


def deleted_among(store: Store, events: Sequence[Prediction], taken: Sequence[bool | Refused | None]) -> set[int]:
    """The places of the events that were not taken because they belong to what is being deleted. Reads the store."""
    not_taken = [place for place, each in enumerate(taken) if each is None]
    return {place for place in not_taken if _is_deleted(store, events[place])}


def _is_deleted(store: Store, event: Prediction) -> bool:
    with store.read() as connection:
        return is_being_deleted(connection, event.model_name, event.model_version, event.environment)
