"""A verdict as of some time knows what was known then: a replay gives the verdicts of live operation, byte for byte."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import delete

from modelwatch.events import GroundTruth, Prediction
from modelwatch.monitoring.checks.performance.evidence import (
    decode_performance,
    encode_performance,
    gather_performance,
)
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import counts_of, window_of
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.counts.labels import times
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.verdicts.verdicts import PERFORMANCE, evidence_of, verdicts_of
from tests.support.background import background, new_id, run_out
from tests.support.data.labelled import outcomes, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, Clock, event, open_ledger

DRIFT = DriftRules(0.1, 0.25, 0.05, 60, 1.0, ("1h", "6h"), 3_600, on_new_data=False)
RULES = replace(PerformanceRules.of(DRIFT, 0.02), lookbacks=("1h", "6h"))
STREAM = StreamKey("m", "1", "production")
HOURS = 14


def traffic(rows_an_hour: int = 40) -> tuple[list[Prediction], list[GroundTruth]]:
    """Hours of predictions of two versions, and the labels of most of them: some at once, the others hours later."""
    rng = np.random.default_rng(5)
    predictions, labels = [], []
    for index, row in enumerate(outcomes(rows_an_hour * HOURS, 3, flipped=0.1)):
        at = NOON + index * HOUR // rows_an_hour
        version = "2" if index % 7 == 0 else "1"
        predictions.append(
            event(
                f"p{index}",
                {},
                version=version,
                timestamp=at,
                prediction=row.prediction,  # type: ignore[arg-type]
                probability=row.probability,
            )
        )  # type: ignore[arg-type]
        if index % 5:
            delay = 0 if index % 3 == 0 else int(rng.exponential(4.0) * HOUR)
            labels.append(GroundTruth("m", f"p{index}", row.truth, at + delay))  # type: ignore[arg-type]
    return predictions, sorted(labels, key=lambda label: label.timestamp)


def told(store: Store) -> dict[tuple[str, int], tuple[bytes, bytes, bytes]]:
    """By version and time, every performance verdict: evidence, report and conditions."""
    with store.read() as connection:
        found = verdicts_of(connection, "m", check=PERFORMANCE, limit=1_000)
        raw = {verdict.id: evidence_of(connection, verdict.id) or b"" for verdict in found}
    return {
        (verdict.version, verdict.window_end): (raw[verdict.id], bytes(verdict.result), bytes(verdict.conditions))
        for verdict in found
    }


def send(store: Store, clock: Clock, predictions: list[Prediction], labels: list[GroundTruth]) -> None:
    ledger = open_ledger(store, clock, prefix=uuid.uuid4().hex)
    ledger.commit(predictions, labels)
    ledger.close()


def evaluate(store: Store, clock: Clock) -> None:
    run_out(background(store, DRIFT, clock, performance=RULES, provisional_size=1_000_000))


def in_steps(store: Store, predictions: list[Prediction], labels: list[GroundTruth], step: int) -> Clock:
    """Sends what happened in the order of its time, a step at a time, and evaluates after each."""
    clock = Clock(NOON + 1_000 * HOUR)
    for end in range(NOON + step, NOON + 2 * HOURS * HOUR, step):
        send(
            store,
            clock,
            [each for each in predictions if end - step <= each.timestamp < end],
            [each for each in labels if end - step <= each.timestamp < end],
        )
        clock.advance(1)
        evaluate(store, clock)
    return clock


@pytest.mark.both_engines
def test_what_is_evaluated_long_after_is_as_it_was_live(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    clock = in_steps(store, *traffic(), 2 * HOUR)
    clock.advance(60)
    evaluate(store, clock)
    live = told(store)
    assert len({end for _, end in live}) >= HOURS // 2
    assert {version for version, _ in live} == {"1", "2"}
    with store.write() as connection:
        connection.execute(delete(tables.verdict).where(tables.verdict.c.check_name == PERFORMANCE))
    clock.advance(3_600)
    evaluate(store, clock)
    again = told(store)
    assert again.keys() == live.keys()
    for key, verdict in live.items():
        assert decode_performance(verdict[0]) == decode_performance(again[key][0]), key
        assert verdict == again[key], key


def test_labels_that_all_come_at_once_give_the_verdicts_of_labels_that_come_in_their_order(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    predictions, labels = traffic()
    clock = Clock(NOON + 1_000 * HOUR)
    send(store, clock, predictions, [])
    # Labels arrive some at a time after all predictions are there.
    for start in range(0, len(labels), 100):
        send(store, clock, [], labels[start : start + 100])
        clock.advance(1)
        evaluate(store, clock)
    clock.advance(60)
    evaluate(store, clock)
    slowly = told(store)
    with store.write() as connection:
        connection.execute(delete(tables.verdict).where(tables.verdict.c.check_name == PERFORMANCE))
    evaluate(store, clock)
    assert told(store) == slowly
    assert len({end for _, end in slowly}) >= HOURS // 2


def test_a_label_from_after_the_time_of_a_verdict_does_not_count_in_it(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    predictions, labels = traffic()
    clock = Clock(NOON + 1_000 * HOUR)
    send(store, clock, predictions, labels)
    evaluate(store, clock)
    when = {label.prediction_id: label.timestamp for label in labels}
    checked = 0
    for (version, end), (raw, *_) in told(store).items():
        for window in decode_performance(raw).windows:
            known = sum(
                each.model_version == version
                and window.window.start <= each.timestamp // SECOND < window.window.end
                and when.get(each.prediction_id, end * SECOND + 1) <= end * SECOND
                for each in predictions
            )
            counts = counts_of(window.outcomes)
            assert (0 if counts is None else int(counts[:102].sum())) == known
            checked += known > 0
    assert checked > 40


@pytest.mark.both_engines
def test_later_labels_are_the_same_by_their_times_and_by_their_predictions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    predictions, labels = traffic()
    clock = Clock(NOON + 1_000 * HOUR)
    send(store, clock, predictions, labels)
    moment = NOON // SECOND + 15 * 3_600

    def evidence() -> bytes:
        return encode_performance(gather_performance(store, RULES, STREAM, moment, as_known_then=True).evidence)

    def both_ways() -> list[bytes]:
        found = []
        for few in (1_000_000, 0):
            monkeypatch.setattr(times, "FEW_LABELS", few)
            found.append(evidence())
        return found

    found = both_ways()
    assert found[0] == found[1]
    # What is remembered of a window holds for as long as no label of it has changed.
    made = {each.prediction_id: each.timestamp for each in predictions if each.model_version == STREAM.version}
    late = [
        label for label in labels if made.get(label.prediction_id, moment * SECOND) < moment * SECOND < label.timestamp
    ]
    assert len(late) > 20
    flipped = {"yes": "no", "no": "yes"}
    send(
        store,
        clock,
        [],
        [GroundTruth("m", each.prediction_id, flipped[str(each.value)], each.timestamp + SECOND) for each in late[:10]],
    )
    corrected = both_ways()
    assert corrected[0] == corrected[1]
    for label in late[-5:]:
        erase(store, "m", label.prediction_id, actor="test", now=clock.now, new_id=new_id)
    found = both_ways()
    assert found[0] == found[1]
    # Windows that were rolled up meanwhile are made of the same rows.
    while roll_up(store, STREAM, Grain.of(moment - 6 * 3_600, 0), most=1_000):
        pass
    rolled = gather_performance(store, RULES, STREAM, moment, as_known_then=True).evidence
    assert rolled.windows[0].outcomes == decode_performance(found[0]).windows[0].outcomes


def test_a_label_that_was_corrected_counts_from_when_it_was_first_known_with_the_value_that_holds(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    clock = Clock(NOON + 1_000 * HOUR)
    said = [event(f"c{index}", {}, timestamp=NOON + index * SECOND, prediction="yes") for index in range(120)]
    send(store, clock, said, [GroundTruth("m", each.prediction_id, "yes", NOON + HOUR) for each in said])
    clock.advance(1)
    send(store, clock, [], [GroundTruth("m", each.prediction_id, "no", NOON + 5 * HOUR) for each in said])
    for hours, known in ((0.5, 0), (2, 120), (6, 120)):
        inputs = gather_performance(store, RULES, STREAM, NOON // SECOND + int(hours * 3_600), as_known_then=True)
        newest = inputs.evidence.windows[0]
        counts = window_of(newest, inputs.layout, inputs.evidence.arrivals).counts
        assert counts.n == known
        assert counts.confusion is not None
        assert counts.confusion.correct == 0
