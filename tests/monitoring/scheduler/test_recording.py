"""A quiet evaluation costs little to keep: a summary, once another follows it, and full evidence once an hour."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select

from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler import due
from modelwatch.monitoring.scheduler.recording import KEPT_EVERY, keeps_evidence, summary_of
from modelwatch.monitoring.verification import CHECKS, verify_verdict
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT, QUALITY, StoredVerdict, VerdictTrace, verdicts_of
from tests.support.background import assert_brief, background, run_out
from tests.support.data.streams import MINUTE, finish, normal, send, set_reference
from tests.support.events import NOON, Clock
from tests.support.stores.fresh import ENGINES, FreshStores

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600)
KILOBYTE = 1_000
# Windows of five minutes with enough values for an evaluation each; those from SHIFTED on are shifted.
WINDOWS, SHIFTED = 36, 30


Verdicts = dict[str, list[StoredVerdict]]


@pytest.fixture(scope="module", params=ENGINES)
def busy(request: pytest.FixtureRequest, fresh_stores: FreshStores) -> Iterator[tuple[Store, Verdicts]]:
    """A store with busy traffic, which tests only read, and its verdicts."""
    with fresh_stores.open(request.param) as store:
        yield store, evaluated(store)


def evaluated(store: Store) -> Verdicts:
    """By check, the verdicts of three hours of busy traffic that shifts at the end, oldest first."""
    clock = Clock(NOON + 1_000 * MINUTE)
    set_reference(store, normal(5_000, seed=99))
    for window in range(WINDOWS):
        shift = 2.0 if window >= SHIFTED else 0.0
        send(store, clock, normal(120, shift, seed=window), at=NOON + 5 * window * MINUTE)
    finish(clock)
    run_out(background(store, RULES, clock, quality=QualityRules.of(RULES)))
    with store.read() as connection:
        return {check: verdicts_of(connection, "m", check=check, limit=1_000)[::-1] for check in (DRIFT, QUALITY)}


def test_quiet_evaluations_are_summaries_and_one_an_hour_is_whole(busy: tuple[Store, Verdicts]) -> None:
    _, verdicts = busy
    for check, found in verdicts.items():
        assert len(found) == WINDOWS, check
        full = [verdict.window_end for verdict in found if verdict.full]
        assert all(later - earlier <= KEPT_EVERY for earlier, later in pairwise(full))
        # The first, one in each hour, what came with the shift, and the newest.
        quiet = [verdict for verdict in found[:SHIFTED] if verdict.conditions == b"[]"]
        assert sum(verdict.full for verdict in quiet) <= 5
        assert found[-1].full
    assert all(verdict.full for verdict in verdicts[DRIFT] if verdict.conditions != b"[]")
    assert any(verdict.severity == "alert" for verdict in verdicts[DRIFT])


def test_a_summary_takes_at_most_a_kilobyte_and_reads_as_a_report(busy: tuple[Store, Verdicts]) -> None:
    store, verdicts = busy
    table = tables.verdict
    size = sum(func.length(column) for column in (table.c.evidence, table.c.result, table.c.conditions))
    with store.read() as connection:
        sizes = {row[0]: row[1] for row in connection.execute(select(table.c.id, size))}
    for check, kind in ((DRIFT, DriftReport), (QUALITY, QualityReport)):
        summaries = [verdict for verdict in verdicts[check] if not verdict.full]
        assert len(summaries) >= 20
        for verdict in summaries:
            columns = (verdict.id, verdict.inputs_hash, verdict.model, verdict.version, verdict.environment)
            assert sizes[verdict.id] + sum(map(len, columns)) + 60 < KILOBYTE
            assert msgspec.json.decode(verdict.result, type=kind)
    lines = [msgspec.json.decode(each.result, type=DriftReport).summary for each in verdicts[DRIFT]]
    assert [line.severity for line in lines] == [each.severity for each in verdicts[DRIFT]]


def test_each_verdict_is_verified_or_leads_to_the_nearest_with_evidence(busy: tuple[Store, Verdicts]) -> None:
    store, verdicts = busy
    for found in verdicts.values():
        full = {verdict.id: verdict.window_end for verdict in found if verdict.full}
        for verdict in found:
            verification = verify_verdict(store, verdict.id)
            assert verification.problems == []
            if verdict.full:
                assert (verification.outcome, verification.nearest_full) == ("reproduced", None)
                continue
            assert (verification.outcome, verification.reproduced) == ("summary_only", None)
            assert verification.nearest_full is not None
            nearest = full[verification.nearest_full]
            assert abs(nearest - verdict.window_end) == min(abs(end - verdict.window_end) for end in full.values())


def test_what_is_evaluated_together_keeps_what_is_kept_one_by_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = evaluated(store)
    monkeypatch.setattr(due, "POINTS_A_TRANSACTION", 1)
    other = Store(f"sqlite:///{tmp_path / 'one by one.db'}")
    migrate(other)
    one_by_one = evaluated(other)
    for check, found in together.items():
        assert [kept(each) for each in found] == [kept(each) for each in one_by_one[check]], check
    other.close()


def kept(verdict: StoredVerdict) -> tuple[object, ...]:
    """But for the names of references, which are in conditions and whole reports."""
    summary = None if verdict.full else verdict.result
    return (verdict.window_end, verdict.severity, verdict.full, len(verdict.conditions), summary)


def test_a_brief_report_is_a_report_without_its_long_lists(busy: tuple[Store, Verdicts]) -> None:
    store, verdicts = busy
    for check, found in verdicts.items():
        for verdict in found:
            if verdict.full:
                assert_brief(store, CHECKS[check], verdict)


def trace(end: int, *, severity: str = "stable", conditions: bytes = b"[]", full: bool = True) -> VerdictTrace:
    return VerdictTrace(str(end), end, 1, severity, conditions, full)


@pytest.mark.parametrize(
    "newest",
    [
        trace(900, severity="warning"),
        trace(900, conditions=b'[{"kind":"feature"}]'),
        VerdictTrace("new reference", 900, 2, "stable", b"[]", True),
        trace(3_600),
    ],
)
def test_what_is_not_quiet_keeps_its_evidence(newest: VerdictTrace) -> None:
    assert keeps_evidence([newest, trace(600, full=False), trace(300, full=False), trace(0)])


def test_what_is_quiet_does_not() -> None:
    assert not keeps_evidence([trace(900), trace(600, full=False), trace(300, full=False), trace(0)])
    # The evaluation that ends a finding changes the state, whatever its severity says.
    assert keeps_evidence([trace(900), trace(600, conditions=b'[{"kind":"feature"}]'), trace(0)])
    assert keeps_evidence([trace(900), *(trace(end, full=False) for end in (600, 300))])


def test_the_summary_of_a_wide_model_is_small() -> None:
    names = [f"feature {index}" for index in range(2_000)]
    report = {"drift_results": [{"feature_name": name} for name in names], "summary": {"not_judged": names, "n": 1}}
    assert summary_of(msgspec.json.encode(report)) == b'{"drift_results":[],"summary":{"not_judged":[],"n":1}}'
