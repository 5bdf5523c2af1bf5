"""Generations: numbers that grow whenever what a model's predictions are counted in changes."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from modelwatch.storage import tables
from modelwatch.storage.engine import Store


def next_generation(connection: Connection, store: Store, model: str, now: int) -> int:
    """Begins a new generation of a model; commits under way are waited for. Registers a model that is new."""
    table = tables.model
    connection.execute(store.insert(table).on_conflict_do_nothing(), {"name": model, "created_at": now})
    query = select(table.c.generation).where(table.c.name == model).with_for_update()
    current: int = connection.execute(query).scalar_one()
    connection.execute(update(table).where(table.c.name == model).values(generation=current + 1))
    return current + 1
