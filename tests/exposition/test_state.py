"""State gauges: what the store says, the same from every replica, never old."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
from pathlib import Path

import pytest

from modelwatch.exposition import StateCollector, state
from modelwatch.exposition.drift import SEVERITY_NUMBERS
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.tolerance import PRECEDENCE
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import latest_verdicts, save_verdict
from tests.exposition.scraping import (
    RULES,
    Scrape,
    evaluate,
    numeric_features,
    scrape,
    set_reference,
    state_text,
    traffic,
)
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.servers.doubles import eventually
from tests.support.servers.postgres import Cluster

METHODS = {"psi", "ks", "jensen_shannon", "wasserstein", "hellinger", "total_variation"}
STREAM = {"model_name": "m", "model_version": "1", "environment": "production"}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON + 60_000_000)


def collect(store: Store, clock: Clock, max_features: int = 100) -> Scrape:
    return scrape(StateCollector(store, max_features, clock))


def test_an_empty_store_gives_health_and_no_gauges_of_models(store: Store, clock: Clock) -> None:
    found = collect(store, clock)
    assert dict(found.samples) == {
        "ml_monitoring_service_health": [({"service_name": "modelwatch"}, 1)],
        "ml_silences_active": [({}, 0)],
        "modelwatch_failing_evaluations": [({}, 0)],
    }


def test_every_score_of_a_feature_is_what_the_drift_check_says(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate(store, clock)
    found = collect(store, clock)
    report = check_drift(store, RULES, DriftQuery("m", "production", "1"), clock())
    amount, merchant = report.drift_results[:2]
    assert (amount.feature_name, merchant.feature_name) == ("amount", "merchant")
    assert amount.psi is not None
    assert amount.ks_test is not None
    assert amount.jensen_shannon is not None
    assert found.labels("ml_feature_drift_score") == {*STREAM, "feature_name", "drift_method"}
    assert found.values("ml_feature_drift_score", "drift_method", **STREAM, feature_name="amount") == {
        "psi": amount.psi.score,
        "ks": amount.ks_test.statistic,
        "jensen_shannon": amount.jensen_shannon.distance,
        "wasserstein": amount.wasserstein,
        "hellinger": amount.hellinger,
        "total_variation": amount.total_variation,
    }
    of_merchant = found.values("ml_feature_drift_score", "drift_method", **STREAM, feature_name="merchant")
    assert of_merchant.keys() == METHODS - {"ks", "wasserstein"}


def test_the_prediction_its_score_and_its_latency_have_scores_of_their_own(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    found = collect(store, clock)
    assert found.labels("ml_prediction_drift_score") == {*STREAM, "drift_method"}
    assert "psi" in found.values("ml_prediction_drift_score", "drift_method", **STREAM)
    assert found.values("ml_score_drift_score", "drift_method", **STREAM).keys() == METHODS
    assert found.values("ml_latency_drift_score", "drift_method", **STREAM).keys() == METHODS


def test_the_verdict_comes_with_its_evidence(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate(store, clock)
    found = collect(store, clock)
    for name in ("ml_drift_severity", "ml_drift_samples", "ml_drift_p_value"):
        assert found.types[name] == "gauge"
        assert found.labels(name) == {*STREAM, "kind", "feature_name"}
        assert found.values(name, "feature_name", kind="feature").keys() == {"amount", "merchant"}
        assert set(found.values(name, "kind")) == {"feature", "prediction", "score", "latency"}
    assert found.values("ml_drift_severity", "feature_name", kind="feature") == {"amount": 2, "merchant": 0}
    assert found.value("ml_drift_samples", **STREAM, kind="feature", feature_name="amount") == 400
    p_values = found.values("ml_drift_p_value", "feature_name", kind="feature")
    assert p_values["amount"] < 1e-6 < p_values["merchant"]
    assert found.value("ml_last_evaluation_timestamp_seconds", **STREAM) == clock() / 1e6


def test_too_few_samples_give_a_state_but_no_score_that_a_rule_could_fire_on(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(20, shift={"amount": 3.0}))
    evaluate(store, clock)
    found = collect(store, clock)
    assert set(found.values("ml_drift_severity", "feature_name").values()) == {-1}
    assert set(found.values("ml_drift_samples", "feature_name").values()) == {20}
    assert found["ml_feature_drift_score"] == found["ml_prediction_drift_score"] == []


def test_versions_and_environments_do_not_overwrite_each_other(store: Store, clock: Clock) -> None:
    set_reference(store)
    ledger = open_ledger(store)
    ledger.commit(traffic(400))
    ledger.commit(traffic(400, version="2", shift={"amount": 2.0}))
    ledger.commit(traffic(400, environment="staging", shift={"amount": 1.0}))
    evaluate(store, clock)
    psi = {
        (labels["model_version"], labels["environment"]): value
        for labels, value in collect(store, clock)["ml_feature_drift_score"]
        if labels["feature_name"] == "amount" and labels["drift_method"] == "psi"
    }
    assert psi["1", "production"] < psi["1", "staging"] < psi["2", "production"]


def test_a_feature_without_a_reference_is_no_label(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    text = generate(store, clock)
    assert 'feature_name="merchant"' in text
    assert "unreferenced" not in text


def test_the_worst_features_are_exported_and_the_rest_is_counted(store: Store, clock: Clock) -> None:
    set_reference(store, features=6)
    ledger = open_ledger(store)
    ledger.commit(traffic(400, features=6, shift={"f3": 1.0, "f5": 2.0}))
    ledger.commit(traffic(400, features=6, version="2", shift={"f1": 0.7}))
    evaluate(store, clock)
    everything = collect(store, clock)
    assert set(everything.values("ml_feature_drift_score", "feature_name")) == {*numeric_features(6), "merchant"}
    assert everything.value("ml_series_dropped_total", model_name="m") == 0
    capped = collect(store, clock, max_features=3)
    # The same features in every version, so that versions can be compared.
    for version in ("1", "2"):
        exported = capped.values("ml_feature_drift_score", "feature_name", model_version=version)
        assert set(exported) == {"f1", "f3", "f5"}
    assert set(capped.values("ml_drift_severity", "kind")) == {"feature", "prediction", "score", "latency"}
    dropped = capped.value("ml_series_dropped_total", model_name="m")
    assert dropped == number_of_series(everything) - number_of_series(capped) > 0


def test_no_features_at_all_can_be_asked_for(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    found = collect(store, clock, max_features=0)
    assert found["ml_feature_drift_score"] == []
    assert found.values("ml_drift_severity", "kind").keys() == {"prediction", "score", "latency"}


def test_a_version_with_every_deployment_does_not_add_series_for_ever(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_reference(store)
    ledger = open_ledger(store)
    for index in range(4):
        ledger.commit(traffic(150, version=f"v{index}", timestamp=NOON - (4 - index) * 300_000_000))
    evaluate(store, clock)
    everything = collect(store, clock)
    monkeypatch.setattr(state, "STREAMS_A_MODEL", 2)
    capped = collect(store, clock)
    assert capped.values("ml_last_evaluation_timestamp_seconds", "model_version").keys() == {"v2", "v3"}
    assert capped.values("ml_feature_drift_score", "model_version").keys() == {"v2", "v3"}
    dropped = capped.value("ml_series_dropped_total", model_name="m")
    assert dropped == number_of_series(everything) - number_of_series(capped) > 0


def test_the_age_of_the_oldest_reference_is_in_days(store: Store, clock: Clock) -> None:
    set_reference(store)
    set_reference(store, "other")
    clock.now = NOON + 36 * 3_600_000_000
    assert collect(store, clock).values("ml_reference_data_age_days", "model_name") == {"m": 1.5, "other": 1.5}


def test_a_clock_behind_gives_no_negative_age(store: Store, clock: Clock) -> None:
    set_reference(store)
    clock.now = NOON - 1
    assert collect(store, clock).value("ml_reference_data_age_days", model_name="m") == 0


def test_a_server_that_hangs_is_told_before_the_scrape_is_given_up(
    postgres: Cluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "READ_SECONDS", 0.5)
    with postgres.database() as url, contextlib.closing(Store(url)) as store:
        collector = StateCollector(store, 100, clock)
        assert scrape(collector).value("ml_monitoring_service_health", service_name="modelwatch") == 1
        name = url.rpartition("/")[2]
        rows = postgres.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")
        backends = [int(str(pid)) for (pid,) in rows]
        assert backends
        for backend in backends:
            os.kill(backend, signal.SIGSTOP)
        try:
            for _ in range(2):
                assert dict(scrape(collector).samples) == {
                    "ml_monitoring_service_health": [({"service_name": "modelwatch"}, 0)]
                }
        finally:
            for backend in backends:
                os.kill(backend, signal.SIGCONT)
        eventually(lambda: scrape(collector).value("ml_monitoring_service_health", service_name="modelwatch") == 1)


def test_without_the_store_there_are_no_gauges_but_the_health(
    store: Store, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    before = generate(store, clock)
    store.close()
    (tmp_path / "store").rename(tmp_path / "away")
    with caplog.at_level(logging.WARNING):
        found = collect(store, clock)
    assert dict(found.samples) == {"ml_monitoring_service_health": [({"service_name": "modelwatch"}, 0)]}
    assert found.types.keys() == {"ml_monitoring_service_health"}
    assert "state gauges are omitted" in caplog.text
    (tmp_path / "away").rename(tmp_path / "store")
    assert generate(store, clock) == before


def test_a_verdict_of_another_release_drops_its_own_stream_only(
    store: Store, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    open_ledger(store, prefix="other").commit([event("strange", version="strange")])
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    other = dataclasses.replace(verdict, id="other", version="strange", result=b'{"other": "shape"}')
    with store.write() as connection:
        save_verdict(connection, other, b"")
    with caplog.at_level(logging.WARNING):
        found = collect(store, clock)
    assert found.values("ml_last_evaluation_timestamp_seconds", "model_version").keys() == {"1"}
    assert "'strange'" in caplog.text


def test_a_kind_of_subject_that_only_a_newer_release_knows_is_left_out(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit(traffic(400))
    evaluate(store, clock)
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    newer = verdict.result.replace(b'"kind":"latency"', b'"kind":"shape"')
    later = dataclasses.replace(verdict, id="later", window_end=verdict.window_end + 300, result=newer)
    with store.write() as connection:
        save_verdict(connection, later, b"")
    found = collect(store, clock)
    assert set(found.values("ml_drift_severity", "kind")) == {"feature", "prediction", "score"}
    assert found["ml_latency_drift_score"] == []


def test_a_feature_that_is_always_missing_is_no_data_and_not_stable(store: Store, clock: Clock) -> None:
    set_reference(store)
    open_ledger(store).commit([event(f"id-{index}", {"merchant": "grocery"}) for index in range(200)])
    evaluate(store, clock)
    found = collect(store, clock)
    assert found.values("ml_drift_severity", "feature_name", kind="feature")["amount"] == -2
    for name in ("ml_feature_drift_score", "ml_drift_p_value"):
        assert "amount" not in found.values(name, "feature_name")


def test_two_replicas_give_the_same_gauges_byte_for_byte(store: Store, clock: Clock) -> None:
    set_reference(store, features=3)
    ledger = open_ledger(store)
    ledger.commit(traffic(400, features=3, shift={"f1": 1.0}))
    ledger.commit(traffic(400, features=3, version="2"))
    evaluate(store, clock)
    replica = Store(store.url.render_as_string(hide_password=False))
    first, second = generate(store, clock), generate(replica, Clock(clock.now + 1_000_000))
    replica.close()
    assert first == second
    assert "ml_feature_drift_score{" in first


def test_each_severity_has_its_number_and_the_worst_is_the_largest() -> None:
    assert sorted(SEVERITY_NUMBERS, key=SEVERITY_NUMBERS.__getitem__, reverse=True) == list(PRECEDENCE)


def generate(store: Store, clock: Clock) -> str:
    return state_text(StateCollector(store, 100, clock))


def number_of_series(found: Scrape) -> int:
    return sum(len(samples) for samples in found.samples.values())
