"""Task and positive class of a model as stated: in its monitor, or with its reference."""

from __future__ import annotations

from sqlalchemy import Connection

from modelwatch.stats.outcomes.tasks import NOT_STATED, StatedTask
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.outcome_references import labelled_rows_of, outcomes_for, outcomes_in_force


def task_of_monitor(connection: Connection, model: str) -> StatedTask:
    """Task and positive class as the model's monitor states them."""
    monitor = monitor_of(connection, model)
    return NOT_STATED if monitor is None else StatedTask(monitor.config.task, monitor.config.positive_class)


def task_of_reference(connection: Connection, model: str, version: str | None) -> StatedTask:
    """Task and positive class as stated with the labelled reference in force."""
    found = outcomes_for(outcomes_in_force(connection, model), version)
    rows = None if found is None else labelled_rows_of(connection, found.id)
    return NOT_STATED if rows is None else StatedTask(rows.task, rows.positive_class)
