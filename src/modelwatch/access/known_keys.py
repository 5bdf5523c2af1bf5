"""The keys of the store, known in memory for some seconds, so that no request waits for the store."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modelwatch.access.grants import Grant
from modelwatch.access.tokens import hash_of, parse_token, session_hash, session_text
from modelwatch.errors import StoreUnavailable
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import StoredKey, all_keys, all_sessions, begin_session, end_session, note_uses
from modelwatch.times import MICROS_PER_SECOND, minute_of_micros

# A key that is revoked is refused by every process after so long, and a new one is known.
FRESH_SECONDS = 3
# A session that is not known makes the store be asked at most so often.
SESSION_FRESH_SECONDS = 0.05
# While the store can't be reached, what was known before counts for so long, and it is asked at most so often.
STALE_SECONDS = 300
RETRY_SECONDS = 1
# The last use of a key is told to the hour.
NOTED_EVERY = 3_600 * MICROS_PER_SECOND
# Compared with when there is no such key, so that both take the same work.
NOBODY = hash_of("")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """Keys and sessions as read from the store. at: microseconds since 1970."""

    at: int
    keys: Mapping[str, StoredKey]
    grants: Mapping[str, Grant]
    sessions: Mapping[str, tuple[str, int]]


class KnownKeys:
    """The keys of a store. clock: microseconds. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        # Replaced as a whole: who reads meanwhile sees one moment.
        self._known: _Known | None = None
        self._uses: dict[str, int] = {}
        self._failed: tuple[int, StoreUnavailable] | None = None
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """True when the keys were read from the store lately, or still count since it can't be read."""
        return self._is_younger_than(FRESH_SECONDS) or (self._has_failed and self._is_younger_than(STALE_SECONDS))

    @property
    def do_count(self) -> bool:
        """True while what was known before counts, although the store can't be read."""
        return self._is_younger_than(STALE_SECONDS)

    def refresh(self, seconds: float = FRESH_SECONDS) -> None:
        """Reads the keys of the store, unless that was done within so many seconds.

        A store may take its time to be away: of many who come meanwhile only one waits for it, as long as what was
        known before counts. Raises StoreUnavailable when it does not any more.
        """
        if not self._lock.acquire(blocking=seconds < FRESH_SECONDS or not self.do_count):
            return
        try:
            if self._is_younger_than(seconds):
                return
            in_force = self._read()
        finally:
            self._lock.release()
        if in_force is not None:
            self._note_uses(in_force)

    def _read(self) -> Mapping[str, StoredKey] | None:
        """The keys that are in force; None when the store can't be reached and what was known before still counts."""
        now = self._clock()
        try:
            if self._failed is not None and self._has_failed:
                raise self._failed[1]
            with self._store.read() as connection:
                keys, sessions = all_keys(connection), all_sessions(connection)
        except StoreUnavailable as error:
            if not self._has_failed:
                self._failed = self._clock(), error
            if not self.do_count:
                raise
            return None
        self._failed = None
        in_force = {key.id: key for key in keys if key.revoked_at is None}
        self._known = _Known(now, in_force, {key.id: _grant(key) for key in in_force.values()}, sessions)
        return in_force

    def grant_of(self, text: str) -> Grant | None:
        """The grant of the key with this text; None when there is no such key, or no longer."""
        key = self._key_of(text)
        return None if key is None else self._in_force(key.id)

    def refusal_of(self, text: str) -> str:
        """Sentence on why there is no grant for this text. Only who has the secret of a key learns that it expired."""
        key = self._key_of(text)
        if key is None or key.expires_at is None or self._clock() < key.expires_at:
            return "This API key is unknown or revoked."
        return f"This API key expired at {minute_of_micros(key.expires_at)}."

    def grant_of_session(self, cookie: str) -> Grant | None:
        """The grant of the key of this session; None when the session or its key is over.

        A session may have begun in another process a moment ago: what is not known is looked up, at most so often.
        """
        hashed = session_hash(cookie)
        if hashed is None:
            return None
        if self._known is None or hashed not in self._known.sessions:
            self.refresh(SESSION_FRESH_SECONDS)
        found = None if self._known is None else self._known.sessions.get(hashed)
        if found is None or self._clock() >= found[1]:
            return None
        return self._in_force(found[0])

    def begin_session(self, grant: Grant, seconds: int, randomness: bytes) -> str:
        """The cookie of a new session with the key of this grant, which ends after so many seconds."""
        now = self._clock()
        text = session_text(randomness)
        hashed = session_hash(text) or ""
        expires_at = now + seconds * MICROS_PER_SECOND
        begin_session(self._store, hashed, grant.key_id, expires_at=expires_at, now=now)
        with self._lock:
            if self._known is not None:
                sessions = {**self._known.sessions, hashed: (grant.key_id, expires_at)}
                self._known = replace(self._known, sessions=sessions)
        return text

    def end_session(self, cookie: str) -> None:
        """Ends a session, here at once and elsewhere within seconds; nothing for what is none."""
        hashed = session_hash(cookie)
        if hashed is None:
            return
        end_session(self._store, hashed)
        with self._lock:
            if self._known is not None:
                left = {each: found for each, found in self._known.sessions.items() if each != hashed}
                self._known = replace(self._known, sessions=left)

    def _is_younger_than(self, seconds: float) -> bool:
        # A clock that was set back makes nothing younger.
        return self._known is not None and 0 <= self._clock() - self._known.at < seconds * MICROS_PER_SECOND

    @property
    def _has_failed(self) -> bool:
        """True when the store could not be reached within the last RETRY_SECONDS."""
        return self._failed is not None and 0 <= self._clock() - self._failed[0] < RETRY_SECONDS * MICROS_PER_SECOND

    def _key_of(self, text: str) -> StoredKey | None:
        """The key with this text, also when it has expired."""
        token = parse_token(text)
        known = self._known
        key = None if token is None or known is None else known.keys.get(token.key_id)
        hashed = hash_of("" if token is None else token.secret)
        right = hmac.compare_digest(hashed, NOBODY if key is None else key.hashed)
        return key if right else None

    def _in_force(self, key_id: str) -> Grant | None:
        known = self._known
        key = None if known is None else known.keys.get(key_id)
        if known is None or key is None or (key.expires_at is not None and self._clock() >= key.expires_at):
            return None
        self._uses[key_id] = self._clock()
        return known.grants[key_id]

    def _note_uses(self, keys: Mapping[str, StoredKey]) -> None:
        for key_id in list(self._uses):
            if key_id not in keys:
                del self._uses[key_id]
        due = {
            key_id: at
            for key_id, at in list(self._uses.items())
            if key_id in keys and at - (keys[key_id].last_used_at or 0) >= NOTED_EVERY
        }
        if due:
            try:
                note_uses(self._store, due)
            except StoreUnavailable as error:
                log.debug("The last uses of keys will be noted later: %s", error.detail)


def _grant(key: StoredKey) -> Grant:
    return Grant(key.id, key.name, key.scopes, key.models, key.requests_per_second, key.body_bytes)
