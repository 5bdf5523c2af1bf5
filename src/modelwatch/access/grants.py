"""Grants and rate limits: what the sender of a request may do, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from modelwatch.errors import Forbidden
from modelwatch.storage.secrets.api_keys import Scope

MOST_BUCKETS = 10_000
# Seconds of its rate that a key may spend at once after it has been quiet.
BURST_SECONDS = 2.0

SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Grant:
    """The rights of one key. `admin` may do everything that the others may.

    key_id: empty for a service that asks for no keys. models: the only models that it is for; None: all of them.
    requests_per_second, body_bytes: its own limits; None: those of the settings.

    >>> grant = Grant("k1", "trainer", frozenset({"ingest"}), frozenset({"fraud"}))
    >>> grant.may("ingest"), grant.may("read"), grant.is_for("fraud"), grant.is_for("churn")
    (True, False, True, False)
    """

    key_id: str
    name: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None = None
    requests_per_second: float | None = None
    body_bytes: int | None = None

    def may(self, scope: Scope) -> bool:
        """True when it has this scope, or admin."""
        return scope in self.scopes or "admin" in self.scopes

    def is_for(self, model: str) -> bool:
        """True when it is for this model."""
        return self.models is None or model in self.models

    def require(self, scope: Scope) -> None:
        """Raises Forbidden unless it has this scope."""
        if not self.may(scope):
            had = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"This needs a key with the scope {scope}; the scopes of this key: {had}.")

    def require_all_models(self) -> None:
        """Raises Forbidden for a key that is only for some models."""
        if self.models is not None:
            raise Forbidden("This is about all models, and the key is only for some.")

    def require_writing(self, model: str) -> None:
        """Raises Forbidden unless it may send predictions, labels and references of this model."""
        self.require("ingest")
        if not self.is_for(model):
            raise Forbidden(f"This key is not for the model {model[:80]!r}; nothing was stored.")

    def actor(self, given: str | None, otherwise: str) -> str:
        """The actor for the audit trail: the key, and beside it the name that was given.

        >>> EVERYTHING.actor("ann", "api"), EVERYTHING.actor(None, "api")
        ('ann', 'api')
        >>> Grant("k1", "on-call", frozenset({"admin"})).actor("ann", "api")
        'ann (key on-call, k1)'
        """
        if not self.key_id:
            return otherwise if given is None else given
        key = f"key {self.name}, {self.key_id}"
        return key if given is None else f"{given} ({key})"


EVERYTHING = Grant("", "anybody", frozenset(SCOPES))


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Throttle:
    """A token bucket for each key, in each process."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def wait(self, key_id: str, rate: float, now: float) -> float:
        """Takes one request of a key. Returns 0 when it may go on, else after how many seconds it may be tried again.

        rate: requests per second. now: seconds of a clock that never goes back.

        >>> throttle = Throttle()
        >>> [throttle.wait("k", 1.0, now) for now in (0.0, 0.0, 0.0, 1.0)]
        [0.0, 0.0, 1.0, 0.0]
        """
        most = max(1.0, BURST_SECONDS * rate)
        bucket = self._buckets.get(key_id)
        if bucket is None:
            if len(self._buckets) >= MOST_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[key_id] = _Bucket(most, now)
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / rate
        bucket.tokens -= 1.0
        return 0.0
