"""Data quality over time: how often each rule of each feature is broken, step by step, beside the reference."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from modelwatch.monitoring.checks.drift.subject_counts import counts_of_subjects, references_for
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.rates import DIMENSION_OF, Rule, reference_rates, soundness_of, unsound_counts
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.repeats import stored_repeats
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.stored_reference import StoredReference
from modelwatch.times import iso_of_seconds
from modelwatch.views.stretches.look_backs import blocks_of_windows
from modelwatch.views.stretches.stretch import Asked, Divided, read_divided

NO_REFERENCE = "No reference is set: POST one to /api/v1/reference."


class RuleRates(msgspec.Struct, frozen=True, gc=False):
    """Rates of values that break a rule, by step; null where there was nothing to count. reference_rate: in the
    reference, or the expectation for names that are not in it; null where the rule can't be judged."""

    rule: str
    dimension: str
    reference_rate: float | None
    rates: list[float | None]


class FeatureRates(msgspec.Struct, frozen=True):
    """The rules of a feature that are ever broken in the stretch, or in the reference."""

    feature_name: str
    rules: list[RuleRates]


class QualityStep(msgspec.Struct, frozen=True, gc=False):
    """One step, [start, end). duplicates: predictions that came again; changed_duplicates: those that said something
    else than the first time; both of all predictions. score: 1 minus the mean share of values with an issue."""

    start: str
    end: str
    predictions: int
    duplicates: int
    changed_duplicates: int
    score: float | None


class QualitySeries(msgspec.Struct, frozen=True):
    """Data quality over time. features: those with a reference, by name. reason: why there are none."""

    model_name: str
    model_version: str | None
    environment: str
    segment: str | None
    start: str | None
    end: str | None
    step_seconds: int
    steps: list[QualityStep]
    features: list[FeatureRates]
    reason: str | None


def quality_series(store: Store, asked: Asked, now: int) -> QualitySeries:
    """Rates of every feature with a reference, from committed counts. now: microseconds.

    Raises UnknownModel for an unknown model, InvalidInput for a stretch or a segment that can't be had.
    """
    return read_divided(store, asked, now, _series)


def _series(divided: Divided) -> QualitySeries:
    asked, span = divided.asked, divided.span
    references = references_for(in_force(divided.connection, asked.model, divided.generation), asked.version)
    features = {subject.name: each for subject, each in references.items() if subject.kind == "feature"}
    steps: list[QualityStep] = []
    counts: dict[str, list[dict[Rule, tuple[int, int]]]] = {name: [] for name in sorted(features)}
    repeats = _repeats(divided)
    for place, (window, predictions, profiles) in enumerate(_windows(divided, features)):
        found = {name: unsound_counts(profile) for name, profile in profiles.items()}
        for name, of_step in found.items():
            counts[name].append(of_step)
        steps.append(
            QualityStep(
                iso_of_seconds(window[0]),
                iso_of_seconds(window[1]),
                predictions,
                *repeats[place],
                soundness_of(found.values()).score,
            )
        )
    return QualitySeries(
        model_name=asked.model,
        model_version=asked.version,
        environment=asked.environment,
        segment=asked.segment or None,
        start=None if span is None else iso_of_seconds(span[0]),
        end=None if span is None else iso_of_seconds(span[1]),
        step_seconds=divided.step,
        steps=steps,
        features=[FeatureRates(name, _rules(features[name], counts[name])) for name in counts],
        reason=None if features else NO_REFERENCE,
    )


def _windows(
    divided: Divided, features: dict[str, StoredReference]
) -> Iterator[tuple[tuple[int, int], int, dict[str, Profile]]]:
    """Each step with its predictions and the profile of each feature."""
    chosen = {each.subject: each for each in features.values()}
    for block in blocks_of_windows(divided):
        of_block = counts_of_subjects([sums for _, sums in block], divided.layouts, chosen)
        for place, (window, sums) in enumerate(block):
            profiles = {subject.name: of.profiles[place] for subject, of in of_block.items()}
            yield window, sum(slot.predictions for slot in sums.values()), profiles


def _repeats(divided: Divided) -> list[tuple[int, int]]:
    """Repeats, and those of them that differ, by step."""
    asked = divided.asked
    found = [[0, 0] for _ in divided.spans]
    if divided.span is not None:
        by_window = stored_repeats(divided.connection, asked.model, asked.environment, asked.version, *divided.span)
        for window, repeats in by_window.items():
            of_step = found[divided.step_at(window)]
            of_step[0] += repeats.total
            of_step[1] += repeats.changed
    return [(total, changed) for total, changed in found]


def _rules(reference: StoredReference, counts: list[dict[Rule, tuple[int, int]]]) -> list[RuleRates]:
    before = reference_rates(reference.profile, reference.split)
    found = []
    for rule in unsound_counts(reference.profile):
        known = before.get(rule)
        pairs = np.array([each[rule] for each in counts], dtype=np.int64).reshape(len(counts), 2)
        if pairs[:, 0].any() or (known is not None and known[0]):
            rates = [broken / of if of else None for broken, of in pairs.tolist()]
            rate = known[0] / known[1] if known is not None and known[1] else None
            found.append(RuleRates(rule, DIMENSION_OF[rule], rate, rates))
    return found
