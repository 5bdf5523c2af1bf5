"""How the outcomes of a model are laid out when no labelled reference says it: from the first labels on.

Such a layout is provisional: it grows with classes that come later, follows the monitor's positive class, and gives way
to a labelled reference. It has no counts of its own, so nothing is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from modelwatch.stats import NO_OUTCOMES, OutcomeCounts, OutcomeLayout, category_name, outcome_layout
from modelwatch.storage import (
    Store,
    StoredOutcomes,
    label_values,
    labelled_sample,
    monitor_of,
    outcomes_for,
    outcomes_in_force,
    set_references,
)

SAMPLE_SIZE = 2_000
# With fewer labelled predictions nothing is settled.
ENOUGH_LABELS = 20
# A provisional layout is looked at again after a share of its age, so that a long history settles few times.
SHORTEST_PAUSE_SECONDS = 10
PAUSE_SHARE = 0.5
MICROSECONDS = 1_000_000


class OutcomeLayouts:
    """Settles how each model's outcomes are laid out."""

    def __init__(self, store: Store, *, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        self._looked_at: dict[str, int] = {}

    def settle(self, model: str, now: int) -> bool:
        """Puts a layout in force that fits what is known now. True when it did. now: microseconds."""
        with self._store.read() as connection:
            references = outcomes_in_force(connection, model)
            monitor = monitor_of(connection, model)
            positive = None if monitor is None else monitor.config.positive_class
            common = outcomes_for(references, None)
            changed = [each for each in references if _with_positive(each.layout, positive) != each.layout]
            if changed:
                found = changed[0]
                counts = renamed(found.counts, _with_positive(found.layout, positive))
                return self._put(found, counts, now)
            if common is not None and (common.state == "active" or common.layout.task == "regression"):
                return False
            if common is None and references:
                return False
            if not self._is_due(model, common, now):
                return False
            self._looked_at[model] = now
            sample = labelled_sample(connection, model, SAMPLE_SIZE)
            if len(sample) < ENOUGH_LABELS:
                return False
            truths = label_values(connection, model)
        said = [outcome.prediction for outcome in sample]
        # What was known by exact names may be one class under two of them.
        known = [] if common is None or common.layout.naming == "exact" else list(common.layout.classes)
        maps = [outcome.probability for outcome in sample]
        layout = outcome_layout([*said, *known], [*truths, *known], maps, positive)
        if layout == NO_OUTCOMES or (common is not None and layout == common.layout):
            return False
        set_references(
            self._store,
            model,
            None,
            {},
            outcomes=OutcomeCounts.empty(layout),
            state="provisional",
            source="first labels",
            now=now,
            new_id=self._new_id,
        )
        return True

    def _put(self, found: StoredOutcomes, counts: OutcomeCounts, now: int) -> bool:
        set_references(
            self._store,
            found.model,
            found.version,
            {},
            outcomes=counts,
            state=found.state,
            source=found.source,
            now=now,
            new_id=self._new_id,
        )
        return True

    def _is_due(self, model: str, common: StoredOutcomes | None, now: int) -> bool:
        last = self._looked_at.get(model)
        if last is None or last > now:
            return True
        age = 0 if common is None else now - common.created_at
        return now - last >= max(SHORTEST_PAUSE_SECONDS * MICROSECONDS, int(PAUSE_SHARE * age))


def _with_positive(layout: OutcomeLayout, positive: str | None) -> OutcomeLayout:
    """The layout with the positive class that the monitor names, where that is one of two."""
    name = category_name(positive) if layout.naming == "exact" else layout.names.of(positive)
    if layout.task != "binary" or name is None or name not in layout.classes:
        return layout
    return replace(layout, positive=name, score_of="positive")


def renamed(counts: OutcomeCounts, layout: OutcomeLayout) -> OutcomeCounts:
    """Counts of a labelled reference after its positive class has been named: the scores meant something else then.

    They are left out; who wants them compared sets the reference again.
    """
    vector = np.zeros(layout.size, dtype=np.int64)
    for name, part in layout.parts.items():
        if name != "scores":
            vector[part.place] = counts.vector[counts.layout.parts[name].place]
    return OutcomeCounts(layout, vector)
