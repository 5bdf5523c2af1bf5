"""The verdicts of past evaluations, as the reports that they were."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from modelwatch.storage import tables
from modelwatch.storage.engine import Store


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """One evaluation of one stream; `result` is the drift report as JSON, `window_end` in seconds."""

    model: str
    version: str
    environment: str
    window_end: int
    generation: int
    evaluated_at: int
    result: bytes


def save_verdict(store: Store, verdict: StoredVerdict) -> None:
    """Keeps an evaluation; a later one of the same stream and window end takes its place."""
    with store.write() as connection:
        connection.execute(
            store.upsert(tables.verdict),
            {
                "model": verdict.model,
                "version": verdict.version,
                "environment": verdict.environment,
                "window_end": verdict.window_end,
                "generation": verdict.generation,
                "evaluated_at": verdict.evaluated_at,
                "result": verdict.result,
            },
        )


def latest_verdicts(connection: Connection) -> list[StoredVerdict]:
    """The newest evaluation of every stream, sorted by stream."""
    table = tables.verdict
    key = (table.c.model, table.c.version, table.c.environment)
    newest = select(*key, func.max(table.c.window_end).label("window_end")).group_by(*key).subquery()
    rows = connection.execute(
        select(table)
        .join(
            newest,
            (table.c.model == newest.c.model)
            & (table.c.version == newest.c.version)
            & (table.c.environment == newest.c.environment)
            & (table.c.window_end == newest.c.window_end),
        )
        .order_by(*key)
    )
    return [
        StoredVerdict(
            row.model, row.version, row.environment, row.window_end, row.generation, row.evaluated_at, row.result
        )
        for row in rows
    ]
