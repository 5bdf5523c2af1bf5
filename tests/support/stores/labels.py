"""Labels for tests, and what the outcomes of a store must come to: counted again from what was sent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from modelwatch.events import GroundTruth, Prediction
from modelwatch.stats.outcomes.outcome_layout import Outcome, OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.outcomes import sum_outcomes
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.outcome_references import outcomes_in_force
from modelwatch.storage.references.references import set_references
from tests.support.events import ALWAYS, NOON

BINARY = OutcomeLayout("binary", ("no", "yes"), "yes", "positive")
CLASSES = OutcomeLayout("multiclass", ("maybe", "no", "yes"))


def label(
    identity: str, value: bool | int | float | str = "yes", *, model: str = "m", timestamp: int = NOON
) -> GroundTruth:
    """A label with sensible defaults."""
    return GroundTruth(model, identity, value, timestamp)


def set_layout(store: Store, layout: OutcomeLayout, *, model: str = "m", version: str | None = None) -> int:
    """Puts an outcome layout in force; returns the model's new generation."""
    number = iter(range(100))
    return set_references(
        store,
        model,
        version,
        {},
        outcomes=OutcomeCounts.empty(layout),
        source="test",
        now=NOON,
        new_id=lambda: f"outcome-{model}-{layout.id[:6]}-{version}-{generation(store, model)}-{next(number)}",
    )


def generation(store: Store, model: str = "m") -> int:
    """The model's generation."""
    with store.read() as connection:
        return generation_of(connection, model) or 0


def summed_outcomes(store: Store, model: str = "m", environment: str = "production") -> dict[str, list[int]]:
    """The outcome counts of all time, by version."""
    with store.read() as connection:
        layouts = read_layouts(connection, model, generation_of(connection, model) or 0)
        [sums] = sum_outcomes(connection, model, layouts, environment, [ALWAYS])
    return {version: counts.tolist() for version, counts in sorted(sums.items())}


def joined(
    store: Store, predictions: Iterable[Prediction], labels: Iterable[GroundTruth], model: str = "m"
) -> dict[str, list[int]]:
    """Expected result of `summed_outcomes`: of the first prediction of each identity and the label that holds for its
    id."""
    layouts: dict[str | None, OutcomeLayout] = {}
    with store.read() as connection:
        for reference in outcomes_in_force(connection, model):
            layouts[reference.version] = reference.layout
    stored: dict[tuple[str, int], Prediction] = {}
    for event in predictions:
        stored.setdefault((event.prediction_id, event.timestamp // 86_400_000_000), event)
    known: dict[str, list[tuple[int, str, object]]] = {}
    for each in labels:
        text = f'"{each.value}"' if isinstance(each.value, str) else str(each.value)
        known.setdefault(each.prediction_id, []).append((each.timestamp, text, each.value))
    outcomes: dict[str, list[Outcome]] = {}
    for event in stored.values():
        if event.prediction_id in known:
            times = known[event.prediction_id]
            delay = max(0, min(time for time, _, _ in times) - event.timestamp) / 1_000_000
            truth = max(times, key=lambda item: item[:2])[2]
            outcome = Outcome(event.prediction, event.probability, truth, delay)  # type: ignore[arg-type]
            outcomes.setdefault(event.model_version, []).append(outcome)
    result = {}
    for version, members in sorted(outcomes.items()):
        layout = layouts.get(version, layouts.get(None, OutcomeLayout()))
        result[version] = layout.entries(members).total(layout.size).astype(np.int64).tolist()
    return result
