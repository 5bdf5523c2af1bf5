"""API keys for tests."""

from __future__ import annotations

import os
import time

from modelwatch.access import new_token
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import Scope, StoredKey, create_key
from tests.support.background import new_id


def make_key(
    store: Store,
    *scopes: Scope,
    models: frozenset[str] | None = None,
    expires_at: int | None = None,
    requests_per_second: float | None = None,
    body_bytes: int | None = None,
) -> tuple[str, str]:
    """The id and the text of a new key. expires_at: microseconds."""
    token = new_token(os.urandom(38))
    name = "+".join(scopes)
    now = time.time_ns() // 1_000
    key = StoredKey(
        token.key_id,
        name,
        token.hashed,
        frozenset(scopes),
        models,
        requests_per_second,
        body_bytes,
        now,
        expires_at,
    )
    create_key(store, key, actor="test", new_id=new_id)
    return token.key_id, token.text


def bearer(text: str) -> dict[str, str]:
    """The header that a key is sent in."""
    return {"authorization": f"Bearer {text}"}
