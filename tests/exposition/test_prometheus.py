"""The answer to a scrape: formats, names that need escaping, a lost store, and workers that share one answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from modelwatch.errors import SettingsError
from modelwatch.exposition import Exposition
from modelwatch.storage.engine.store import Store
from tests.exposition.scraping import evaluate, exposition, parse, scrape, set_reference, traffic
from tests.support.events import NOON, Clock, event, open_ledger

ODD = 'a "quoted"\nname \\ with {braces}, commas=1 and ünïcödé'
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

KEPT = {
    "ml_predictions_total": {"model_name", "model_version", "environment"},
    "ml_prediction_latency_seconds_count": {"model_name", "model_version"},
    "ml_feature_drift_score": {"model_name", "feature_name", "drift_method", "model_version", "environment"},
    "ml_prediction_drift_score": {"model_name", "model_version", "drift_method", "environment"},
    "ml_missing_features_total": {"model_name", "feature_name"},
    "ml_invalid_features_total": {"model_name", "feature_name", "validation_rule"},
    "ml_monitoring_service_health": {"service_name"},
    "ml_drift_check_duration_seconds_sum": {"model_name"},
    "ml_reference_data_age_days": {"model_name"},
    "ml_drift_samples": {"model_name", "model_version", "environment", "kind", "feature_name"},
    "ml_drift_p_value": {"model_name", "model_version", "environment", "kind", "feature_name"},
    "ml_ingest_rejected_total": {"reason"},
    "ml_ingest_queue_depth": set(),
    "ml_commit_seconds_count": set(),
    "ml_last_evaluation_timestamp_seconds": {"model_name", "model_version", "environment"},
    "ml_series_dropped_total": {"model_name"},
    "modelwatch_build_info": {"version"},
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON + 60_000_000)


def served(store: Store, clock: Clock, model: str = "m") -> Exposition:
    """An exposition with something in every family."""
    result = exposition(store, clock)
    set_reference(store, model)
    events = [
        *traffic(400, model=model),
        event("bad", {"merchant": "casino"}, model=model),
    ]
    result.counters.committed(events, open_ledger(store).commit(events), 0.004)
    result.counters.queue_depth(0)
    result.counters.rejected("queue-full")
    result.counters.checked(model, 0.25)
    evaluate(store, clock)
    return result


def openmetrics(body: bytes) -> dict[str, Metric]:
    """The families of an exposition in the OpenMetrics format."""
    return {family.name: family for family in parse_openmetrics(body.decode())}  # type: ignore[no-untyped-call]


def test_names_and_labels_are_those_that_are_promised(store: Store, clock: Clock) -> None:
    found = scrape(served(store, clock))
    assert {name: found.labels(name) for name in KEPT} == KEPT


def test_the_version_is_told(store: Store) -> None:
    found = scrape(exposition(store))
    assert found["modelwatch_build_info"] == [({"version": "1.2.3"}, 1)]


def test_there_are_no_created_series(store: Store, clock: Clock) -> None:
    one = served(store, clock)
    for accept in (None, PROMETHEUS_3):
        body, _ = one.render(accept)
        assert b"_created" not in body


def test_plain_text_is_the_default(store: Store) -> None:
    for accept in (None, "", "*/*", "text/html"):
        _, content_type = exposition(store).render(accept)
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_openmetrics_is_served_when_it_is_asked_for(store: Store, clock: Clock) -> None:
    body, content_type = served(store, clock).render(PROMETHEUS_3)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert body.endswith(b"# EOF\n")
    families = openmetrics(body)
    assert families["ml_predictions"].type == "counter"
    assert families["ml_feature_drift_score"].type == "gauge"
    assert families["modelwatch_build"].type == "info"
    assert families["ml_series_dropped_total"].samples[0].value == 0
    assert (
        "streams (a version in an environment) beyond the newest 20"
        in families["ml_series_dropped_total"].documentation
    )


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=new", "text/plain;version=1.x", "a;version=;="]
)
def test_an_accept_header_that_makes_no_sense_gets_plain_text(store: Store, accept: str) -> None:
    body, content_type = exposition(store).render(accept)
    assert content_type.startswith("text/plain")
    assert b"ml_monitoring_service_health" in body


def test_odd_names_come_back_as_they_were(store: Store, clock: Clock) -> None:
    odd = served(store, clock, ODD)
    body, _ = odd.render(None)
    found = parse(body.decode())
    for name in ("ml_predictions_total", "ml_feature_drift_score", "ml_missing_features_total"):
        assert {labels["model_name"] for labels, _ in found[name]} == {ODD}
    body, _ = odd.render(PROMETHEUS_3)
    predictions = openmetrics(body)["ml_predictions"]
    assert [sample.labels["model_name"] for sample in predictions.samples] == [ODD]


def test_a_lost_store_leaves_the_event_counters(store: Store, clock: Clock, tmp_path: Path) -> None:
    one = served(store, clock)
    store.close()
    (tmp_path / "store").rename(tmp_path / "away")
    found = scrape(one)
    assert found.value("ml_monitoring_service_health", service_name="modelwatch") == 0
    assert found["ml_predictions_total"][0][1] == 401
    assert found["ml_feature_drift_score"] == found["ml_reference_data_age_days"] == []


def test_replicas_count_their_own_events_and_share_their_state(store: Store, clock: Clock) -> None:
    one = served(store, clock)
    replica_store = Store(store.url.render_as_string(hide_password=False))
    two = exposition(replica_store, clock)
    first, second = scrape(one), scrape(two)
    replica_store.close()
    assert first["ml_predictions_total"] != second["ml_predictions_total"] == []
    assert first["ml_feature_drift_score"] == second["ml_feature_drift_score"] != []


WORKER = """
import sys
from pathlib import Path
from modelwatch.exposition import Exposition
from modelwatch.storage.engine.store import Store
from tests.support.events import Clock, event, numbered, open_ledger

url, name = sys.argv[1:]
store = Store(url)
exposition = Exposition(store=store, clock=Clock(), version="1.2.3", max_features=100)
events = [event(f"{name}-{index}", {}, latency_ms=20.0) for index in range(5)]
exposition.counters.committed(events, open_ledger(store, prefix=name).commit(events), 0.004)
exposition.counters.queue_depth(3)
exposition.counters.checked("m", 0.5)
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(exposition.render(None)[0].decode())
"""


def start_worker(store: Store, name: str, repository: Path, shared: Path) -> subprocess.Popen[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("COV_")},
        "PYTHONPATH": f"{repository / 'src'}{os.pathsep}{repository}",
        "PROMETHEUS_MULTIPROC_DIR": str(shared),
    }
    url = store.url.render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url, name],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_workers_of_a_host_give_one_answer(store: Store, clock: Clock, tmp_path: Path, repository: Path) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    shared = tmp_path / "shared"
    shared.mkdir()
    workers = [start_worker(store, name, repository, shared) for name in ("one", "two")]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        # A worker ends when it has answered; its counters stay, so the second answer counts both all the same. What it
        # had in its queue does not wait any more.
        answers = [parse(worker.communicate("scrape\n", timeout=30)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    for found in answers:
        stream = {"model_name": "m", "model_version": "1"}
        assert found.value("ml_predictions_total", **stream, environment="production") == 10
        assert found.value("ml_prediction_latency_seconds_count", **stream) == 10
        assert found.values("ml_prediction_latency_seconds_bucket", "le", **stream)["0.025"] == 10
        assert found.value("ml_commit_seconds_count") == 2
        assert found.value("ml_drift_check_duration_seconds_sum", model_name="m") == 1.0
        assert found.values("ml_last_evaluation_timestamp_seconds", "model_version", model_name="m") == {
            "1": clock() / 1e6
        }
        assert found["modelwatch_build_info"] == [({"version": "1.2.3"}, 1)]
        assert not any("pid" in labels for samples in found.samples.values() for labels, _ in samples)
    assert [found.value("ml_ingest_queue_depth") for found in answers] == [6, 3]
    assert answers[0]["ml_feature_drift_score"] == answers[1]["ml_feature_drift_score"] != []


def test_sharing_that_is_switched_on_too_late_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="before the service is imported"):
        exposition(store)
