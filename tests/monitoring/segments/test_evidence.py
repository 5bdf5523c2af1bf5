"""What a report on segments looks at."""

from __future__ import annotations

import pytest

from modelwatch.monitoring.segments.evidence import SegmentQuery, Stretch, gather_segments
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.rollup import roll_up
from tests.support.events import NOON, event, open_ledger
from tests.support.stores.labels import BINARY, CLASSES, label, set_layout
from tests.support.stores.segments import STREAM
from tests.support.stores.stored import fold_all

pytestmark = pytest.mark.both_engines

MINUTE = 60
NEWEST = NOON // 1_000_000
# Of the hour before that of the newest window, and of the one before it: each rolled up.
AN_HOUR_AGO = NEWEST // 3_600 * 3_600 - 3_600
TWO_HOURS_AGO = AN_HOUR_AGO - 3_600


@pytest.fixture
def rolled_up(store: Store) -> Store:
    """A store with two predictions in the newest window, four in the hour before it, and eight in the one before."""
    times = [NEWEST] * 2 + [AN_HOUR_AGO, AN_HOUR_AGO + 50 * MINUTE] * 2 + [TWO_HOURS_AGO + 5 * MINUTE] * 8
    ledger = open_ledger(store)
    ledger.commit([event(f"{number}", timestamp=time * 1_000_000) for number, time in enumerate(times)])
    ledger.close()
    fold_all(store)
    assert roll_up(store, STREAM, Grain.of(NEWEST, 0), most=100) == 3
    return store


def predictions(stretch: Stretch | None) -> int:
    """How many predictions a stretch has."""
    assert stretch is not None
    return stretch.profiles[""].predictions


def test_a_look_back_that_ends_inside_of_a_rolled_up_window_looks_at_all_of_it(rolled_up: Store) -> None:
    inputs = gather_segments(rolled_up, SegmentQuery(lookback="1h"), STREAM)
    assert inputs.now is not None
    assert inputs.now.window.start == AN_HOUR_AGO
    assert (predictions(inputs.now), predictions(inputs.earlier)) == (6, 8)


def test_so_does_a_baseline(rolled_up: Store) -> None:
    query = SegmentQuery(lookback="1h", baseline=(TWO_HOURS_AGO + 300, TWO_HOURS_AGO + 600))
    inputs = gather_segments(rolled_up, query, STREAM)
    assert inputs.earlier is not None
    assert (inputs.earlier.window.start, inputs.earlier.window.end) == (TWO_HOURS_AGO, AN_HOUR_AGO)
    assert predictions(inputs.earlier) == 8


def test_the_delay_of_labels_is_known_as_soon_as_their_layout_changes(store: Store) -> None:
    set_layout(store, BINARY)
    before = NOON - 5 * 86_400_000_000
    ledger = open_ledger(store)
    ledger.commit([event(f"{number}", timestamp=before) for number in range(40)])
    ledger.commit([], [label(f"{number}", timestamp=before + 3 * 3_600_000_000) for number in range(40)])
    ledger.commit([event("new")])
    set_layout(store, CLASSES)
    inputs = gather_segments(store, SegmentQuery(lookback="1h"), STREAM)
    assert inputs.now is not None
    assert inputs.now.labelled.end <= inputs.now.window.end - 3 * 3_600
