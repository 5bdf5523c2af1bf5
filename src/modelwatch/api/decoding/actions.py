"""Bodies of actions on alerts (actor and note), of silences, and of API keys."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from modelwatch.access import Scope
from modelwatch.access.keys import KeyRequest
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.api.decoding.explain import DECODING_ERRORS, explained
from modelwatch.api.decoding.repeated_keys import check_keys
from modelwatch.config.durations import parse_duration
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.times import MICROS_PER_SECOND, micros_of

Body = TypeVar("Body", bound=msgspec.Struct)


class ActionBody(msgspec.Struct, forbid_unknown_fields=True):
    """The person who acknowledges or resolves an alert, and a note why."""

    actor: str | None = None
    note: str | None = None


class ActorBody(msgspec.Struct, forbid_unknown_fields=True):
    """The person who acts."""

    actor: str | None = None


class SilenceBody(msgspec.Struct, forbid_unknown_fields=True):
    """A silence: which alerts, why, and until when: either `ends_at`, or `duration` from its start on, such as `8h`."""

    matchers: list[Matcher]
    comment: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    duration: str | None = None
    actor: str | None = None


class KeyBody(msgspec.Struct, forbid_unknown_fields=True):
    """An API key: what it is for, what it may do, and for how long: until `expires_at`, or for a `duration` such as
    `90d`; without either, without end.

    models: the only ones that it is for; all without it. requests_per_second, body_bytes: limits of the key.
    """

    name: str
    scopes: list[Scope]
    models: list[str] | None = None
    expires_at: datetime | None = None
    duration: str | None = None
    requests_per_second: float | None = None
    body_bytes: int | None = None
    actor: str | None = None


class FromWindowBody(msgspec.Struct, forbid_unknown_fields=True):
    """The stored predictions that become the reference: from `start` to `end`, or `lookback` back from the newest data.

    model_version: only its predictions, and a reference of it alone. features: of these alone; without them, of
    everything that is stored. labels: also as the reference of performance.
    """

    start: datetime | None = None
    end: datetime | None = None
    lookback: str | None = None
    model_version: str | None = None
    environment: str | None = None
    features: list[str] | None = None
    labels: bool = False
    actor: str | None = None
    note: str | None = None


def decode_action(body: bytes, kind: type[Body]) -> Body:
    """The body as a `kind`; an empty one as `{}`. Raises MalformedBody, and InvalidInput that names every field."""
    content = body if body.strip() else b"{}"
    try:
        found = msgspec.json.decode(content, type=kind)
    except DECODING_ERRORS as error:
        raise explained(content, kind, error) from None
    check_keys(content)
    return found


def silence_request(body: SilenceBody, now: int) -> SilenceRequest:
    """The silence that the body asks for. now: microseconds. Raises InvalidInput."""
    starts_at = None if body.starts_at is None else micros_of(body.starts_at)
    if (body.ends_at is None) == (body.duration is None):
        problem = FieldError("/ends_at", "Give either ends_at or duration")
        raise InvalidInput("The silence is not valid.", (problem,))
    if body.ends_at is not None:
        ends_at = micros_of(body.ends_at)
    else:
        ends_at = (now if starts_at is None else max(starts_at, now)) + _seconds(
            body.duration or ""
        ) * MICROS_PER_SECOND
    return SilenceRequest(tuple(body.matchers), ends_at, body.comment, starts_at)


def key_request(body: KeyBody) -> KeyRequest:
    """The key that the body asks for, unchecked."""
    return KeyRequest(
        body.name,
        body.scopes,
        body.models,
        body.duration,
        None if body.expires_at is None else micros_of(body.expires_at),
        body.requests_per_second,
        body.body_bytes,
    )


def _seconds(duration: str) -> int:
    try:
        return parse_duration(duration)
    except ValueError as error:
        problem = FieldError("/duration", str(error), excerpt(duration))
        raise InvalidInput("The silence is not valid.", (problem,)) from None
