"""An exposition of very many models: bounded, and not read anew at every scrape."""

from __future__ import annotations

import dataclasses
import re
import uuid

import pytest
from sqlalchemy import delete, insert

from modelwatch.exposition import StateCollector, state, verdicts
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import latest_verdicts, save_verdict
from tests.exposition.scraping import Scrape, evaluate, parse, set_reference, state_text, traffic
from tests.support.events import NOON, Clock, open_ledger

OF_FEATURES = re.compile(
    r'^(ml_feature_drift_score\{|ml_drift_\w+\{.*kind="feature"|ml_drift_alerts_total\{)', re.MULTILINE
)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON + 60_000_000)


def multiply(store: Store, clock: Clock, models: int, features: int) -> None:
    """A model with so many features, of which `amount` has drifted, and as many more of the same verdict."""
    set_reference(store, features=features - 2)
    open_ledger(store).commit(traffic(300, features=features - 2, shift={"amount": 2.0}))
    evaluate(store, clock)
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    names = [f"m{number}" for number in range(1, models)]
    streams = [{"model": name, "version": "1", "environment": "production", "first_seen_at": NOON} for name in names]
    with store.write() as connection:
        if streams:
            connection.execute(insert(tables.stream), streams)
        for name in names:
            copy = dataclasses.replace(verdict, id=uuid.uuid4().hex, model=name)
            save_verdict(connection, copy, b"{}")


def test_a_thousand_models_stay_within_bounds_and_the_worst_features_are_there(store: Store, clock: Clock) -> None:
    multiply(store, clock, models=1_000, features=20)
    bounded = state_text(StateCollector(store, 100, clock, max_feature_series=50_000))
    # The counter also has a series for each of prediction, score and latency, by severity.
    beside_features = 1_000 * 3 * 2
    assert 25_000 < len(OF_FEATURES.findall(bounded)) <= 50_000 + beside_features
    worst = re.findall(r'^ml_feature_drift_score\{drift_method="psi",.*feature_name="amount"', bounded, re.MULTILINE)
    assert len(worst) == 1_000
    assert dropped(bounded) > 100_000


def test_what_is_left_out_is_counted_series_by_series(store: Store, clock: Clock) -> None:
    multiply(store, clock, models=20, features=20)
    bounded = state_text(StateCollector(store, 100, clock, max_feature_series=1_000))
    everything = state_text(StateCollector(store, 100, clock))
    assert len(OF_FEATURES.findall(bounded)) <= 1_000 + 20 * 3 * 2
    assert lines(everything) - lines(bounded) == dropped(bounded) - dropped(everything) > 2_000


def lines(text: str) -> int:
    return sum(not line.startswith("#") for line in text.splitlines())


def dropped(text: str) -> float:
    return sum(float(value) for value in re.findall(r"^ml_series_dropped_total\{.*\} (\S+)$", text, re.MULTILINE))


def test_few_models_export_all_their_features(store: Store, clock: Clock) -> None:
    multiply(store, clock, models=3, features=20)
    found = parse(state_text(StateCollector(store, 100, clock)))
    assert features_of(found, "m2") == features_of(found, "m") != set()
    assert len(features_of(found, "m")) == 20
    assert found.value("ml_series_dropped_total", model_name="m2") == 0


def features_of(found: Scrape, model: str) -> set[str]:
    return set(found.values("ml_feature_drift_score", "feature_name", model_name=model))


def test_a_verdict_is_read_once_and_forgotten_when_there_is_a_newer_one(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply(store, clock, models=3, features=2)
    read: list[str] = []
    reading = verdicts.verdict_by_id
    monkeypatch.setattr(
        verdicts,
        "verdict_by_id",
        lambda connection, identity: (read.append(identity), reading(connection, identity))[1],
    )
    collector = StateCollector(store, 100, clock)
    first = state_text(collector)
    assert len(read) == 3
    assert state_text(collector) == first
    assert len(read) == 3
    with store.read() as connection:
        [one, *_] = latest_verdicts(connection)
    newer = dataclasses.replace(one, id=uuid.uuid4().hex, window_end=one.window_end + 300, evaluated_at=clock() + 7)
    with store.write() as connection:
        save_verdict(connection, newer, b"{}")
    assert state_text(collector) != first
    assert read[3:] == [newer.id]


def test_of_versions_that_are_not_exposed_only_a_number_is_kept(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply(store, clock, models=1, features=20)
    with store.read() as connection:
        [one] = latest_verdicts(connection)
    everything = lines(state_text(StateCollector(store, 100, clock)))
    monkeypatch.setattr(state, "STREAMS_A_MODEL", 3)
    versions = [f"1.{number}" for number in range(8)]
    with store.write() as connection:
        for number, version in enumerate(versions, 1):
            stream = {"model": "m", "version": version, "environment": "production", "first_seen_at": NOON}
            connection.execute(insert(tables.stream), stream)
            end = one.window_end + 300 * number
            save_verdict(connection, dataclasses.replace(one, id=version, version=version, window_end=end), b"{}")
    collector = StateCollector(store, 100, clock)
    first = state_text(collector)
    assert exposed(first) == {"1.5", "1.6", "1.7"}
    of_one = len(re.findall(r'^ml_.*model_version="1\.7"', first, re.MULTILINE))
    assert 20 * 3 < of_one < everything
    assert dropped(first) == 6 * of_one
    kept = {scores.version for scores in collector._drift._known.values() if scores.exposed}
    assert kept == {"1.5", "1.6", "1.7"}
    assert state_text(collector) == first

    newer = dataclasses.replace(one, id="again", version="1.0", window_end=one.window_end + 9_000)
    with store.write() as connection:
        save_verdict(connection, newer, b"{}")
    assert exposed(state_text(collector)) == {"1.0", "1.6", "1.7"}
    # As after a restore of the store: what was left out is the newest again.
    with store.write() as connection:
        connection.execute(delete(tables.verdict).where(tables.verdict.c.version.in_(["1.0", "1.6"])))
    again = state_text(collector)
    assert exposed(again) == {"1.4", "1.5", "1.7"}
    assert again == state_text(StateCollector(store, 100, clock))


def exposed(text: str) -> set[str]:
    return set(re.findall(r'^ml_feature_drift_score\{.*model_version="([^"]+)"', text, re.MULTILINE))
