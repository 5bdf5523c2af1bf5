"""Verdicts computed again from the evidence that was kept with them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from modelwatch.errors import DamagedData, UnknownResource
from modelwatch.monitoring.checks.check import RULES_VERSION
from modelwatch.monitoring.checks.drift.evidence import decode_evidence, encode_evidence
from modelwatch.monitoring.verification import differences, equal_up_to_rounding, verify_verdict
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, evidence_of, verdicts_of
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock
from tests.support.rules import RULES


@pytest.fixture
def verdicts(store: Store) -> list[StoredVerdict]:
    """Some verdicts, the last of them an alert."""
    clock = Clock(NOON + 100 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    send_hours(store, clock, 8, shift_from=6)
    finish(clock)
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        return verdicts_of(connection, "m", limit=100)[::-1]


def test_every_verdict_comes_out_again_to_the_bit(store: Store, verdicts: list[StoredVerdict]) -> None:
    assert verdicts[-1].severity == "alert"
    for verdict in verdicts:
        found = verify_verdict(store, verdict.id)
        assert (found.reproduced, found.problems, found.late_predictions) == (True, [], 0)
        assert found.counts > 0


def test_late_predictions_and_new_references_do_not_change_it(store: Store, verdicts: list[StoredVerdict]) -> None:
    clock = Clock(NOON + 200 * HOUR)
    send(store, clock, normal(50), at=NOON + 3 * HOUR)
    found = verify_verdict(store, verdicts[-1].id)
    assert (found.reproduced, found.late_predictions) == (True, 50)
    set_reference(store, normal(1_000, shift=2.0))
    found = verify_verdict(store, verdicts[-1].id)
    assert (found.reproduced, found.late_predictions) == (True, None)


def test_evidence_that_was_changed_is_found_out(store: Store, verdicts: list[StoredVerdict]) -> None:
    target = verdicts[-1].id
    with store.read() as connection:
        raw = evidence_of(connection, target)
    assert raw is not None
    evidence = decode_evidence(raw)
    next(iter(evidence.sums[0].values())).counts[5] += 100
    _overwrite(store, target, evidence=encode_evidence(evidence))
    found = verify_verdict(store, target)
    assert not found.reproduced
    assert "it was changed" in found.problems[0]
    assert "differs" in found.problems[1]


def test_a_report_that_was_changed_is_found_out(store: Store, verdicts: list[StoredVerdict]) -> None:
    target = verdicts[-1]
    _overwrite(store, target.id, result=zlib.compress(target.result.replace(b'"alert"', b'"stable"')))
    assert verify_verdict(store, target.id).problems == ["The recomputed report differs from the stored one."]


@pytest.mark.parametrize("rules_version", [RULES_VERSION, 1])
def test_the_rounding_of_another_processor_is_no_change(
    store: Store, verdicts: list[StoredVerdict], rules_version: int
) -> None:
    target = verdicts[-1]
    stored, fractions = _with_fractions(target.result, lambda fraction: fraction * (1.0 + 1e-14))
    assert fractions > 10
    _overwrite(store, target.id, result=zlib.compress(stored), rules_version=rules_version)
    found = verify_verdict(store, target.id)
    assert (found.outcome, found.reproduced, found.problems) == ("reproduced_up_to_rounding", True, [])
    assert found.evidence_intact
    assert " then, " in found.differences[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda report: _with_fractions(report, lambda fraction: fraction * (1.0 + 1e-8))[0],
        lambda report: report.replace(b'"alert"', b'"stable"'),
        lambda report: _with_first_count(report, 1),
        lambda report: report.replace(b"true", b"1"),
        lambda report: report.replace(b"null", b"0.0"),
    ],
)
def test_a_fraction_a_state_or_a_count_that_was_changed_is_no_rounding(
    store: Store, verdicts: list[StoredVerdict], change: Callable[[bytes], bytes]
) -> None:
    target = verdicts[-1]
    # Beside the rounding of all others.
    stored = change(_with_fractions(target.result, lambda fraction: fraction * (1.0 + 1e-14))[0])
    assert not equal_up_to_rounding(target.result, stored)
    _overwrite(store, target.id, result=zlib.compress(stored))
    found = verify_verdict(store, target.id)
    assert (found.outcome, found.reproduced, found.differences) == ("not_reproduced", False, [])
    assert found.problems == ["The recomputed report differs from the stored one."]


def test_rounding_does_not_excuse_evidence_that_was_changed(store: Store, verdicts: list[StoredVerdict]) -> None:
    target = verdicts[-1]
    stored = _with_fractions(target.result, lambda fraction: fraction * (1.0 + 1e-14))[0]
    _overwrite(store, target.id, inputs_hash="0" * 64, result=zlib.compress(stored))
    found = verify_verdict(store, target.id)
    assert (found.outcome, found.reproduced, found.differences) == ("not_reproduced", False, [])


def test_a_verdict_by_earlier_rules_is_intact_and_says_what_those_of_now_come_to(
    store: Store, verdicts: list[StoredVerdict]
) -> None:
    target = verdicts[-1]
    stored = target.result.replace(b'"severity":"alert"', b'"severity":"warning"')
    _overwrite(store, target.id, result=zlib.compress(stored), rules_version=1)
    found = verify_verdict(store, target.id)
    assert (found.outcome, found.reproduced, found.evidence_intact, found.problems) == ("other_rules", None, True, [])
    assert (found.rules_version, found.current_rules_version) == (1, RULES_VERSION)
    assert found.differences[0] == 'summary.severity: "warning" then, "alert" now'


def test_a_verdict_by_earlier_rules_that_comes_out_the_same_is_reproduced(
    store: Store, verdicts: list[StoredVerdict]
) -> None:
    _overwrite(store, verdicts[-1].id, rules_version=1)
    found = verify_verdict(store, verdicts[-1].id)
    assert (found.outcome, found.reproduced, found.differences) == ("reproduced", True, [])


def test_changed_evidence_is_found_out_whatever_the_rules(store: Store, verdicts: list[StoredVerdict]) -> None:
    target = verdicts[-1].id
    _overwrite(store, target, inputs_hash="0" * 64, rules_version=1)
    found = verify_verdict(store, target)
    assert (found.outcome, found.reproduced, found.evidence_intact) == ("not_reproduced", False, False)
    assert "it was changed" in found.problems[0]


def test_many_differences_are_told_worst_first_and_the_rest_counted() -> None:
    then = msgspec.json.encode({"a": list(range(20)), "severity": "alert", "gone": 1})
    now = msgspec.json.encode({"a": list(range(1, 21)), "severity": "stable", "new": [1, 2]})
    told = differences(then, now)
    assert told[0] == 'severity: "alert" then, "stable" now'
    assert told[-3:] == [
        "and 11 more",
        "1 value is in the report of then only",
        "2 values are in the report of now only",
    ]


def test_evidence_that_can_not_be_read_is_a_finding_not_a_crash(store: Store, verdicts: list[StoredVerdict]) -> None:
    _overwrite(store, verdicts[0].id, evidence=b"nonsense")
    found = verify_verdict(store, verdicts[0].id)
    assert not found.reproduced
    assert "can't be read" in found.problems[1]


def test_a_verdict_that_is_not_there(store: Store) -> None:
    with pytest.raises(UnknownResource, match="no verdict"):
        verify_verdict(store, "nothing")


def _with_fractions(report: bytes, change: Callable[[float], float]) -> tuple[bytes, int]:
    """A report with each number that is no integer changed, and how many of them are other ones then."""
    changed = 0

    def of(member: Any) -> Any:
        nonlocal changed
        if isinstance(member, dict):
            return {name: of(each) for name, each in member.items()}
        if isinstance(member, list):
            return [of(each) for each in member]
        if not isinstance(member, float):
            return member
        changed += change(member) != member
        return change(member)

    return msgspec.json.encode(of(msgspec.json.decode(report))), changed


def _with_first_count(report: bytes, more: int) -> bytes:
    """A report with one of its integers changed."""
    return re.sub(rb'"predictions":(\d+)', lambda found: b'"predictions":%d' % (int(found[1]) + more), report, count=1)


def _overwrite(store: Store, identity: str, **columns: bytes | str | int) -> None:
    with store.write() as connection:
        connection.execute(update(tables.verdict).where(tables.verdict.c.id == identity).values(**columns))


@pytest.mark.parametrize("report", [b"not compressed", zlib.compress(b'{"'), zlib.compress(b"")])
def test_a_report_that_can_not_be_read_is_named(store: Store, verdicts: list[StoredVerdict], report: bytes) -> None:
    identity = verdicts[-1].id
    with store.write() as connection:
        connection.execute(update(tables.verdict).where(tables.verdict.c.id == identity).values(result=report))
    with pytest.raises(DamagedData, match=f"The report of the verdict {identity} can't be read: "):
        verify_verdict(store, identity)
