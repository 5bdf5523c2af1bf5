"""Jobs that come upon a model of which something can't be read: those of others go on."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import update

from modelwatch.config import Settings
from modelwatch.errors import DamagedData
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler.jobs.maintenance import Maintenance
from modelwatch.monitoring.scheduler.jobs.retention import Keep, Retention
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.streams import generations
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import overview
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.exposition.scraping import RULES as DRIFT_RULES
from tests.exposition.scraping import set_reference, traffic
from tests.support.background import background, new_id, run_out
from tests.support.events import NOON, Clock, event, open_ledger

MODELS = ("bad", "good")
LEASE = Lease("chores", "t", 1)
RULES = DriftRules.of(Settings())


def damage_reference(store: Store, model: str) -> None:
    """Damages the references of a model, under ids that no process remembers."""
    with store.write() as connection:
        connection.execute(
            update(tables.reference)
            .where(tables.reference.c.model == model)
            .values(binning=b"\x63", binning_id=uuid.uuid4().hex)
        )


def maintenance(store: Store) -> Maintenance:
    return Maintenance(store, new_id=new_id, provisional_size=20, rotation_seconds=3_600)


def send(store: Store, clock: Clock, count: int, prefix: str) -> None:
    for model in MODELS:
        rows = [event(f"{prefix}{index}", {"x": index % 7}, model=model, timestamp=clock()) for index in range(count)]
        open_ledger(store, clock, prefix=f"{model} {prefix}").commit(rows)


def fill(store: Store) -> None:
    """Each model has a reference and some predictions."""
    for model in MODELS:
        set_reference(store, model)
        open_ledger(store, prefix=model).commit(traffic(400, model=model))


def test_upkeep_of_others_goes_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    send(store, clock, 30, "a")
    maintenance(store)(LEASE, clock())
    damage_reference(store, "bad")
    another = maintenance(store)
    another(LEASE, clock())
    with store.read() as connection:
        assert another._backfilled == {"good": generations(connection)["good"]}
        assert sorted(overview(connection)) == ["bad", "good"]
    assert "of 'bad' can't be read" in caplog.text
    assert "Predictions of the model are not counted by its new reference." in caplog.text


def test_evaluations_of_others_go_on(store: Store) -> None:
    fill(store)
    damage_reference(store, "bad")
    clock = Clock(NOON + 400_000_000)
    run_out(background(store, DRIFT_RULES, clock, provisional_size=10**9))
    with store.read() as connection:
        found = {model: len(verdicts_of(connection, model, limit=9)) for model in MODELS}
    assert found["bad"] == 0 < found["good"]


def test_retention_of_others_goes_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    looked_at = []

    def performance(_connection: object, model: str) -> PerformanceRules:
        looked_at.append(model)
        if model == "bad":
            raise DamagedData("The stored monitor of 'bad' can't be read.")
        return PerformanceRules.of(RULES, 0.02)

    fill(store)
    clock = Clock(NOON + 400_000_000)
    run_out(background(store, DRIFT_RULES, clock, provisional_size=10**9))
    job = Retention(store, Keep(30, 365), RULES, performance, timer=lambda: 0.0, round_seconds=1.0)
    assert not job(LEASE, clock())
    assert sorted(set(looked_at)) == ["bad", "good"]
    assert "The stored monitor of 'bad' can't be read. What is old of the model stays for now." in caplog.text
