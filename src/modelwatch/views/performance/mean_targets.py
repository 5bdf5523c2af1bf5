"""Mean of the labels of a regression over time, by the time of their predictions."""

from __future__ import annotations

import msgspec

from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance.regression import RegressionCounts, mean_target
from modelwatch.storage.counts.steps import outcome_steps
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.outcome_references import outcomes_for, outcomes_in_force
from modelwatch.times import iso_of_seconds
from modelwatch.views.stretches.stretch import Divided, SeriesQuery, read_divided


class TargetStep(msgspec.Struct, frozen=True):
    """One step, [start, end), with labels: how many, and their mean."""

    start: str
    end: str
    n: int
    mean: float | None


class MeanTargets(msgspec.Struct, frozen=True):
    """Steps with labels, oldest first; and the mean of the reference. Both empty of a classifier."""

    steps: list[TargetStep]
    reference: float | None


def mean_targets(store: Store, query: SeriesQuery, now: int) -> MeanTargets:
    """The mean target in each step, from committed counts. now: microseconds.

    Raises UnknownModel for an unknown model, and InvalidInput for a stretch that can't be had.
    """
    return read_divided(store, query, now, _targets)


def _targets(divided: Divided) -> MeanTargets:
    query = divided.query
    outcomes = outcomes_for(outcomes_in_force(divided.connection, query.model, divided.generation), query.version)
    usual = None if outcomes is None else outcomes.counts.regression
    by_step: dict[int, RegressionCounts] = {}
    for step, sums in outcome_steps(
        divided.connection,
        query.model,
        divided.layouts,
        query.environment,
        divided.boundaries,
        query.version,
        query.segment,
    ):
        for version, vector in sums.items():
            counts = OutcomeCounts(divided.layouts.of(version).outcome, vector).regression
            if counts is not None and counts.n and step >= divided.shown:
                place = step - divided.shown
                by_step[place] = by_step[place] + counts if place in by_step else counts
    return MeanTargets(
        [
            TargetStep(
                iso_of_seconds(divided.spans[place][0]),
                iso_of_seconds(divided.spans[place][1]),
                counts.n,
                mean_target(counts),
            )
            for place, counts in sorted(by_step.items())
        ],
        None if usual is None or not usual.n else mean_target(usual),
    )
