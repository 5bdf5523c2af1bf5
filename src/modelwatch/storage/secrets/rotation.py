"""Rotating keys: what older keys have encrypted is encrypted again with the writing one, some rows at a time.

A batch is one transaction, and a row changes only if it still is what was read. So a killed process leaves rows of
either key, and the next one continues; predictions are stored and erased meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, exists, select, update

from modelwatch.errors import ProtectionUnavailable, TamperedValue
from modelwatch.privacy import policy_from
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.protection import Protected, Protection, pack, unpack
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.keys import HASHING, keys_in_use, open_secret, seal_secret

ROWS_A_TRANSACTION = 500


@dataclass(frozen=True, slots=True)
class Rotated:
    """rows: encrypted again. unreadable: values that did not decrypt and were dropped.

    retired: the keys that nothing in the store needs any more.
    """

    rows: int
    unreadable: int
    retired: tuple[str, ...]


def rotate(store: Store, observed: Callable[[int], None] = lambda rows: None) -> Rotated:
    """Encrypts everything with the writing key that another one has encrypted. observed: called with the number of rows
    so far.

    Raises ProtectionUnavailable without a key, or when one is not here that is needed to read.
    """
    keyring = store.protection.keyring
    if not keyring:
        raise ProtectionUnavailable("ENCRYPTION_KEY is not set: there is nothing to rotate to.")
    with store.read() as connection:
        others = sorted(keys_in_use(connection) - {keyring.writing_id})
    rows = unreadable = 0
    for old in others:
        for rewritten, dropped in _rewritten(store, old):
            rows, unreadable = rows + rewritten, unreadable + dropped
            observed(rows)
    _reseal_secret(store)
    retired = tuple(old for old in others if _retire(store, old))
    if rows:
        store.empty_log()
    return Rotated(rows, unreadable, retired)


def _rewritten(store: Store, old: str) -> Iterator[tuple[int, int]]:
    """Numbers of rows changed and of values dropped, transaction by transaction, until none is under this key."""
    table, keyring = tables.prediction, store.protection.keyring
    change = (
        update(table)
        .where(
            table.c.day == bindparam("of_day"),
            table.c.model == bindparam("of_model"),
            table.c.prediction_id == bindparam("of_id"),
            table.c.protected == bindparam("before"),
        )
        .values(protected=bindparam("after"), key_id=keyring.writing_id)
    )
    columns = (table.c.day, table.c.model, table.c.prediction_id, table.c.protected)
    while True:
        with store.read() as connection:
            rows = connection.execute(select(*columns).where(table.c.key_id == old).limit(ROWS_A_TRANSACTION)).all()
        if not rows:
            return
        changes, dropped = [], 0
        for day, model, identity, before in rows:
            after, bad = _again(store.protection, before, (model, day, identity))
            dropped += bad
            changes.append({"of_day": day, "of_model": model, "of_id": identity, "before": before, "after": after})
        with store.write() as connection, store.without_remnants(connection):
            connection.execute(change, changes)
        yield len(changes), dropped


def _again(protection: Protection, before: bytes, row: tuple[str, int, str]) -> tuple[bytes, int]:
    """Values of the row under the writing key, and the number of those that did not decrypt and are dropped."""
    content = unpack(before)
    policy, sealed = policy_from(content.policy), {}
    for name, value in content.encrypted.items():
        try:
            sealed[name] = protection.seal(protection.unseal(value, *row, name), *row, name)
        except TamperedValue:
            policy = policy.dropping(name)
    return pack(Protected(policy.text, sealed)), len(content.encrypted) - len(sealed)


def _reseal_secret(store: Store) -> None:
    keyring, table = store.protection.keyring, tables.secret
    with store.write() as connection:
        sealed = connection.execute(select(table.c.sealed).where(table.c.name == HASHING).with_for_update()).scalar()
        if sealed is not None:
            again = seal_secret(keyring, open_secret(keyring, sealed))
            connection.execute(update(table).where(table.c.name == HASHING).values(sealed=again))


def _retire(store: Store, old: str) -> bool:
    table = tables.encryption_key
    with store.write() as connection:
        used = connection.execute(select(exists().where(tables.prediction.c.key_id == old))).scalar()
        if not used:
            connection.execute(delete(table).where(table.c.id == old))
        return not used
