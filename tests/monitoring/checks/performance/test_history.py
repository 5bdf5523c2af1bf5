"""Performance over time: stretch by stretch, computed now from what is stored."""

from __future__ import annotations

import pytest

from modelwatch.errors import InvalidInput
from modelwatch.monitoring.checks.performance.history import PerformanceHistory, performance_history
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.rollup import roll_up
from tests.support.background import new_id
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON
from tests.support.stores.stored import fold_all

STREAM = StreamKey("m", "1", "production")
START = NOON // SECOND
MINUTES = 60


@pytest.fixture
def told(store: Store) -> Store:
    """Six hours of 200 predictions, none of them in the third; the last two hours have no labels."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(2_000, 99))
    for hour in (0, 1, 3, 4, 5):
        rows = outcomes(200, hour, flipped=0.5 if hour == 1 else 0.0)
        send_labelled(store, later(100), rows, at=NOON + hour * HOUR, label_after=60 * SECOND if hour < 4 else None)
    return store


def history(
    store: Store, *, start: int | None, end: int | None, step: int | None, most: int = 500
) -> PerformanceHistory:
    rules = PerformanceRules(budget=1.0, check_interval=3_600, tolerance=0.03)
    return performance_history(store, STREAM, start, end, step, most, rules=rules)


def test_each_stretch_has_the_reference_the_thresholds_and_its_confusion_matrix(told: Store) -> None:
    found = history(told, start=START, end=START + 4 * 3_600, step=3_600)
    for each in found.windows:
        accuracy, unwatched = each.metrics["accuracy"], each.metrics["mcc"]
        assert accuracy.reference is not None
        assert accuracy.value is not None
        assert accuracy.change == pytest.approx(accuracy.value - accuracy.reference)
        assert (accuracy.warning_threshold, accuracy.alert_threshold) == (0.03, 0.06)
        assert unwatched.reference is not None
        assert (unwatched.warning_threshold, unwatched.alert_threshold) == (None, None)
        assert each.confusion is not None
        assert sum(map(sum, each.confusion.matrix)) == each.labelled
    assert found.windows[1].metrics["accuracy"].change < -0.2  # type: ignore[operator]


def test_without_labels_of_a_reference_there_is_nothing_beside(store: Store) -> None:
    send_labelled(store, later(100), outcomes(300, 1), at=NOON, label_after=SECOND)
    OutcomeLayouts(store, new_id=new_id).settle("m", NOON)
    [window] = history(store, start=START, end=START + 3_600, step=3_600).windows
    accuracy = window.metrics["accuracy"]
    assert accuracy.value is not None
    assert (accuracy.reference, accuracy.change, accuracy.warning_threshold) == (None, None, None)


def test_one_entry_a_stretch_with_metrics_and_estimate(told: Store) -> None:
    found = history(told, start=START, end=START + 6 * 3_600, step=3_600)
    assert (found.model_version, found.environment, found.step_seconds) == ("1", "production", 3_600)
    assert [each.predictions for each in found.windows] == [200] * 5
    assert [each.labelled for each in found.windows] == [200, 200, 200, 0, 0]
    assert [each.coverage for each in found.windows] == [1.0, 1.0, 1.0, 0.0, 0.0]
    accuracy = [each.metrics["accuracy"] for each in found.windows]
    assert [each.n for each in accuracy] == [200, 200, 200, 0, 0]
    assert accuracy[1].value is not None
    assert accuracy[0].low is not None
    assert accuracy[1].value < 0.65 < accuracy[0].low
    assert (accuracy[3].value, accuracy[3].reason) == (None, "there are no labelled rows")
    for each in found.windows:
        assert each.estimate is not None
        expected = each.estimate.metrics["accuracy"].value
        assert expected is not None
        # What is estimated does not see that the truth has changed.
        assert expected == pytest.approx(0.88, abs=0.06)
        assert (each.calibration, each.per_class, each.severity) == (None, None, None)


def test_what_was_rolled_up_before_a_reference_counts_in_its_layout(store: Store) -> None:
    watch_yes(store)
    send_labelled(store, later(100), outcomes(200, 1), at=NOON, label_after=60 * SECOND)
    send_labelled(store, later(100), outcomes(200, 2), at=NOON + 96 * HOUR, label_after=60 * SECOND)
    fold_all(store, 1 << 60)
    assert roll_up(store, STREAM, Grain.of(0, START + 96 * 3_600), most=1_000) > 0
    set_labelled_reference(store, outcomes(2_000, 99))
    found = history(store, start=START + 600, end=START + 97 * 3_600, step=10 * 86_400)
    assert [(each.predictions, each.labelled) for each in found.windows] == [(400, 400)]


def test_stretches_cover_the_span_and_end_with_the_data(told: Store) -> None:
    found = history(told, start=START + 1, end=START + 10**8, step=2 * 3_600)
    assert [each.predictions for each in found.windows] == [400, 200, 400]
    assert found.windows[0].start < found.windows[0].end == "2025-06-15T17:05:00Z"
    assert found.windows[-1].end == "2025-06-15T20:10:00Z"


def test_by_default_a_week_in_some_dozens(told: Store) -> None:
    found = history(told, start=None, end=None, step=None)
    assert found.step_seconds == 7 * 86_400 // 48
    assert sum(each.predictions for each in found.windows) == 1_000
    assert history(told, start=None, end=None, step=None, most=10).step_seconds >= 7 * 86_400 / 10


def test_more_stretches_than_can_be_computed_at_once_are_refused_by_name(told: Store) -> None:
    assert history(told, start=START - 494 * 300, end=START + 6 * 300, step=300)
    with pytest.raises(InvalidInput) as refusal:
        history(told, start=START - 495 * 300, end=START + 6 * 300, step=300)
    [problem] = refusal.value.errors
    assert (problem.pointer, problem.message) == (
        "/step",
        "501 stretches from start to end; at most 500 are computed at once",
    )


@pytest.mark.parametrize("seconds", [0, -1, -(10**9)])
def test_an_end_that_is_not_after_the_start_is_refused_by_name(told: Store, seconds: int) -> None:
    with pytest.raises(InvalidInput) as refusal:
        history(told, start=START, end=START + seconds, step=None)
    assert [problem.pointer for problem in refusal.value.errors] == ["/end"]


@pytest.mark.parametrize(
    ("start", "end"), [(START + 10**8, None), (START + 10**8, START + 10**9), (None, START - 10**8), (None, 0), (0, 1)]
)
def test_where_there_are_no_data_there_are_no_stretches(told: Store, start: int | None, end: int | None) -> None:
    assert history(told, start=start, end=end, step=None).windows == []


def test_all_of_time_can_be_asked_for(told: Store) -> None:
    found = history(told, start=-62_135_596_800, end=253_402_300_799, step=None)
    assert sum(each.predictions for each in found.windows) == 1_000


def test_a_new_reference_does_not_lose_what_was_before(told: Store) -> None:
    set_labelled_reference(told, outcomes(500, 7, spread=0.8))
    found = history(told, start=START, end=START + 6 * 3_600, step=6 * 3_600)
    assert [(each.predictions, each.labelled) for each in found.windows] == [(1_000, 600)]
