"""Findings in an exposition: what alert rules fire on."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.exposition import StateCollector
from modelwatch.findings import Assessment, Finding
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from tests.exposition.scraping import Scrape, evaluate, exposition, scrape, set_reference, traffic
from tests.support.alerts.assessments import Desk, assessment, finding
from tests.support.background import new_id
from tests.support.events import NOON, Clock, open_ledger

STREAM = {"model_name": "fraud", "model_version": "1", "environment": "production"}


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def collect(desk: Desk, max_features: int = 100) -> Scrape:
    return scrape(StateCollector(desk.store, max_features, desk.clock))


def severities(found: Scrape) -> dict[str, float]:
    return {each["feature_name"]: value for each, value in found["ml_finding_severity"]}


def with_findings(given: Assessment, *findings: Finding) -> Assessment:
    return msgspec.structs.replace(given, findings=findings)


def test_each_finding_of_an_open_alert_has_its_severity_and_its_score(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "alert", "country": "warning"}))
    found = collect(desk)
    amount = {**STREAM, "kind": "feature_drift", "feature_name": "amount", "rule": ""}
    assert found.value("ml_finding_severity", **amount) == 2
    assert found.value("ml_finding_score", **amount) == pytest.approx(0.31)
    assert found.value("ml_finding_severity", **{**amount, "feature_name": "country"}) == 1
    assert found.value("ml_finding_score", **{**amount, "feature_name": "country"}) == pytest.approx(0.12)


def test_a_finding_about_data_quality_names_the_feature_and_the_rule(desk: Desk) -> None:
    names = ("amount: missing", "a: b: below_range", "country: appeared", "duplicates")
    found = tuple(finding(name, kind="data_quality") for name in names)
    desk.take(with_findings(assessment(0, kinds=("data_quality",)), *found))
    labels = {(each["feature_name"], each["rule"]) for each, _ in collect(desk)["ml_finding_severity"]}
    assert labels == {("amount", "missing"), ("a: b", "below_range"), ("country", "appeared"), ("duplicates", "")}


def test_a_finding_stays_while_it_is_acknowledged_and_goes_when_it_is_resolved(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning", "country": "warning"}))
    desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
    desk.take(assessment(1, {"amount": "warning"}))
    assert severities(collect(desk)) == {"amount": 1}
    desk.book.resolve(desk.alert().id, actor="ann", note=None)
    assert severities(collect(desk)) == {}
    desk.take(assessment(2, {"amount": "alert"}))
    assert severities(collect(desk)) == {"amount": 2}
    desk.take(assessment(3))
    assert severities(collect(desk)) == {}


def test_findings_of_a_version_that_departed_stay(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "alert"}, version="1"))
    desk.take(assessment(1, {"country": "warning"}, version="2", departed=("1",)))
    assert severities(collect(desk)) == {"amount": 2, "country": 1}


def test_severe_findings_are_exported_first_and_of_those_the_oldest(desk: Desk) -> None:
    desk.take(assessment(0, {"a": "warning", "c": "alert"}))
    known = finding("c", "alert")
    later = finding("b", "alert", since=NOON // 1_000_000 + 3_600, score=9.0)
    desk.take(with_findings(assessment(1), finding("a"), later, known))
    found = collect(desk, max_features=2)
    assert severities(found) == {"b": 2, "c": 2}
    assert severities(collect(desk, max_features=1)) == {"c": 2}
    assert found.value("ml_series_dropped_total", model_name="fraud") >= 2


def test_what_another_release_wrote_has_no_gauges(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.take(assessment(0, {"amount": "alert"}), assessment(0, {"amount": "alert"}, model="other"))
    with desk.store.write() as connection:
        connection.execute(update(tables.alert).where(tables.alert.c.model == "fraud").values(body=b"{}"))
    assert {each["model_name"] for each, _ in collect(desk)["ml_finding_severity"]} == {"other"}
    [message] = [each for each in caplog.messages if each.startswith("The stored alert id-1 can't be read: ")]
    assert message.endswith("Its findings have no gauges.")


def test_the_interval_is_the_monitors_or_the_settings(store: Store) -> None:
    clock = Clock()
    for model in ("m", "often"):
        set_reference(store, model)
        open_ledger(store, prefix=model).commit(traffic(400, model=model))
    monitor = parse_monitor({"schedule": {"every": "15m"}})
    put_monitor(store, "often", monitor, source="test", actor="test", now=NOON, new_id=new_id)
    evaluate(store, clock)
    found = scrape(StateCollector(store, 100, clock, check_interval=7_200))
    assert found.values("ml_evaluation_interval_seconds", "model_name") == {"m": 7_200, "often": 900}


def test_the_address_of_the_service_is_told(store: Store) -> None:
    found = scrape(exposition(store, url="https://watch.example.org"))
    assert found["modelwatch_service_info"] == [({"url": "https://watch.example.org"}, 1)]
