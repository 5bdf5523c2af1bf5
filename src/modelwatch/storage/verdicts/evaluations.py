"""Progress of the evaluations: the streams that can't be evaluated, and how many are due.

Kept in the store, so that every process can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store

PROGRESS = "evaluations"


@dataclass(frozen=True, slots=True)
class EvaluationFailure:
    """A check of a stream that ends with an error. since, tried_at: the first and the newest attempt of so many, in
    microseconds. error: what kind, and where; never what the data were."""

    stream: StreamKey
    check: str
    since: int
    tried_at: int
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """Number of streams that were due at the last evaluation round, and since when the one that has waited
    longest. Times in microseconds."""

    looked_at: int
    waiting: int
    since: int | None


def evaluation_failures(connection: Connection, model: str | None = None) -> list[EvaluationFailure]:
    """The checks that fail, sorted by stream; of one model, or of all."""
    table = tables.evaluation_failure
    query = select(table).order_by(
        *map(tables.by_bytes, (table.c.model, table.c.version, table.c.environment, table.c.check_name))
    )
    if model is not None:
        query = query.where(table.c.model == model)
    return [
        EvaluationFailure(
            StreamKey(row.model, row.version, row.environment),
            row.check_name,
            row.since,
            row.tried_at,
            row.attempts,
            row.error,
        )
        for row in connection.execute(query)
    ]


def save_failure(connection: Connection, store: Store, failure: EvaluationFailure) -> None:
    """Keeps a failure, in place of the one before."""
    connection.execute(
        store.upsert(tables.evaluation_failure),
        {
            **failure.stream._asdict(),
            "check_name": failure.check,
            "since": failure.since,
            "tried_at": failure.tried_at,
            "attempts": failure.attempts,
            "error": failure.error,
        },
    )


def clear_failure(connection: Connection, stream: StreamKey, check: str) -> None:
    """Forgets the failure of a check: it has succeeded."""
    table = tables.evaluation_failure
    connection.execute(
        delete(table).where(
            table.c.model == stream.model,
            table.c.version == stream.version,
            table.c.environment == stream.environment,
            table.c.check_name == check,
        )
    )


def evaluation_progress(connection: Connection) -> EvaluationProgress | None:
    """The progress of the evaluations; None before the first."""
    table = tables.evaluation_progress
    row = connection.execute(select(table).where(table.c.name == PROGRESS)).one_or_none()
    return None if row is None else EvaluationProgress(row.looked_at, row.waiting, row.waiting_since)


def save_progress(connection: Connection, store: Store, progress: EvaluationProgress) -> None:
    """Keeps how far the evaluations are."""
    row = {"looked_at": progress.looked_at, "waiting": progress.waiting, "waiting_since": progress.since}
    connection.execute(store.upsert(tables.evaluation_progress), {"name": PROGRESS, **row})
