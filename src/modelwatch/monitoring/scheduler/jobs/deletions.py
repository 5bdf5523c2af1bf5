"""Background job that deletes models, versions and environments, piece by piece."""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.deletion import (
    Deletion,
    alerts_ended,
    delete_some,
    deletion_by_id,
    deletions_under_way,
)

ROWS_PER_TRANSACTION = 200
MOST_ROWS_PER_TRANSACTION = 5_000
QUICK_SECONDS, SLOW_SECONDS = 0.025, 0.1


class Deletions:
    """end_alerts: ends and removes some alerts of what is deleted; True when there may be more of them.

    round_seconds: after so long the rest is left to the next run.
    """

    def __init__(
        self,
        store: Store,
        end_alerts: Callable[[Deletion], bool],
        *,
        timer: Callable[[], float],
        new_id: Callable[[], str],
        round_seconds: float,
    ) -> None:
        self._store = store
        self._end_alerts = end_alerts
        self._timer = timer
        self._new_id = new_id
        self._round_seconds = round_seconds
        self._rows = ROWS_PER_TRANSACTION

    def __call__(self, lease: Lease, now: int) -> bool:
        """One round: each deletion in turn, the oldest first. True when there is more to do at once."""
        until = self._timer() + self._round_seconds
        with self._store.read() as connection:
            under_way = deletions_under_way(connection)
        for deletion in under_way:
            goes_on: Deletion | None = deletion
            while goes_on is not None:
                if self._timer() > until:
                    return True
                goes_on = self._piece(goes_on, now)
        return False

    def _piece(self, deletion: Deletion, now: int) -> Deletion | None:
        """The deletion after its next piece; None when it has ended."""
        if deletion.step == "alerts":
            if not self._end_alerts(deletion):
                alerts_ended(self._store, deletion)
        else:
            # As many rows as go in a fraction of a second: commits wait meanwhile.
            began = self._timer()
            if not delete_some(self._store, deletion, self._rows, now=now, new_id=self._new_id):
                return None
            took = self._timer() - began
            if took < QUICK_SECONDS:
                self._rows = min(self._rows * 2, MOST_ROWS_PER_TRANSACTION)
            elif took > SLOW_SECONDS:
                self._rows = max(self._rows // 2, ROWS_PER_TRANSACTION)
        with self._store.read() as connection:
            return deletion_by_id(connection, deletion.id)
