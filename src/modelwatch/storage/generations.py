"""Generations: numbers that grow whenever what a model's predictions are counted in changes."""

from __future__ import annotations

from sqlalchemy import Connection, Insert, bindparam, func, select, update

from modelwatch.storage import tables
from modelwatch.storage.engine import Store


def registration(store: Store) -> Insert:
    """Registers a model `of` that is new, at the time `at`. One of a name that was deleted begins a later generation:
    what some process still knows of the one before must not be taken for this one's."""
    table, deletion = tables.model, tables.deletion
    after = select(func.coalesce(func.max(deletion.c.generation) + 1, 0)).where(deletion.c.model == bindparam("of"))
    values = {"name": bindparam("of"), "created_at": bindparam("at"), "generation": after.scalar_subquery()}
    statement: Insert = store.insert(table).values(**values).on_conflict_do_nothing()
    return statement


def next_generation(connection: Connection, store: Store, model: str, now: int) -> int:
    """Begins a new generation of a model; commits under way are waited for. Registers a model that is new."""
    table = tables.model
    connection.execute(registration(store), {"of": model, "at": now})
    query = select(table.c.generation).where(table.c.name == model).with_for_update()
    current: int = connection.execute(query).scalar_one()
    connection.execute(update(table).where(table.c.name == model).values(generation=current + 1))
    return current + 1
