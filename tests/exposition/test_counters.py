"""Event counters: what this process did, aggregated commit by commit."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelwatch.events import Prediction
from modelwatch.exposition import EventCounters, counters
from modelwatch.ingest import IngestObserver
from modelwatch.monitoring.scheduler.runner import JobObserver
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from tests.exposition.scraping import Scrape, scrape, set_reference
from tests.support.events import NOON, event, open_ledger


class Counting:
    """A ledger whose commits are told to counters of their own."""

    def __init__(self, store: Store, max_features: int = 100) -> None:
        self.registry = CollectorRegistry()
        self.counters = EventCounters(self.registry, max_features)
        self.ledger: Ledger = open_ledger(store)

    def commit(self, *events: Prediction, seconds: float = 0.004) -> None:
        self.counters.committed(events, self.ledger.commit(events), seconds)

    def scrape(self) -> Scrape:
        return scrape(self.registry)


@pytest.fixture
def counting(store: Store) -> Counting:
    return Counting(store)


def features(amount: Any, merchant: Any = "grocery") -> dict[str, Any]:
    return {"amount": amount, "merchant": merchant}


def test_the_counters_are_what_the_batcher_and_the_background_jobs_observe_with() -> None:
    """Checked by mypy; here, that no method is missing."""
    observer = EventCounters(CollectorRegistry())
    observes_ingest: IngestObserver = observer
    observes_jobs: JobObserver = observer
    for protocol, given in ((IngestObserver, observes_ingest), (JobObserver, observes_jobs)):
        methods = [name for name in vars(protocol) if not name.startswith("_")]
        assert methods
        assert all(callable(getattr(given, name)) for name in methods)


def test_predictions_are_counted_by_model_version_and_environment(counting: Counting) -> None:
    counting.commit(event("a"), event("b"), event("c", version="2"), event("d", environment="staging"))
    counting.commit(event("e"))
    found = counting.scrape()
    assert found.types["ml_predictions"] == "counter"
    assert sorted((tuple(sorted(labels.items())), value) for labels, value in found["ml_predictions_total"]) == [
        ((("environment", "production"), ("model_name", "m"), ("model_version", "1")), 3),
        ((("environment", "production"), ("model_name", "m"), ("model_version", "2")), 1),
        ((("environment", "staging"), ("model_name", "m"), ("model_version", "1")), 1),
    ]


def test_a_repeated_prediction_is_counted_as_a_duplicate_only(counting: Counting) -> None:
    counting.commit(event("a", latency_ms=10.0))
    counting.commit(event("a", latency_ms=10.0), event("b", latency_ms=10.0))
    found = counting.scrape()
    stream = {"model_name": "m", "model_version": "1"}
    assert found.value("ml_predictions_total", **stream, environment="production") == 2
    assert found.value("ml_duplicate_predictions_total", model_name="m") == 1
    assert found.value("ml_prediction_latency_seconds_count", **stream) == 2


def test_without_repeats_there_is_no_series_of_duplicates(counting: Counting) -> None:
    counting.commit(event("a"))
    assert counting.scrape()["ml_duplicate_predictions_total"] == []


def test_latency_is_observed_in_seconds_up_to_ten(counting: Counting) -> None:
    counting.commit(event("a", latency_ms=45.2), event("b", latency_ms=7_000.0), event("c", latency_ms=60_000.0))
    counting.commit(event("d"), event("e", latency_ms=25.0), event("f", latency_ms=0.5), event("g", latency_ms=0.5))
    found = counting.scrape()
    stream = {"model_name": "m", "model_version": "1"}
    buckets = found.values("ml_prediction_latency_seconds_bucket", "le", **stream)
    assert (buckets["0.001"], buckets["0.01"], buckets["0.025"], buckets["0.05"]) == (2, 2, 3, 4)
    assert (buckets["5.0"], buckets["10.0"], buckets["+Inf"]) == (4, 5, 6)
    assert found.value("ml_prediction_latency_seconds_sum", **stream) == pytest.approx(67.0712)


def test_many_latencies_at_once_are_observed_as_one_by_one() -> None:
    latencies = [0.0, 0.0005, *counters.SECONDS_BUCKETS, 0.0452, 0.0452, 7.0, 60.0]
    texts = []
    for at_once in (True, False):
        registry = CollectorRegistry()
        histogram = counters._Histogram("seconds", "s", ("of",), registry=registry, buckets=counters.SECONDS_BUCKETS)
        child = histogram.labels("a")
        if at_once:
            child.observe_all(latencies)
        else:
            for each in latencies:
                child.observe(each)
        lines = generate_latest(registry).decode().splitlines()
        texts.append([line for line in lines if not line.startswith("seconds_created")])
    assert texts[0] == texts[1]
    assert f'seconds_count{{of="a"}} {len(latencies)}.0' in texts[0]


def test_missing_and_invalid_values_are_counted_by_feature_and_rule(store: Store, counting: Counting) -> None:
    set_reference(store)
    counting.commit(
        event("a", features(None)),
        event("b", {"merchant": "grocery"}),
        event("c", features("a text")),
        event("d", features(-1e9)),
        event("e", features(1e9)),
        event("f", features(1e9)),
        event("g", features(100.0, "casino")),
    )
    found = counting.scrape()
    assert found["ml_missing_features_total"] == [({"model_name": "m", "feature_name": "amount"}, 2)]
    assert found.values("ml_invalid_features_total", "validation_rule", model_name="m", feature_name="amount") == {
        "invalid_type": 1,
        "below_range": 1,
        "above_range": 2,
    }
    assert found.values("ml_invalid_features_total", "validation_rule", model_name="m", feature_name="merchant") == {
        "unseen_category": 1
    }


def test_repeats_do_not_count_missing_values_again(store: Store, counting: Counting) -> None:
    set_reference(store)
    for _ in range(3):
        counting.commit(event("a", features(None)))
    assert counting.scrape().value("ml_missing_features_total", model_name="m", feature_name="amount") == 1


def test_sound_values_make_no_series(store: Store, counting: Counting) -> None:
    set_reference(store)
    counting.commit(event("a", features(100.0)))
    found = counting.scrape()
    assert found["ml_missing_features_total"] == found["ml_invalid_features_total"] == []


def test_the_prediction_and_its_score_are_no_features(store: Store, counting: Counting) -> None:
    set_reference(store)
    counting.commit(event("a", features(100.0), prediction="never seen", probability=None, latency_ms=None))
    found = counting.scrape()
    assert found["ml_missing_features_total"] == found["ml_invalid_features_total"] == []


def test_a_feature_without_a_reference_does_not_become_a_label(store: Store, counting: Counting) -> None:
    counting.commit(event("before any reference", {"secret": None}))
    set_reference(store)
    counting.commit(event("a", {**features(None), "secret": None}))
    assert counting.scrape()["ml_missing_features_total"] == [({"model_name": "m", "feature_name": "amount"}, 1)]


def test_a_new_reference_changes_what_is_out_of_range(store: Store, counting: Counting) -> None:
    set_reference(store)
    counting.commit(event("a", features(None)))
    set_reference(store, features=3)
    counting.commit(event("b", features(1e9)))
    found = counting.scrape()
    assert found.values("ml_missing_features_total", "feature_name") == {"amount": 1, "f0": 1, "f1": 1, "f2": 1}
    assert found["ml_invalid_features_total"] == [
        ({"model_name": "m", "feature_name": "amount", "validation_rule": "above_range"}, 1)
    ]


def test_a_version_with_its_own_reference_is_counted_by_it(store: Store, counting: Counting) -> None:
    set_reference(store)
    set_reference(store, features=1, version="2")
    counting.commit(event("a", features(None)), event("b", features(None), version="2"))
    assert counting.scrape().values("ml_missing_features_total", "feature_name") == {"amount": 2, "f0": 1}


def test_counting_goes_on_when_more_layouts_are_in_use_than_are_remembered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_KNOWN_LAYOUTS", 1)
    counting = Counting(store)
    for model in ("m", "other"):
        set_reference(store, model)
    for name in ("a", "b"):
        counting.commit(*(event(name, features(None), model=model) for model in ("m", "other")))
    assert counting.scrape().values("ml_missing_features_total", "model_name") == {"m": 2, "other": 2}


def test_a_new_reference_is_counted_in_its_own_cells(store: Store, counting: Counting) -> None:
    set_reference(store)
    counting.commit(event("a", features(None)))
    set_reference(store, features=3)
    counting.commit(event("b", features(None)))
    missing = counting.scrape().values("ml_missing_features_total", "feature_name")
    assert missing == {"amount": 2, "f0": 1, "f1": 1, "f2": 1}


def test_features_of_models_beyond_the_limit_share_a_series(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_STREAMS", 1)
    counting = Counting(store)
    for model in ("m", "other"):
        set_reference(store, model)
        counting.commit(event("a", features(None), model=model))
    found = [
        (labels["model_name"], labels["feature_name"]) for labels, _ in counting.scrape()["ml_missing_features_total"]
    ]
    assert sorted(found) == [("m", "amount"), ("other", "(other)")]


def test_features_beyond_the_limit_share_a_series_and_the_sum_stays_right(store: Store) -> None:
    counting = Counting(store, max_features=2)
    set_reference(store, features=5)
    for name in ("a", "b"):
        counting.commit(event(name, {"merchant": "grocery"}))
    missing = counting.scrape().values("ml_missing_features_total", "feature_name")
    assert len(missing) == 3
    assert missing["(other)"] == 2 * 4
    assert sum(missing.values()) == 2 * 6


def test_streams_beyond_the_limit_share_a_series(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_STREAMS", 3)
    counting = Counting(store)
    for index in range(5):
        counting.commit(event(f"id-{index}", version=f"v{index}"))
    predictions = counting.scrape().values("ml_predictions_total", "model_version")
    assert predictions == {"v0": 1, "v1": 1, "v2": 1, "(other)": 2}


def test_accepted_requests_are_counted_when_the_process_reports(counting: Counting) -> None:
    assert set(counting.scrape().values("ml_ingest_accepted_total", "request").values()) == {0}
    for _ in range(3):
        counting.counters.accepted("prediction batch", 0.01)
    counting.counters.counted(NOON)
    counting.counters.accepted("label", 0.01)
    counting.counters.counted(NOON + 10_000_000)
    counting.counters.counted(NOON + 20_000_000)
    found = counting.scrape().values("ml_ingest_accepted_total", "request")
    assert found == {"prediction": 0, "prediction batch": 3, "label": 1, "label batch": 0}


def test_the_rest_of_the_service_is_counted(counting: Counting) -> None:
    observer = counting.counters
    counting.commit(event("a"), seconds=0.004)
    observer.queue_depth(7)
    observer.rejected("invalid-input")
    observer.rejected("queue-full")
    observer.rejected("queue-full")
    observer.failed()
    observer.evaluated("m", 0.25)
    observer.evaluated("m", 0.5)
    observer.job_failed()
    found = counting.scrape()
    assert found.values("ml_commit_seconds_bucket", "le")["0.005"] == 1
    assert found.value("ml_ingest_queue_depth") == 7
    assert found.values("ml_ingest_rejected_total", "reason") == {"invalid-input": 1, "queue-full": 2}
    assert found.types["ml_drift_check_duration_seconds"] == "summary"
    assert found.value("ml_drift_check_duration_seconds_count", model_name="m") == 2
    assert found.value("ml_drift_check_duration_seconds_sum", model_name="m") == 0.75
    assert found.value("modelwatch_chores_failed_total") == 1
    assert found.value("modelwatch_internal_errors_total") == 1
