"""Stores that earlier releases have filled, brought up to date: one of each schema, made by the code of its time with
scripts/filled_store.py."""

from __future__ import annotations

import json
import lzma
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select, text

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate, newest_version, schema_version
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.maintenance.retention import expire_days, remove_predictions
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.verdicts.verdicts import DRIFT, FIRST_RULES, PERFORMANCE, QUALITY, StoredVerdict, verdicts_of
from tests.support.background import new_id
from tests.support.events import Clock, event, open_ledger
from tests.support.rules import RULES

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql.xz"))
MODEL, PREDICTIONS = "payments", 440
LATER = 4_000_000_000_000_000
OLD_ROWS = "SELECT prediction_id, features FROM prediction"


@pytest.fixture(params=RELEASED, ids=lambda path: path.name.partition(".")[0])
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of an earlier schema, as it was left."""
    database = tmp_path / "modelwatch.db"
    with sqlite3.connect(database) as connection:
        connection.executescript(lzma.decompress(request.param.read_bytes()).decode())
    connection.close()
    store = Store(f"sqlite:///{database}")
    assert schema_version(store) == request.param.name.partition(".")[0]
    return store


def verdicts(store: Store) -> list[StoredVerdict]:
    with store.read() as connection:
        return [
            verdict
            for check in (DRIFT, QUALITY, PERFORMANCE)
            for verdict in verdicts_of(connection, MODEL, check=check, limit=1_000)
        ]


def test_every_schema_that_was_released_has_a_filled_store() -> None:
    assert [path.name.partition(".")[0] for path in RELEASED] == [f"{number:04}" for number in range(1, 9)]


def test_each_verdict_of_before_verifies_or_says_what_newer_rules_come_to(released: Store) -> None:
    before = schema_version(released)
    assert migrate(released) == newest_version()
    stored = verdicts(released)
    kinds = Counter(verdict.check for verdict in stored)
    assert kinds[DRIFT] >= (0 if before == "0001" else 3), kinds
    assert kinds[PERFORMANCE] >= (0 if before in ("0001", "0002") else 1), kinds
    for verdict in stored:
        found = verify_verdict(released, verdict.id)
        assert found.evidence_intact
        assert found.problems == []
        assert found.rules_version == FIRST_RULES
        # Another type of processor than the one that made the store rounds otherwise.
        others = ("other_rules", "reproduced_up_to_rounding")
        assert found.outcome in (others if found.differences else ("reproduced",))
        assert not any("can't be read" in difference for difference in found.differences), found
        assert found.counts > 0


def test_what_was_received_is_judged_as_before_the_upgrade(released: Store) -> None:
    migrate(released)
    drift = check_drift(released, RULES, DriftQuery(MODEL, "production", "1"), LATER)
    assert drift.summary.predictions == PREDICTIONS
    assert {"amount"} <= set(drift.summary.drifted)
    stream = StreamKey(MODEL, "1", "production")
    assert check_quality(released, RULES, QualityRules.of(RULES), stream, LATER).predictions == PREDICTIONS
    performance = check_performance(released, PerformanceRules.of(RULES, 0.02), stream, LATER)
    assert performance.windows


def test_categories_of_a_reference_of_before_are_said_to_get_better_by_another_upload(released: Store) -> None:
    migrate(released)

    def advised() -> dict[str, str]:
        report = check_drift(released, RULES, DriftQuery(MODEL, "production", "1"), LATER)
        return {each.feature_name: each.reference_advice for each in report.drift_results if each.reference_advice}

    before = advised()
    assert set(before) == {"shop", "prediction"}
    assert "stored by an earlier release" in before["shop"]
    assert "Upload it again" in before["shop"]
    again = ReferenceFrame(MODEL, "1", [ReferenceSample("feature", "shop", "categorical", ["north", "south"] * 200)])
    set_reference_frame(released, again, now=LATER, new_id=new_id)
    assert set(advised()) == {"prediction"}


@pytest.mark.parametrize("released", RELEASED[-1:], indirect=True, ids=["newest"])
def test_rows_of_before_are_read_repeated_erased_recounted_and_expire_beside_blocks(released: Store) -> None:
    table = tables.prediction
    with released.read() as connection:
        before = {row.prediction_id: json.loads(row.features) for row in connection.execute(text(OLD_ROWS))}
    migrate(released)
    assert len(before) == PREDICTIONS

    def stored() -> dict[str, Any]:
        with released.read() as connection:
            days = connection.execute(select(table.c.day).distinct()).scalars().all()
            rows = first_events(connection, MODEL, days, 10_000, released.protection)
            return {row.event.prediction_id: row.event.features for row in rows}

    assert stored() == before
    with released.read() as connection:
        days = connection.execute(select(table.c.day).distinct()).scalars().all()
        known = [row.event for row in first_events(connection, MODEL, days, 100, released.protection)]
    wide = {f"more-{place}": place for place in range(19)}
    fresh = [
        replace(each, prediction_id=f"new-{place}", features={"amount": 1.5, **wide})
        for place, each in enumerate(known)
    ]
    again = open_ledger(released, Clock(LATER)).commit([*known, *fresh]).accepted
    assert again == [False] * len(known) + [True] * len(fresh)
    with released.read() as connection:
        assert len(connection.execute(select(tables.feature_block)).all()) == 1
    everything = before | {each.prediction_id: each.features for each in fresh}
    assert stored() == everything
    for gone in (known[0].prediction_id, "new-0"):
        erased = erase(released, MODEL, gone, actor="test", now=LATER, new_id=new_id)
        assert erased.counts_left == ()
        del everything[gone]
    assert stored() == everything
    sample = ReferenceSample("feature", "amount", "continuous", [float(number) for number in range(200)])
    set_reference_frame(released, ReferenceFrame(MODEL, None, [sample]), now=LATER, new_id=new_id)
    backfill_profiles(released, MODEL, 0, LATER // 1_000_000)
    with released.read() as connection:
        layouts = read_layouts(connection, MODEL, generation_of(connection, MODEL) or 0)
        [sums] = sum_windows(connection, MODEL, layouts, "production", [(0, LATER // 1_000_000)])
    [(version, slot)] = sums.items()
    left = [event(name, features) for name, features in everything.items()]
    place = layouts.of(version).slices[Subject("feature", "amount")]
    assert slot.counts[place].tolist() == layouts.of(version).count(left)[place].tolist()
    for day in expire_days(released, MODEL, day=LATER // 86_400_000_000, arrived_before=LATER * 2).days:
        while remove_predictions(released, MODEL, day, 100):
            pass
    assert stored() == {}
    with released.read() as connection:
        assert connection.execute(select(tables.feature_block)).all() == []
