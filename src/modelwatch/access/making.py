"""New API keys: what people may ask for, checked, and the key that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import cast

from modelwatch.access.grants import SCOPES
from modelwatch.access.tokens import new_token
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import Scope, StoredKey, create_key

LONGEST_NAME = 100


def make_key(
    store: Store,
    name: str,
    scopes: Collection[str],
    models: Collection[str],
    *,
    lasts_seconds: int | None,
    randomness: bytes,
    actor: str,
    now: int,
    new_id: Callable[[], str],
) -> tuple[StoredKey, str]:
    """Makes a key and returns it with its text, which is nowhere else. models: none for all.

    lasts_seconds: None for without end. randomness: as `new_token` takes it. now: microseconds. Raises InvalidInput
    that names every wrong field.
    """
    problems = []
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        problems.append(
            FieldError("/name", f"Expected printable text of 1 to {LONGEST_NAME} characters", excerpt(name))
        )
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        given = excerpt(unknown[0]) if unknown else None
        problems.append(FieldError("/scopes", f"Expected one or more of {', '.join(SCOPES)}", given))
    if any(not model or "\0" in model for model in models):
        problems.append(FieldError("/models", "Expected names of models"))
    if problems:
        raise InvalidInput("The key is not valid.", tuple(problems))
    token = new_token(randomness)
    ends = None if lasts_seconds is None else now + lasts_seconds * 1_000_000
    key = StoredKey(
        token.key_id,
        name.strip(),
        token.hashed,
        cast("frozenset[Scope]", frozenset(scopes)),
        frozenset(models) or None,
        None,
        None,
        now,
        ends,
    )
    create_key(store, key, actor=actor, new_id=new_id)
    return key, token.text
