"""Labels that came late for a window that had been rolled up: each is taken out once, whatever is remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from modelwatch.events import GroundTruth, Prediction
from modelwatch.monitoring.checks.performance.stored_window_counts import window_counts
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.labels import pairs, times
from modelwatch.storage.counts.labels.times import later_outcomes
from modelwatch.storage.counts.rollup_levels import DAY, Grain
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.layouts import read_layouts
from tests.support.data.labelled import outcomes, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.stores.stored import fold_all

STREAM = StreamKey("m", "1", "production")
FIRST = NOON // SECOND
HOUR_SECONDS = HOUR // SECOND
ROWS = outcomes(3_600, 1)
# Every other prediction of the hour has its label two hours after noon; half of the others of one base window have
# theirs after three days.
EARLY = range(0, 3_600, 2)
LATE = range(901, 1_200, 2)
HOURS, DAYS = Grain.of(FIRST + 10 * HOUR_SECONDS, 0), Grain.of(FIRST + DAY, FIRST + DAY)
OF_DAY = DAYS.window(FIRST)
BOTH = pytest.mark.parametrize("rolled_up", [HOURS, DAYS], indirect=True, ids=["hours", "days"])


def confusion(places: Sequence[int]) -> list[list[int]]:
    """Confusion matrix of these rows."""
    matrix = [[0, 0], [0, 0]]
    for place in places:
        matrix[ROWS[place].truth == "yes"][ROWS[place].prediction == "yes"] += 1
    return matrix


def label(store: Store, places: Sequence[int], *, known: int) -> None:
    """Counts the labels of these rows, which become known so many microseconds after noon."""
    labels = [GroundTruth("m", f"p{place}", str(ROWS[place].truth), NOON + known) for place in places]
    ledger = open_ledger(store, Clock(NOON + known), prefix=f"known{known}-{len(places)}")
    ledger.commit([], labels)
    ledger.close()


def taken_out(store: Store, hours: float) -> list[list[int]] | None:
    """Confusion matrix of the labels of the day that became known later than so many hours after noon."""
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        moment = FIRST + int(hours * HOUR_SECONDS)
        [later] = later_outcomes(connection, store, STREAM, layouts, [OF_DAY], moment)
    if later is None:
        return None
    found = OutcomeCounts(layouts.of("1").outcome, later).confusion
    assert found is not None
    return found.matrix[:2, :2].tolist()


@pytest.fixture
def rolled_up(store: Store, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Store:
    """A store with an hour of predictions and its early labels, rolled up to an hour or to a day."""
    monkeypatch.setattr(times, "FEW_LABELS", 0)
    watch_yes(store)
    set_labelled_reference(store, outcomes(500, 99))
    predictions: list[Prediction] = [
        event(f"p{place}", {}, timestamp=NOON + place * SECOND, prediction=row.prediction, probability=row.probability)  # type: ignore[arg-type]
        for place, row in enumerate(ROWS)
    ]
    ledger = open_ledger(store, Clock(NOON + 3 * HOUR), prefix="predictions")
    ledger.commit(predictions, [])
    ledger.close()
    label(store, EARLY, known=2 * HOUR)
    fold_all(store, NOON + 3 * HOUR)
    assert roll_up(store, STREAM, request.param, most=1_000)
    return store


@BOTH
@pytest.mark.parametrize("warm", [False, True])
def test_labels_from_after_a_roll_up_are_taken_out_once(rolled_up: Store, warm: bool) -> None:
    if warm:
        assert taken_out(rolled_up, 1) == confusion(EARLY)
        assert taken_out(rolled_up, 3) is None
    label(rolled_up, LATE, known=72 * HOUR)
    assert taken_out(rolled_up, 1) == confusion([*EARLY, *LATE])
    assert taken_out(rolled_up, 3) == confusion(LATE)
    # Asked in the other order, and again with what is remembered.
    assert taken_out(rolled_up, 1) == confusion([*EARLY, *LATE])
    assert taken_out(rolled_up, 73) is None


@pytest.mark.parametrize("rolled_up", [DAYS], indirect=True)
def test_a_late_hour_in_a_day_and_a_late_window_in_both_are_one(rolled_up: Store) -> None:
    label(rolled_up, LATE, known=72 * HOUR)
    fold_all(rolled_up, NOON + 73 * HOUR)
    assert roll_up(rolled_up, STREAM, HOURS, most=1_000)
    assert taken_out(rolled_up, 1) == confusion([*EARLY, *LATE])
    latest = range(2_101, 2_400, 2)
    label(rolled_up, latest, known=80 * HOUR)
    assert taken_out(rolled_up, 1) == confusion([*EARLY, *LATE, *latest])
    assert taken_out(rolled_up, 3) == confusion([*LATE, *latest])
    assert taken_out(rolled_up, 75) == confusion(latest)


@BOTH
def test_a_label_is_known_as_early_as_a_late_message_says(rolled_up: Store) -> None:
    """What comes into the base window changes a label that the rolled-up one counts."""
    assert taken_out(rolled_up, 1) == confusion(EARLY)
    label(rolled_up, EARLY[:200], known=HOUR // 2)
    assert taken_out(rolled_up, 1) == confusion(EARLY[200:])


@BOTH
def test_performance_of_a_moment_does_not_depend_on_what_is_remembered(rolled_up: Store) -> None:
    """Counts taken out twice were more than there are: the check failed, in some replicas and not in others."""

    def known_after(hours: int) -> bytes:
        moment = FIRST + hours * HOUR_SECONDS
        with rolled_up.read() as connection:
            layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
            [found] = window_counts(connection, rolled_up, STREAM, layouts, [(Window(*OF_DAY), True)], moment, moment)
        return found.outcomes

    before = known_after(1), known_after(3)
    assert before[0] == b""
    label(rolled_up, LATE, known=72 * HOUR)
    assert (known_after(1), known_after(3)) == before
    pairs._of_store.clear()
    assert (known_after(1), known_after(3)) == before
