"""Stores that earlier releases have filled, brought up to date: one of each schema, made by the code of its time with
scripts/filled_store.py."""

from __future__ import annotations

import lzma
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.storage.engine.migrations import migrate, newest_version, schema_version
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT, FIRST_RULES, PERFORMANCE, QUALITY, StoredVerdict, verdicts_of
from tests.support.background import new_id

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql.xz"))
MODEL, PREDICTIONS = "payments", 440
RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h", "24h"), 3_600)
LATER = 4_000_000_000_000_000


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
        assert found.outcome == ("other_rules" if found.differences else "reproduced")
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
