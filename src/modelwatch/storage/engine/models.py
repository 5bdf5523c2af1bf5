"""Models, their streams and their generations.

A stream is one version of a model in one environment. A model's generation is a number that grows whenever what its
predictions are counted in changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Insert, bindparam, exists, func, or_, select, update

from modelwatch.errors import UnknownModel
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.damage import decoded
from modelwatch.storage.engine.store import Store


class StreamKey(NamedTuple):
    """One version of a model in one environment."""

    model: str
    version: str
    environment: str


@dataclass(frozen=True, slots=True)
class Stream:
    """One (model, version, environment) and what was received of it. latest_ts: of the newest, in microseconds."""

    model: str
    version: str
    environment: str
    predictions: int
    first_window: int
    last_window_end: int
    latest_ts: int

    @property
    def key(self) -> StreamKey:
        return StreamKey(self.model, self.version, self.environment)


_GENERATION = select(tables.model.c.generation).where(tables.model.c.name == bindparam("of_model"))


def generation_of(connection: Connection, model: str) -> int | None:
    """The model's generation, or None when there is no such model."""
    return remembered(
        connection, (generation_of, model), lambda: connection.execute(_GENERATION, {"of_model": model}).scalar()
    )


def require_model(connection: Connection, model: str) -> int:
    """The generation of a model that has sent a prediction, deleted since or not, or has a reference or a monitor.

    Raises UnknownModel for others: labels alone may have come under a misspelt name.
    """
    table = tables.model
    query = select(table.c.generation).where(table.c.name == model, _is_known())
    generation: int | None = connection.execute(query).scalar()
    if generation is None:
        raise UnknownModel(model)
    return generation


def known_models(connection: Connection) -> list[str]:
    """The names of the models that `require_model` finds, sorted."""
    table = tables.model
    return list(
        connection.execute(select(table.c.name).where(_is_known()).order_by(tables.by_bytes(table.c.name))).scalars()
    )


def _is_known() -> ColumnElement[bool]:
    name, deletion = tables.model.c.name, tables.deletion
    having = [exists().where(each.c.model == name) for each in (tables.stream, tables.reference, tables.monitor)]
    # Of its last version, say; what was deleted whole has a generation there.
    return or_(*having, exists().where(deletion.c.model == name, deletion.c.generation.is_(None)))


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a model to delete. None: every version, or every environment; both None: the model itself."""

    version: str | None = None
    environment: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.version is None and self.environment is None

    def covers(self, version: str, environment: str) -> bool:
        """True when this version in this environment is deleted."""
        return self.version in (None, version) and self.environment in (None, environment)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[Part, ...]).decode


def written_parts(parts: Iterable[Part]) -> str:
    """The column of a model's row that says what of it is being deleted."""
    return _encode(tuple(dict.fromkeys(parts))).decode()


@lru_cache(maxsize=1_000)
def parts_of(model: str, written: str) -> tuple[Part, ...]:
    """The parts of a model that are being deleted, decoded from the column of its row. Raises DamagedData."""
    return decoded(f"What is being deleted of the model {model!r}", _decode, written)


def registration(store: Store) -> Insert:
    """Registers a model `of` that is new, at the time `at`. One of a name that was deleted begins a later generation:
    what some process still knows of the one before must not be taken for this one's."""
    table, deletion = tables.model, tables.deletion
    after = select(func.coalesce(func.max(deletion.c.generation) + 1, 0)).where(deletion.c.model == bindparam("of"))
    values = {"name": bindparam("of"), "created_at": bindparam("at"), "generation": after.scalar_subquery()}
    statement: Insert = store.insert(table).values(**values).on_conflict_do_nothing()
    return statement


def next_generation(connection: Connection, store: Store, model: str, now: int) -> int:
    """Begins a new generation of a model; commits under way are waited for. Registers a model that is new.

    now: microseconds.
    """
    table = tables.model
    connection.execute(registration(store), {"of": model, "at": now})
    query = select(table.c.generation).where(table.c.name == model).with_for_update()
    current: int = connection.execute(query).scalar_one()
    connection.execute(update(table).where(table.c.name == model).values(generation=current + 1))
    return current + 1
