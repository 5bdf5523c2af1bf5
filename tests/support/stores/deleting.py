"""Deletions in a process that a test kills."""

from __future__ import annotations

import time
import uuid

from modelwatch.monitoring.scheduler.jobs import deletions
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.store import Store

FEW_ROWS = 20


def delete_in_small_steps(url: str) -> None:
    """Runs what is to be deleted in this store to its end, a few rows a transaction."""
    deletions.MOST_ROWS_PER_TRANSACTION = deletions.ROWS_PER_TRANSACTION = FEW_ROWS
    job = deletions.Deletions(
        Store(url), lambda deletion: False, timer=time.monotonic, new_id=lambda: uuid.uuid4().hex, round_seconds=60.0
    )
    while job(Lease("chores", "child", 1), 1):
        pass
