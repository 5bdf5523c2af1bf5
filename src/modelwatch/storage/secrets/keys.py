"""The keys of a store: which of them its values may be encrypted with, and the secret that hashes are made with.

The secret is random, belongs to the store and is encrypted with the writing key. So hashes stay as they are when keys
are rotated, and a process that has the wrong keys finds out when it starts.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, func, select

from modelwatch.config.monitors.values import Storing
from modelwatch.errors import SettingsError
from modelwatch.privacy import Hasher, Keyring
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.engine.protection import Protection
from modelwatch.storage.engine.store import Store

HASHING = "hashing"
SECRET_BYTES = 32


def check_keys(store: Store, keyring: Keyring) -> None:
    """Raises SettingsError when the store holds values of keys that are not here, or monitors ask for a key and there
    is none."""
    with store.read() as connection:
        missing = sorted(keys_in_use(connection) - set(keyring.ids))
        table = tables.model
        models = connection.execute(
            select(table.c.name, table.c.privacy)
            .where(table.c.privacy.is_not(None))
            .order_by(tables.by_bytes(table.c.name))
        ).all()
    if missing:
        raise SettingsError(
            f"The store holds values that are encrypted with {_named(missing)}, which ENCRYPTION_KEY does not have."
            " Add it (after the key that encrypts), or values encrypted with it can't be read."
        )
    keyless = Protection()
    rules = readable(models, lambda row: (row.name, keyless.policy(row.name, row.privacy)), "Its rows are not taken.")
    asking = next((model for model, policy in rules if policy.needs_key), None)
    if asking is not None and not keyring:
        raise SettingsError(
            f"The monitor of {asking!r} hashes or encrypts features, and ENCRYPTION_KEY is not set."
            " `modelwatch encryption-key new` generates one."
        )


def open_protection(
    store: Store,
    keyring: Keyring,
    default_store: Storing = "predictions",
    *,
    now: int,
    random_bytes: Callable[[int], bytes],
) -> Protection:
    """The protection of this store's values. Notes the writing key, and makes the store's secret if need be.

    Raises SettingsError as `check_keys` does. now: microseconds.
    """
    check_keys(store, keyring)
    if not keyring:
        return Protection(default_store=default_store)
    with store.read() as connection:
        sealed, known = _sealed_secret(connection), keys_in_use(connection)
    if sealed is None or keyring.writing_id not in known:
        with store.write() as connection:
            connection.execute(
                store.insert(tables.encryption_key).on_conflict_do_nothing(),
                {"id": keyring.writing_id, "first_used_at": now},
            )
            fresh = seal_secret(keyring, random_bytes(SECRET_BYTES))
            connection.execute(store.insert(tables.secret).on_conflict_do_nothing(), {"name": HASHING, "sealed": fresh})
            sealed = _sealed_secret(connection)
    assert sealed is not None, "it was just written"
    return Protection(keyring, Hasher(open_secret(keyring, sealed)), default_store)


def keys_in_use(connection: Connection) -> frozenset[str]:
    """Ids of the keys that values in the store may be encrypted with: those that were noted at some start, and
    those of rows (a process may still write with a key that was retired)."""
    column = tables.prediction.c.key_id
    found = set(connection.execute(select(tables.encryption_key.c.id)).scalars())
    last: str | None = ""
    while last is not None:
        # A step in the index for each key: a DISTINCT would read every encrypted row.
        last = connection.execute(select(func.min(column)).where(column > last)).scalar()
        if last is not None:
            found.add(last)
    return frozenset(found)


def seal_secret(keyring: Keyring, secret: bytes) -> bytes:
    """The store's secret as it is kept."""
    return keyring.encrypt(secret, HASHING, HASHING)


def open_secret(keyring: Keyring, sealed: bytes) -> bytes:
    """The store's secret. Raises ProtectionUnavailable or TamperedValue."""
    return keyring.decrypt(sealed, HASHING, HASHING)


def _sealed_secret(connection: Connection) -> bytes | None:
    return connection.execute(select(tables.secret.c.sealed).where(tables.secret.c.name == HASHING)).scalar()


def _named(keys: list[str]) -> str:
    return f"the key {keys[0]}" if len(keys) == 1 else f"the keys {', '.join(keys)}"
