"""The upkeep of the lease holder: provisional references, how outcomes are laid out, carrying counts over, folding the
slots of past writers, giving up labels whose prediction never came.

Each is safe when two processes do it at once; the lease only saves the double work.
"""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.events import EARLIEST_TIME
from modelwatch.monitoring.chores import Lease
from modelwatch.monitoring.outcome_layouts import OutcomeLayouts
from modelwatch.monitoring.references import take_provisional_reference
from modelwatch.monitoring.schedule import MICROSECONDS
from modelwatch.storage import (
    Store,
    carry_over,
    fold,
    generations,
    give_up_labels,
    models_with_labels,
    models_without_full_reference,
    seal_writers,
    streams,
)

LABELS_A_ROUND = 1_000


class Housekeeping:
    """provisional_size: predictions that make a provisional reference. rotation_seconds: a writer's longest life.
    label_seconds: how long a label waits for its prediction.
    """

    def __init__(
        self,
        store: Store,
        *,
        new_id: Callable[[], str],
        provisional_size: int,
        rotation_seconds: int,
        label_seconds: int = 90 * 86_400,
    ) -> None:
        self._store = store
        self._new_id = new_id
        self._provisional_size = provisional_size
        self._rotation_seconds = rotation_seconds
        self._label_seconds = label_seconds
        self._outcome_layouts = OutcomeLayouts(store, new_id=new_id)
        self._carried: dict[str, int] = {}

    def __call__(self, lease: Lease, now: int) -> bool:
        """One round. True when there is more to do at once."""
        with self._store.read() as connection:
            waiting = models_without_full_reference(connection)
            received = {model: sum(stream.predictions for stream in streams(connection, model)) for model in waiting}
        for model in waiting:
            if received[model] >= self._provisional_size:
                take_provisional_reference(self._store, model, self._provisional_size, now=now, new_id=self._new_id)
        with self._store.read() as connection:
            labelled = models_with_labels(connection)
        for model in labelled:
            self._outcome_layouts.settle(model, now)
        with self._store.read() as connection:
            current = generations(connection)
        for model, generation in current.items():
            if self._carried.get(model) != generation:
                carry_over(self._store, model, EARLIEST_TIME // MICROSECONDS, now // MICROSECONDS + 86_400)
                self._carried[model] = generation
        rotation = self._rotation_seconds * MICROSECONDS
        for writer in seal_writers(self._store, now - 2 * rotation, opened_after=now + rotation):
            fold(self._store, writer)
        given_up = give_up_labels(self._store, now - self._label_seconds * MICROSECONDS, LABELS_A_ROUND)
        return given_up == LABELS_A_ROUND
