"""The keys of the store, known in memory for some seconds, so that no request waits for the store."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable

from modelwatch.access.grants import Grant
from modelwatch.access.sessions import session_of, session_text
from modelwatch.access.tokens import hash_of, parse_token
from modelwatch.errors import StoreUnavailable
from modelwatch.storage import Store
from modelwatch.storage.api_keys import StoredKey, all_keys, note_uses

MICROSECONDS = 1_000_000
# A key that is revoked is refused by every process after so long, and a new one is known.
FRESH_SECONDS = 3
# While the store can't be reached, what was known before counts for so long.
STALE_SECONDS = 300
# The last use of a key is told to the hour.
NOTED_EVERY = 3_600 * MICROSECONDS
# Compared with when there is no such key, so that both take the same work.
NOBODY = hash_of("")

log = logging.getLogger(__name__)


class KnownKeys:
    """The keys of a store. clock: microseconds. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, StoredKey] = {}
        self._grants: dict[str, Grant] = {}
        self._read_at: int | None = None
        self._uses: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        """Whether what is known was read from the store lately."""
        return self._read_at is not None and self._clock() - self._read_at < FRESH_SECONDS * MICROSECONDS

    def refresh(self) -> None:
        """Reads the keys of the store. Raises StoreUnavailable when it can't be reached for too long."""
        with self._lock:
            if self.is_fresh:
                return
            now = self._clock()
            try:
                with self._store.read() as connection:
                    keys = all_keys(connection)
            except StoreUnavailable:
                if self._read_at is None or now - self._read_at >= STALE_SECONDS * MICROSECONDS:
                    raise
                return
            self._keys = {key.id: key for key in keys if key.revoked_at is None}
            self._grants = {key.id: _grant(key) for key in self._keys.values()}
            self._read_at = now
            self._note_uses(now)

    def grant_of(self, text: str) -> Grant | None:
        """What the key with this text may do; None when there is no such key, or no longer."""
        token = parse_token(text)
        key = None if token is None else self._keys.get(token.key_id)
        hashed = hash_of("" if token is None else token.secret)
        right = hmac.compare_digest(hashed, NOBODY if key is None else key.hashed)
        return self._in_force(key) if right else None

    def grant_of_session(self, cookie: str) -> Grant | None:
        """What the key of this session may do; None when the session or its key is over."""
        hashes = {key.id: key.hashed for key in self._keys.values()}
        key_id = session_of(cookie, hashes, now=self._clock() / MICROSECONDS)
        return None if key_id is None else self._in_force(self._keys.get(key_id))

    def session(self, grant: Grant, seconds: int) -> str:
        """The cookie of a session with the key of this grant, which ends after so many seconds."""
        until = self._clock() // MICROSECONDS + seconds
        return session_text(grant.key_id, self._keys[grant.key_id].hashed, until)

    def _in_force(self, key: StoredKey | None) -> Grant | None:
        if key is None or (key.expires_at is not None and self._clock() >= key.expires_at):
            return None
        self._uses[key.id] = self._clock()
        return self._grants[key.id]

    def _note_uses(self, now: int) -> None:
        due = {
            key_id: at
            for key_id, at in self._uses.items()
            if key_id in self._keys and at - (self._keys[key_id].last_used_at or 0) >= NOTED_EVERY
        }
        if due:
            try:
                note_uses(self._store, due)
            except StoreUnavailable as error:
                log.debug("The last uses of keys will be noted later: %s", error.detail)


def _grant(key: StoredKey) -> Grant:
    return Grant(key.id, key.name, key.scopes, key.models, key.requests_per_second, key.body_bytes)
