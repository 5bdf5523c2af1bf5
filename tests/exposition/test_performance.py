"""Gauges of performance: of the windows that were judged last, and only of those."""

from __future__ import annotations

import dataclasses
import logging

import msgspec
import pytest

from modelwatch.exposition import StateCollector, state
from modelwatch.monitoring.checks.performance.report import PerformanceReport
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, latest_verdicts, save_verdict
from tests.exposition.scraping import Scrape, evaluate, scrape
from tests.support.data.labelled import (
    later,
    outcomes,
    send_labelled,
    send_slowly_labelled,
    set_labelled_reference,
    watch_yes,
)
from tests.support.data.streams import HOUR
from tests.support.events import NOON, Clock

STREAM = {"model_name": "m", "model_version": "1", "environment": "production"}
HOURLY = {**STREAM, "metric_window": "1h"}
KEPT = {
    "ml_model_accuracy": "accuracy",
    "ml_model_precision": "precision",
    "ml_model_recall": "recall",
    "ml_model_f1_score": "f1",
}


def collect(store: Store) -> Scrape:
    return scrape(StateCollector(store, 100, later(100)))


def newest(store: Store) -> PerformanceReport:
    with store.read() as connection:
        [verdict] = latest_verdicts(connection, check=PERFORMANCE)
    return msgspec.json.decode(verdict.result, type=PerformanceReport)


@pytest.fixture
def clock() -> Clock:
    return later(100)


def test_every_gauge_is_what_the_newest_verdict_says(store: Store, clock: Clock) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(3_000, 99))
    send_labelled(store, clock, outcomes(500, 1), at=NOON)
    send_labelled(store, clock, outcomes(500, 2, flipped=0.5), at=NOON + 2 * HOUR)
    evaluate(store, clock)
    found = collect(store)
    windows = {each.lookback: each for each in newest(store).windows if each.matured}
    assert windows.keys() == {"1h", "24h", "7d"}
    for name, metric in KEPT.items():
        assert found.types[name] == "gauge"
        assert found.labels(name) == {*STREAM, "metric_window"}
        assert found.values(name, "metric_window", **STREAM) == {
            lookback: each.metrics[metric].value for lookback, each in windows.items()
        }
    metrics = windows["1h"].metrics
    for suffix, of in (("", "value"), ("_lower", "low"), ("_upper", "high")):
        name = f"ml_model_performance{suffix}"
        assert found.labels(name) == {*STREAM, "metric_window", "metric"}
        expected = {each: getattr(metrics[each], of) for each in metrics}
        assert found.values(name, "metric", **HOURLY) == {k: v for k, v in expected.items() if v is not None}
    severities = found.values("ml_model_performance_severity", "metric", **HOURLY)
    assert severities.keys() == {"accuracy", "precision", "recall", "f1", "roc_auc", "log_loss"}
    assert severities["accuracy"] == 2
    assert found.value("ml_model_labeled_ratio", **HOURLY) == 1.0
    assert found.value("ml_model_labeled_predictions", **HOURLY) == windows["1h"].labelled > 0
    assert found.value("ml_model_label_lag_seconds", **STREAM) == 0


def test_how_late_most_labels_are_has_no_sample_while_only_quick_ones_can_have_come(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(3_000, 99))
    send_slowly_labelled(store, later(3))
    evaluate(store, later(3))
    arrivals = newest(store).arrivals
    assert arrivals.lag_seconds > 0
    assert "how late most of them are is known after" in (arrivals.unknown or "")
    found = collect(store)
    assert found.types["ml_model_label_lag_seconds"] == "gauge"
    assert found["ml_model_label_lag_seconds"] == []


def test_an_accuracy_of_nothing_is_0_and_an_undefined_precision_is_left_out(store: Store, clock: Clock) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(3_000, 99))
    wrong = [row._replace(prediction="no", truth="yes") for row in outcomes(200, 1)]
    send_labelled(store, clock, wrong, at=NOON)
    evaluate(store, clock)
    found = collect(store)
    assert found.value("ml_model_accuracy", **HOURLY) == 0.0
    assert found.value("ml_model_recall", **HOURLY) == 0.0
    assert found["ml_model_precision"] == []


def test_of_several_classes_the_macro_means_are_shown(store: Store, clock: Clock) -> None:
    rows = [row._replace(truth="maybe" if i % 5 == 0 else row.truth) for i, row in enumerate(outcomes(400, 1))]
    set_labelled_reference(store, rows)
    send_labelled(store, clock, rows, at=NOON)
    evaluate(store, clock)
    found = collect(store)
    metrics = found.values("ml_model_performance", "metric", **HOURLY)
    for name, metric in KEPT.items():
        shown = metric if metric == "accuracy" else f"{metric}_macro"
        assert found.value(name, **HOURLY) == metrics[shown]


def test_a_window_whose_labels_have_not_come_has_no_gauges(store: Store, clock: Clock) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(3_000, 99))
    send_labelled(store, clock, outcomes(300, 1), at=NOON)
    send_labelled(store, clock, outcomes(300, 2), at=NOON + 2 * HOUR, label_after=None)
    send_labelled(store, clock, outcomes(30, 3), at=NOON + 2 * HOUR)
    evaluate(store, clock)
    windows = {each.lookback: each for each in newest(store).windows if each.matured}
    assert windows["1h"].immature is not None
    found = collect(store)
    assert "1h" not in found.values("ml_model_accuracy", "metric_window", **STREAM)


def test_a_model_without_labels_has_no_gauges_of_performance(store: Store, clock: Clock) -> None:
    send_labelled(store, clock, outcomes(300, 1), at=NOON, label_after=None)
    evaluate(store, clock)
    found = collect(store)
    assert not [name for name in found.samples if name.startswith("ml_model_")]


def test_only_the_newest_versions_are_exported(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    set_labelled_reference(store, outcomes(1_000, 99))
    for index in range(3):
        send_labelled(store, clock, outcomes(150, index), at=NOON + index * HOUR, version=f"v{index}")
    evaluate(store, clock)
    assert collect(store).values("ml_model_accuracy", "model_version").keys() == {"v0", "v1", "v2"}
    monkeypatch.setattr(state, "STREAMS_A_MODEL", 2)
    assert collect(store).values("ml_model_accuracy", "model_version").keys() == {"v1", "v2"}


def test_a_verdict_of_another_release_drops_its_own_stream_only(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    set_labelled_reference(store, outcomes(1_000, 99))
    send_labelled(store, clock, outcomes(300, 1), at=NOON)
    send_labelled(store, clock, outcomes(300, 2), at=NOON, version="strange", label_after=None)
    evaluate(store, clock)
    with store.read() as connection:
        [verdict] = latest_verdicts(connection, check=PERFORMANCE)
    other = dataclasses.replace(verdict, id="other", version="strange", result=b'{"other": "shape"}')
    with store.write() as connection:
        save_verdict(connection, other, b"")
    with caplog.at_level(logging.WARNING):
        found = collect(store)
    assert found.values("ml_model_accuracy", "model_version").keys() == {"1"}
    assert "performance verdict other" in caplog.text
