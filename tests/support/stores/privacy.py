"""Stores with keys, and models whose features are protected."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from modelwatch.config.encryption_keys import new_encryption_key
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.privacy import Keyring
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.secrets.keys import open_protection
from tests.support.events import NOON, open_store


def key(number: int) -> str:
    """A key for tests, another one for each number."""
    return new_encryption_key(lambda size: bytes([number]) * size)


KEY = key(1)


def secret_bytes(size: int) -> bytes:
    """Fixed bytes in place of random ones where a store's secret is made."""
    return bytes(range(size))


def with_keys(store: Store, *keys: str) -> Store:
    """The store, with these keys."""
    store.protection = open_protection(store, Keyring(keys), now=NOON, random_bytes=secret_bytes)
    return store


def protected_store(folder: Path, *keys: str) -> Store:
    """A fresh store with keys, on SQLite."""
    folder.mkdir(exist_ok=True)
    return with_keys(open_store(folder), *(keys or (KEY,)))


def opened_again(store: Store, *keys: str) -> Store:
    """The same store as another process has it, with keys or without."""
    again = Store(store.url.render_as_string(hide_password=False))
    return with_keys(again, *keys) if keys else again


def set_privacy(into: Store, model: str = "m", /, **privacy: Any) -> None:
    """Sets what the model's monitor says about privacy."""
    config = parse_monitor({"privacy": privacy})
    put_monitor(into, model, config, source="test", actor="test", now=NOON, new_id=lambda: uuid.uuid4().hex)
