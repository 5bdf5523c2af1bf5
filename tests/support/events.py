"""Events and stores for tests, with time and identity under control."""

from __future__ import annotations

import functools
import itertools
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select

from modelwatch.events import Prediction, Scalar
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.references.layouts import read_layouts

NOON = 1_750_000_000_000_000 // 300_000_000 * 300_000_000
"""An event time at the start of a base window, in microseconds."""

ALWAYS = (0, 1 << 40)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


def numbered(prefix: str = "id") -> Callable[[], str]:
    """Ids in order: id-1, id-2, …"""
    counter = itertools.count(1)
    return lambda: f"{prefix}-{next(counter)}"


def event(
    identity: str,
    features: dict[str, Scalar] | None = None,
    *,
    model: str = "m",
    version: str = "1",
    environment: str = "production",
    timestamp: int = NOON,
    prediction: bool | int | float | str = "yes",
    probability: float | dict[str, float] | None = None,
    latency_ms: float | None = None,
    ground_truth: Scalar = None,
) -> Prediction:
    """A prediction with sensible defaults."""
    return Prediction(
        model,
        version,
        environment,
        identity,
        timestamp,
        {"x": 1.0} if features is None else features,
        prediction,
        probability,
        latency_ms,
        ground_truth,
    )


def open_store(folder: Path) -> Store:
    """A fresh, migrated store on SQLite: a copy of one, which is faster than to migrate each."""
    return Store(f"sqlite:///{put_store(folder)}")


def put_store(folder: Path) -> Path:
    """The file of a store as `open_store` opens it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "modelwatch.db"
    file.write_bytes(_migrated())
    return file


def back_up(file: Path, copy: Path) -> None:
    """A consistent copy of a SQLite file that may be in use."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/modelwatch.db")
        migrate(store)
        store.close()
        return (Path(folder) / "modelwatch.db").read_bytes()


def open_ledger(store: Store, clock: Callable[[], int] | None = None, prefix: str = "w") -> Ledger:
    """A ledger with numbered writers."""
    return Ledger(store, clock=clock or Clock(), new_id=numbered(prefix), host="test", rotation_seconds=3_600)


def stored_and_counted(store: Store, model: str = "m", environment: str = "production") -> tuple[int, int]:
    """Number of predictions stored as rows, and the number in the profiles of the present generation."""
    with store.read() as connection:
        generation = generation_of(connection, model)
        if generation is None:
            return 0, 0
        layouts = read_layouts(connection, model, generation)
        [sums] = sum_windows(connection, model, layouts, environment, [ALWAYS])
        rows = select(func.count()).select_from(tables.prediction).where(tables.prediction.c.model == model)
        return connection.execute(rows).scalar_one(), sum(slot.predictions for slot in sums.values())
