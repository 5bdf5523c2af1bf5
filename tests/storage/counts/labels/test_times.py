"""Which labels were known at a moment of the past, and which came after it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import event, func, select, update

from modelwatch.events import GroundTruth, Prediction
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.storage.counts.labels import times
from modelwatch.storage.counts.labels.times import Stretch, has_news, later_outcomes, outcomes_by_arrival
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from tests.support.data.labelled import outcomes, set_labelled_reference, watch_yes
from tests.support.data.late_labels import DAY, DAY_SECONDS, like_any_other, send_days
from tests.support.data.streams import SECOND
from tests.support.events import NOON, Clock, open_ledger
from tests.support.events import event as event_of

STREAM = StreamKey("m", "1", "production")
FIRST = NOON // SECOND
Rows = list[tuple[Prediction, GroundTruth]]


def counted(
    store: Store, stretches: list[Stretch], known_by: int | None = None, *, one_of: int = 1
) -> tuple[list[list[int]], ...]:
    """The confusion matrices of early and of late labels."""
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        sides = outcomes_by_arrival(connection, STREAM, layouts, stretches, known_by, one_of=one_of)
    layout = layouts.of("1").outcome
    return tuple(OutcomeCounts(layout, side).confusion.matrix[:2, :2].tolist() for side in sides)  # type: ignore[union-attr]


def by_hand(rows: Iterable[tuple[Prediction, GroundTruth]]) -> list[list[int]]:
    matrix = np.zeros((2, 2), dtype=int)
    for prediction, label in rows:
        matrix[int(label.value == "yes"), int(prediction.prediction == "yes")] += 1
    return matrix.tolist()


def within(rows: Rows, stretch: Stretch) -> Rows:
    return [(each, label) for each, label in rows if stretch.start <= each.timestamp // SECOND < stretch.end]


@pytest.mark.both_engines
def test_labels_are_early_or_late_by_the_moment_of_their_stretch(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(500, 99))
    rows: Rows = list(zip(*send_days(store, like_any_other(2.0), days=6, a_day=60), strict=True))
    days = [Stretch(FIRST + day * DAY_SECONDS, FIRST + (day + 1) * DAY_SECONDS, 0) for day in (1, 2)]
    stretches = [each._replace(moment=each.end + DAY_SECONDS) for each in days]
    known_by = FIRST + 6 * DAY_SECONDS
    early: Rows = []
    late: Rows = []
    for stretch in stretches:
        for row in within(rows, stretch):
            if row[1].timestamp <= known_by * SECOND:
                (early if row[1].timestamp <= stretch.moment * SECOND else late).append(row)
    assert min(len(early), len(late)) > 10
    assert counted(store, stretches, known_by) == (by_hand(early), by_hand(late))
    later = [row for stretch in stretches for row in within(rows, stretch) if row not in early]
    assert counted(store, stretches) == (by_hand(early), by_hand(later))
    # Every fourth base window, whatever it holds.
    thinned = counted(store, stretches, known_by, one_of=4)
    kept = [[row for row in side if row[0].timestamp // SECOND // 300 % 4 == 0] for side in (early, late)]
    assert thinned == (by_hand(kept[0]), by_hand(kept[1]))


@pytest.mark.both_engines
def test_a_corrected_label_is_late_by_its_correction(store: Store) -> None:
    watch_yes(store)
    set_labelled_reference(store, outcomes(500, 99))
    predictions, labels = send_days(store, lambda rng, row, day: 0.0, days=1, a_day=40)
    stretch = Stretch(FIRST, FIRST + DAY_SECONDS, FIRST + DAY_SECONDS)
    corrected = [
        GroundTruth("m", label.prediction_id, "no" if label.value == "yes" else "yes", label.timestamp + 3 * DAY)
        for label in labels[:10]
    ]
    ledger = open_ledger(store, Clock(NOON + 9 * DAY), prefix="corrected")
    ledger.commit([], corrected)
    ledger.close()
    early = by_hand(zip(predictions[10:], labels[10:], strict=True))
    assert counted(store, [stretch]) == (early, by_hand(zip(predictions[:10], corrected, strict=True)))


def test_labels_of_a_time_are_found_by_the_index_of_times(store: Store) -> None:
    """Without it SQLite reads every label of the model at each evaluation, however many it has."""
    watch_yes(store)
    set_labelled_reference(store, outcomes(500, 99))
    send_days(store, like_any_other(2.0), days=3, a_day=60)
    plans: list[str] = []

    def explain(_connection: object, cursor: Any, statement: str, values: Any, _context: object, _many: bool) -> None:
        if "first_ts" in statement:
            again = cursor.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in again if "label" in row[3])

    event.listen(store.engine, "before_cursor_execute", explain)
    moment = FIRST + DAY_SECONDS
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        assert has_news(connection, STREAM, FIRST, moment, 5)
        assert not has_news(connection, STREAM, FIRST - 2 * DAY_SECONDS, FIRST - DAY_SECONDS, 5)
        [later] = later_outcomes(connection, store, STREAM, layouts, [(FIRST, FIRST + 3 * DAY_SECONDS)], moment)
    event.remove(store.engine, "before_cursor_execute", explain)
    assert later is not None
    assert len(plans) >= 3
    assert all("label_by_time (first_ts>? AND first_ts<?)" in plan for plan in plans)


def test_a_label_that_cannot_be_read_keeps_no_connection_at_an_old_state(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times, "ROWS_PER_READ", 2)
    watch_yes(store)
    set_labelled_reference(store, outcomes(500, 99))
    send_days(store, like_any_other(2.0), days=2, a_day=60)
    with store.write() as connection:
        connection.execute(update(tables.label).values(value="?"))
    with pytest.raises(msgspec.DecodeError) as held:  # with its trace
        counted(store, [Stretch(FIRST, FIRST + 2 * DAY_SECONDS, FIRST)])
    open_ledger(store).commit([event_of("later")])
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.prediction)).scalar_one() == 121
    assert held.value
