"""Background job that keeps the size of the store, by the hour: its growth is told from that."""

from __future__ import annotations

from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.sizes import SIZE_INTERVAL, save_size
from modelwatch.storage.engine.store import Store


class SizeSamples:
    """Looks at the sizes once in SIZE_INTERVAL."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_at: int | None = None

    def __call__(self, lease: Lease, now: int) -> bool:
        """Keeps the size when it is time for that. now: microseconds. Never more to do at once."""
        if self._looked_at is None or abs(now - self._looked_at) >= SIZE_INTERVAL:
            save_size(self._store, now)
            self._looked_at = now
        return False
