"""Sums over spans that slide: those of a snapshot, which remembers, are those of reads that remember nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import CursorResult

from modelwatch.events import Prediction
from modelwatch.stats.errors import MalformedProfile
from modelwatch.storage.counts import sliding as sliding_module
from modelwatch.storage.counts.labels import times
from modelwatch.storage.counts.labels.times import later_outcomes
from modelwatch.storage.counts.outcomes import delays_by_window, sum_outcomes
from modelwatch.storage.counts.profiles import counts_by_window, sum_windows, tails_by_window
from modelwatch.storage.counts.rolled_windows import rolled_windows
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.counts.sliding import PAGE_SECONDS, EdgeRows, Part, SlidingSums, Span, Stretched, Total, merged
from modelwatch.storage.counts.stored_values import recent_values
from modelwatch.storage.counts.streams import count_streams
from modelwatch.storage.counts.volumes import duplicates_in, first_window
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import stale_days
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.subjects import Subject
from tests.support.data.labelled import outcomes, set_labelled_reference, watch_yes
from tests.support.data.late_labels import DAY_SECONDS, like_any_other, send_days
from tests.support.data.streams import SECOND, normal, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.stores.stored import fold_all

STREAM = StreamKey("m", "1", "production")
FIRST = NOON // SECOND
# Start, length, version: most are one unit long, some were rolled up.
Windows = list[tuple[int, int, str]]


def parts_of(windows: Windows, spans: Sequence[Span]) -> Iterator[Part]:
    for number, (start, length, version) in enumerate(windows):
        if any(first <= start < end for first, end in merged(spans)):
            inside = tuple(place for place, each in enumerate(spans) if each[0] <= start and start + length <= each[1])
            if inside:
                yield Part(version, inside, Total(1, number + 1, np.array([1, number])))


def by_hand(windows: Windows, span: Span) -> dict[str, tuple[int, int, list[int]]]:
    found: dict[str, tuple[int, int, list[int]]] = {}
    for number, (start, length, version) in enumerate(windows):
        if span[0] <= start and start + length <= span[1]:
            rows, predictions, counts = found.get(version, (0, 0, [0, 0]))
            found[version] = (rows + 1, predictions + number + 1, [counts[0] + 1, counts[1] + number])
    return found


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([1, 1, 1, 6]), st.sampled_from(["1", "2"])), max_size=40),
    st.lists(st.lists(st.tuples(st.integers(-5, 35), st.integers(1, 20)), min_size=1, max_size=3), max_size=6),
)
def test_sums_that_slide_are_those_of_each_span(windows: Windows, calls: list[list[tuple[int, int]]]) -> None:
    windows = [(start - start % length, length, version) for start, length, version in windows]
    sliding = SlidingSums(lambda at: not any(start < at < start + length for start, length, _ in windows))
    for call in calls:
        spans = [(start, start + length) for start, length in call]
        for span, totals in zip(spans, sliding.of(spans, lambda asked: parts_of(windows, asked)), strict=True):
            found = {name: (each.rows, each.predictions, each.counts.tolist()) for name, each in totals.items()}
            assert found == by_hand(windows, span)


def test_only_what_comes_in_and_goes_out_is_read() -> None:
    windows = [(at, 1, "1") for at in range(100)]
    asked: list[Span] = []

    def read(spans: Sequence[Span]) -> Iterator[Part]:
        asked.extend(spans)
        return parts_of(windows, spans)

    sliding = SlidingSums(lambda at: True)
    for end in (50, 52, 52):
        sliding.of([(end - 40, end), (end - 5, end)], read)
    assert asked == [(10, 50), (45, 50), (10, 12), (50, 52), (45, 47), (50, 52)]


def test_a_stretch_that_grows_is_read_once() -> None:
    asked: list[Span] = []

    def read(span: Span) -> dict[int, int]:
        asked.append(span)
        return dict.fromkeys(range(*span), 0)

    known, far = Stretched[int, int](), 2 * PAGE_SECONDS
    for stretch in ((10, 20), (12, 25), (12, 25), (5, 12), (20, 26), (far, far + 10)):
        known.extend(stretch, read)
    assert asked == [(10, 20), (20, 25 + PAGE_SECONDS), (5, 10), (far, far + 10)]
    assert sorted(known.found) == list(range(far, far + 10))


def test_what_lies_ahead_of_a_stretch_may_be_damaged() -> None:
    def read(span: Span) -> dict[int, int]:
        if span[1] > 30:
            raise MalformedProfile("damaged")
        return dict.fromkeys(range(*span), 0)

    known = Stretched[int, int]()
    for stretch in ((10, 20), (12, 25), (15, 30)):
        known.extend(stretch, read)
    assert sorted(known.found) == list(range(10, 30))
    with pytest.raises(MalformedProfile, match="damaged"):
        known.extend((20, 31), read)


class PagedRows:
    """Rows of a store, one in each minute. asked: spans that were read."""

    def __init__(self, size: int) -> None:
        self._counts = bytes(size)
        self.asked: list[Span] = []

    def read(self, span: Span) -> CursorResult[Any]:
        self.asked.append(span)
        rows = [(start, self._counts) for start in range(span[0], span[1], 60)]
        return cast(CursorResult[Any], closing(Partitions(rows)))


class Partitions(list[tuple[int, bytes]]):
    """Result of a statement."""

    def partitions(self, size: int) -> Iterator[list[tuple[int, bytes]]]:
        return (self[at : at + size] for at in range(0, len(self), size))

    def close(self) -> None:
        """Ends it."""


def test_rows_at_edges_are_read_by_the_page() -> None:
    rows, edges, page = PagedRows(10), EdgeRows(), PAGE_SECONDS
    for first in (0, 600, page - 600, 0):
        found = edges.between((first, first + 1_200), rows.read)
        assert found is not None
        assert [row[0] for row in found] == list(range(first, first + 1_200, 60))
    assert rows.asked == [(0, page), (page, 2 * page)]
    assert edges.between((0, page + 1), rows.read) is None


def test_pages_of_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size = PAGE_SECONDS // 60 * 10
    monkeypatch.setattr(sliding_module, "MOST_EDGE_BYTES", 2 * size)
    rows, edges = PagedRows(10), EdgeRows()
    for number in (0, 1, 0, 2, 0, 1):
        assert edges.between((number * PAGE_SECONDS, number * PAGE_SECONDS + 60), rows.read)
    assert [first // PAGE_SECONDS for first, _ in rows.asked] == [0, 1, 2, 1]
    monkeypatch.setattr(sliding_module, "MOST_PAGE_BYTES", size - 1)
    assert EdgeRows().between((0, 60), rows.read) is None


def observed(store: Store, end: int) -> object:
    """What evaluations read at a moment."""
    spans = [(end - days * DAY_SECONDS, end) for days in (1, 3)]
    model, version, environment = STREAM
    with store.read() as connection:
        layouts = read_layouts(connection, model, generation_of(connection, model) or 0)
        counted = [sum_windows(connection, model, layouts, environment, spans, of) for of in (version, None)]
        labelled = sum_outcomes(connection, model, layouts, environment, spans, version)
        later = later_outcomes(connection, store, STREAM, layouts, spans, end)
        grain = Grain.of(FIRST + 2 * DAY_SECONDS, FIRST + DAY_SECONDS)
        delays = delays_by_window(connection, model, layouts, environment, version, (FIRST, end), grain)
        x = layouts.of(version).slices[Subject("feature", "x")]
        tails = tails_by_window(connection, STREAM, layouts.generation, spans[0], [x])
        cells = np.arange(x.start, x.stop, 1 + end // 3_600 % 2)
        starts, counts = counts_by_window(connection, STREAM, layouts.generation, spans[1], cells)
        repeats = [duplicates_in(connection, STREAM, *span) for span in spans]
        stale = [
            stale_days(connection, model, layouts.generation + 1, *spans[0]),
            stale_outcome_days(connection, model, layouts.outcome_generation + 1, *spans[1]),
        ]
        rolled = [rolled_windows(connection, model, environment, *spans[0], of) for of in (version, None)]
        streams = [count_streams(connection, model, *span) for span in spans]
        first = first_window(connection, STREAM)
        recent = recent_values(connection, STREAM, end, 50, spans[1][0], ["x"])
    return (
        [
            [{name: (slot.predictions, slot.counts.tolist()) for name, slot in of_span.items()} for of_span in sums]
            for sums in counted
        ],
        [{name: counts.tolist() for name, counts in of_span.items()} for of_span in labelled],
        [None if counts is None else counts.tolist() for counts in later],
        {window: counts.tolist() for window, counts in delays.items()},
        sorted(
            (start, each.predictions, each.valid.tolist(), each.below.tolist(), each.above.tolist())
            for start, each in tails
        ),
        (starts, counts.tolist()),
        (repeats, stale, rolled, streams, first, recent),
    )


@pytest.mark.both_engines
def test_a_snapshot_reads_what_single_reads_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "FEW_LABELS", 5)
    watch_yes(store)
    set_reference(store, normal(500))
    set_labelled_reference(store, outcomes(500, 99))
    send_days(store, like_any_other(1.0), days=6, a_day=60)
    ledger = open_ledger(store, Clock(NOON + 20 * DAY_SECONDS * SECOND), prefix="x")
    ledger.commit([_with_x(index) for index in range(600)])
    ledger.commit([_with_x(index) for index in range(0, 600, 7)])
    ledger.close()
    fold_all(store)
    assert roll_up(store, STREAM, Grain.of(FIRST + 2 * DAY_SECONDS, FIRST + DAY_SECONDS), most=1_000)
    moments = [FIRST + hours * 3_600 for hours in (30, 40, 41, 60, 61, 62, 100, 90, 140)]
    single = [observed(store, end) for end in moments]
    with store.snapshot():
        assert [observed(store, end) for end in moments] == single
    assert len({str(each) for each in single}) == len(moments)


def _with_x(index: int) -> Prediction:
    at = NOON + index * 6 * DAY_SECONDS // 600 * SECOND
    return event(f"x{index}", {"x": float(index % 9)}, version="2" if index % 4 == 0 else "1", timestamp=at)
