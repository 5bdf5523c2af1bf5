"""A monitor that names the feature whose values group predictions, from its reference to a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import InvalidInput
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.monitoring.checks.drift.check import DriftCheck, check_drift
from modelwatch.monitoring.checks.drift.evaluation import evaluate_drift
from modelwatch.monitoring.checks.drift.evidence import (
    DriftQuery,
    decode_evidence,
    encode_evidence,
    gather,
    inputs_of,
)
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport
from modelwatch.monitoring.checks.drift.report_building import report_of
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame, take_provisional_reference
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.references import in_force, reference_sets
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger, open_store

RULES = DriftRules.of(Settings())
QUERY = DriftQuery("m", "production", "1", lookback="1h")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path)) as opened:
        yield opened


def name_the_key(store: Store, key: str = "client") -> None:
    config = parse_monitor({"drift": {"cluster_by": key}})
    put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)


def rows(clients: int, each: int, seed: int) -> tuple[list[Scalar], list[Scalar]]:
    """Clients, and an amount that clients differ in by 0.7 standard deviations: half of its variance."""
    rng = np.random.default_rng(seed)
    of_row = np.repeat(np.arange(clients), each)
    amounts = rng.normal(size=clients)[of_row] + rng.normal(size=len(of_row))
    return [f"client {place}" for place in of_row], [float(amount) for amount in amounts]


def set_reference(store: Store, *, in_rows: bool = True, timed: bool = False) -> None:
    keys, amounts = rows(200, 20, 1)
    samples = [
        ReferenceSample("feature", "client", "categorical", keys),
        ReferenceSample("feature", "amount", "continuous", amounts),
    ]
    times: list[int | None] = [NOON - place * 60_000_000 for place in range(len(keys))]
    frame = ReferenceFrame("m", None, samples, timestamps=times if timed else None, in_rows=in_rows)
    set_reference_frame(store, frame, now=NOON + timed, new_id=new_id)


def burst(store: Store) -> None:
    """An hour of two usual clients with 20 predictions each, and one that sends 160 of its own."""
    rng = np.random.default_rng(2)
    keys, amounts = rows(2, 20, 3)
    keys, amounts = keys + ["client 10"] * 160, amounts + (1.4 + rng.normal(size=160)).tolist()
    events = [
        event(f"p{place}", {"client": key, "amount": amount}, timestamp=NOON - 1_800_000_000)
        for place, (key, amount) in enumerate(zip(keys, amounts, strict=True))
    ]
    assert all(open_ledger(store).commit(events).accepted)


def amount(report: DriftReport) -> SubjectReport:
    [found] = [each for each in report.drift_results if each.feature_name == "amount"]
    return found


def test_a_burst_of_one_client_is_no_drift(store: Store) -> None:
    set_reference(store)
    burst(store)
    without = amount(check_drift(store, RULES, QUERY, NOON))
    assert without.severity == "alert"
    assert without.evidence is not None
    assert without.evidence.effective_n is None
    name_the_key(store)
    set_reference(store)
    report = check_drift(store, RULES, QUERY, NOON)
    found = amount(report)
    # Nor is it a sign that all is well: three clients could not show a shift.
    assert found.severity == "insufficient_data"
    assert found.evidence is not None
    # (160² + 2 · 20²) / 200 = 132 in a client's cluster, with a correlation of a half; those of the reference are 20.
    assert found.evidence.effective_n == pytest.approx(200 / (1 + 0.5 * (131 * 4_000 + 19 * 200) / 4_200), rel=0.15)
    assert found.reason is not None
    assert found.reason.startswith("Even the largest shift could not be distinguished from chance")
    assert found.reason.endswith("The 200 values count as about 3 independent ones.")
    # Clients come and go: the key itself is not watched.
    assert [each.feature_name for each in report.drift_results] == ["amount"]
    with store.read() as connection:
        assert all((each.clusters is None) == (each.subject.name == "client") for each in in_force(connection, "m"))


def test_what_decides_is_in_the_evidence(store: Store) -> None:
    name_the_key(store)
    set_reference(store)
    burst(store)
    inputs = gather(store, RULES, QUERY, NOON)
    before = report_of(evaluate_drift(inputs))
    raw = encode_evidence(inputs.evidence)
    # Another key, and another reference, change nothing of a verdict that was made.
    name_the_key(store, "session")
    set_reference(store)
    with store.read() as connection:
        again = inputs_of(connection, decode_evidence(raw))
        assert report_of(evaluate_drift(again)) == before
        assert DriftCheck.recompute(connection, raw)[0]


def test_a_reference_that_knows_no_clusters_says_so(store: Store) -> None:
    name_the_key(store)
    for in_rows in (True, False):
        set_reference(store, in_rows=in_rows)
        with store.read() as connection:
            assert any(each.clusters is not None for each in in_force(connection, "m")) is in_rows
    name_the_key(store, "session")
    set_reference(store)
    with store.read() as connection:
        assert all(each.clusters is None for each in in_force(connection, "m"))


def test_what_can_not_be_known_is_said_once(store: Store) -> None:
    no_times = "Natural variation can't be known: the reference has no time stamps, or one alone."
    no_key = (
        "How alike predictions of one 'client' are can't be known: the reference has no such column, came without rows,"
        " or was set before drift.cluster_by."
    )

    def notes(rules: DriftRules = RULES) -> list[str]:
        return check_drift(store, rules, QUERY, NOON).summary.notes

    set_reference(store)
    burst(store)
    assert notes() == [no_times]
    assert notes(replace(RULES, natural_variation=False)) == []
    assert notes(replace(RULES, dispersed=False)) == []
    with store.read() as connection:
        assert [each.timed for each in reference_sets(connection, "m")] == [False]
    name_the_key(store)
    assert notes() == [no_times, no_key]
    set_reference(store, timed=True)
    assert notes() == []
    with store.read() as connection:
        assert [each.timed for each in reference_sets(connection, "m")] == [True, False]


def test_a_provisional_reference_knows_its_clusters(store: Store) -> None:
    name_the_key(store)
    keys, amounts = rows(60, 20, 4)
    events = [
        event(f"p{place}", {"client": key, "amount": value}, timestamp=NOON)
        for place, (key, value) in enumerate(zip(keys, amounts, strict=True))
    ]
    assert all(open_ledger(store).commit(events).accepted)
    assert take_provisional_reference(store, "m", 1_000, now=NOON, new_id=new_id)
    notes = check_drift(store, RULES, QUERY, NOON).summary.notes
    assert notes == ["Natural variation can't be known: the reference is the first predictions."]
    with store.read() as connection:
        found = {each.subject.name: each.clusters for each in in_force(connection, "m")}
    assert found["amount"] is not None
    assert found["amount"].varies


def test_each_reason_is_what_happened(store: Store) -> None:
    rng, name = np.random.default_rng(5), "amount"

    def notes(clients: int, rows: int, timestamps: list[int | None] | None) -> list[str]:
        keys: list[Scalar] = [f"client {place % clients}" for place in range(rows)]
        values: list[Scalar] = [float(value) for value in rng.normal(size=rows)]
        samples = [
            ReferenceSample("feature", "client", "categorical", keys),
            ReferenceSample("feature", name, "continuous", values),
        ]
        frame = ReferenceFrame("m", None, samples, timestamps=timestamps, in_rows=True)
        set_reference_frame(store, frame, now=NOON, new_id=new_id)
        return check_drift(store, RULES, QUERY, NOON).summary.notes

    set_reference(store)
    burst(store)
    name_the_key(store)
    no_times = "Natural variation can't be known: the reference has no time stamps, or one alone."
    one_time: list[int | None] = [NOON] * 400
    few = "How alike predictions of one 'client' are can't be known: the reference has values of fewer than 10 of them."
    assert notes(9, 400, one_time) == [no_times, few]
    each = "How alike predictions of one 'client' are can't be known: the reference has one value of each."
    half_an_hour: list[int | None] = [NOON - place * 4_000_000 for place in range(400)]
    short = "Natural variation can't be known: the reference has no 10 stretches of time with several values each."
    assert notes(400, 400, half_an_hour) == [short, each]
    apart: list[int | None] = [NOON - place * 3_600_000_000 for place in range(400)]
    assert notes(20, 400, apart) == []
    name_the_key(store, "session")
    before = (
        "How alike predictions of one 'session' are can't be known in amount: the reference was set before"
        " drift.cluster_by."
    )
    assert before in check_drift(store, RULES, QUERY, NOON).summary.notes
    # Of two subjects, one has a reference that the first predictions made.
    name_the_key(store)
    assert take_provisional_reference(store, "m", 100, now=NOON, new_id=new_id)
    first = "Natural variation can't be known of prediction: the reference is the first predictions."
    assert first in notes(20, 400, apart)


@pytest.mark.parametrize("value", ["", 7, ["client"], "x" * 513])
def test_a_key_that_is_no_name_of_a_feature_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_monitor({"drift": {"cluster_by": value}})
    assert [problem.pointer for problem in caught.value.errors] == ["/drift/cluster_by"]
