"""The performance check through the store: judged as labels come, of windows whose labels should have come."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from modelwatch.errors import UnknownResource
from modelwatch.findings import Assessment, Finding
from modelwatch.monitoring.checks.performance.check import PerformanceCheck, check_performance
from modelwatch.monitoring.checks.performance.evaluation import evaluate_performance
from modelwatch.monitoring.checks.performance.evidence import (
    decode_performance,
    encode_performance,
    gather_performance,
    outcome_reference_of,
)
from modelwatch.monitoring.checks.performance.observations import performance_observations
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, PerformanceReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.storage.counts.outcomes import give_up_labels
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.retention import expire_days, remove_predictions
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, StoredVerdict, verdicts_of
from tests.support.background import Taken, assert_brief, background, run_out
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE, SECOND
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.stores.labels import label

DRIFT = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600, on_new_data=False)
RULES = replace(PerformanceRules.of(DRIFT, 0.02), lookbacks=("1h", "6h"))
STREAM = StreamKey("m", "1", "production")


@pytest.fixture
def referenced(store: Store) -> Store:
    """A store with a labelled reference of 4,000 rows."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(4_000, 99))
    return store


def evaluate(store: Store, clock: Clock, rules: PerformanceRules = RULES) -> list[Assessment]:
    """What background work tells of the performance."""
    taken = Taken()
    run_out(background(store, DRIFT, clock, sink=taken, performance=rules))
    return [each for each in taken.assessments if "performance" in each.kinds]


def verdicts(store: Store) -> list[StoredVerdict]:
    with store.read() as connection:
        return verdicts_of(connection, "m", check=PERFORMANCE, limit=1_000)[::-1]


def report_of(verdict: StoredVerdict) -> PerformanceReport:
    return msgspec.json.decode(verdict.result, type=PerformanceReport)


def now(store: Store, clock: Clock, rules: PerformanceRules = RULES) -> PerformanceReport:
    return check_performance(store, rules, STREAM, clock())


def window(report: PerformanceReport, lookback: str, *, matured: bool = True) -> LabelledWindowReport:
    [found] = [each for each in report.windows if each.lookback == lookback and each.matured == matured]
    return found


def send_day(store: Store, clock: Clock, hours: int, broken: range = range(0)) -> None:
    """Hours of 200 predictions with labels ten minutes later; in the broken hours the truth is another."""
    for hour in range(hours):
        rows = outcomes(200, hour, flipped=0.5 if hour in broken else 0.0)
        send_labelled(store, clock, rows, at=NOON + hour * HOUR, label_after=10 * MINUTE)


def subjects(found: Assessment) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found.findings}


def test_a_loss_is_found_and_is_over_when_the_model_is_right_again(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 24, broken=range(8, 12))
    assessments = evaluate(referenced, clock)
    found = [(each.window_end - NOON // SECOND) / 3_600 for each in assessments if subjects(each)]
    # The break is at the eighth hour, labels take a quarter of one, and the longer look-back is the last to forget it.
    assert 8.0 < min(found) <= 9.5
    assert 12.0 < max(found) <= 20.5
    worst = subjects(next(each for each in assessments if each.window_end >= NOON // SECOND + 10.5 * 3_600))
    assert worst["accuracy"].severity == "alert"
    assert worst["accuracy"].kind == "performance"
    assert re.match(
        r"Accuracy fell by [\d.]+ points \([\d.]+ % → [\d.]+ %; 95 % interval [\d.]+ % to [\d.]+ %\)",
        worst["accuracy"].detail,
    )
    assert subjects(assessments[-1]) == {}
    for assessment in assessments:
        assert assessment.kinds == ("performance", "label_drift")
        for finding in assessment.findings:
            assert finding.holding or finding.score >= finding.threshold
            assert finding.since <= assessment.window_end


def test_a_model_that_is_as_right_as_its_reference_is_stable(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 24)
    assert [each.findings for each in evaluate(referenced, clock)] == [()] * len(verdicts(referenced))
    assert {verdict.severity for verdict in verdicts(referenced)} <= {"stable", "insufficient_data", "no_data"}


@pytest.mark.both_engines
def test_every_verdict_comes_out_again_to_the_bit(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 12, broken=range(8, 12))
    evaluate(referenced, clock)
    found = verdicts(referenced)
    assert found[-1].severity == "alert"
    for verdict in found:
        assert_brief(referenced, PerformanceCheck, verdict)
        again = verify_verdict(referenced, verdict.id)
        assert (again.reproduced, again.problems, again.references) == (True, [], 1)


def test_an_evaluation_draws_no_resamples_until_its_whole_report_is_made(
    referenced: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = later(100)
    # Rows of no other test: what has been drawn is remembered.
    for hour in range(12):
        send_labelled(referenced, clock, outcomes(150, 7_000 + hour), at=NOON + hour * HOUR, label_after=10 * MINUTE)
    inputs = gather_performance(referenced, RULES, STREAM, NOON // SECOND + 11 * 3_600)

    def refused(*given: object, **options: object) -> None:
        raise AssertionError("resamples were drawn")

    with monkeypatch.context() as patched:
        patched.setattr("modelwatch.stats.performance.confusion.bootstrap", refused)
        evaluation = PerformanceCheck.evaluate(inputs)
        brief = PerformanceCheck.brief(evaluation)
        headline = PerformanceCheck.headline(evaluation, brief)
        with pytest.raises(AssertionError, match="resamples"):
            PerformanceCheck.report(evaluation)
    whole = PerformanceCheck.report(evaluation)
    assert (brief.severity, brief.windows) == (whole.severity, [])
    shown = window(whole, "6h").metrics["accuracy"]
    assert (headline.subject, headline.value, headline.low, headline.n) == ("accuracy", shown.value, shown.low, shown.n)
    assert window(whole, "6h").metrics["mcc"].low is not None


def test_predictions_without_labels_are_never_an_alarm_and_labels_alone_bring_one(referenced: Store) -> None:
    clock = later(5)
    send_day(referenced, clock, 5)
    evaluate(referenced, clock)
    before = len(verdicts(referenced))
    clock.now = NOON + 8 * HOUR
    label_now = [
        send_labelled(
            referenced,
            clock,
            outcomes(200, hour, flipped=0.5),
            at=NOON + hour * HOUR,
            label_after=None,
        )
        for hour in (5, 6, 7)
    ]
    assert all(not each.findings for each in evaluate(referenced, clock))
    latest = window(now(referenced, clock), "1h", matured=False)
    assert (latest.predictions, latest.labelled, latest.coverage) == (200, 0, 0.0)
    assert latest.immature is not None
    for each in label_now:
        each()
    clock.now = NOON + 10 * HOUR
    # Labels that take longer than those before move the matured windows back; they come to the broken ones in time.
    send_labelled(referenced, clock, outcomes(10), at=NOON + 10 * HOUR - MINUTE, label_after=0)
    clock.now = NOON + 11 * HOUR
    found = evaluate(referenced, clock)
    assert len(verdicts(referenced)) > before
    assert "accuracy" in subjects(found[-1])


def test_an_immature_window_neither_raises_nor_ends_anything(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 12, broken=range(6, 12))
    raised = subjects(evaluate(referenced, clock)[-1])
    # From here on only one in ten gets its label in the usual time, and that one is right.
    for hour in range(12, 30):
        at = NOON + hour * HOUR
        send_labelled(referenced, clock, outcomes(180, hour), at=at, label_after=None)
        right = [Outcome(row.prediction, row.probability, row.prediction) for row in outcomes(20, hour)]
        send_labelled(referenced, clock, right, at=at, label_after=MINUTE)
    found = evaluate(referenced, clock)
    assert len(found) > 10
    for assessment in found[-5:]:
        assert subjects(assessment)["accuracy"].since == raised["accuracy"].since
    latest = window(now(referenced, clock), "1h")
    assert latest.immature is not None
    assert "are usual by now" in latest.immature
    assert {each.severity for each in latest.metrics.values()} <= {"immature", None}


@pytest.mark.both_engines
def test_each_look_back_has_the_latest_window_and_the_matured_one(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 8)
    report = now(referenced, clock)
    assert report.arrivals.labels == 1_600
    assert report.arrivals.median_seconds == pytest.approx(600, rel=0.2)
    assert report.arrivals.lag_seconds == 900
    assert report.arrivals.coverage == 1.0
    latest, matured = (window(report, "1h", matured=each) for each in (False, True))
    assert latest.end == "2025-06-15T22:10:00Z"
    assert (latest.severity, matured.severity) == (None, "stable")
    assert [each.lookback for each in report.windows] == ["1h", "6h", "1h", "6h"]
    assert (latest.immature is None, matured.immature) == (False, None)
    assert latest.end > matured.end


def test_labels_that_come_at_once_have_no_lag_and_both_windows_are_one(referenced: Store) -> None:
    clock = later(100)
    send_labelled(referenced, clock, outcomes(500), at=NOON)
    report = now(referenced, clock)
    assert (report.arrivals.lag_seconds, report.arrivals.p99_seconds) == (0, 0.0)
    for lookback in RULES.lookbacks:
        latest, matured = (window(report, lookback, matured=each) for each in (False, True))
        assert (latest.start, latest.end, latest.labelled) == (matured.start, matured.end, matured.labelled)
        assert latest.confusion == matured.confusion
        assert matured.severity == "stable"


def test_the_report_has_what_people_ask_for(referenced: Store) -> None:
    clock = later(100)
    rows = outcomes(3_000, 5)
    send_labelled(referenced, clock, rows, at=NOON, apart=SECOND // 2)
    report = now(referenced, clock)
    assert (report.task, report.classes, report.positive_class) == ("binary", ["no", "yes"], "yes")
    assert (report.score_of, report.reference_labels, report.reference_state) == ("positive", 4_000, "active")
    found = window(report, "1h")
    right = sum(row.prediction == row.truth for row in rows)
    accuracy = found.metrics["accuracy"]
    assert accuracy.value == right / 3_000
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < accuracy.value < accuracy.high
    assert found.confusion is not None
    assert found.confusion.classes[:2] == ["no", "yes"]
    assert sum(map(sum, found.confusion.matrix)) == 3_000
    assert found.per_class is not None
    assert [each.name for each in found.per_class] == ["no", "yes"]
    assert found.calibration is not None
    assert sum(each.n for each in found.calibration) == 3_000
    assert found.label_drift is not None
    assert found.label_drift.severity == "stable"


def test_the_estimate_stands_beside_the_realised_value_and_needs_no_labels(referenced: Store) -> None:
    clock = later(100)
    send_labelled(referenced, clock, outcomes(3_000, 5), at=NOON, apart=SECOND // 2)
    send_labelled(referenced, clock, outcomes(3_000, 6), at=NOON + HOUR, label_after=None, apart=SECOND // 2)
    report = now(referenced, clock)
    labelled, unlabelled = window(report, "6h").estimate, window(report, "1h", matured=False).estimate
    assert labelled is not None
    assert unlabelled is not None
    assert "concept drift" in labelled.assumption
    assert (labelled.refused, unlabelled.refused, unlabelled.predictions) == (None, None, 3_000)
    for name in ("accuracy", "roc_auc", "f1"):
        realised, expected = window(report, "6h").metrics[name].value, labelled.metrics[name]
        assert realised is not None
        assert expected.low is not None
        assert expected.high is not None
        assert expected.low <= realised <= expected.high


def test_without_a_labelled_reference_there_is_neither_comparison_nor_estimate(store: Store) -> None:
    clock = later(100)
    watch_yes(store)
    send_labelled(store, clock, outcomes(500), at=NOON)
    evaluate(store, clock)
    report = now(store, clock)
    assert (report.task, report.severity, report.reference_labels) == ("binary", "no_reference", 0)
    assert report.reason is not None
    assert report.reason.startswith("The reference has no labels")
    found = window(report, "1h")
    assert found.metrics["accuracy"].value is not None
    assert found.estimate is not None
    assert found.estimate.refused == "the reference has no labels: upload a labelled reference"


def test_a_limit_alarms_without_a_reference_and_ends_without_one(store: Store) -> None:
    clock = later(100)
    watch_yes(store)
    rules = replace(RULES, limits={"accuracy": 0.8}, lookbacks=("1h",))
    send_day(store, clock, 12, broken=range(4, 6))
    found = evaluate(store, clock, rules)
    # The layout is settled from the first labels, so some of it is judged again; what counts is how it went.
    raised = [subjects(each) for each in found if subjects(each)]
    assert raised
    assert {name for each in raised for name in each} == {"accuracy"}
    finding = raised[0]["accuracy"]
    assert (finding.severity, finding.score_name, finding.threshold) == ("alert", "shortfall of accuracy", 0.0)
    assert finding.detail.endswith("the limit is 80.0 %")
    assert subjects(found[-1]) == {}


def test_a_model_that_predicts_numbers(store: Store) -> None:
    clock = later(100)
    truths = [float(index % 97) for index in range(2_000)]
    set_labelled_reference(store, [Outcome(t + (i % 3 - 1), None, t) for i, t in enumerate(truths)], "continuous")
    send_labelled(store, clock, [Outcome(t - 6.0, None, t) for t in truths[:500]], at=NOON)
    report = now(store, clock)
    assert (report.task, report.classes, report.positive_class, report.score_of) == ("regression", [], None, None)
    found = window(report, "1h")
    assert found.metrics["mae"].value == pytest.approx(6.0)
    assert {found.metrics[name].severity for name in ("mae", "rmse", "mean_error")} == {"alert"}
    assert (found.confusion, found.per_class, found.calibration) == (None, None, None)
    assert found.estimate is not None
    assert found.estimate.refused == "only classifiers with probabilities are estimated: the model predicts numbers"
    [finding] = [each for each in evaluate(store, clock)[-1].findings if each.subject == "mean_error"]
    assert finding.detail == "Mean error fell by 6 (−0.0005 → −6; 95 % interval −6 to −6)"


def test_a_model_of_several_classes(store: Store) -> None:
    clock = later(100)

    def rows(n: int, wrong: int) -> list[Outcome]:
        made = []
        for index in range(n):
            truth, other = "abc"[index % 3], "abc"[(index + 1) % 3]
            said = other if index % wrong == 0 else truth
            share = 0.55 + 0.4 * (index % 10) / 10
            made.append(Outcome(said, {name: share if name == said else (1 - share) / 2 for name in "abc"}, truth))
        return made

    set_labelled_reference(store, rows(3_000, 7))
    send_labelled(store, clock, rows(700, 3), at=NOON)
    report = now(store, clock)
    assert (report.task, report.positive_class, report.score_of) == ("multiclass", None, None)
    found = window(report, "1h")
    assert {found.metrics[name].severity for name in ("accuracy", "f1_macro", "log_loss")} == {"alert"}
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3, abs=0.01)
    assert found.estimate is not None
    assert found.estimate.refused is None
    assert list(found.estimate.metrics) == ["accuracy"]
    assert found.label_drift is not None
    assert found.label_drift.severity == "stable"


def test_probabilities_of_the_positive_class_are_known_by_the_labelled_reference(store: Store) -> None:
    set_labelled_reference(store, outcomes(2_000, 99))
    send_labelled(store, later(100), outcomes(500), at=NOON)
    report = now(store, later(100))
    assert (report.positive_class, report.score_of, report.warnings) == ("yes", "positive", [])
    found = window(report, "1h").metrics["roc_auc"]
    assert found.value is not None
    assert found.value > 0.9


def of_positive(store: Store) -> None:
    """Probabilities of the positive class, in a model that neither its monitor nor its reference says so of."""
    rows = [Outcome(row.prediction, None, row.truth) for row in outcomes(2_000, 99)]
    set_labelled_reference(store, rows)
    send_labelled(store, later(100), outcomes(500), at=NOON)


def test_probabilities_that_can_not_be_those_of_the_predicted_class_are_refused(store: Store) -> None:
    of_positive(store)
    report = now(store, later(100))
    assert report.score_of == "predicted"
    assert any("metrics of scores can't be computed" in warning for warning in report.warnings)
    found = window(report, "1h")
    why = "set positive_class in the model's monitor"
    for name in ("roc_auc", "pr_auc", "log_loss", "brier", "ece"):
        assert (found.metrics[name].value, found.metrics[name].low) == (None, None)
        assert why in (found.metrics[name].reason or "")
    assert (found.metrics["log_loss"].severity, found.calibration) == ("insufficient_data", None)
    assert found.metrics["accuracy"].severity == "stable"
    assert found.estimate is not None
    assert why in (found.estimate.refused or "")


def test_probabilities_of_the_predicted_class_are_taken_as_they_are(store: Store) -> None:
    def of_predicted(n: int, seed: int) -> list[Outcome]:
        made = []
        for row in outcomes(n, seed):
            assert isinstance(row.probability, float)
            made.append(Outcome(row.prediction, max(row.probability, 1 - row.probability), row.truth))
        return made

    set_labelled_reference(store, of_predicted(2_000, 99))
    send_labelled(store, later(100), of_predicted(500, 1), at=NOON)
    found = window(now(store, later(100)), "1h")
    assert found.metrics["roc_auc"].value is not None
    assert found.metrics["roc_auc"].value > 0.9
    assert found.metrics["log_loss"].severity == "stable"
    assert found.estimate is not None
    assert found.estimate.refused is None


def test_a_model_that_nobody_heard_of_and_one_without_labels(store: Store) -> None:
    with pytest.raises(UnknownResource):
        now(store, Clock())
    open_ledger(store).commit([event("a")])
    report = now(store, Clock())
    assert (report.severity, report.task, report.arrivals.labels) == ("no_data", None, 0)
    assert report.reason is not None
    assert report.reason.startswith("No labels have been received")
    assert evaluate(store, later(1)) == []


def test_a_few_labels_do_not_tell_the_task(store: Store) -> None:
    send_labelled(store, Clock(), outcomes(5), at=NOON)
    report = now(store, later(1))
    assert (report.task, report.arrivals.labels) == (None, 5)
    assert report.reason is not None
    assert report.reason.startswith("Too few labels")


def test_labels_without_a_prediction_are_reported_as_waiting(referenced: Store) -> None:
    clock = later(100)
    send_labelled(referenced, clock, outcomes(150), at=NOON)
    ledger = open_ledger(referenced, clock, prefix="early")
    ledger.commit([], [label(f"early-{index}") for index in range(3)])
    arrivals = now(referenced, clock).arrivals
    assert (arrivals.labels, arrivals.waiting, arrivals.orphaned) == (150, 3, 0)


def test_labels_of_predictions_that_have_expired_are_reported(referenced: Store) -> None:
    """By their own time: an old one at once, a recent one when it has waited for long enough."""
    clock = later(1)
    send_labelled(referenced, clock, outcomes(50), at=NOON)
    clock.advance(40 * 86_400)
    day = NOON // (86_400 * 1_000_000)
    expired = expire_days(referenced, STREAM.model, day=day + 1, arrived_before=clock() - 30 * 86_400 * 1_000_000)
    assert expired.days == (day,)
    while remove_predictions(referenced, STREAM.model, day, 100):
        pass
    ledger = open_ledger(referenced, clock, prefix="late")
    said = ledger.commit([], [label("gone-1", timestamp=NOON), label("gone-2", timestamp=clock())]).labels
    assert said == ["expired", "waiting"]
    before = now(referenced, clock).arrivals
    assert (before.waiting, before.orphaned, before.expired) == (1, 0, 1)
    clock.advance(86_400)
    assert give_up_labels(referenced, clock(), 10) == 1
    after = now(referenced, clock).arrivals
    assert (after.waiting, after.orphaned, after.expired) == (0, 1, 1)


def test_what_is_switched_off_leaves_no_verdict(referenced: Store) -> None:
    clock = later(100)
    send_day(referenced, clock, 3)
    assert evaluate(referenced, clock, replace(RULES, enabled=False)) == []
    assert verdicts(referenced) == []


def test_evidence_is_its_bytes_and_other_bytes_are_named(referenced: Store) -> None:
    send_labelled(referenced, Clock(), outcomes(300), at=NOON)
    inputs = gather_performance(referenced, RULES, STREAM, None)
    raw = encode_performance(inputs.evidence)
    assert decode_performance(raw) == inputs.evidence
    assert evaluate_performance(inputs).alpha == pytest.approx(0.25 / (8 * 2 * 720))
    with pytest.raises(ValueError, match="not the bytes of evidence"):
        decode_performance(b"nothing")
    with pytest.raises(ValueError, match="not the bytes of evidence"):
        decode_performance(zlib.compress(b"nothing"))
    newer = msgspec.msgpack.decode(zlib.decompress(raw))
    newer["format"] = 99
    with pytest.raises(ValueError, match="format 99; this release reads format 1"):
        decode_performance(zlib.compress(msgspec.msgpack.encode(newer)))


def test_a_reference_that_is_gone_can_not_be_verified_by(referenced: Store) -> None:
    inputs = gather_performance(referenced, RULES, STREAM, NOON // SECOND)
    with referenced.read() as connection:
        assert outcome_reference_of(connection, inputs.evidence) is not None
        assert outcome_reference_of(connection, replace(inputs.evidence, reference=None)) is None
        with pytest.raises(UnknownResource):
            outcome_reference_of(connection, replace(inputs.evidence, reference="gone"))


def test_what_calms_down_holds_until_it_is_clearly_over(referenced: Store) -> None:
    clock = later(100)
    send_labelled(referenced, clock, outcomes(3_000, 1, flipped=0.06), at=NOON, apart=SECOND // 2)
    loss = window(now(referenced, clock), "1h").metrics["accuracy"].loss
    assert loss is not None
    seen_at = {}
    for times in (0.4, 0.9, 1.1, 1.4):
        rules = replace(RULES, tolerance=times * loss, metrics=("accuracy",), label_drift=False, label_coverage=False)
        inputs = gather_performance(referenced, rules, STREAM, None)
        [seen] = performance_observations(evaluate_performance(inputs))
        assert (seen.kind, seen.name) == ("performance", "accuracy")
        seen_at[times] = (seen.state, seen.holding)
        assert (seen.finding is not None) == (seen.state == "drifted" or seen.holding)
    assert seen_at == {
        0.4: ("drifted", False),
        0.9: ("drifted", False),
        1.1: ("calm", True),
        1.4: ("calm", False),
    }


def send_with_delays(store: Store, rows: Sequence[Outcome], hours: Sequence[float], apart: int) -> None:
    """Predictions from noon on, `apart` microseconds from each other, and their labels so many hours after each."""
    events, labels = [], []
    for number, (row, delay) in enumerate(zip(rows, hours, strict=True)):
        assert isinstance(row.prediction, str)
        at = NOON + number * apart
        events.append(
            event(str(number), {}, timestamp=at, prediction=row.prediction, probability=row.probability)  # type: ignore[arg-type]
        )
        labels.append(label(str(number), row.truth, timestamp=at + int(delay * HOUR)))  # type: ignore[arg-type]
    ledger = open_ledger(store, later(200))
    ledger.commit(events, labels)
    ledger.close()


def immature_reasons(store: Store) -> set[str | None]:
    found = [msgspec.json.decode(each.result, type=PerformanceReport) for each in verdicts(store)]
    return {window.immature for each in found for window in each.windows}


def test_a_new_model_is_not_judged_by_the_labels_that_come_quickly(referenced: Store) -> None:
    """What was wrong is known sooner than what was right, and at first only quick labels are known."""
    rng, rows = np.random.default_rng(1), outcomes(15_000, 5)
    delays = [rng.exponential(0.25 if row.prediction != row.truth else 4.0) for row in rows]
    send_with_delays(referenced, rows, delays, 6 * SECOND)
    assert [each.findings for each in evaluate(referenced, later(200)) if each.findings] == []
    assert any("how late most of them are is known after" in (reason or "") for reason in immature_reasons(referenced))
    assert "stable" in {each.severity for each in verdicts(referenced)}


@pytest.mark.parametrize("labelled", [1.0, 0.5])
def test_a_file_that_is_sent_once_is_judged_when_its_labels_have_come(referenced: Store, labelled: float) -> None:
    """Two hours of predictions with labels a day later: nothing else will come."""
    rng, rows = np.random.default_rng(1), outcomes(3_000, 5, flipped=0.6)
    delays = [rng.uniform(20.0, 30.0) if rng.random() < labelled else 10_000.0 for _ in rows]
    send_with_delays(referenced, rows, delays, 2_400_000)
    found = evaluate(referenced, later(201))
    assert {each.subject for assessment in found for each in assessment.findings} >= {"accuracy", "log_loss"}
