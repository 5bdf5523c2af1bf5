"""Data quality over time: how often each rule of each feature is broken, step by step, beside the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from modelwatch.charts.drawing.tables import Cell, csv_text
from modelwatch.monitoring.checks.drift.subject_counts import references_for, vectors_of_subjects
from modelwatch.stats.quality.rates import DIMENSION_OF, Rule, reference_rates, unsound_counts_of_windows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.repeats import stored_repeats
from modelwatch.storage.references.layouts import Counts
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import StoredReference, Subject
from modelwatch.times import iso_of_seconds
from modelwatch.views.stretches.look_backs import blocks_of_windows
from modelwatch.views.stretches.stretch import Divided, SeriesQuery, read_divided

OfRules = Mapping[Rule, tuple[Counts, Counts]]
"""By rule, the values that break it and those that could have, in each step."""

_OF_STEP = ("start", "end", "predictions", "duplicates", "changed_duplicates", "score")
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
    """One step, [start, end). duplicates: predictions that came again; changed_duplicates: those with other content
    than the first time; both of all predictions. score: 1 minus the mean share of values with an issue."""

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


def quality_series(store: Store, query: SeriesQuery, now: int) -> QualitySeries:
    """Rates of every feature with a reference, from committed counts. now: microseconds.

    Raises UnknownModel for an unknown model, InvalidInput for a stretch or a segment that can't be had.
    """
    return read_divided(store, query, now, _series)


def quality_csv(series: QualitySeries) -> str:
    """A row for each step, with the rate of each rule of each feature that is ever broken. Numbers are unrounded."""
    shown = [(feature.feature_name, rule) for feature in series.features for rule in feature.rules]
    columns = [*_OF_STEP, *(f"{name} {rule.rule}" for name, rule in shown)]
    rows: list[list[Cell]] = [
        [*(getattr(step, name) for name in _OF_STEP), *(rule.rates[place] for _, rule in shown)]
        for place, step in enumerate(series.steps)
    ]
    return csv_text(columns, rows)


def _series(divided: Divided) -> QualitySeries:
    query, span = divided.query, divided.span
    references = references_for(in_force(divided.connection, query.model, divided.generation), query.version)
    features = {each.subject: each for each in references.values() if each.subject.kind == "feature"}
    windows, predictions, counts = _counts(divided, features)
    scores = soundness_by_step(list(counts.values()), len(windows))
    steps = [
        QualityStep(iso_of_seconds(start), iso_of_seconds(end), received, *repeated, score)
        for (start, end), received, repeated, score in zip(windows, predictions, _repeats(divided), scores, strict=True)
    ]
    return QualitySeries(
        model_name=query.model,
        model_version=query.version,
        environment=query.environment,
        segment=query.segment or None,
        start=None if span is None else iso_of_seconds(span[0]),
        end=None if span is None else iso_of_seconds(span[1]),
        step_seconds=divided.step,
        steps=steps,
        features=[
            FeatureRates(subject.name, _rules(features[subject], of_rules))
            for subject, of_rules in sorted(counts.items())
        ],
        reason=None if features else NO_REFERENCE,
    )


def _counts(
    divided: Divided, features: Mapping[Subject, StoredReference]
) -> tuple[list[tuple[int, int]], list[int], dict[Subject, OfRules]]:
    """The steps, the predictions in each, and of each feature what breaks its rules in each."""
    windows: list[tuple[int, int]] = []
    predictions: list[int] = []
    parts: dict[Subject, list[Counts]] = {subject: [] for subject in features}
    for block in blocks_of_windows(divided):
        vectors, _ = vectors_of_subjects([sums for _, sums in block], divided.layouts, features)
        for subject, of_block in zip(features, vectors, strict=True):
            parts[subject].append(of_block)
        windows += [window for window, _ in block]
        predictions += [sum(slot.predictions for slot in sums.values()) for _, sums in block]
    found: dict[Subject, OfRules] = {}
    for subject, blocks in parts.items():
        binning = features[subject].profile.binning
        counts = np.concatenate(blocks) if blocks else np.zeros((0, binning.size), dtype=np.int64)
        found[subject] = unsound_counts_of_windows(binning, counts)
    return windows, predictions, found


def soundness_by_step(features: Sequence[OfRules], windows: int) -> list[float | None]:
    """Soundness of each step, as `soundness_of` has it: 1 minus the mean share of the features that have values."""
    lost, known = np.zeros(windows), np.zeros(windows, dtype=np.int64)
    for of_rules in features:
        total = of_rules["missing"][1]
        broken = np.sum([each for each, _ in of_rules.values()], axis=0)
        lost += np.divide(broken, total, out=np.zeros(windows), where=total > 0)
        known += total > 0
    return [1.0 - of / number if number else None for of, number in zip(lost.tolist(), known.tolist(), strict=True)]


def _repeats(divided: Divided) -> list[tuple[int, int]]:
    """Repeats, and those of them that differ, by step."""
    query = divided.query
    found = [[0, 0] for _ in divided.spans]
    if divided.span is not None:
        by_window = stored_repeats(divided.connection, query.model, query.environment, query.version, *divided.span)
        for window, repeats in by_window.items():
            of_step = found[divided.step_at(window)]
            of_step[0] += repeats.total
            of_step[1] += repeats.changed
    return [(total, changed) for total, changed in found]


def _rules(reference: StoredReference, counts: OfRules) -> list[RuleRates]:
    before = reference_rates(reference.profile, reference.split)
    found = []
    for rule, (broken, of) in counts.items():
        known = before.get(rule)
        if broken.any() or (known is not None and known[0]):
            rates = [hits / n if n else None for hits, n in zip(broken.tolist(), of.tolist(), strict=True)]
            rate = known[0] / known[1] if known is not None and known[1] else None
            found.append(RuleRates(rule, DIMENSION_OF[rule], rate, rates))
    return found
