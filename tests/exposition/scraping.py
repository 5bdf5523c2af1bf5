"""Reading an exposition back, and stores with something to expose."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from modelwatch.events import Prediction
from modelwatch.exposition import Exposition, StateCollector
from modelwatch.exposition.text import encoded, written
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import LATENCY, PREDICTION, SCORE, Subject
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.events import NOON, Clock, event

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "24h"), 3_600)
WINDOW_AND_GRACE = 400
MERCHANTS = ["grocery"] * 60 + ["travel"] * 30 + ["fuel"] * 10


@dataclass(frozen=True)
class Scrape:
    """The families of an exposition and their samples, by name."""

    types: Mapping[str, str]
    samples: Mapping[str, list[tuple[dict[str, str], float]]]

    def __getitem__(self, name: str) -> list[tuple[dict[str, str], float]]:
        return self.samples.get(name, [])

    def value(self, name: str, **labels: str) -> float:
        """The one sample with exactly these labels."""
        [value] = [value for given, value in self[name] if given == labels]
        return value

    def values(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The samples that have these labels among theirs, by another of their labels."""
        return {given[label]: value for given, value in self[name] if labels.items() <= given.items()}

    def labels(self, name: str) -> set[str]:
        """The label names of a family's samples; they must be the same for each."""
        [names] = {frozenset(given) for given, _ in self[name]}
        return set(names)


def parse(text: str) -> Scrape:
    """An exposition in the Prometheus text format."""
    types: dict[str, str] = {}
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        assert family.name not in types, f"{family.name} is there twice"
        assert family.documentation, f"{family.name} says nothing about itself"
        types[family.name] = family.type
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    for name, found in samples.items():
        series = [tuple(sorted(labels.items())) for labels, _ in found]
        assert len(series) == len(set(series)), f"{name} has a series twice"
    return Scrape(types, samples)


def scrape(source: CollectorRegistry | StateCollector | Exposition) -> Scrape:
    """What a scrape of a registry, of the state, or of all gives."""
    if isinstance(source, Exposition):
        return parse(source.render(None)[0].decode())
    if isinstance(source, StateCollector):
        return parse(state_text(source))
    return parse(encoded(map(written, source.collect()), openmetrics=False).decode())


def state_text(collector: StateCollector) -> str:
    """The state gauges in the text format of Prometheus."""
    return encoded(collector.collect(), openmetrics=False).decode()


def exposition(
    store: Store,
    clock: Clock | None = None,
    max_features: int = 100,
    channels: tuple[str, ...] = (),
    url: str = "http://127.0.0.1:8000",
) -> Exposition:
    """An exposition with a clock that stands still."""
    return Exposition(
        store=store, clock=clock or Clock(), version="1.2.3", max_features=max_features, channels=channels, url=url
    )


def set_reference(store: Store, model: str = "m", features: int = 0, version: str | None = None) -> None:
    """References for `amount`, `merchant` and as many more numeric features `f0`, `f1`, … as asked for."""
    rng = np.random.default_rng(1)
    numeric = {Subject("feature", name): rng.normal(100, 10, 2_000) for name in numeric_features(features)}
    numeric[SCORE] = rng.uniform(0, 1, 2_000)
    numeric[LATENCY] = rng.uniform(10, 30, 2_000)
    profiles = {subject: Profile.of(numeric_binning(sample), sample.tolist()) for subject, sample in numeric.items()}
    for subject, values in {Subject("feature", "merchant"): MERCHANTS * 10, PREDICTION: ["yes", "no"] * 500}.items():
        profiles[subject] = Profile.of(categorical_binning(values), values)
    set_references(store, model, version, profiles, source="test", now=NOON, new_id=lambda: uuid.uuid4().hex)


def numeric_features(features: int = 0) -> list[str]:
    return ["amount", *(f"f{index}" for index in range(features))]


def traffic(
    count: int, *, shift: Mapping[str, float] | None = None, features: int = 0, **given: Any
) -> list[Prediction]:
    """Predictions like the reference's; `shift` moves features by as many standard deviations."""
    rng = np.random.default_rng(2)
    columns = {
        name: rng.normal(100, 10, count) + 10 * (shift or {}).get(name, 0) for name in numeric_features(features)
    }
    return [
        event(
            f"{given.get('version', '1')}-{given.get('environment', 'production')}-{index}",
            {
                **{name: float(column[index]) for name, column in columns.items()},
                "merchant": MERCHANTS[index % 100],
                "unreferenced": 1.0,
            },
            prediction="yes" if index % 2 else "no",
            probability=(index % 100 + 0.5) / 100,
            latency_ms=10.0 + index % 20,
            **given,
        )
        for index in range(count)
    ]


def evaluate(store: Store, clock: Clock) -> None:
    """Lets the background work evaluate every stream, once its window has closed."""
    clock.advance(WINDOW_AND_GRACE)
    run_out(background(store, RULES, clock, provisional_size=10**9))


def evaluate_app(app: App) -> None:
    """Evaluates every stream of the application's store for drift and data quality, up to its clock; alerts are
    opened in the same store."""
    app.desk.clock.now = NOON + 400_000_000
    quality = QualityRules.of(RULES)
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9, quality=quality))
