"""Stores that are measured, and what writes into them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger

# Longer than any of them writes.
ROTATION_SECONDS = 3_600


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1_000


def new_id() -> str:
    """A random id."""
    return uuid.uuid4().hex


@contextmanager
def sqlite_store(folder: Path | str) -> Iterator[Store]:
    """An empty store with all tables in `modelwatch.db` of this folder, until the block ends."""
    with closing(migrated(f"sqlite:///{Path(folder) / 'modelwatch.db'}")) as store:
        yield store


def migrated(url: str) -> Store:
    """The store at this address, with all tables."""
    store = Store(url)
    migrate(store)
    return store


def ledger_of(store: Store, clock: Callable[[], int] = now) -> Ledger:
    """What writes into a store; with the defaults, as a service does. clock: microseconds since 1970."""
    return Ledger(store, clock=clock, new_id=new_id, host="benchmark", rotation_seconds=ROTATION_SECONDS)
