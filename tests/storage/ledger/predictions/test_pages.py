"""Reading predictions page by page: how much at once, in which order, by which indexes, and what of a broken block."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, func, select, update

from modelwatch.errors import Conflict, DamagedData
from modelwatch.monitoring.references.references import take_provisional_reference
from modelwatch.stats.errors import MalformedProfile
from modelwatch.storage.counts import profiles
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.stored_values import numbers_between, recent_values
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions import blocks, pages
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, erase_features
from modelwatch.storage.ledger.predictions.feature_columns import FORMAT
from modelwatch.storage.ledger.predictions.pages import pages_of_day
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references.layouts import read_layouts
from tests.support.events import ALWAYS, NOON, Clock, open_ledger
from tests.support.events import event as prediction
from tests.support.servers.postgres import Cluster
from tests.support.stores.labels import BINARY, label, set_layout, summed_outcomes
from tests.support.stores.stored import C, X, block_rows, erased, set_reference, several, stored_blocks, stored_features

both_engines = pytest.mark.both_engines

DAY = 86_400_000_000
TODAY = NOON // DAY
END = NOON // 1_000_000 + 300
STREAM = StreamKey("m", "1", "production")


@pytest.fixture(autouse=True)
def of_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "FEWEST_VALUES", 1)


def read_pages(store: Store) -> list[list[str]]:
    """The ids of each page of the day."""
    query = select(tables.prediction)
    with store.read() as connection:
        return [
            [row.prediction_id for row in rows] for rows in pages_of_day(KeptFeatures(connection), query, "m", TODAY)
        ]


class TestAPage:
    def test_has_few_rows_of_a_wide_model(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "PLACES_PER_READ", 60)
        ledger = open_ledger(store)
        for number in range(5):
            ledger.commit(several(10, f"narrow{number}-"))
        for number in range(3):
            wide = {f"f{place}": 1.0 for place in range(20)}
            ledger.commit([prediction(f"wide{number}-{row}", wide) for row in range(4)])
        assert [len(page) for page in read_pages(store)] == [30, 20, 4, 4, 4]

    def test_has_few_rows_of_few_features_too(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pages, "ROWS_PER_READ", 25)
        ledger = open_ledger(store)
        for number in range(5):
            ledger.commit(several(10, f"p{number}-"))
        assert [len(page) for page in read_pages(store)] == [20, 20, 10]


def with_large_and_small_blocks(store: Store) -> list[int]:
    """Stores predictions with labels, in a block of many rows and in one of few; returns the ids of these."""
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    for prefix, rows in (("large", 200), ("small", 10)):
        sent = several(rows, prefix)
        ledger.commit(sent, [label(each.prediction_id, "yes", timestamp=NOON) for each in sent])
    ledger.commit(several(3, "alone"))
    return sorted(block_rows(store))


@both_engines
class TestRowsWhoseBlockIsGone:
    def test_are_read_without_features_and_counted(self, store: Store) -> None:
        ids = with_large_and_small_blocks(store)
        before = summed_outcomes(store)
        with store.write() as connection:
            connection.execute(delete(tables.feature_block).where(tables.feature_block.c.id.in_(ids)))
        assert sorted(map(len, stored_features(store).values())) == [0] * 210 + [2] * 3
        assert sum(map(len, read_pages(store))) == 213
        set_reference(store)
        backfill_profiles(store, "m", *ALWAYS)
        with store.read() as connection:
            layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
            [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
        layout, slot = layouts.of("1"), sums["1"]
        assert slot.predictions == 213
        assert [int(slot.counts[layout.slices[subject]].sum()) for subject in (X, C)] == [3, 3]
        assert summed_outcomes(store) == before

    def test_do_not_get_the_features_of_others(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit(several(10))
        with store.write() as connection:
            connection.execute(delete(tables.feature_block))
        ledger.commit([prediction(f"q{number}", {"x": 99.0}) for number in range(10)])
        found = stored_features(store)
        assert found[f"p1 {TODAY}"] == {}
        assert found[f"q1 {TODAY}"] == {"x": 99.0}

    def test_are_told_of_once_for_each_block(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        ledger = open_ledger(store)
        for prefix in "abcdefg":
            ledger.commit(several(10, prefix))
        gone, cut_off, empty = sorted(block_rows(store))[:3]
        block, row = tables.feature_block, tables.prediction
        with store.write() as connection:
            connection.execute(delete(block).where(block.c.id == gone))
            connection.execute(update(block).where(block.c.id == cut_off).values(features=b"x"))
            connection.execute(update(row).where(row.c.block == empty).values(place=row.c.place + 100))
        with store.read() as connection:
            kept = KeptFeatures(connection)
            # In an order in which no block stays in memory.
            rows = connection.execute(select(row).order_by(row.c.place % 100)).all()
            found = [kept.of(each) for each in rows]
        assert sum(each is None for each in found) == 30
        assert sorted(record.args[0] for record in caplog.records if isinstance(record.args, tuple)) == sorted(
            [gone, cut_off, empty]
        )
        assert {record.levelno for record in caplog.records} == {logging.WARNING}


@both_engines
@pytest.mark.parametrize("leave_counts", [False, True])
def test_a_block_of_a_newer_format_is_not_written_again(store: Store, leave_counts: bool) -> None:
    """Its other rows would be lost for the release that can read them."""
    set_reference(store)
    open_ledger(store).commit(several(10))
    block = tables.feature_block
    [(identity, raw)] = stored_blocks(store).items()
    newer = bytes([FORMAT + 1]) + raw[1:]
    with store.write() as connection:
        connection.execute(update(block).values(features=newer))
    with pytest.raises(Conflict, match=r"format 2, this modelwatch reads 1\. A process of the newer release can"):
        erased(store, "p1", leave_counts=leave_counts)
    with pytest.raises(Exception, match="format 2"), store.write() as connection:
        erase_features(connection, identity, 1)
    assert stored_blocks(store) == {identity: newer}
    assert len(stored_features(store)) == 10


@contextmanager
def watched(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """The statements of the block with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        seen.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


@both_engines
class TestALookForNumbersOfWindows:
    def test_looks_at_no_rows_of_blocks_beside_those_blocks(self, store: Store) -> None:
        ledger = open_ledger(store, Clock())
        for number in range(40):
            ledger.commit(several(100, f"p{number}-"))
        ledger.commit([prediction("alone", {"x": 1.0})])
        if not store.is_sqlite:
            with store.write() as connection:
                connection.exec_driver_sql("ANALYZE")
        with store.read() as connection, watched(store) as seen:
            assert sum(len(starts) for starts, _ in numbers_between(connection, STREAM, [(END - 300, END)], ["x"]))
            statement, parameters = next(each for each in seen if "ORDER BY prediction.arrived_at" in each[0])
            explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
            plan = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        assert "prediction_by_arrival" in str(plan)

    def test_reads_each_row_once_also_of_those_that_came_together(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks, "FEWEST_ROWS", 10**9)
        monkeypatch.setattr(pages, "FIRST_ROWS_PER_READ", 2)
        monkeypatch.setattr(pages, "ROWS_PER_READ", 3)
        clock = Clock()
        ledger = open_ledger(store, clock)
        for number in range(4):
            ledger.commit([prediction(f"p{number}-{each}", {"x": 10.0 * number + each}) for each in range(5)])
            clock.advance(number % 2)
        with store.read() as connection:
            found = [
                value
                for _, (numbers,) in numbers_between(connection, STREAM, [(END - 300, END)], ["x"])
                for value in numbers.tolist()
            ]
        assert found == [10.0 * number + each for number in range(4) for each in range(5)]


@both_engines
class TestALookAtRecentFeatures:
    def test_finds_what_came_alone_by_an_index_that_has_nothing_else(self, store: Store) -> None:
        ledger = open_ledger(store, Clock())
        for number in range(40):
            ledger.commit(several(100, f"p{number}-"))
        ledger.commit(several(3, "alone"))
        if not store.is_sqlite:
            with store.write() as connection:
                connection.exec_driver_sql("ANALYZE")
        with store.read() as connection, watched(store) as seen:
            assert recent_values(connection, STREAM, END, 20).rows == 20
            [(statement, parameters)] = [each for each in seen if "ORDER BY prediction.arrived_at DESC" in each[0]]
            explain = "EXPLAIN QUERY PLAN" if store.is_sqlite else "EXPLAIN"
            plan = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        assert "prediction_by_arrival" in str(plan)

    def test_begins_with_what_came_last(self, store: Store) -> None:
        clock = Clock()
        ledger = open_ledger(store, clock)
        for number in (3, 1, 2, 5, 4):
            ledger.commit([prediction(f"p{number}", {"x": float(number)})])
            clock.advance(1)
        ledger.commit([prediction(f"p{number}", {"x": float(number)}) for number in (9, 7, 8)])
        assert self._seen(store, 6) == [7.0, 8.0, 9.0, 4.0, 5.0, 2.0]

    @staticmethod
    def _seen(store: Store, limit: int) -> list[Any]:
        with store.read() as connection:
            return recent_values(connection, STREAM, END, limit, names=["x"]).values["x"]


def first_ids(store: Store, limit: int, days: Sequence[int] = (TODAY, TODAY + 1)) -> list[str]:
    with store.read() as connection:
        found = first_events(connection, "m", days, limit, store.protection)
        return [f"{row.event.prediction_id} {row.event.timestamp // DAY - TODAY}" for row in found]


@both_engines
class TestTheFirstPredictions:
    def test_that_came_together_are_taken_by_their_ids_and_read_block_by_block(self, store: Store) -> None:
        """Two versions in one commit are two blocks; B comes before a, as its bytes do."""
        clock = Clock()
        ledger = open_ledger(store, clock)
        ledger.commit([prediction("late")])
        clock.advance(1)
        ledger.commit(
            [prediction(each, version=version) for version, ids in (("1", "caBd"), ("2", "bCAe")) for each in ids]
        )
        assert len(block_rows(store)) == 2
        assert first_ids(store, 6) == ["late 0", "a 0", "B 0", "b 0", "C 0", "A 0"]
        assert first_ids(store, 100) == [f"{each} 0" for each in ("late", *"caBd", *"bCAe")]

    def test_that_came_together_are_the_oldest_whatever_their_ids(self, store: Store) -> None:
        """A file is one commit: a sample of it by ids would mix what it became with what it was at first."""
        ids = "fbdace"
        open_ledger(store).commit([prediction(each, timestamp=NOON + second) for second, each in enumerate(ids)])
        assert first_ids(store, 3) == [f"{each} 0" for each in "fbd"]

    def test_of_one_id_are_taken_by_their_days(self, store: Store) -> None:
        open_ledger(store).commit([prediction("a", timestamp=NOON + day * DAY) for day in (1, 0)])
        assert first_ids(store, 1) == ["a 0"]

    def test_are_the_same_in_blocks_and_in_rows(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        sent = [each for version in "12" for each in several(20, f"{version}-", version=version)]
        ledger = open_ledger(store)
        ledger.commit(sent)
        in_blocks = first_ids(store, 25)
        for each in sent:
            erased(store, each.prediction_id)
        monkeypatch.setattr(blocks, "FEWEST_ROWS", 10**9)
        ledger.commit(sent)
        assert block_rows(store) == {}
        assert first_ids(store, 25) == sorted(in_blocks)


def test_the_first_predictions_are_the_same_in_a_database_of_another_language(postgres: Cluster) -> None:
    """In English a comes before B, as bytes it is the other way round."""
    name = "modelwatch_in_english"
    postgres.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu"
        " ICU_LOCALE 'en-US'"
    )
    store = Store(postgres.url(name))
    try:
        migrate(store)
        open_ledger(store).commit([prediction(each, {"x": 1.0}) for each in ("a", "B", "c")])
        assert first_ids(store, 2) == ["B 0", "a 0"]
    finally:
        store.close()
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@both_engines
def test_what_is_not_read_to_its_end_keeps_no_connection_at_an_old_state(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("FIRST_ROWS_PER_READ", 2), ("BLOCKS_PER_READ", 2), ("ROWS_PER_READ", 10)):
        monkeypatch.setattr(pages, name, size)
    ledger = open_ledger(store)
    for number in range(10):
        ledger.commit(several(10, f"p{number}-"))
        ledger.commit([prediction(f"alone{number}")])
    with store.read() as connection:
        # Held, as the trace of an error holds them.
        begun: list[Iterator[Any]] = [
            numbers_between(connection, STREAM, [(END - 300, END)], ["x"]),
            pages_of_day(KeptFeatures(connection), select(tables.prediction), "m", TODAY),
        ]
        assert all(next(each) for each in begun)
    for number in range(3):
        ledger.commit([prediction(f"later{number}")])
        with store.read() as connection:
            count = connection.execute(select(func.count()).select_from(tables.prediction)).scalar_one()
            if not store.is_sqlite:
                assert connection.exec_driver_sql("SELECT count(*) FROM pg_cursors").scalar_one() == 0
        assert count == 111 + number
    with store.write() as connection:
        connection.execute(delete(tables.prediction).where(tables.prediction.c.prediction_id == "later0"))


def test_first_predictions_that_cannot_be_read_keep_no_connection_at_an_old_state(store: Store) -> None:
    table = tables.prediction
    ledger = open_ledger(store)
    ledger.commit([prediction(f"p{number:03}") for number in range(200)])
    with store.write() as connection:
        connection.execute(update(table).where(table.c.prediction_id == "p010").values(prediction="?"))
    with pytest.raises(DamagedData) as held:  # with its trace
        take_provisional_reference(store, "m", 100, now=NOON, new_id=lambda: "r")
    ledger.commit([prediction("later")])
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 201
    assert held.value


def test_counts_that_cannot_be_read_keep_no_connection_at_an_old_state(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("FIRST_ROWS", 2), ("MOST_ROWS", 2), ("BYTES_AT_ONCE", 1)):
        monkeypatch.setattr(profiles, name, number)
    set_reference(store)
    clock = Clock()
    ledger = open_ledger(store, clock)
    for number in range(10):
        ledger.commit([prediction(f"p{number}", {"x": 1.0}, timestamp=NOON + number * 300_000_000)])
    with store.write() as connection:
        connection.execute(update(tables.profile).values(counts=b"?"))
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
    with pytest.raises(MalformedProfile) as held, store.read() as connection:  # with its trace
        sum_windows(connection, "m", layouts, "production", [ALWAYS])
    ledger.commit([prediction("later")])
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.prediction)).scalar_one() == 11
    assert held.value


def test_ids_of_blocks_are_found_by_the_indexes(store: Store) -> None:
    """On SQLite, in each commit: the newest of blocks and of rows that name one."""
    with store.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {blocks._NEWEST_OF_SQLITE}").all()
    assert "prediction_by_block" in str(plan)
    assert not any(step.startswith("SCAN prediction") for *_, step in plan)
