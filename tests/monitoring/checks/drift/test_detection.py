"""Detection by the default rules, through the store and the scheduler: soon, with its onset, and as large as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from modelwatch.config import Settings
from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, decode_evidence, encode_evidence
from modelwatch.monitoring.checks.drift.report import DriftReport, SubjectReport
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, evidence_of, verdicts_of
from modelwatch.times import iso_of_seconds
from modelwatch.views.models.list import models_overview
from modelwatch.views.models.rows import Wanted
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, SECOND, finish, normal, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.stores.fresh import FreshStores

RULES = DriftRules.of(Settings())
BEGINS = 26
NOON_S = NOON // SECOND


def watched(store: Store, shift: float, *, hours: int = 30, scale: float = 1.0) -> list[StoredVerdict]:
    """100 values an hour, of which those from hour 26 on are shifted; the verdicts, oldest first."""
    clock = Clock(NOON + 200 * HOUR)
    set_reference(store, normal(10_000, seed=99))
    predictions = []
    for hour in range(hours):
        values = normal(100, seed=hour)
        if hour >= BEGINS:
            values = (np.asarray(values) * scale + shift).tolist()
        predictions += [
            event(f"{hour}-{place}", {"x": value}, timestamp=NOON + hour * HOUR + place * 36 * SECOND)
            for place, value in enumerate(values)
        ]
    ledger = open_ledger(store, clock)
    ledger.commit(predictions)
    ledger.close()
    finish(clock)
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        return verdicts_of(connection, "m", limit=10_000)[::-1]


@pytest.fixture(scope="module")
def shifted(fresh_stores: FreshStores) -> Iterator[tuple[Store, list[StoredVerdict]]]:
    """A store with a shift of 0.7, which tests only read, and its verdicts."""
    with fresh_stores.open("sqlite") as store:
        yield store, watched(store, 0.7)


def findings_of(verdict: StoredVerdict) -> list[Finding]:
    conditions = msgspec.json.decode(verdict.conditions, type=list[Condition])
    return [each.finding for each in conditions if each.finding is not None]


def report_of_x(verdict: StoredVerdict) -> SubjectReport:
    [result] = [
        each for each in msgspec.json.decode(verdict.result, type=DriftReport).drift_results if each.kind == "feature"
    ]
    return result


def test_a_shift_is_found_soon_with_its_onset_and_its_size(shifted: tuple[Store, list[StoredVerdict]]) -> None:
    _, verdicts = shifted
    first = next(each for each in verdicts if findings_of(each))
    assert 0 < first.window_end - (NOON_S + BEGINS * 3_600) <= 2 * 3_600
    [finding] = findings_of(first)
    assert finding.began is not None
    assert finding.began_earliest is not None
    assert finding.began_latest is not None
    assert abs(finding.began - (NOON_S + BEGINS * 3_600)) <= 1_800
    assert finding.began_earliest <= finding.began <= finding.began_latest
    assert finding.found_by == "location"
    last = report_of_x(verdicts[-1])
    assert last.severity == "alert"
    assert last.onset is not None
    assert last.onset.began == iso_of_seconds(finding.began)
    assert last.onset.size == pytest.approx(0.49, abs=0.2)
    assert last.evidence is not None
    assert (last.evidence.strongest, last.evidence.location_z is not None) == ("location", True)
    assert "onset" in [each.lookback for each in last.lookbacks]


def test_a_large_shift_is_found_before_a_look_back_holds_enough_to_be_stable(store: Store) -> None:
    first = next(each for each in watched(store, 2.0, hours=27) if findings_of(each))
    assert first.window_end - (NOON_S + BEGINS * 3_600) <= 1_200
    lines = {each.lookback: (each.severity, each.sample_size) for each in report_of_x(first).lookbacks}
    assert (lines["15m"], lines["30m"]) == (("insufficient_data", 25), ("shifted", 50))


def test_before_the_shift_nothing_is_found(shifted: tuple[Store, list[StoredVerdict]]) -> None:
    _, verdicts = shifted
    before = [each for each in verdicts if each.window_end <= NOON_S + BEGINS * 3_600]
    assert len(before) > 100
    assert {each.severity for each in before} <= {"stable", "insufficient_data"}


def test_a_small_shift_is_shifted_and_no_finding(store: Store) -> None:
    verdicts = watched(store, 0.25, hours=56)
    assert verdicts[-1].severity == "shifted"
    assert not any(findings_of(each) for each in verdicts)
    onset = report_of_x(verdicts[-1]).onset
    assert onset is not None
    assert onset.size is not None
    assert 0.02 < onset.size < 0.1
    with store.read() as connection:
        [line] = models_overview(connection, Wanted(state="shifted"), now=NOON + 56 * HOUR)[0].models
    assert line.sentence.startswith("Real, but not shown to matter: x has shifted")


def test_values_that_vary_more_are_found_by_their_scale(store: Store) -> None:
    first = next(each for each in watched(store, 0.0, scale=1.8) if findings_of(each))
    assert findings_of(first)[0].found_by == "scale"


def test_each_verdict_verifies_and_its_onset_is_in_its_evidence(shifted: tuple[Store, list[StoredVerdict]]) -> None:
    store, verdicts = shifted
    whole = [each for each in verdicts if each.full]
    with_onset = 0
    for verdict in whole[-12:]:
        found = verify_verdict(store, verdict.id)
        assert (found.outcome, found.problems) == ("reproduced", [])
        with store.read() as connection:
            raw = evidence_of(connection, verdict.id)
        assert raw is not None
        evidence = decode_evidence(raw)
        assert encode_evidence(evidence) == raw
        with_onset += len(evidence.since)
    assert with_onset > 0


def test_a_check_on_request_says_the_same(shifted: tuple[Store, list[StoredVerdict]]) -> None:
    store, verdicts = shifted
    now = NOON + 200 * HOUR
    report = check_drift(store, RULES, DriftQuery("m", "production", "1"), now, end=verdicts[-1].window_end)
    [result] = [each for each in report.drift_results if each.kind == "feature"]
    assert result.onset == report_of_x(verdicts[-1]).onset
    together = check_drift(store, RULES, DriftQuery("m", "production"), now, end=verdicts[-1].window_end)
    assert [each.onset for each in together.drift_results if each.kind == "feature"] == [result.onset]


def test_versions_that_are_judged_together_have_one_onset(store: Store) -> None:
    """Two versions, a quarter of an hour apart, whose data shift at the same time."""
    set_reference(store, normal(10_000, seed=99))
    ledger, hours = open_ledger(store, Clock(NOON + 200 * HOUR)), 12
    for hour in range(hours):
        for version, later in (("1", 0), ("2", 900)):
            values = np.asarray(normal(60, seed=2 * hour + bool(later))) + (0.8 if hour >= 9 else 0.0)
            ledger.commit(
                [
                    event(
                        f"{version}-{hour}-{place}",
                        {"x": value},
                        timestamp=NOON + hour * HOUR + (later + place * 15) * SECOND,
                        version=version,
                    )
                    for place, value in enumerate(values.tolist())
                ]
            )
    ledger.close()
    end = NOON_S + (hours - 1) * 3_600 + 1_800
    [result] = checked(store, RULES, DriftQuery("m", "production"), end)
    assert result.severity == "alert"
    assert result.onset is not None
    assert result.onset.began == iso_of_seconds(NOON_S + 9 * 3_600)
    assert result.onset.sample_size == 3 * 120


def test_the_onset_leaves_at_least_the_shortest_look_back(store: Store) -> None:
    """Days with a small shift, and an odd hour at their end: a monitor of days does not judge the hour."""
    rules = dataclasses.replace(RULES, lookbacks=("1d", "3d"))
    set_reference(store, normal(10_000, seed=99))
    ledger = open_ledger(store, Clock(NOON + 200 * HOUR))
    hours = 80
    for hour in range(hours):
        values = np.asarray(normal(100, seed=hour)) + (2.0 if hour == hours - 1 else 0.2)
        ledger.commit(
            [
                event(f"{hour}-{place}", {"x": value}, timestamp=NOON + hour * HOUR + place * 36 * SECOND)
                for place, value in enumerate(values.tolist())
            ]
        )
    ledger.close()
    query = DriftQuery("m", "production", "1")
    end = NOON_S + hours * 3_600
    [of_days] = checked(store, rules, query, end)
    assert of_days.severity == "shifted"
    assert of_days.onset is None
    [of_half_days] = checked(store, dataclasses.replace(RULES, lookbacks=("12h", "3d")), query, end)
    assert of_half_days.severity == "shifted"
    assert of_half_days.onset is not None
    assert of_half_days.onset.began <= iso_of_seconds(end - 43_200)
    [of_hours] = checked(store, dataclasses.replace(RULES, lookbacks=("1h", "3d")), query, end)
    assert of_hours.severity == "alert"


def checked(store: Store, rules: DriftRules, query: DriftQuery, end: int) -> list[SubjectReport]:
    """The reports of features of a check on request. end: seconds."""
    report = check_drift(store, rules, query, NOON + 200 * HOUR, end=end)
    return [each for each in report.drift_results if each.kind == "feature"]
