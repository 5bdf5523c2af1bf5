"""Maintenance by the lease holder: provisional references, layouts of outcomes, backfills, folding the slots of past
writers, giving up labels whose prediction never came.

Each is safe when two processes do it at once; the lease only saves the double work. A run ends after its share of
time, and the next one continues where it stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from modelwatch.events import EARLIEST_TIME
from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.monitoring.references.references import take_provisional_reference
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.outcomes import give_up_labels, models_with_labels
from modelwatch.storage.counts.streams import generations
from modelwatch.storage.engine.damage import passing_over
from modelwatch.storage.engine.sizes import SIZE_INTERVAL, save_size
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.compaction import fold, seal_writers
from modelwatch.storage.references.references import models_ready_for_reference
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

LABELS_PER_RUN = 1_000


class Maintenance:
    """Background job: what keeps the store in order beside the evaluations.

    provisional_size: predictions that make a provisional reference. rotation_seconds: longest life of a writer.
    label_seconds: how long a label waits for its prediction. round_seconds: time of a run; what is left then is done by
    the next one. folded: called after slots of writers were folded.
    """

    def __init__(
        self,
        store: Store,
        *,
        new_id: Callable[[], str],
        provisional_size: int,
        rotation_seconds: int,
        label_seconds: int = 90 * 86_400,
        timer: Callable[[], float] = lambda: 0.0,
        round_seconds: float = 1.0,
        folded: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._new_id = new_id
        self._provisional_size = provisional_size
        self._rotation_seconds = rotation_seconds
        self._label_seconds = label_seconds
        self._timer = timer
        self._round_seconds = round_seconds
        self._folded = folded
        self._outcome_layouts = OutcomeLayouts(store, new_id=new_id)
        self._backfilled: dict[str, int] = {}
        self._settled: deque[str] = deque()

    def __call__(self, lease: Lease, now: int) -> bool:
        """One run. now: microseconds. True when there is more to do at once."""
        until = self._timer() + self._round_seconds
        more = self._take_provisional_references(now, until)
        self._settle_layouts(now, until)
        more |= self._backfill(now, until)
        rotation = self._rotation_seconds * MICROS_PER_SECOND
        for writer in seal_writers(self._store, now - 2 * rotation, opened_after=now + rotation):
            # Some of the oldest is folded in each run, also when its time is used up.
            fold(self._store, writer, lambda: self._timer() <= until)
            self._folded()
            if self._timer() > until:
                more = True
                break
        given_up = give_up_labels(self._store, now - self._label_seconds * MICROS_PER_SECOND, LABELS_PER_RUN)
        return more or given_up == LABELS_PER_RUN

    def _take_provisional_references(self, now: int, until: float) -> bool:
        with self._store.read() as connection:
            ready = models_ready_for_reference(connection, self._provisional_size)
        for model in ready:
            if self._timer() > until:
                return True
            with passing_over("The model gets no provisional reference."):
                take_provisional_reference(self._store, model, self._provisional_size, now=now, new_id=self._new_id)
        return False

    def _settle_layouts(self, now: int, until: float) -> None:
        """Settles the layouts of one model after the other; the next run continues with the model after the last."""
        with self._store.read() as connection:
            labelled = models_with_labels(connection)
        known = set(labelled)
        order = [model for model in self._settled if model in known]
        self._settled = deque([*(known - set(order)), *order])
        for _ in labelled:
            if self._timer() > until:
                return
            with passing_over("Classes of the model's labels stay as they are."):
                self._outcome_layouts.settle(self._settled[0], now)
            self._settled.rotate(-1)

    def _backfill(self, now: int, until: float) -> bool:
        with self._store.read() as connection:
            current = generations(connection)
        # Nothing is older than the first generation.
        changed = [model for model, generation in current.items() if self._backfilled.get(model, 0) != generation]
        for model in changed:
            if self._timer() > until:
                return True
            with passing_over("Predictions of the model are not counted by its new reference."):
                end = now // MICROS_PER_SECOND + SECONDS_PER_DAY
                backfill_profiles(self._store, model, EARLIEST_TIME // MICROS_PER_SECOND, end)
                self._backfilled[model] = current[model]
        return False


class SizeSamples:
    """Background job: keeps the size of the store once in SIZE_INTERVAL, as its growth is told from that."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_at: int | None = None

    def __call__(self, lease: Lease, now: int) -> bool:
        """Keeps the size when it is time for that. now: microseconds. Never more to do at once."""
        if self._looked_at is None or abs(now - self._looked_at) >= SIZE_INTERVAL:
            save_size(self._store, now)
            self._looked_at = now
        return False
