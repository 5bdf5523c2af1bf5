"""Data quality: what counts as unsound, beside the reference, and what is remembered of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.findings import Finding
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.evaluation import appeared_in, evaluate_quality
from modelwatch.monitoring.checks.quality.evidence import Volumes, decode_quality, gather_quality
from modelwatch.monitoring.checks.quality.judge import rise_thresholds, volume_of_hours, volume_thresholds
from modelwatch.monitoring.checks.quality.observations import quality_observations
from modelwatch.monitoring.checks.quality.report import QualityReport, unjudged_values
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.stats.quality.volume import volume_check
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import QUALITY, evidence_of, latest_verdicts, verdicts_of
from tests.support.background import Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, SECOND, finish
from tests.support.events import NOON, Clock, event, open_ledger

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600, on_new_data=False)
QUALITY_RULES = QualityRules.of(RULES)
STREAM = StreamKey("m", "1", "production")
_ledgers = itertools.count()
COLOURS: list[Scalar] = ["red", "green"]


def number(index: int) -> float:
    return float(index % 100)


def set_references(store: Store, size: int = 2_000) -> None:
    """A number from 0 to 99, never missing, and a colour of two; one row in ten has no `sparse`."""
    frame = ReferenceFrame(
        "m",
        None,
        [
            ReferenceSample("feature", "number", "continuous", [number(index) for index in range(size)]),
            ReferenceSample("feature", "colour", "categorical", [COLOURS[index % 2] for index in range(size)]),
            ReferenceSample(
                "feature", "sparse", "continuous", [None if i % 10 == 0 else float(i) for i in range(size)]
            ),
        ],
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


def row(index: int) -> dict[str, Scalar]:
    return {
        "number": number(index),
        "colour": COLOURS[index % 2],
        "sparse": None if index % 10 == 0 else float(index % 2_000),
    }


def send(store: Store, clock: Clock, rows: Sequence[dict[str, Scalar]], hour: int = 0) -> None:
    ledger = open_ledger(store, clock, prefix=f"q{next(_ledgers)}-")
    ledger.commit(
        [
            event(f"{hour}-{index}", features, timestamp=NOON + hour * HOUR + index * SECOND)
            for index, features in enumerate(rows)
        ]
    )


def report(store: Store, rows: Sequence[dict[str, Scalar]], rules: QualityRules = QUALITY_RULES) -> QualityReport:
    """What is said of one hour of these rows."""
    clock = Clock(NOON + HOUR)
    set_references(store)
    send(store, clock, rows)
    return check_quality(store, RULES, rules, STREAM, clock())


def severity(found: QualityReport, feature: str, rule: str) -> str:
    [quality] = [each for each in found.features if each.feature_name == feature]
    [rate] = [each for each in quality.rules if each.rule == rule]
    return rate.severity


def test_data_like_the_reference_are_sound(store: Store) -> None:
    found = report(store, [row(index) for index in range(300)])
    assert (found.severity, found.unsound, found.schema) == ("stable", [], [])
    assert found.score == pytest.approx(1 - 0.1 / 3)
    assert found.dimensions == pytest.approx({"completeness": 1 - 0.1 / 3, "validity": 1.0, "consistency": 1.0})


@pytest.mark.parametrize(
    ("feature", "value", "rule"),
    [
        ("number", None, "missing"),
        ("number", "12", "invalid_type"),
        ("number", 150.0, "above_range"),
        ("number", -50.0, "below_range"),
        ("colour", "blue", "unseen_category"),
        ("colour", None, "missing"),
    ],
)
@pytest.mark.parametrize(("every", "expected"), [(100, "stable"), (15, "warning"), (5, "alert"), (1, "alert")])
def test_a_share_of_unsound_values_that_has_risen_is_told(
    store: Store, feature: str, value: Scalar, rule: str, every: int, expected: str
) -> None:
    rows = [row(index) for index in range(600)]
    for index in range(1, len(rows), every):
        rows[index] = {**rows[index], feature: value}
    found = report(store, rows)
    assert severity(found, feature, rule) == expected
    assert (feature in found.unsound) == (expected != "stable")
    others = {each.feature_name for each in found.features} - {feature}
    assert not others & set(found.unsound)


def test_the_thresholds_that_are_shown_are_those_that_decide() -> None:
    """Of a rate that the reference hardly knows a rise of one point is enough; half of all values is always severe."""
    assert rise_thresholds(0.0, QUALITY_RULES) == (0.01, 0.1)
    assert rise_thresholds(0.2, QUALITY_RULES) == (0.05, 0.1)
    assert rise_thresholds(0.45, QUALITY_RULES) == (0.05, pytest.approx(0.05))
    few, many = (volume_check(current, [100, 101, 99, 100], dispersion=None) for current in (30, 250))
    assert volume_thresholds(few) == (20.0, 50.0)
    assert volume_thresholds(many) == (20.0, 100.0)


def test_a_share_that_is_as_large_in_the_reference_is_none_of_news(store: Store) -> None:
    found = report(store, [{**row(index), "sparse": None if index % 9 == 0 else 1.0} for index in range(600)])
    assert severity(found, "sparse", "missing") == "stable"


def test_few_values_that_show_nothing_are_not_judged_and_not_stable(store: Store) -> None:
    found = report(store, [row(index) for index in range(24)])
    assert {rule.severity for each in found.features for rule in each.rules} == {"insufficient_data"}
    assert (found.severity, found.unsound) == ("insufficient_data", [])
    unjudged, *others = found.not_judged
    assert (unjudged.state, unjudged.count) == ("insufficient_data", 6)
    assert unjudged.subjects == ["colour", "number", "sparse", "volume of 1h", "volume of 24h", "volume of 7d"]
    assert unjudged.reason == "24 of at least 100 values: 76 more are needed."
    assert others == []
    values, volumes = unjudged_values(found)
    assert (values.subjects, values.count, values.reason) == (["colour", "number", "sparse"], 3, unjudged.reason)
    assert (volumes.subjects, volumes.count) == (["volume of 1h", "volume of 24h", "volume of 7d"], 3)
    assert volumes.reason == found.volume[0].reason != unjudged.reason


def test_few_values_show_a_feature_that_is_always_missing(store: Store) -> None:
    found = report(store, [{**row(index), "number": None} for index in range(24)])
    assert severity(found, "number", "missing") == "alert"
    assert severity(found, "colour", "missing") == "insufficient_data"
    assert (found.severity, found.unsound) == ("alert", ["number"])
    [schema] = found.schema
    assert (schema.feature_name, schema.change, schema.severity) == ("number", "disappeared", "alert")
    assert {state.state: state.count for state in found.not_judged} == {"insufficient_data": 5, "no_data": 3}


def test_few_values_that_chance_could_explain_are_not_judged(store: Store) -> None:
    found = report(store, [{**row(index), "number": None if index == 5 else 1.0} for index in range(24)])
    assert severity(found, "number", "missing") == "insufficient_data"
    assert found.severity == "insufficient_data"


def test_what_is_judged_speaks_and_what_is_not_stands_beside_it(store: Store) -> None:
    rows = [{**row(index), "sparse": row(index)["sparse"] if index < 10 else None} for index in range(110)]
    rules = QualityRules(1.0, 3_600, leave_out=("sparse",))
    found = report(store, rows, rules)
    assert (found.severity, [each.count for each in found.not_judged]) == ("stable", [3])
    all_rules = check_quality(store, RULES, QUALITY_RULES, STREAM, NOON + HOUR)
    assert all_rules.severity == "alert"
    assert "sparse: above_range" in all_rules.not_judged[0].subjects


def test_without_a_reference_nothing_is_compared(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    send(store, clock, [row(index) for index in range(200)])
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock())
    assert (found.severity, found.features, found.score) == ("no_reference", [], None)
    assert found.reason is not None


def test_a_feature_that_disappears(store: Store) -> None:
    rows = [{name: value for name, value in row(index).items() if name != "colour"} for index in range(300)]
    [change] = report(store, rows).schema
    assert (change.feature_name, change.change, change.severity) == ("colour", "disappeared", "alert")


def test_a_feature_that_appears_once_all_others_have_a_reference(store: Store) -> None:
    rows = [{**row(index), "income": 1.0} for index in range(300)]
    assert report(store, rows).schema == [], "some features may not have had a reference yet"
    clock = Clock(NOON + HOUR)
    finish(clock)
    run_out(background(store, RULES, clock, provisional_size=200))
    set_references(store)
    send(store, clock, [{**row(index), "shoe_size": 1.0} for index in range(300)], hour=1)
    changes = check_quality(store, RULES, QUALITY_RULES, STREAM, clock()).schema
    assert [(each.feature_name, each.change) for each in changes if each.change == "appeared"] == [
        ("shoe_size", "appeared")
    ]


def test_a_value_that_stands_for_nothing(store: Store) -> None:
    found = report(
        store, [{**row(index), "number": -200.0 if index % 20 == 0 else number(index)} for index in range(600)]
    )
    [quality] = [each for each in found.features if each.feature_name == "number"]
    [sentinel] = quality.sentinels
    assert (sentinel.value, sentinel.side, sentinel.count) == (-200.0, "below", 30)
    assert quality.severity == "warning"


def test_a_value_that_stands_for_nothing_is_looked_for_in_the_whole_look_back(store: Store) -> None:
    """Two days of twelve rows, all but one with the code: neither of the days has a hundred."""
    clock = Clock(NOON + 30 * HOUR)
    set_references(store)
    for hour in range(0, 30, 2):
        send(store, clock, [{**row(hour), "number": -999.0}, {**row(hour), "number": -999.0 if hour else 1.0}], hour)
    rules = replace(RULES, lookbacks=("1h", "30h"))
    found = check_quality(store, rules, QUALITY_RULES, STREAM, clock())
    [quality] = [each for each in found.features if each.feature_name == "number"]
    [sentinel] = quality.sentinels
    assert (sentinel.value, sentinel.side, sentinel.severity) == (-999.0, "below", "warning")
    assert (sentinel.count, sentinel.n) == (29, 30)


@pytest.mark.parametrize(("every", "severity"), [(10, "stable"), (2, "warning")])
def test_a_code_that_the_reference_has_itself_is_named_with_its_share_then_and_now(
    store: Store, every: int, severity: str
) -> None:
    values = [-1.0 if i % 10 == 0 else float(20 + i % 61) for i in range(2_000)]
    towns: list[Scalar] = ["Unknown" if i % 10 == 0 else "Oslo" for i in range(2_000)]
    frame = ReferenceFrame(
        "m",
        None,
        [
            ReferenceSample("feature", "days", "continuous", list(values)),
            ReferenceSample("feature", "town", "categorical", towns),
        ],
    )
    set_reference_frame(store, frame, now=NOON, new_id=new_id)
    clock = Clock(NOON + HOUR)
    now: list[dict[str, Scalar]] = [
        {"days": -1.0 if i % every == 0 else 30.0, "town": "Unknown" if i % every == 0 else "Oslo"} for i in range(400)
    ]
    send(store, clock, now)
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock())
    for quality, code in zip(found.features, (-1.0, "Unknown"), strict=True):
        [sentinel] = quality.sentinels
        assert (sentinel.value, sentinel.side, sentinel.severity) == (code, "known", severity)
        assert (sentinel.share, sentinel.reference_share) == (1 / every, 0.1)
        assert quality.severity == severity


def test_a_text_that_stands_for_nothing_is_named_where_a_number_is_expected_and_among_categories(store: Store) -> None:
    rows = [
        {**row(i), "number": "N/A" if i % 5 == 0 else 1.0, "colour": "unknown" if i % 5 else "red"} for i in range(200)
    ]
    found = report(store, rows)
    named = {each.feature_name: [(code.value, code.side) for code in each.sentinels] for each in found.features}
    assert named == {"number": [("N/A", "text")], "colour": [("unknown", "text")], "sparse": []}


@pytest.mark.both_engines
def test_changed_repeats_are_told_from_the_share_that_matters_and_exact_ones_never(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    set_references(store)
    rows = [row(index) for index in range(200)]
    send(store, clock, rows)
    send(store, clock, rows)
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock()).duplicates
    assert (found.severity, found.count, found.share, found.changed) == ("stable", 200, 0.5, 0)
    changed = [{**each, "number": -1.0} for each in rows]
    send(store, clock, changed[:40])
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock()).duplicates
    assert (found.severity, found.count, found.changed, found.n) == ("stable", 240, 40, 440)
    send(store, clock, changed[:20])
    found = check_quality(store, RULES, QUALITY_RULES, STREAM, clock()).duplicates
    assert (found.severity, found.changed, found.changed_share) == ("warning", 60, pytest.approx(60 / 460))
    off = QualityRules(1.0, 3_600, duplicates=0.0)
    assert check_quality(store, RULES, off, STREAM, clock()).duplicates.severity == "stable"


def test_features_that_are_left_out_are_not_looked_at(store: Store) -> None:
    rules = QualityRules(1.0, 3_600, leave_out=("num*",))
    found = report(store, [{**row(index), "number": None} for index in range(300)], rules)
    assert [each.feature_name for each in found.features] == ["colour", "sparse"]
    assert found.unsound == []


@pytest.mark.both_engines
def test_where_alpha_comes_from_is_said(store: Store) -> None:
    found = report(store, [row(index) for index in range(300)])
    origin = found.alpha_from
    assert origin is not None
    looks = origin.subjects * origin.streams * origin.lookbacks * 30 * 86_400 / origin.seconds
    assert found.alpha == pytest.approx(origin.false_alarm_budget * origin.share / looks)
    assert not origin.capped


def test_volume_needs_weeks_to_be_told(store: Store) -> None:
    found = report(store, [row(index) for index in range(300)])
    assert [(each.span, each.severity) for each in found.volume] == [
        ("1h", "insufficient_data"),
        ("24h", "insufficient_data"),
        ("7d", "insufficient_data"),
    ]


@pytest.mark.parametrize("before", [0, 5, 23])
def test_a_stream_of_two_weeks_has_too_few_weeks_at_every_hour(before: int) -> None:
    """The seven days to the last midnight lie `before` hours back, and then one week is all that is whole."""
    found = volume_of_hours(Volumes(((3,) * 168,), (3,) * 168), 168, before)
    assert (found.current, found.expected) == (3 * 168, None)
    assert found.reason is not None


def findings(taken: Taken) -> list[list[Finding]]:
    return [list(each.findings) for each in taken.assessments if "data_quality" in each.kinds]


@pytest.mark.both_engines
def test_what_is_found_persists_ends_and_can_be_computed_again(store: Store) -> None:
    clock, taken = Clock(NOON + 100 * HOUR), Taken()
    set_references(store)
    for hour in range(14):
        bad = 4 <= hour < 6
        rows = [{**row(index), "number": None if bad and index % 3 == 0 else number(index)} for index in range(200)]
        send(store, clock, rows, hour)
    finish(clock)
    run_out(background(store, RULES, clock, sink=taken, quality=QUALITY_RULES))
    found = findings(taken)
    assert len(found) == 14
    assert not any(found[:4])
    [finding] = found[4]
    assert (finding.kind, finding.subject, finding.severity) == ("data_quality", "number: missing", "alert")
    assert finding.detail == "number: 33.5 % of values are missing (reference: 0 %)"
    assert finding.score >= finding.threshold
    assert not found[-1], "the longest look-back has passed"
    with store.read() as connection:
        [verdict] = latest_verdicts(connection, check=QUALITY)
        raw = evidence_of(connection, verdict.id)
    assert raw is not None
    assert decode_quality(raw).stream == tuple(STREAM)
    again = verify_verdict(store, verdict.id)
    assert (again.reproduced, again.problems) == (True, [])


def test_a_feature_that_was_new_and_is_in_no_row_any_more_ends_by_evidence(store: Store) -> None:
    clock, taken = Clock(NOON + 100 * HOUR), Taken()
    set_references(store)
    send(store, clock, [row(index) for index in range(300)])
    run_out(background(store, RULES, clock, provisional_size=200))
    for hour in range(1, 13):
        new: dict[str, Scalar] = {"shoe_size": 1.0} if hour < 3 else {}
        send(store, clock, [{**row(index), **new} for index in range(200)], hour)
    finish(clock)
    run_out(background(store, RULES, clock, sink=taken, quality=QUALITY_RULES))
    with store.read() as connection:
        newest_last = verdicts_of(connection, "m", check=QUALITY, limit=100)[::-1]
        kept = [evidence_of(connection, verdict.id) for verdict in newest_last]
    found = [[each.subject for each in evaluation] for evaluation in findings(taken)]
    assert found[:2] == [[], ["shoe_size: appeared"]]
    ended = found.index([], 1)
    assert not any(found[ended:])
    changes = [
        [(each.feature_name, each.change, each.severity, each.count, each.n) for each in report.schema]
        for report in (msgspec.json.decode(verdict.result, type=QualityReport) for verdict in newest_last)
    ]
    assert changes[ended] == [("shoe_size", "appeared", "stable", 0, 1_000)]
    assert changes[-1] == [], "nobody waits for it any more"
    raw = kept[ended]
    assert raw is not None
    assert decode_quality(raw).sample.given["shoe_size"] == 0
    for verdict in newest_last:
        if verdict.full:
            assert verify_verdict(store, verdict.id).problems == []


def test_a_new_feature_that_is_left_out_is_not_told_any_more(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    set_references(store)
    send(store, clock, [{**row(index), "shoe_size": 1.0} for index in range(300)])
    finish(clock)
    run_out(background(store, RULES, clock))
    open_findings = [Condition("data_quality", "shoe_size: appeared", "", "1", 0)]
    assert appeared_in([*open_findings, Condition("data_quality", "number: missing", "", "1", 0)]) == ["shoe_size"]
    for rules in (replace(QUALITY_RULES, leave_out=("shoe_*",)), replace(QUALITY_RULES, schema=False)):
        evidence = gather_quality(store, RULES, rules, STREAM, clock())
        names = {each.name for each in quality_observations(evaluate_quality(evidence))}
        assert evidence.sample.given["shoe_size"] == 300
        assert "shoe_size: appeared" not in names


def test_bytes_that_are_no_evidence_are_refused() -> None:
    with pytest.raises(ValueError, match="not the bytes"):
        decode_quality(b"x")
