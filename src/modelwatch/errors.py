"""The exception hierarchy. Each error knows the HTTP problem it becomes.

    ModelwatchError
    ├── RequestError                what a client sent can't be accepted
    │   ├── MalformedBody           400  the bytes are not what the content type says
    │   ├── Unauthenticated         401  no key, or none that is known
    │   ├── Forbidden               403  the key may not do this
    │   ├── CrossSite               403  a browser sent it for a page of another site
    │   ├── UnknownResource         404  no such model or feature
    │   ├── BodyTimeout             408  the body did not come in time; it may be sent again
    │   ├── Conflict                409  the state of the resource does not allow it
    │   ├── BodyTooLarge            413  more bytes, rows or depth than the limits allow
    │   ├── UnsupportedContent      415  a content type or encoding that is not read here
    │   ├── Misdirected             421  it is for another host, and its sender is not known
    │   ├── InvalidInput            422  readable, but fields are wrong; names each of them
    │   └── TooManyRequests         429  more often than the key may ask; with Retry-After
    ├── ServiceError                temporarily unavailable; nothing was lost, try again
    │   ├── ProtectionUnavailable   503  a key for encryption or hashing is not here
    │   ├── QueueFull               503  with Retry-After
    │   ├── TooManyConnections      503  with Retry-After
    │   └── StoreUnavailable        503  with Retry-After
    │       └── StoreReplaced            the file that is open is not that of the store any more
    ├── TamperedValue               a stored value is not what was encrypted for its place
    ├── DamagedData                 what is stored can't be read
    │   └── DamagedBlock             features of predictions are not what was written
    │       └── NewerBlock           they are in a format of a newer modelwatch
    ├── StoreUnsuitable             the store answers, but modelwatch can't work with it as it is
    ├── LeaseLost                   another process has taken over this background work
    └── StartupError                the service can't start here
        ├── SettingsError           the settings are wrong
        └── StoreUnreachable        the store does not answer

The statistics raise their own `modelwatch.stats.errors.StatsError`, a ValueError: they know nothing of HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

EXCERPT_LENGTH = 80
# What a request is answered with that failed by an error of another kind than these.
INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: an RFC 6901 pointer to it, the problem, and the beginning of the given value."""

    pointer: str
    message: str
    value_excerpt: str | None = None


def first_line(error: BaseException) -> str:
    """First line of an error's message; its type where it has none.

    >>> first_line(OSError("refused\\nand more")), first_line(TimeoutError())
    ('refused', 'TimeoutError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


def excerpt(value: object) -> str:
    """The start of a value's text, short enough to be shown in an error.

    >>> len(excerpt("x" * 10_000))
    81
    """
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= EXCERPT_LENGTH else text[:EXCERPT_LENGTH] + "…"


class ModelwatchError(Exception):
    """Root of every error that modelwatch raises on purpose."""


class RequestError(ModelwatchError):
    """A request that can't be served as it is."""

    status: ClassVar[int] = 400
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request can't be served"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class MalformedBody(RequestError):
    slug = "malformed-body"
    title = "The body can't be read"


class Unauthenticated(RequestError):
    status = 401
    slug = "unauthenticated"
    title = "API key required"


class Forbidden(RequestError):
    status = 403
    slug = "forbidden"
    title = "Not allowed with this key"


class CrossSite(RequestError):
    status = 403
    slug = "cross-site"
    title = "The request comes from another site"


class Misdirected(RequestError):
    status = 421
    slug = "misdirected"
    title = "The request is for another host"


class UnknownResource(RequestError):
    status = 404
    slug = "not-found"
    title = "Not found"


class UnknownModel(UnknownResource):
    """A model that nothing is known of; `model` is the name that was asked for."""

    def __init__(self, model: str) -> None:
        super().__init__(f"No model named {excerpt(model)!r} has sent predictions or has a reference.")
        self.model = model


class BodyTimeout(RequestError):
    status = 408
    slug = "body-timeout"
    title = "The body did not arrive in time"


class Conflict(RequestError):
    status = 409
    slug = "conflict"
    title = "Conflict with the state of the resource"


class BodyTooLarge(RequestError):
    status = 413
    slug = "too-large"
    title = "The request is larger than the limits allow"


class UnsupportedContent(RequestError):
    status = 415
    slug = "unsupported-content"
    title = "The content type or encoding is not supported"


class InvalidInput(RequestError):
    """rows: how many rows are refused by it, of a batch of which none is taken."""

    status = 422
    slug = "invalid-input"
    title = "Some fields are not valid"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = (), rows: int = 1) -> None:
        super().__init__(detail, errors)
        self.rows = rows


class Expired(InvalidInput):
    slug = "expired"
    title = "Too old to be accepted"


class TooManyRequests(RequestError):
    """retry_after: whole seconds."""

    status = 429
    slug = "too-many-requests"
    title = "Too many requests"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ServiceError(ModelwatchError):
    """The service can't do this now. The client may repeat the same request: nothing counts twice."""

    status: ClassVar[int] = 503
    slug: ClassVar[str] = "unavailable"
    title: ClassVar[str] = "Temporarily unavailable"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after


class QueueFull(ServiceError):
    slug = "queue-full"
    title = "The ingest queue is full"


class TooManyConnections(ServiceError):
    slug = "too-many-connections"
    title = "Too many clients are connected"


class StoreUnavailable(ServiceError):
    slug = "store-unavailable"
    title = "The store can't be reached"


class StoreReplaced(StoreUnavailable):
    """The open file is no longer that of the store: everything that it accepted would be lost."""


class ProtectionUnavailable(ServiceError):
    slug = "protection-unavailable"
    title = "Values can't be protected as the model's monitor asks"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after=30)


class TamperedValue(ModelwatchError):
    """A stored value was changed, or moved to another row or feature."""


class DamagedData(ModelwatchError):
    """Stored bytes that can't be read; the message says of what."""


class DamagedBlock(DamagedData):
    """A stored block of features that can't be read, or does not have a row that is said to be in it."""


class NewerBlock(DamagedBlock):
    """A stored block of features whose format only a newer modelwatch knows."""


class StoreUnsuitable(ModelwatchError):
    """The store's server is too old, its tables were made by a newer modelwatch, its encoding is another than UTF-8, or
    its file is beside the log of another one. Waiting does not help; the message says what does."""


class LeaseLost(ModelwatchError):
    """The lease has passed on: work done under it must not be kept, its new holder does it."""


class StartupError(ModelwatchError):
    """The service can't start; the message says what was expected and what to do."""


class SettingsError(StartupError):
    """The settings are wrong; the message names every problem."""


class StoreUnreachable(StartupError):
    """The store does not answer. store: its address without a password; detail: why."""

    def __init__(self, store: str, detail: str) -> None:
        super().__init__(f"The store {store} can't be used. {detail}")
        self.detail = detail
